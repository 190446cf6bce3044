"""Sentence ablation: how the probability of a fact changes when a sentence is removed from the document.

Unlike attention weights, it is measured: the model predicts the document without the sentence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from math import inf
from typing import TYPE_CHECKING

from glre_pyg.data.document import Document, Fact, Sentence, Span
from glre_pyg.data.explanation import SentenceAblation
from glre_pyg.extraction.explainer import pair_rows

if TYPE_CHECKING:
    from glre_pyg.runs.run import Run


def without_sentence(document: Document, number: int) -> Document:
    """Return the document without one of its sentences, and without facts.

    The other sentences keep their words. White space before the sentence is removed with it; after it, if it
    is the first.

    Args:
        document: The document.
        number: Number of the sentence, from 0.
    """
    removed = document.sentences[number]
    if removed.start:
        start, end = document.words[removed.start - 1][1], document.words[removed.end - 1][1]
    else:
        start = document.words[0][0]
        end = document.words[removed.end][0] if removed.end < len(document.words) else len(document.text)

    def shift(span: Span, after: int, by: int) -> Span:
        return (span[0] - by, span[1] - by) if span[0] >= after else span

    words = [*document.words[: removed.start], *document.words[removed.end :]]
    mentions = [mention for mention in document.mentions if mention.end <= start or mention.start >= end]
    spans = [shift(mention.span, end, end - start) for mention in mentions]
    sentences = [
        shift((sentence.start, sentence.end), removed.end, removed.end - removed.start)
        for sentence in document.sentences
        if sentence != removed
    ]
    return Document(
        id=document.id,
        text=document.text[:start] + document.text[end:],
        words=tuple(shift(word, end, end - start) for word in words),
        sentences=tuple(Sentence(*sentence) for sentence in sentences),
        mentions=tuple(
            replace(mention, start=span[0], end=span[1])
            for mention, span in zip(mentions, spans, strict=True)
        ),
    )


def ablate_sentences(
    run: Run, document: Document, facts: Sequence[Fact]
) -> list[tuple[SentenceAblation, ...]]:
    """Measure how the probabilities of facts change when each sentence of their document is removed.

    The model predicts the document once as a whole, and once without each sentence that leaves one of the
    pairs.

    Args:
        run: The run.
        document: The document, as prepared by the run's corpus.
        facts: Facts of candidate pairs.

    Returns:
        For each fact the effect of each sentence, ordered as in
        :class:`~glre_pyg.data.explanation.PredictedFact`.
    """
    shorter = (without_sentence(document, number) for number in range(len(document.sentences)))
    whole, *others = _probabilities(run, chain([document], shorter), facts)

    def ablation(fact: int) -> tuple[SentenceAblation, ...]:
        before = whole[fact]
        rows = [
            SentenceAblation(number, after.get(fact), after[fact] - before if fact in after else None)
            for number, after in enumerate(others)
        ]
        return tuple(sorted(rows, key=lambda row: -inf if row.change is None else row.change))

    return [ablation(fact) for fact in range(len(facts))]


def _probabilities(
    run: Run, documents: Iterator[Document], facts: Sequence[Fact]
) -> Iterator[dict[int, float]]:
    """For each document the probabilities of the facts, by number, whose two entities it mentions."""
    columns = {relation: column for column, relation in enumerate(run.labels.relations)}
    while batch := list(islice(documents, run.config.eval_batch_size)):
        has_pair = [
            any({fact.head, fact.tail} <= document.entity_numbers.keys() for fact in facts)
            for document in batch
        ]
        graphs = run.graphs([document for document, kept in zip(batch, has_pair, strict=True) if kept])
        predictions = zip(graphs, run.predict(graphs), strict=True)
        for kept in has_pair:
            if not kept:
                yield {}
                continue
            graph, table = next(predictions)
            rows = pair_rows(graph, directed=run.labels.directed)
            yield {
                number: float(table[rows[fact.head, fact.tail], columns[fact.relation]])
                for number, fact in enumerate(facts)
                if (fact.head, fact.tail) in rows
            }
