"""What each sentence is worth: the document without it is given to the model again.

Unlike attention, this is measured: the change in probability is that of the model's own answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

from glre_pyg.document import Document, Sentence, Span
from glre_pyg.reasons import Omission

if TYPE_CHECKING:
    from glre_pyg.runs import Run


Triple = tuple[str, str, str]
"""Head, relation and tail of a fact."""


def without_sentence(document: Document, number: int) -> Document:
    """The document without one of its sentences, and without facts: text, words and mentions close up.

    The rest is not cut into sentences anew. White space before the sentence goes with it; after it, if it is
    the first.

    Args:
        document: The document.
        number: Number of the sentence, from 0.
    """
    left = document.sentences[number]
    if left.start:
        start, end = document.words[left.start - 1][1], document.words[left.end - 1][1]
    else:
        start = document.words[0][0]
        end = document.words[left.end][0] if left.end < len(document.words) else len(document.text)

    def moved(span: Span, after: int, by: int) -> Span:
        return (span[0] - by, span[1] - by) if span[0] >= after else span

    words = [*document.words[: left.start], *document.words[left.end :]]
    mentions = [mention for mention in document.mentions if mention.end <= start or mention.start >= end]
    spans = [moved(mention.span, end, end - start) for mention in mentions]
    sentences = [
        moved((sentence.start, sentence.end), left.end, left.end - left.start)
        for sentence in document.sentences
        if sentence != left
    ]
    return Document(
        id=document.id,
        text=document.text[:start] + document.text[end:],
        words=tuple(moved(word, end, end - start) for word in words),
        sentences=tuple(Sentence(*sentence) for sentence in sentences),
        mentions=tuple(
            replace(mention, start=span[0], end=span[1])
            for mention, span in zip(mentions, spans, strict=True)
        ),
    )


def omissions(run: Run, document: Document, facts: Sequence[Triple]) -> list[tuple[Omission, ...]]:
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
    if not facts:
        return []
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

    def of(fact: Triple) -> tuple[Omission, ...]:
        found = [
            Omission(number, probability, None if probability is None else probability - before[fact])
            for number in range(len(document.sentences))
            for probability in [after.get(number, {}).get(fact)]
        ]
        return tuple(sorted(found, key=lambda each: -inf if each.change is None else each.change))

    return [of(fact) for fact in facts]


def _probabilities(
    run: Run, documents: Sequence[Document], facts: Sequence[Triple]
) -> Iterator[dict[Triple, float]]:
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
