"""Documents and facts that are JSON records."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from glre_pyg.data.document import Document
from glre_pyg.formats.checking import FACTS
from glre_pyg.formats.reading import Place
from glre_pyg.utils.exceptions import ErrorHandler, InputError, leave_out
from glre_pyg.utils.json_fields import check_text, convert, parse

_T = TypeVar("_T")


def json_records(
    raw: bytes, name: str, key: str, wrappers: Sequence[str] = ()
) -> Iterator[tuple[str, object]]:
    """Yield the place and value of each record of a file: a JSON list of them, one record, or one a line.

    Args:
        raw: Contents of the file.
        name: Its name.
        key: A field that a record has.
        wrappers: Fields of an object that may hold the list.

    Raises:
        InputError: If it is none of these. For a line that is not JSON, the value is the error.
    """
    try:
        value = parse(raw)
    except InputError as error:
        lines = [(number, line) for number, line in enumerate(raw.split(b"\n"), start=1) if line.strip()]
        if len(lines) < 2 or not any(isinstance(parsed(lines[index][1]), dict) for index in (0, -1)):
            raise InputError(f"{name}: {error}") from None
        yield from ((f"{name}:{number}", parsed(line)) for number, line in lines)
        return
    if isinstance(value, dict):
        found = (value[wrapper] for wrapper in wrappers if wrapper in value)
        value = next(found, [value] if key in value else [])
    if not isinstance(value, list) or not value:
        raise InputError(f"{name}: not a JSON list of documents, or an empty one")
    yield from ((f"{name}: document {number}", record) for number, record in enumerate(value))


def parsed(line: bytes) -> object:
    """Parse a line of JSON; the value is the error if it is not JSON."""
    try:
        return parse(line)
    except InputError as error:
        return error


def record_place(
    name: str, value: object, key: str, type: type[_T], build: Callable[[_T], Document]
) -> Place:
    """Return the place of a document that is a JSON object.

    Args:
        name: See :class:`Place`.
        value: The object, as :func:`parsed` gives it, or the error.
        key: Field with the identifier.
        type: Type to convert the object to.
        build: Builds the document from the converted object.
    """
    if isinstance(value, InputError):
        return Place(name, None, value)
    identifier = value.get(key) if isinstance(value, dict) else None
    known = identifier if isinstance(identifier, str) else None
    return Place(name, known, lambda: build(convert(value, type)))


def usable_records(
    values: object, type: type[_T], path: str, on_error: ErrorHandler | None, *, kind: str = FACTS
) -> Iterator[tuple[str, _T]]:
    """Yield path and record of each item of a list; see :func:`usable_record`."""
    try:
        items = convert(values, list[object], path)
    except InputError as error:
        leave_out(kind, error, on_error)
        return
    for number, item in enumerate(items):
        record = usable_record(item, type, f"{path}[{number}]", on_error, kind=kind)
        if record is not None:
            yield f"{path}[{number}]", record


def usable_record(
    value: object, type: type[_T], path: str, on_error: ErrorHandler | None, *, kind: str = FACTS
) -> _T | None:
    """Convert a JSON value that prediction does not need; None if it cannot be converted.

    Args:
        value: The value, as :func:`~glre_pyg.utils.json_fields.parse` gives it.
        type: Type to convert it to.
        path: Path of the value in errors.
        on_error: Handler that may count what is left out; see :func:`~glre_pyg.utils.exceptions.leave_out`.
        kind: What such values are, in the plural.

    Raises:
        InputError: ``path.field: what is wrong``, if the handler does not count it.
    """
    try:
        record = convert(value, type, path)
        check_text(json.dumps(value, ensure_ascii=False, default=str), path)
    except InputError as error:
        leave_out(kind, error, on_error)
        return None
    return record
