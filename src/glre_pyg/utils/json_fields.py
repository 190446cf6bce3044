"""Fields of JSON records, each read with an error that names it."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeVar

from glre_pyg.data.document import Span
from glre_pyg.utils.exceptions import InputError

_T = TypeVar("_T")


def parse(raw: bytes) -> object:
    """What a JSON text in UTF-8 says, with or without a byte order mark."""
    try:
        return json.loads(raw.decode("utf-8").removeprefix("\ufeff"), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise InputError(f"byte {error.start + 1} is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}") from None


class _Doubled(dict[str, object]):
    """An object in which a field stands twice, of which one would be lost."""

    field: str


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    record = dict(pairs)
    if len(record) == len(pairs):
        return record
    names = [name for name, _ in pairs]
    doubled = _Doubled(record)
    doubled.field = next(name for name in record if names.count(name) > 1)
    return doubled


def mapping(value: object, path: str, known: set[str] | None = None) -> Mapping[str, object]:
    """An object, with no field twice, and without fields other than the known ones."""
    if not isinstance(value, dict):
        raise InputError(f"{path}: not a JSON object")
    if isinstance(value, _Doubled):
        raise InputError(f"{path}: field '{value.field}' stands twice")
    unknown = sorted(value.keys() - known) if known is not None else []
    if unknown:
        raise InputError(f"{path}: unknown field '{unknown[0]}'")
    return value


def get(record: Mapping[str, object], key: str, path: str) -> object:
    """A field that has to be there."""
    if key not in record:
        raise InputError(f"{path}: missing")
    return record[key]


def string(record: Mapping[str, object], key: str, path: str) -> str:
    """A field that is a string."""
    return text(get(record, key, path), path)


def text(value: object, path: str) -> str:
    """A string that UTF-8 can hold."""
    if not isinstance(value, str):
        raise InputError(f"{path}: not a string")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:  # half of a pair of escapes, "\ud83d"
        raise InputError(f"{path}: character {error.start} is half of a surrogate pair") from None
    return value


def integer(value: object, path: str) -> int:
    """An integer."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"{path}: not an integer")
    return value


def share(value: object, path: str) -> float:
    """A number from 0 to 1."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise InputError(f"{path}: not a number from 0 to 1")
    return float(value)


def span(value: object, path: str, length: int, *, empty: bool = True) -> Span:
    """A list of start and end inside a length."""
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(f"{path}: not a list of start and end")
    start, end = integer(value[0], f"{path}[0]"), integer(value[1], f"{path}[1]")
    if not 0 <= start <= end <= length or (start == end and not empty):
        raise InputError(f"{path}: {start} to {end} is not inside 0 to {length}")
    return start, end


def pair(value: object, path: str) -> tuple[str, str]:
    """A list of head and tail."""
    if not isinstance(value, list) or len(value) != 2:
        raise InputError(f"{path}: not a list of head and tail")
    head, tail = (text(item, f"{path}[{index}]") for index, item in enumerate(value))
    return head, tail


def items(record: Mapping[str, object], key: str, path: str) -> list[object]:
    """A field that is a list; empty if it is missing."""
    values = record.get(key, [])
    if not isinstance(values, list):
        raise InputError(f"{path}: not a list")
    return values


def rows(
    record: Mapping[str, object], key: str, path: str, read: Callable[[object, str], _T]
) -> tuple[_T, ...]:
    """A list of which each item is read; empty if it is missing."""
    return tuple(read(value, f"{path}[{index}]") for index, value in enumerate(items(record, key, path)))


def check_evidence(evidence: Iterable[int], path: str, sentences: int) -> None:
    """Make sure that numbers are those of sentences."""
    for index, number in enumerate(evidence):
        if not 0 <= number < sentences:
            raise InputError(f"{path}[{index}]: {number} is not one of {sentences} sentences")


def check_known(identifier: str, path: str, known: Collection[str]) -> None:
    """Make sure that a mention has an identifier."""
    if identifier not in known:
        raise InputError(f"{path}: no mention has '{identifier}'")
