"""Facts as ``doc._.relations``: plain data with tokens of a spaCy ``Doc``.

Each relation is a dictionary that JSON can hold, so that spaCy can serialize it. Tokens are lists (after a
``DocBin``, tuples) ``[start, end]``, end exclusive:

==================================  ===========================================================
``head``, ``relation``, ``tail``    identifiers of the entities, and the name of the relation
``head_name``, ``tail_name``        names of their first mentions
``probability``, ``threshold``      of the model; None for facts that are not predicted
``head_mentions``,                  tokens of all mentions
``tail_mentions``
``sentences``                       tokens of the sentences to read: those that name both, else
                                    those on the path between the two
``reasons``                         only if they were requested
==================================  ===========================================================

``reasons`` is a dictionary as well: ``head_mentions`` and ``tail_mentions`` (``tokens`` and ``weight`` each),
``context`` (``head``, ``tail`` and ``weight``), ``context_itself``, ``path`` (``kind`` with ``id`` and
``name`` of an entity, or with ``tokens`` of a sentence) and ``sentence_ablation`` (``tokens``,
``probability`` and ``change``, or None); see :class:`~glre_pyg.data.explanation.Reasons`. Facts that are not
predicted may have ``extra`` and ``evidence``, as in their corpus.

>>> doc = nlp("Aspirin may cause asthma.")                                      # doctest: +SKIP
>>> doc._.relations[0]["head_mentions"], doc._.relations[0]["sentences"]        # doctest: +SKIP
([[0, 1]], [[0, 5]])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from glre_pyg.data.document import Document, Fact, Span
from glre_pyg.data.explanation import MentionWeight, PredictedFact, Reasons, SentenceAblation
from glre_pyg.data.paths import entity_of, name_of, sentences_for
from glre_pyg.formats.checking import FactFields, read_fact
from glre_pyg.formats.json_records import usable_records
from glre_pyg.utils.exceptions import ErrorHandler, InputError

if TYPE_CHECKING:
    from spacy.tokens import Doc

KEY: Any = ("._.", "relations", None, None)  # spaCy annotates keys as strings
"""Key of ``doc._.relations`` in ``doc.user_data``, whether or not the extension is registered."""


def relations_of(doc: Doc, document: Document) -> list[dict[str, Any]]:
    """Return the facts of a document as relations.

    Args:
        doc: A ``Doc`` of the same text; its tokens need not be the document's words.
        document: The document.

    Raises:
        InputError: If a fact names an entity that the document does not mention.
    """
    return [_relation(doc, document, fact) for fact in document.facts]


def add_extension() -> None:
    """Register the extension ``doc._.relations``."""
    from spacy.tokens import Doc

    if not Doc.has_extension("relations"):
        Doc.set_extension("relations", default=[])


def _tokens(doc: Doc, characters: Span) -> list[int]:
    """Return the tokens ``[start, end)`` of characters of the text."""
    span = doc.char_span(*characters, alignment_mode="expand")
    assert span is not None
    return [span.start, span.end]


def _relation(doc: Doc, document: Document, fact: Fact) -> dict[str, Any]:
    head, tail = entity_of(document, fact.head), entity_of(document, fact.tail)
    predicted = fact if isinstance(fact, PredictedFact) else None
    relation: dict[str, Any] = {
        "head": fact.head,
        "relation": fact.relation,
        "tail": fact.tail,
        "head_name": name_of(document, head, head.mentions[0]),
        "tail_name": name_of(document, tail, tail.mentions[0]),
        "probability": predicted and predicted.probability,
        "threshold": predicted and predicted.threshold,
        "head_mentions": [_tokens(doc, mention.span) for mention in head.mentions],
        "tail_mentions": [_tokens(doc, mention.span) for mention in tail.mentions],
        "sentences": [
            _tokens(doc, document.sentence_span(number))
            for number in sentences_for(document, fact.head, fact.tail)
        ],
    }
    if fact.extra and predicted is None:
        relation["extra"] = list(fact.extra)
    if fact.evidence:
        relation["evidence"] = list(fact.evidence)
    if predicted is not None and predicted.reasons is not None:
        relation["reasons"] = _reasons(doc, document, predicted.reasons, predicted.sentence_ablation)
    return relation


def _reasons(
    doc: Doc, document: Document, reasons: Reasons, ablations: Sequence[SentenceAblation] | None
) -> dict[str, Any]:
    def weights(mentions: Sequence[MentionWeight] | None) -> list[dict[str, Any]] | None:
        if mentions is None:
            return None
        return [{"tokens": _tokens(doc, each.mention.span), "weight": each.weight} for each in mentions]

    entities = document.entities
    return {
        "head_mentions": weights(reasons.head_mentions),
        "tail_mentions": weights(reasons.tail_mentions),
        "context": None if reasons.context is None else [asdict(each) for each in reasons.context],
        "context_itself": reasons.context_itself,
        "path": [
            {"kind": step.kind, "tokens": _tokens(doc, document.sentence_span(step.number))}
            if step.kind == "sentence"
            else {"kind": step.kind, "id": entities[step.number].id, "name": step.name}
            for step in reasons.path
        ],
        "sentence_ablation": None
        if ablations is None
        else [
            {
                "tokens": _tokens(doc, document.sentence_span(each.sentence)),
                "probability": each.probability,
                "change": each.change,
            }
            for each in ablations
        ],
    }


def with_facts(
    document: Document, doc: Doc, *, strict: bool, on_error: ErrorHandler | None = None
) -> Document:
    """Add the facts of a ``Doc`` to its document.

    Args:
        document: The document.
        doc: The ``Doc``; tokens and reasons of its relations are ignored.
        strict: Whether a fact of an entity that the document does not mention is an error; otherwise it is
            skipped.
        on_error: Handler that may count what is left out; see :func:`~glre_pyg.formats.checking.usable_fact`.

    Raises:
        InputError: ``document: relations[0].field: what is wrong``.
    """
    facts = []
    try:
        values = doc.user_data.get(KEY) or ()
        for path, relation in usable_records(values, FactFields, "relations", on_error):
            if strict or {relation.head, relation.tail} <= document.entity_numbers.keys():
                facts.append(read_fact(relation, path, document, on_error))
    except InputError as error:
        raise InputError(f"{document.id}: {error}") from None
    return replace(document, facts=tuple(filter(None, facts)))
