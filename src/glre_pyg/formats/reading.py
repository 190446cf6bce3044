"""What all readers share: one document at a time, each with its place in the file and its error line."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from glre_pyg.data.document import Document
from glre_pyg.utils.console import printable
from glre_pyg.utils.exceptions import ErrorHandler, InputError, handle_error, note

_LONGEST = 100  # characters of an identifier in an error


class PlacedError(InputError):
    """Error with a place of its own, such as a line within the document."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place, self.reason = place, reason


class Line(NamedTuple):
    """A line of a file.

    Args:
        place: File and number of the line, ``"train.txt:12"``.
        raw: Its bytes, with the line end, without a byte order mark.
        offset: Length of a byte order mark before it.
    """

    place: str
    raw: bytes
    offset: int = 0

    def text(self, *, keepends: bool = False) -> str:
        """Decode the line.

        Raises:
            PlacedError: If it is not UTF-8.
        """
        try:
            text = self.raw.decode("utf-8")
        except UnicodeDecodeError as error:
            position = self.offset + error.start + 1
            raise self.error(f"byte {position} of the line is not UTF-8") from None
        return text if keepends else text.removesuffix("\n").removesuffix("\r")

    def error(self, reason: str) -> PlacedError:
        """Return an error at this line."""
        return PlacedError(self.place, reason)


def lines_of(file: Iterable[bytes], name: str) -> Iterator[Line]:
    """Number the lines of a file and remove a byte order mark.

    Args:
        file: The file.
        name: Its name.
    """
    for number, raw in enumerate(file, start=1):
        offset = len(BOM_UTF8) if number == 1 and raw.startswith(BOM_UTF8) else 0
        yield Line(f"{name}:{number}", raw[offset:], offset)


def decoded_lines(file: Iterable[bytes], name: str) -> Iterator[str]:
    """Decode the lines of a file, with line ends; an error is ``file:line: what is wrong``."""
    return (line.text(keepends=True) for line in lines_of(file, name))


class Place(NamedTuple):
    """A document's place in its file.

    Args:
        name: File and place for errors: ``"train.txt:12"``, or ``"train.json: document 3"``.
        id: Identifier of the document; None if it could not be read.
        parse: Parses the document, with errors that name neither; or what is known to be wrong with it.
    """

    name: str
    id: str | None
    parse: Callable[[], Document] | InputError


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
    num_with_nul = 0
    for place in places:
        try:
            if isinstance(place.parse, InputError):
                raise place.parse
            if unique and place.id is not None and place.id in seen:
                raise InputError("a document of this identifier was in the file before")
            document = place.parse()
        except (InputError, MemoryError) as error:
            where = error.place if isinstance(error, PlacedError) else place.name
            known = printable(place.id or "?", longest=_LONGEST)
            handle_error(InputError(f"{where}: {known}: {reason_of(error, place.id)}"), on_error)
        else:
            num_with_nul += "\0" in document.text
            yield document
        seen.add(place.id)
    if num_with_nul:
        note(f"{name}: documents with NUL characters in their text: {num_with_nul}")
    if not seen:
        raise InputError(f"{name}: there are no documents in this file")


def reason_of(error: InputError | MemoryError, document_id: str | None) -> str:
    """Return what is wrong, without the place or the document's identifier."""
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    if isinstance(error, PlacedError):
        return error.reason
    return str(error).removeprefix(printable(f"{document_id}: "))
