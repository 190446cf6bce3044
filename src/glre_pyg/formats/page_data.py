"""Data of a document for the page's scripts: plain lists and numbers, with offsets in UTF-16 units."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence

from glre_pyg.data.document import Document, Entity, Fact
from glre_pyg.data.explanation import MentionWeight, PredictedFact, Reasons
from glre_pyg.data.paths import name_of, one_line

_DIGITS = 5  # of weights and changes; probabilities are not rounded, as they are compared with thresholds


def document_data(document: Document, gold: Sequence[Fact] | None, *, top_k: int) -> dict[str, object]:
    """Convert a document for the scripts.

    Args:
        document: The document; its facts are :class:`~glre_pyg.data.explanation.PredictedFact`.
        gold: The true facts; None if unknown.
        top_k: Number of context pairs to keep.

    Returns:
        ``id``, ``text``, ``sections`` [·, 2] and ``sentences`` [S, 2] in UTF-16 units; ``mentions``, in the
        order of :func:`~glre_pyg.data.graph.build_graph`: start, end, number of the entity, number of the
        sentence and, if it differs from the text, the name; ``entities``: identifier, type, name, with those
        that only facts name at the end; ``facts``: head, relation, tail, probability, number of the reasons,
        sentence ablation (sentence, probability, change); ``reasons``, one for each pair; ``gold``: head,
        relation, tail, evidence; ``ignored``: pairs left out of the score.

    Raises:
        TypeError: If a fact has no probability.
    """
    at = _utf16(document.text)
    number = {entity.id: index for index, entity in enumerate(document.entities)}
    for fact in (*document.facts, *(gold or ())):
        for identifier in (fact.head, fact.tail):
            number.setdefault(identifier, len(number))
    reasons = {
        (fact.head, fact.tail): fact.reasons
        for fact in document.facts
        if isinstance(fact, PredictedFact) and fact.reasons is not None
    }
    reasons_number = {pair: index for index, pair in enumerate(reasons)}
    return {
        "id": document.id,
        "text": document.text,
        "sections": [[at(start), at(end)] for start, end in document.sections],
        "sentences": [
            list(map(at, document.sentence_span(sentence))) for sentence in range(len(document.sentences))
        ],
        "entities": _entities(document, number),
        "mentions": _mentions(document, at),
        "facts": [_fact(document, fact, number, reasons_number) for fact in document.facts],
        "reasons": [_reasons(document, each, number, top_k) for each in reasons.values()],
        "gold": None if gold is None else _gold(gold, number, len(document.sentences)),
        "ignored": [
            [number[head], number[tail]]
            for head, tail in document.ignored
            if head in number and tail in number
        ],
    }


def _utf16(text: str) -> Callable[[int], int]:
    """Function from offsets in code points to offsets in UTF-16 units."""
    wide = [index for index, character in enumerate(text) if character > "\uffff"]
    return lambda offset: offset + bisect_left(wide, offset)


def _entities(document: Document, number: Mapping[str, int]) -> list[list[str]]:
    mentioned = [
        [entity.id, entity.type, name_of(document, entity, entity.mentions[0])]
        for entity in document.entities
    ]
    return mentioned + [[identifier, "", identifier] for identifier in list(number)[len(mentioned) :]]


def _mentions(document: Document, at: Callable[[int], int]) -> list[list[int | str]]:
    rows: list[list[int | str]] = []
    for number, entity in enumerate(document.entities):
        for mention in entity.mentions:
            name = name_of(document, entity, mention)
            differs = name != one_line(document.text[mention.start : mention.end])
            sentence = document.sentence_of(mention)
            rows.append([at(mention.start), at(mention.end), number, sentence, *([name] if differs else [])])
    return rows


def _fact(
    document: Document, fact: Fact, number: Mapping[str, int], reasons_number: Mapping[tuple[str, str], int]
) -> list[object]:
    if not isinstance(fact, PredictedFact):
        raise TypeError(f"{document.id}: the fact {fact.head} {fact.relation} {fact.tail} has no probability")
    ablation = fact.sentence_ablation and [
        [row.sentence, _round(row.probability), _round(row.change)] for row in fact.sentence_ablation
    ]
    return [
        number[fact.head],
        fact.relation,
        number[fact.tail],
        fact.probability,
        None if fact.reasons is None else reasons_number[fact.head, fact.tail],
        ablation,
    ]


def _reasons(document: Document, reasons: Reasons, number: Mapping[str, int], top_k: int) -> list[object]:
    """Path, mention weights of head and tail, the pair's weight in its own context, context pairs."""
    entities = document.entities
    context = reasons.context and [
        [number[pair.head], number[pair.tail], _round(pair.weight)] for pair in reasons.context[:top_k]
    ]
    return [
        [[step.kind[0], step.number] for step in reasons.path],
        _weights(reasons.head_mentions, entities[number[reasons.head]]),
        _weights(reasons.tail_mentions, entities[number[reasons.tail]]),
        _round(reasons.context_itself),
        context,
    ]


def _weights(weights: Sequence[MentionWeight] | None, entity: Entity) -> list[float | None] | None:
    """Weights in the order of the entity's mentions."""
    if weights is None:
        return None
    by_span = {row.mention.span: row.weight for row in weights}
    return [_round(by_span.get(mention.span)) for mention in entity.mentions]


def _gold(gold: Sequence[Fact], number: Mapping[str, int], sentences: int) -> list[list[object]]:
    """True facts without duplicates, with the evidence that lies in the document."""
    evidence: dict[tuple[int, str, int], dict[int, None]] = {}
    for fact in gold:
        key = number[fact.head], fact.relation, number[fact.tail]
        inside = [sentence for sentence in fact.evidence if 0 <= sentence < sentences]
        evidence.setdefault(key, {}).update(dict.fromkeys(inside))
    return [[*key, list(sentences)] for key, sentences in evidence.items()]


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
