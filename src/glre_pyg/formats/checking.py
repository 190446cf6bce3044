"""Checks of mentions, facts and ignored pairs that readers share, and what is left out if not usable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from msgspec import Struct

from glre_pyg.data.document import Document, Fact, Span
from glre_pyg.data.explanation import PredictedFact
from glre_pyg.utils.console import shown
from glre_pyg.utils.exceptions import ErrorHandler, InputError, leave_out, note
from glre_pyg.utils.json_fields import Probability

FACTS, EVIDENCE, PAIRS = "facts", "sentences of evidence", "ignored pairs"
"""Kinds of what is left out if it cannot be used and is not needed."""
IN_PIECES = "mentions in several pieces, which are read from the first to the last"


def check_span(span: Span, path: str, length: int, *, empty: bool = True) -> None:
    """Check that a span lies within a length.

    Raises:
        InputError: ``path: what is wrong``.
    """
    start, end = span
    if not 0 <= start <= end <= length or (start == end and not empty):
        raise InputError(f"{path}: {start} to {end} is not inside 0 to {length}")


def placed(name: str, spans: Sequence[Span], text: str, path: str) -> Span:
    """Return the characters of a mention, from its first piece to its last, without white space around it.

    Args:
        name: Text of the mention as the file gives it; of several pieces, joined by spaces.
        spans: Characters of its pieces, in order and inside the text.
        text: Text of the document.
        path: Path of the mention in errors.

    Raises:
        InputError: If the text is another one there, or white space.
    """
    start, end = spans[0][0], spans[-1][1]
    found = text[start:end]
    given, *wanted = (
        " ".join(each.split()) for each in (name, found, " ".join(text[slice(*span)] for span in spans))
    )
    if not found.strip():
        raise InputError(f"{path}: mention '{shown(name)}' at {start} to {end} is white space")
    if given not in wanted:
        raise InputError(
            f"{path}: mention '{shown(name)}' is not at {start} to {end}, there is '{shown(found)}'"
        )
    return start + len(found) - len(found.lstrip()), start + len(found.rstrip())


def usable_fact(fact: Fact, path: str, document: Document, on_error: ErrorHandler | None) -> Fact | None:
    """Return a fact with the evidence that its document has; None if the document lacks an entity of it.

    Args:
        fact: The fact.
        path: Path of the fact in errors.
        document: The document.
        on_error: Handler that may count what is left out; see :func:`~glre_pyg.utils.exceptions.leave_out`.

    Raises:
        InputError: ``path.field: what is wrong``, if the handler does not count it.
    """
    for side, identifier in (("head", fact.head), ("tail", fact.tail)):
        if identifier not in document.entity_numbers:
            leave_out(FACTS, InputError(f"{path}.{side}: no mention has '{identifier}'"), on_error)
            return None
    count, evidence = len(document.sentences), []
    for index, sentence in enumerate(fact.evidence):
        if 0 <= sentence < count:
            evidence.append(sentence)
        else:
            reason = f"{path}.evidence[{index}]: {sentence} is not one of {count} sentences"
            leave_out(EVIDENCE, InputError(reason), on_error)
    return fact if len(evidence) == len(fact.evidence) else replace(fact, evidence=tuple(evidence))


class FactFields(Struct, omit_defaults=True):
    """A fact as JSON lines and spaCy have it, with its probability and threshold if a model predicted it."""

    head: str
    relation: str
    tail: str
    extra: tuple[str, ...] = ()
    evidence: tuple[int, ...] = ()
    probability: Probability | None = None
    threshold: Probability | None = None


def read_fact(
    record: FactFields, path: str, document: Document, on_error: ErrorHandler | None
) -> Fact | None:
    """Return the fact of a record, predicted or not; None if it is left out, as by :func:`usable_fact`."""
    given = Fact(record.head, record.relation, record.tail, record.extra, record.evidence)
    fact = usable_fact(given, path, document, on_error)
    probability, threshold = record.probability, record.threshold
    if fact is None or (probability is None and threshold is None):
        return fact
    if probability is None or threshold is None:
        reason = f"{path}: probability and threshold are given together or not at all"
        leave_out(FACTS, InputError(reason), on_error)
        return None
    head, tail = (document.entities[document.entity_numbers[name]] for name in (fact.head, fact.tail))
    predicted = PredictedFact.between(
        head, fact.relation, tail, probability=probability, threshold=threshold, evidence=fact.evidence
    )
    return replace(predicted, extra=fact.extra) if fact.extra else predicted


def usable_pairs(document: Document, on_error: ErrorHandler | None) -> tuple[tuple[str, str], ...]:
    """Return the ignored pairs of a document whose entities it has; see :func:`usable_fact`."""
    pairs = []
    for number, pair in enumerate(document.ignored):
        unknown = [identifier for identifier in pair if identifier not in document.entity_numbers]
        if unknown:
            reason = f"ignored[{number}]: no mention has '{unknown[0]}'"
            leave_out(PAIRS, InputError(reason), on_error)
        else:
            pairs.append(pair)
    return tuple(pairs)


def check_references(document: Document, *, ignored: bool = True) -> None:
    """Check that facts and ignored pairs name entities and sentences that the document has.

    Args:
        document: The document.
        ignored: Whether to check ignored pairs, too.

    Raises:
        InputError: ``document: facts[0].head: what is wrong``.
    """
    try:
        for number, fact in enumerate(document.facts):
            usable_fact(fact, f"facts[{number}]", document, None)
        if ignored:
            usable_pairs(document, None)
    except InputError as error:
        raise InputError(f"{document.id}: {error}") from None


def note_counts(name: str, counts: Mapping[str, int]) -> None:
    """Print how many parts of a file were left out, or read otherwise than they are, by kind."""
    for kind, count in counts.items():
        note(f"{name}: {kind}: {count}")
