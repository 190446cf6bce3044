"""Relations as ``doc._.relations`` has them: facts as plain data, with tokens of a ``Doc``, and back.

Each is a dictionary that JSON can hold, so that it goes wherever spaCy sends a ``Doc``. Tokens are lists
(after a ``DocBin``, tuples) of the first and one past the last:

==================================  ===========================================================
``head``, ``relation``, ``tail``    identifiers, and the name of the relation
``head_name``, ``tail_name``        what the text calls the two first
``probability``, ``threshold``      of the model; None for facts that are not predicted
``head_mentions``,                  tokens of all mentions
``tail_mentions``
``sentences``                       tokens of the sentences to read: those that name both, else
                                    those on the path between the two
``reasons``                         only where they were asked for
==================================  ===========================================================

``reasons`` is a dictionary, too: ``head_mentions`` and ``tail_mentions`` (``tokens`` and ``weight`` each),
``context`` (``head``, ``tail`` and ``weight``), ``context_itself``, ``path`` (``kind`` with ``id`` and
``name`` of an entity, or with ``tokens`` of a sentence) and, where it was measured what each sentence is
worth, ``sentence_ablation`` (``tokens``, ``probability`` and ``change``); see
:class:`~glre_pyg.data.explanation.Reasons`.
Facts that are not predicted may have ``extra`` and ``evidence``, as a corpus gives them.

>>> doc = nlp("Aspirin may cause asthma.")                                      # doctest: +SKIP
>>> doc._.relations[0]["head_mentions"], doc._.relations[0]["sentences"]        # doctest: +SKIP
([[0, 1]], [[0, 5]])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from glre_pyg.data.document import Document, Entity, Fact, Mention
from glre_pyg.data.explanation import MentionWeight, PredictedFact, Reasons, SentenceAblation
from glre_pyg.data.paths import entity_of, name_of, sentences_for
from glre_pyg.utils import json_fields as fields
from glre_pyg.utils.exceptions import InputError

if TYPE_CHECKING:
    from spacy.tokens import Doc

KEY: Any = ("._.", "relations", None, None)  # spaCy's annotations take keys for strings
"""Where spaCy keeps ``doc._.relations`` in ``doc.user_data``, whether or not the extension is known."""


def relations_of(doc: Doc, document: Document) -> list[dict[str, Any]]:
    """The facts of a document as the head of this module says.

    Args:
        doc: A ``Doc`` of the same text; its tokens need not be the document's words.
        document: The document.

    Raises:
        InputError: If a fact names an entity that the document does not mention.
    """
    places = _Places(doc, document)
    return [_relation(places, fact) for fact in document.facts]


def add_extension() -> None:
    """Make ``doc._.relations`` known to spaCy."""
    from spacy.tokens import Doc

    if not Doc.has_extension("relations"):
        Doc.set_extension("relations", default=[])


class _Places:
    """Tokens ``[start, end)`` of a ``Doc``, for what stands in its document."""

    def __init__(self, doc: Doc, document: Document) -> None:
        self.doc, self.document = doc, document

    def mention(self, mention: Mention) -> list[int]:
        return self._tokens(*mention.span)

    def sentence(self, number: int) -> list[int]:
        return self._tokens(*self.document.sentence_span(number))

    def _tokens(self, start: int, end: int) -> list[int]:
        span = self.doc.char_span(start, end, alignment_mode="expand")
        assert span is not None  # of characters that are in the text
        return [span.start, span.end]


def _relation(places: _Places, fact: Fact) -> dict[str, Any]:
    document = places.document
    head, tail = entity_of(document, fact.head), entity_of(document, fact.tail)
    predicted = fact if isinstance(fact, PredictedFact) else None
    found: dict[str, Any] = {
        "head": fact.head,
        "relation": fact.relation,
        "tail": fact.tail,
        "head_name": name_of(document, head, head.mentions[0]),
        "tail_name": name_of(document, tail, tail.mentions[0]),
        "probability": predicted and predicted.probability,
        "threshold": predicted and predicted.threshold,
        "head_mentions": [places.mention(mention) for mention in head.mentions],
        "tail_mentions": [places.mention(mention) for mention in tail.mentions],
        "sentences": [places.sentence(number) for number in sentences_for(document, fact.head, fact.tail)],
    }
    if fact.extra and predicted is None:
        found["extra"] = list(fact.extra)
    if fact.evidence:
        found["evidence"] = list(fact.evidence)
    if predicted is not None and predicted.reasons is not None:
        found["reasons"] = _reasons(places, predicted.reasons, predicted.sentence_ablation)
    return found


def _reasons(places: _Places, why: Reasons, worth: Sequence[SentenceAblation] | None) -> dict[str, Any]:
    def weights(of: tuple[MentionWeight, ...] | None) -> list[dict[str, Any]] | None:
        if of is None:
            return None
        return [{"tokens": places.mention(each.mention), "weight": each.weight} for each in of]

    entities = places.document.entities
    sentence_ablation = None
    if worth is not None:
        sentence_ablation = [
            {"tokens": places.sentence(of.sentence), "probability": of.probability, "change": of.change}
            for of in worth
        ]
    return {
        "head_mentions": weights(why.head_mentions),
        "tail_mentions": weights(why.tail_mentions),
        "context": None if why.context is None else [asdict(each) for each in why.context],
        "context_itself": why.context_itself,
        "path": [
            {"kind": step.kind, "tokens": places.sentence(step.number)}
            if step.kind == "sentence"
            else {"kind": step.kind, "id": entities[step.number].id, "name": step.name}
            for step in why.path
        ],
        "sentence_ablation": sentence_ablation,
    }


def with_facts(document: Document, doc: Doc, *, strict: bool) -> Document:
    """A document with the facts of a ``Doc``, if it has any.

    Args:
        document: The document.
        doc: The ``Doc``; tokens and reasons of its relations are not looked at.
        strict: Whether a fact of an entity that the document does not mention is an error; else it is left
            out.

    Raises:
        InputError: ``document: relations[0].field: what is wrong``.
    """
    relations = doc.user_data.get(KEY) or ()
    entities = {entity.id: entity for entity in document.entities}
    if not isinstance(relations, list | tuple):
        raise InputError(f"{document.id}: relations: not a list")
    facts = []
    for number, relation in enumerate(relations):
        try:
            fact = _fact(relation, f"relations[{number}]", entities, strict)
            if fact is not None:
                fields.check_evidence(fact.evidence, f"relations[{number}].evidence", len(document.sentences))
        except InputError as error:
            raise InputError(f"{document.id}: {error}") from None
        if fact is not None:
            facts.append(fact)
    return replace(document, facts=tuple(facts))


def _fact(item: object, path: str, entities: Mapping[str, Entity], strict: bool) -> Fact | None:
    given = fields.mapping(item, path)
    record = {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}
    names = {key: fields.string(record, key, f"{path}.{key}") for key in ("head", "relation", "tail")}
    for key in ("head", "tail"):
        if names[key] not in entities:
            if not strict:
                return None
            raise InputError(f"{path}.{key}: no mention has '{names[key]}'")
    probability, threshold = (record.get(key) for key in ("probability", "threshold"))
    evidence = fields.rows(record, "evidence", f"{path}.evidence", fields.integer)
    extra = fields.rows(record, "extra", f"{path}.extra", fields.text)
    head, relation, tail = names.values()
    if probability is None:
        return Fact(head, relation, tail, extra, evidence)
    numbers = {
        "probability": fields.share(probability, f"{path}.probability"),
        "threshold": fields.share(threshold, f"{path}.threshold"),
    }
    return PredictedFact.between(entities[head], relation, entities[tail], **numbers, evidence=evidence)
