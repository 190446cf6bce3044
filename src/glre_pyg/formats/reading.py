"""What all readers share: one document at a time, each with its place in the file; checks; error lines."""

from __future__ import annotations

import json
import os
import re
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from gzip import BadGzipFile, GzipFile
from io import BufferedReader, RawIOBase
from itertools import accumulate, chain, pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

from glre_pyg.data.document import Document, Fact, Sentence, Span
from glre_pyg.utils.console import printable, shown
from glre_pyg.utils.exceptions import ErrorHandler, InputError, handle_error, leave_out, note
from glre_pyg.utils.files import open_regular
from glre_pyg.utils.json_fields import check_text, convert, parse

_LONGEST = 100  # characters of an identifier in an error
_UNPACKED, _RATIO = 256 << 20, 100  # bytes that any gzip file may unpack to, and more for each of its own
VARIANT = re.compile("mutation|variant|allele|snp", re.IGNORECASE)
"""Types of mentions whose identifiers hold the characters that separate those of others."""
_T = TypeVar("_T")


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a regular file for reading, and unpack it if it is a gzip file.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        with open_regular(path) as file:
            is_gzip = file.peek(2)[:2] == b"\x1f\x8b"
            yield BufferedReader(_Unpacked(file)) if is_gzip else file
    except (BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{Path(path).name}: cannot be unpacked: {error}") from None
    except (OSError, MemoryError) as error:
        raise InputError(f"{path}: cannot be read: {_explained(error)}") from None


def _explained(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    return getattr(error, "strerror", None) or str(error)


class _Unpacked(RawIOBase):
    """Contents of a gzip file, up to a limit: text does not unpack to more."""

    def __init__(self, file: BufferedReader) -> None:
        self.file = GzipFile(fileobj=file)
        self.left = _UNPACKED + _RATIO * os.fstat(file.fileno()).st_size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self.file.read(len(buffer))
        self.left -= len(data)
        if self.left < 0:
            raise OSError("the gzip file unpacks to far more than its size")
        buffer[: len(data)] = data
        return len(data)


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
        if len(lines) < 2 or not any(isinstance(_parsed(lines[index][1]), dict) for index in (0, -1)):
            raise InputError(f"{name}: {error}") from None
        yield from ((f"{name}:{number}", _parsed(line)) for number, line in lines)
        return
    if isinstance(value, dict):
        found = (value[wrapper] for wrapper in wrappers if wrapper in value)
        value = next(found, [value] if key in value else [])
    if not isinstance(value, list) or not value:
        raise InputError(f"{name}: not a JSON list of documents, or an empty one")
    yield from ((f"{name}: document {number}", record) for number, record in enumerate(value))


def _parsed(line: bytes) -> object:
    try:
        return parse(line)
    except InputError as error:
        return error


FACTS, EVIDENCE, PAIRS = "facts", "sentences of evidence", "ignored pairs"
"""Kinds of what is left out if it cannot be used and is not needed."""
IN_PIECES = "mentions in several pieces, which are read from the first to the last"


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


def note_counts(name: str, counts: Mapping[str, int]) -> None:
    """Print how many parts of a file were left out, or read otherwise than they are, by kind."""
    for kind, count in counts.items():
        note(f"{name}: {kind}: {count}")


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


def usable_fact(fact: Fact, path: str, document: Document, on_error: ErrorHandler | None) -> Fact | None:
    """Return a fact with the evidence that its document has; None if it has not the entities.

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
