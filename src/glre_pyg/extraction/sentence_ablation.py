"""What each sentence is worth: the document without it is given to the model again.

Unlike attention, this is measured: the change in probability is that of the model's own answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from math import inf
from typing import TYPE_CHECKING

from glre_pyg.data.document import Document, Sentence, Span
from glre_pyg.data.explanation import SentenceAblation

if TYPE_CHECKING:
    from glre_pyg.runs.run import Run


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


def ablate_sentences(
    run: Run, document: Document, facts: Sequence[Triple]
) -> list[tuple[SentenceAblation, ...]]:
    """What becomes of the probabilities of facts when each sentence of their document is left out.

    The model is asked once for each sentence that leaves one of the pairs, and once for the whole.

    Args:
        run: The run.
        document: The document, as the run's corpus prepares it.
        facts: (head, relation, tail); of candidate pairs.

    Returns:
        For each fact, what each sentence is worth, in the order of
        :class:`~glre_pyg.data.explanation.PredictedFact`.
    """
    whole = replace(document, facts=(), ignored=())
    before = next(_probabilities(run, iter([whole]), facts))
    after = list(_probabilities(run, _shorter(document), facts))

    def of(fact: Triple) -> tuple[SentenceAblation, ...]:
        found = [
            SentenceAblation(number, said.get(fact), said[fact] - before[fact] if fact in said else None)
            for number, said in enumerate(after)
        ]
        return tuple(sorted(found, key=lambda each: -inf if each.change is None else each.change))

    return [of(fact) for fact in facts]


def _shorter(document: Document) -> Iterator[Document]:
    for number in range(len(document.sentences)):
        yield without_sentence(document, number)


def _probabilities(
    run: Run, documents: Iterator[Document], facts: Sequence[Triple]
) -> Iterator[dict[Triple, float]]:
    """The probability of each of the facts that a document has the pair of, a batch at a time."""
    column = {relation: index for index, relation in enumerate(run.labels.relations)}
    while batch := list(islice(documents, run.config.eval_batch_size)):
        asked = [_has_pair(document, facts) for document in batch]
        graphs = run.graphs([document for document, is_asked in zip(batch, asked, strict=True) if is_asked])
        answers = zip(graphs, run.predict(graphs), strict=True)
        for is_asked in asked:
            said: dict[Triple, float] = {}
            if is_asked:
                graph, table = next(answers)
                ids, pairs = graph["entity"].id, graph.pair_index.t().tolist()
                row = {(ids[head], ids[tail]): index for index, (head, tail) in enumerate(pairs)}
                if not run.labels.directed:
                    row |= {(tail, head): index for (head, tail), index in row.items()}
                for head, relation, tail in facts:
                    if (head, tail) in row:
                        said[head, relation, tail] = float(table[row[head, tail], column[relation]])
            yield said


def _has_pair(document: Document, facts: Sequence[Triple]) -> bool:
    known = {entity.id for entity in document.entities}
    return any({head, tail} <= known for head, _, tail in facts)
