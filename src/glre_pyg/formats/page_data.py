"""What the page's scripts are given of a document: plain lists and numbers, offsets as JavaScript counts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from glre_pyg.data.document import Document, Entity, Fact
from glre_pyg.data.explanation import MentionWeight, PredictedFact, Reasons, SentenceAblation
from glre_pyg.data.paths import name_of, one_line

_DIGITS = 5  # of weights and changes; probabilities stay whole, as they are held against thresholds


def document_data(document: Document, gold: Sequence[Fact] | None, *, top_k: int) -> dict[str, object]:
    """A document as the scripts take it.

    Args:
        document: The document; its facts are :class:`~glre_pyg.data.explanation.PredictedFact`.
        gold: The true facts; None where they are not known.
        top_k: How many pairs of a context to keep.

    Returns:
        ``id``, ``text``, ``sections`` [·, 2] and ``sentences`` [S, 2] in UTF-16 units; ``mentions``, in the
        order of :func:`~glre_pyg.data.graph.build_graph`: start, end, number of the entity, number of the
        sentence and, where the corpus calls it other than the text does, its name; ``entities``: identifier,
        type, name, last those that only facts name; ``facts``: head, relation, tail, probability, number of
        its reasons, sentence ablation (sentence, probability, change); ``reasons``, one for each pair;
        ``gold``: head, relation, tail, evidence; ``ignored``: pairs that count neither as right nor as wrong.

    Raises:
        TypeError: If a fact has no probability.
    """
    at = _utf16(document.text)
    number = {entity.id: index for index, entity in enumerate(document.entities)}
    for fact in (*document.facts, *(gold or ())):
        for identifier in (fact.head, fact.tail):
            number.setdefault(identifier, len(number))
    reasons: dict[tuple[str, str], list[object]] = {}
    facts = [_fact(document, fact, number, reasons, top_k) for fact in document.facts]
    return {
        "id": document.id,
        "text": document.text,
        "sections": [[at(start), at(end)] for start, end in document.sections],
        "sentences": [
            [at(offset) for offset in document.sentence_span(number)]
            for number in range(len(document.sentences))
        ],
        "entities": [
            *([entity.id, entity.type, _name(document, entity)] for entity in document.entities),
            *([identifier, "", identifier] for identifier in list(number)[len(document.entities) :]),
        ],
        "mentions": [
            row
            for index, entity in enumerate(document.entities)
            for row in _mentions(document, entity, index, at)
        ],
        "facts": facts,
        "reasons": list(reasons.values()),
        "gold": None if gold is None else _gold(gold, number, len(document.sentences)),
        "ignored": [
            [number[head], number[tail]]
            for head, tail in document.ignored
            if head in number and tail in number
        ],
    }


def _utf16(text: str) -> Callable[[int], int]:
    """From offsets in code points to offsets in UTF-16 units."""
    wide = [index for index, character in enumerate(text) if character > "\uffff"]
    return lambda offset: offset + bisect_left(wide, offset)


def _name(document: Document, entity: Entity) -> str:
    return name_of(document, entity, entity.mentions[0])


def _mentions(
    document: Document, entity: Entity, index: int, at: Callable[[int], int]
) -> list[list[int | str]]:
    rows: list[list[int | str]] = []
    for mention in entity.mentions:
        name = name_of(document, entity, mention)
        other = name != one_line(document.text[mention.start : mention.end])
        where = document.sentence_of(mention)
        rows.append([at(mention.start), at(mention.end), index, where, *([name] if other else [])])
    return rows


def _fact(
    document: Document,
    fact: Fact,
    number: Mapping[str, int],
    reasons: dict[tuple[str, str], list[object]],
    top_k: int,
) -> list[object]:
    if not isinstance(fact, PredictedFact):
        raise TypeError(f"{document.id}: the fact {fact.head} {fact.relation} {fact.tail} has no probability")
    pair = fact.head, fact.tail
    if fact.reasons is not None and pair not in reasons:
        reasons[pair] = _reasons(document, fact.reasons, number, top_k)
    return [
        number[fact.head],
        fact.relation,
        number[fact.tail],
        fact.probability,
        None if fact.reasons is None else list(reasons).index(pair),
        None if fact.sentence_ablation is None else [_ablation(each) for each in fact.sentence_ablation],
    ]


def _ablation(ablation: SentenceAblation) -> list[float | None]:
    return [ablation.sentence, _round(ablation.probability), _round(ablation.change)]


def _reasons(document: Document, reasons: Reasons, number: Mapping[str, int], top_k: int) -> list[object]:
    """Path, weights of the head's mentions, of the tail's, the pair's weight in its context, other pairs."""
    entities = document.entities
    context = reasons.context and [
        [number[each.head], number[each.tail], _round(each.weight)] for each in reasons.context[:top_k]
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
    of = {each.mention.span: each.weight for each in weights}
    return [_round(of.get(mention.span)) for mention in entity.mentions]


def _gold(gold: Sequence[Fact], number: Mapping[str, int], sentences: int) -> list[list[object]]:
    """True facts, each once; evidence only where it is of these sentences."""
    rows: dict[tuple[int, str, int], list[object]] = {}
    for fact in gold:
        key = number[fact.head], fact.relation, number[fact.tail]
        evidence = [each for each in fact.evidence if 0 <= each < sentences]
        known = cast("list[int]", rows.setdefault(key, [*key, []])[3])
        known.extend(each for each in evidence if each not in known)
    return list(rows.values())


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
