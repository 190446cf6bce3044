"""What the readers of all formats share: a document at a time, and what becomes of one with an error."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from glre_pyg.data.document import Document
from glre_pyg.utils.exceptions import ErrorHandler, InputError, handle_error, printable

_LONGEST = 100  # characters of an identifier in an error


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file that is read.

    Raises:
        InputError: If it cannot be.
    """
    try:
        with Path(path).open("rb") as file:
            yield file
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def decoded_lines(file: Iterable[bytes], name: str) -> Iterator[str]:
    """Lines in UTF-8 with their ends, without a byte order mark.

    Args:
        file: Lines.
        name: Name of their file.

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
    """Where a document stands in its file.

    Args:
        name: What follows the file's name in messages: ``":12"``, a line, or ``": document 3"``.
        id: Identifier of the document; None where it could not be read.
        parse: Makes the document; its errors name neither file nor place.
    """

    name: str
    id: str | None
    parse: Callable[[], Document]


class PlacedError(InputError):
    """What is wrong, at a place of its own within the document."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(message)
        self.place = place


def documents_at(
    name: str, places: Iterable[Place], on_error: ErrorHandler | None, *, unique: bool = True
) -> Iterator[Document]:
    """The documents of a file.

    Args:
        name: Name of the file.
        places: Its documents.
        on_error: Is told of documents with an error, which are left out; None raises.
        unique: Whether a second document of one identifier is an error.

    Raises:
        InputError: ``file:line: document: what is wrong``; also if there is no place at all.
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
    """What makes a document of a place that was found to be wrong before."""

    def parse() -> Document:
        raise error

    return parse
