"""What all readers share: one document at a time, each with its place in the file; checks; error lines."""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, chain, pairwise
from typing import BinaryIO, NamedTuple, TypeVar

from glre_pyg.data.document import Document, Sentence, Span
from glre_pyg.utils.console import printable
from glre_pyg.utils.exceptions import ErrorHandler, InputError, handle_error
from glre_pyg.utils.files import open_regular
from glre_pyg.utils.json_fields import convert

_LONGEST = 100  # characters of an identifier in an error
_T = TypeVar("_T")


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a regular file for reading.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        with open_regular(path) as file:
            yield file
    except (OSError, MemoryError) as error:
        raise InputError(f"{path}: cannot be read: {_explained(error)}") from None


def _explained(error: OSError | MemoryError) -> str:
    return "there is not enough memory" if isinstance(error, MemoryError) else error.strerror or str(error)


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
    for place in places:
        try:
            if unique and place.id is not None and place.id in seen:
                raise InputError("a document of this identifier was in the file before")
            if isinstance(place.parse, InputError):
                raise place.parse
            document = place.parse()
        except (InputError, MemoryError) as error:
            where = error.place if isinstance(error, PlacedError) else place.name
            known = printable(place.id or "?", longest=_LONGEST)
            handle_error(InputError(f"{where}: {known}: {reason_of(error, place.id)}"), on_error)
        else:
            yield document
        seen.add(place.id)
    if not seen:
        raise InputError(f"{name}: there are no documents in this file")


def reason_of(error: InputError | MemoryError, document_id: str | None) -> str:
    """Return what is wrong, without the place or the document's identifier."""
    if isinstance(error, MemoryError):
        return _explained(error)
    if isinstance(error, PlacedError):
        return error.reason
    return str(error).removeprefix(printable(f"{document_id}: "))


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


def titled(title: str, abstract: str | None = None) -> tuple[str, tuple[Span, ...]]:
    """Join title and abstract with a space; return the text and its sections."""
    if abstract is None:
        return title, ((0, len(title)),)
    text = f"{title} {abstract}"
    return text, ((0, len(title)), (len(title) + 1, len(text)))


class Layout(NamedTuple):
    """A text of words joined by spaces.

    Args:
        text: The text.
        words: Characters ``[start, end)`` of its words.
        bounds: First word of each sentence, and the number of words.
    """

    text: str
    words: tuple[Span, ...]
    bounds: tuple[int, ...]

    @classmethod
    def of(cls, sentences: Sequence[Sequence[str]]) -> Layout:
        """Join sentences, given as words."""
        words = list(chain.from_iterable(sentences))
        starts = accumulate((len(word) + 1 for word in words), initial=0)
        spans = tuple((start, start + len(word)) for start, word in zip(starts, words, strict=False))
        return cls(" ".join(words), spans, tuple(accumulate(map(len, sentences), initial=0)))

    @property
    def sentences(self) -> tuple[Sentence, ...]:
        """The sentences that have words."""
        return tuple(Sentence(start, end) for start, end in pairwise(self.bounds) if start < end)


def check_span(span: Span, path: str, length: int, *, empty: bool = True) -> None:
    """Check that a span lies within a length.

    Raises:
        InputError: ``path: what is wrong``.
    """
    start, end = span
    if not 0 <= start <= end <= length or (start == end and not empty):
        raise InputError(f"{path}: {start} to {end} is not inside 0 to {length}")


def check_references(document: Document, *, ignored: bool = True) -> None:
    """Check that facts and ignored pairs name entities and sentences that the document has.

    Args:
        document: The document.
        ignored: Whether to check ignored pairs, too.

    Raises:
        InputError: ``document: facts[0].head: what is wrong``.
    """
    known = {identifier for mention in document.mentions for identifier in mention.ids}
    count = len(document.sentences)
    named = [
        (f"facts[{number}].{side}", identifier)
        for number, fact in enumerate(document.facts)
        for side, identifier in (("head", fact.head), ("tail", fact.tail))
    ]
    if ignored:
        pairs = enumerate(document.ignored)
        named += [(f"ignored[{number}]", identifier) for number, pair in pairs for identifier in pair]
    for path, identifier in named:
        if identifier not in known:
            raise InputError(f"{document.id}: {path}: no mention has '{identifier}'")
    for number, fact in enumerate(document.facts):
        for index, sentence in enumerate(fact.evidence):
            if not 0 <= sentence < count:
                path = f"facts[{number}].evidence[{index}]"
                raise InputError(f"{document.id}: {path}: {sentence} is not one of {count} sentences")
