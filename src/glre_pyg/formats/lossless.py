"""Comparison of a document with what is read back after it was written."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace

from glre_pyg.data.document import Document, Fact
from glre_pyg.data.segmentation import Segmenter
from glre_pyg.utils.exceptions import InputError

_BEFORE, _SHOWN = 10, 40  # characters quoted before the first that differs, and of each text


def check_held(document: Document, held: Document, format: str) -> None:
    """Check that a format holds a document without loss.

    Args:
        document: The document that was written.
        held: The document that was read back.
        format: Name of the format.

    Raises:
        InputError: ``document: format cannot hold field: value would be read back as value``, for the first
            field that differs.
    """
    found = difference(document, held)
    if found is not None:
        raise InputError(f"{document.id}: {format} cannot hold {found}")


def check_held_but_evidence(document: Document, held: Document, format: str) -> None:
    """Like :func:`check_held`, of a format that holds neither evidence nor ignored pairs."""
    facts = tuple(Fact(fact.head, fact.relation, fact.tail, fact.extra) for fact in document.facts)
    check_held(replace(document, facts=facts, ignored=()), held, format)


def segments_of(document: Document) -> Segmenter:
    """Return a segmenter that gives the words and sentences of a document, to read it back with."""
    return lambda *_: (document.words, document.sentences)


def difference(value: object, held: object, path: str = "") -> str | None:
    """Describe the first difference of two documents, or parts of them; None if they are equal.

    >>> from glre_pyg.data.document import Fact
    >>> difference(Fact("C1", "CID", "D1", evidence=(2,)), Fact("C1", "CID", "D1"))
    'evidence: (2,) would be read back as ()'
    """
    if value == held:
        return None
    if is_dataclass(value) and is_dataclass(held):
        for field in fields(value):
            name = f"{path}.{field.name}" if path else field.name
            found = difference(getattr(value, field.name), getattr(held, field.name, None), name)
            if found is not None:
                return found
    if isinstance(value, str) and isinstance(held, str):
        other = (index for index in range(len(value)) if value[index] != held[index : index + 1])
        start = max(0, next(other, len(value)) - _BEFORE)
        value, held = value[start : start + _SHOWN], held[start : start + _SHOWN]
    if isinstance(value, tuple) and isinstance(held, tuple):
        if len(value) == len(held):
            if len(value) > 1 and sorted(map(repr, value)) == sorted(map(repr, held)):
                return f"the order of {path}"
            pairs = zip(value, held, strict=True)
            index = next(index for index, (one, other) in enumerate(pairs) if one != other)
            return difference(value[index], held[index], f"{path}[{index}]")
        if max(len(value), len(held)) > 3:
            return f"{path}: {len(value)} would be read back as {len(held)}"
    return f"{path}: {value!r} would be read back as {held!r}"
