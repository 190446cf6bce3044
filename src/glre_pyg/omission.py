"""What each sentence is worth: the document without it is given to the model again.

Unlike attention, this is measured: the change in probability is that of the model's own answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from glre_pyg.document import Document, Mention, Sentence
from glre_pyg.reasons import Omission

if TYPE_CHECKING:
    from glre_pyg.runs import Run


def without_sentence(document: Document, number: int) -> Document:
    """The document without one of its sentences, and without facts: text, words and mentions close up.

    The rest is not cut into sentences anew. What the text has between words before the sentence goes with it.

    Args:
        document: The document.
        number: Number of the sentence, from 0.
    """
    left = document.sentences[number]
    first, last = document.words[left.start], document.words[left.end - 1]
    start = document.words[left.start - 1][1] if left.start else 0
    start, end = (start, last[1]) if left.start else (first[0], _next_word(document, left.end))
    shift, count = end - start, left.end - left.start

    def moved(span: tuple[int, int], cut: int, by: int) -> tuple[int, int]:
        return (span[0] - by, span[1] - by) if span[0] >= cut else span

    def kept(mention: Mention) -> bool:
        return mention.end <= start or mention.start >= end

    return Document(
        id=document.id,
        text=document.text[:start] + document.text[end:],
        words=tuple(
            moved(span, end, shift)
            for index, span in enumerate(document.words)
            if not left.start <= index < left.end
        ),
        sentences=tuple(
            Sentence(*moved((sentence.start, sentence.end), left.end, count))
            for index, sentence in enumerate(document.sentences)
            if index != number
        ),
        mentions=tuple(
            replace(mention, start=span[0], end=span[1])
            for mention in document.mentions
            if kept(mention)
            for span in [moved(mention.span, end, shift)]
        ),
    )


def _next_word(document: Document, word: int) -> int:
    """Where a word begins; the end of the text after the last."""
    return document.words[word][0] if word < len(document.words) else len(document.text)


def omissions(
    run: Run, document: Document, facts: Sequence[tuple[str, str, str]]
) -> list[tuple[Omission, ...]]:
    """What becomes of the probabilities of facts when each sentence of their document is left out.

    The model is asked once for each sentence that leaves one of the pairs, and once for the whole.

    Args:
        run: The run.
        document: The document, as the run's corpus prepares it.
        facts: (head, relation, tail); of candidate pairs.

    Returns:
        For each fact, what each sentence is worth, in the order of
        :class:`~glre_pyg.reasons.PredictedFact`.
    """
    whole = replace(document, facts=(), ignored=())
    pairs = {frozenset((head, tail)) for head, _, tail in facts}
    variants: dict[int, Document] = {}
    for number in range(len(document.sentences)):
        shorter = without_sentence(document, number)
        left = {entity.id for entity in shorter.entities}
        if any(pair <= left for pair in pairs):
            variants[number] = shorter
    tables = list(_probabilities(run, [whole, *variants.values()], facts))
    before, after = tables[0], dict(zip(variants, tables[1:], strict=True))
    return [tuple(_ranked(fact, before, after, len(document.sentences))) for fact in facts]


def _ranked(
    fact: tuple[str, str, str],
    before: Mapping[tuple[str, str, str], float],
    after: Mapping[int, Mapping[tuple[str, str, str], float]],
    sentences: int,
) -> list[Omission]:
    found = []
    for number in range(sentences):
        probability = after.get(number, {}).get(fact)
        change = None if probability is None else probability - before[fact]
        found.append(Omission(number, probability, change))
    return sorted(found, key=lambda each: -np.inf if each.change is None else each.change)


def _probabilities(
    run: Run, documents: Sequence[Document], facts: Sequence[tuple[str, str, str]]
) -> Iterator[dict[tuple[str, str, str], float]]:
    """The probability of each of the facts that a document has the pair of."""
    column = {relation: index for index, relation in enumerate(run.labels.relations)}
    graphs = run.graphs(documents)
    for graph, table in zip(graphs, run.predict(graphs), strict=True):
        ids = graph["entity"].id
        row = {
            (ids[head], ids[tail]): index for index, (head, tail) in enumerate(graph.pair_index.t().tolist())
        }
        if not run.labels.directed:
            row |= {(tail, head): index for (head, tail), index in row.items()}
        yield {
            (head, relation, tail): float(table[row[head, tail], column[relation]])
            for head, relation, tail in facts
            if (head, tail) in row
        }
