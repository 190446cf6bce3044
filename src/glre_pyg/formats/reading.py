"""What all readers share: one document at a time, each with its place in the file; checks; error lines."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

from glre_pyg.data.document import Document, Span
from glre_pyg.utils.exceptions import ErrorHandler, InputError, handle_error, printable
from glre_pyg.utils.json_fields import convert

_LONGEST = 100  # characters of an identifier in an error
_T = TypeVar("_T")


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for reading.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            yield file
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def decoded_lines(file: Iterable[bytes], name: str) -> Iterator[str]:
    """Decode lines in UTF-8; line ends stay, a byte order mark does not.

    Args:
        file: Lines of the file.
        name: Name of the file.

    Raises:
        InputError: ``file:line: what is wrong``.
    """
    for number, line in enumerate(file, start=1):
        start = 3 if number == 1 and line.startswith(b"\xef\xbb\xbf") else 0
        try:
            yield line[start:].decode("utf-8")
        except UnicodeDecodeError as error:
            position = start + error.start + 1
            raise InputError(f"{name}:{number}: byte {position} of the line is not UTF-8") from None


class Place(NamedTuple):
    """A document's place in its file.

    Args:
        name: What follows the name of the file in errors: ``":12"``, a line, or ``": document 3"``.
        id: Identifier of the document; None if it could not be read.
        parse: Parses the document; its errors name neither file nor place.
    """

    name: str
    id: str | None
    parse: Callable[[], Document]


class PlacedError(InputError):
    """Error with a place of its own, such as a line within the document."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(message)
        self.place = place


def documents_at(
    name: str, places: Iterable[Place], on_error: ErrorHandler | None, *, unique: bool = True
) -> Iterator[Document]:
    """Parse the documents of a file.

    Args:
        name: Name of the file.
        places: Places of the documents.
        on_error: Callback for documents with an error, which are skipped; None raises.
        unique: Whether two documents must not have the same identifier.

    Raises:
        InputError: ``file:line: document: what is wrong``; also if there is no document at all.
    """
    seen: set[str | None] = set()
    for place in places:
        try:
            if unique and place.id is not None and place.id in seen:
                raise InputError("a document of this identifier was in the file before")
            document = place.parse()
        except InputError as error:
            where = error.place if isinstance(error, PlacedError) else place.name
            reason = str(error).removeprefix(printable(f"{place.id}: "))
            known = printable(place.id or "?", longest=_LONGEST)
            handle_error(InputError(f"{name}{where}: {known}: {reason}"), on_error)
        else:
            yield document
        seen.add(place.id)
    if not seen:
        raise InputError(f"{name}: there are no documents in this file")


def failing(error: InputError) -> Callable[[], Document]:
    """Return a parser that raises an error, for a place that is known to be wrong."""

    def parse() -> Document:
        raise error

    return parse


def record_place(
    name: str, value: object, key: str, type: type[_T], build: Callable[[_T], Document]
) -> Place:
    """Return the place of a document that is a JSON object.

    Args:
        name: See :class:`Place`.
        value: The object, as :func:`~glre_pyg.utils.json_fields.parse` gives it.
        key: Field with the identifier.
        type: Type to convert the object to.
        build: Builds the document from the converted object.
    """
    identifier = value.get(key) if isinstance(value, dict) else None
    known = identifier if isinstance(identifier, str) else None
    return Place(name, known, lambda: build(convert(value, type)))


def check_span(span: Span, path: str, length: int, *, empty: bool = True) -> None:
    """Check that a span lies within a length.

    Raises:
        InputError: ``path: what is wrong``.
    """
    start, end = span
    if not 0 <= start <= end <= length or (start == end and not empty):
        raise InputError(f"{path}: {start} to {end} is not inside 0 to {length}")


def check_facts(document: Document, name: str = "facts") -> None:
    """Check that facts name entities and sentences that the document has.

    Args:
        document: The document.
        name: Name of the facts in errors.

    Raises:
        InputError: ``document: facts[0].head: what is wrong``.
    """
    known, count = _identifiers(document), len(document.sentences)
    for number, fact in enumerate(document.facts):
        path = f"{document.id}: {name}[{number}]"
        for side, identifier in (("head", fact.head), ("tail", fact.tail)):
            if identifier not in known:
                raise InputError(f"{path}.{side}: no mention has '{identifier}'")
        for index, sentence in enumerate(fact.evidence):
            if not 0 <= sentence < count:
                raise InputError(f"{path}.evidence[{index}]: {sentence} is not one of {count} sentences")


def check_references(document: Document) -> None:
    """Check that facts and ignored pairs name entities and sentences that the document has.

    Raises:
        InputError: ``document: facts[0].head: what is wrong``.
    """
    check_facts(document)
    known = _identifiers(document)
    for number, pair in enumerate(document.ignored):
        for identifier in pair:
            if identifier not in known:
                raise InputError(f"{document.id}: ignored[{number}]: no mention has '{identifier}'")


def _identifiers(document: Document) -> set[str]:
    return {identifier for mention in document.mentions for identifier in mention.ids}
