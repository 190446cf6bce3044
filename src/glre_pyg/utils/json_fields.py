"""JSON records: parsed with the standard library, checked against types by msgspec.

msgspec does not notice a field that an object has twice; :func:`parse` marks such fields, so that
:func:`convert` refuses them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, TypeVar

import msgspec

from glre_pyg.utils.exceptions import InputError

_T = TypeVar("_T")

Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]

_DUPLICATE = type("duplicate", (), {})()
_MISSING = re.compile(r"Object missing required field `(.*)`", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)


def parse(raw: bytes) -> object:
    """Parse JSON in UTF-8, with or without a byte order mark.

    Raises:
        InputError: If it is not JSON, or memory is not enough.
    """
    try:
        return json.loads(raw.decode("utf-8").removeprefix("\ufeff"), object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise InputError(f"byte {error.start + 1} is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}") from None
    except MemoryError:
        raise InputError("there is not enough memory to read it") from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    record = dict(pairs)
    if len(record) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        record.update((name, _DUPLICATE) for name, count in counts.items() if count > 1)
    return record


def convert(value: object, type: type[_T], path: str = "") -> _T:
    """Convert a parsed value to a type, such as a :class:`msgspec.Struct`.

    Args:
        value: The value.
        type: The type.
        path: Path of the value in errors.

    Raises:
        InputError: ``path.field: what is wrong``, for the first field of another type.
    """
    try:
        return msgspec.convert(value, type, strict=True)
    except msgspec.ValidationError as error:
        raise InputError(_message(str(error), path)) from None
    except UnicodeEncodeError:  # half of a pair of escapes, "\ud83d", in the name of a field
        raise InputError("the name of a field has half of a surrogate pair") from None


def _message(error: str, path: str) -> str:
    """Rewrite an error of msgspec, ``what - at `$.field` ``, as ``path.field: what``."""
    what, _, field = error.partition(" - at `$")
    path += field.removesuffix("`")
    if match := _MISSING.fullmatch(what):
        path, what = f"{path}.{match[1]}", "missing"
    elif match := _UNKNOWN.fullmatch(what):
        what = f"unknown field '{match[1]}'"
    elif what.endswith("got `duplicate`"):
        what = "given twice"
    else:
        what = what[:1].lower() + what[1:]
    return f"{path.removeprefix('.')}: {what}".removeprefix(": ")


def walk(node: object, path: str = "") -> Iterator[tuple[str, object, object]]:
    """Yield (path, key, value) of everything in nested objects and arrays, outer values first."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        below = f"{path}.{key}" if path else str(key)
        yield below, key, value
        yield from walk(value, below)


def check_text(text: str, path: str) -> None:
    """Check that UTF-8 can hold a string.

    Raises:
        InputError: If it cannot.
    """
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:  # half of a pair, "\ud83d"
            raise InputError(f"{path}: half of a surrogate pair is in it") from None
