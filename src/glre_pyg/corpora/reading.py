"""What the readers of all forms share: a document at a time, and what becomes of one with an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from glre_pyg.document import Document, InputError, Refused, printable, refuse


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
    name: str, places: Iterable[Place], refused: Refused | None, *, unique: bool = True
) -> Iterator[Document]:
    """The documents of a file.

    Args:
        name: Name of the file.
        places: Its documents.
        refused: Is told of documents with an error, which are left out; None raises.
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
            refuse(InputError(f"{name}{where}: {place.id or '?'}: {reason}"), refused)
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
