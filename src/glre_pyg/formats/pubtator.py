"""PubTator, the format of CDR and BioRED (the corpora of section 4): text to documents and back.

A block a document, and a blank line after it::

    1|t|Title
    1|a|Abstract
    1<Tab>0<Tab>5<Tab>Title<Tab>Disease<Tab>D1|D2<Tab>first part|second part
    1<Tab>CID<Tab>C1<Tab>D1

The text is the title, a space and the abstract; offsets count its characters, end exclusive. The seventh
column, the names of a composite mention's parts, is optional. Relations may have further columns.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from glre_pyg.data.document import Document, Fact, Mention, Span
from glre_pyg.data.segmentation import Segmenter, Segments, segment
from glre_pyg.formats.lossless import check_held
from glre_pyg.formats.reading import Place, PlacedError, documents_at, opened
from glre_pyg.formats.writing import write_each
from glre_pyg.utils.exceptions import ErrorHandler, InputError, printable, shown

_TEXT = re.compile(r"([^|\t]+)\|([ta])\|(.*)", re.DOTALL)
_UNLINKED = ("", "-", "-1")
_INTEGER = re.compile(r"-?[0-9]{1,18}")


class _Line(NamedTuple):
    number: int
    raw: bytes

    def error(self, message: str) -> PlacedError:
        return PlacedError(f":{self.number}", message)


class _Row(NamedTuple):
    line: _Line
    columns: list[str]


def read_pubtator(
    path: str | os.PathLike[str],
    *,
    segmenter: Segmenter = segment,
    id_separator: str = "|",
    unlinked: str = "-1",
    on_error: ErrorHandler | None = None,
) -> Iterator[Document]:
    """Read documents one at a time.

    Args:
        path: A file in UTF-8, with or without a byte order mark, with Unix or Windows line ends.
        segmenter: Makes words and sentences.
        id_separator: What joins the identifiers of a composite mention: ``"|"`` in CDR, ``","`` in BioRED.
        unlinked: What a mention without an identifier has in its place: ``"-1"`` in CDR, ``"-"`` in BioRED
            and PubTator Central. These two always mean that, and so does nothing at all. Within a composite
            mention it stands for a part without one; such parts come last in ``names``.
        on_error: Is told of documents with an error, which are left out; None raises.

    Raises:
        InputError: ``file:line: document: what is wrong``; also if the file has no document at all.
    """
    with opened(path) as file:
        places = (_place(block, segmenter, id_separator, unlinked) for block in _blocks(file))
        yield from documents_at(Path(path).name, places, on_error)


def _place(block: list[_Line], segmenter: Segmenter, id_separator: str, unlinked: str) -> Place:
    document_id = re.split(rb"[|\t]", block[0].raw, maxsplit=1)[0].decode("utf-8", "replace")
    parse = partial(_document, block, segmenter, id_separator, unlinked)
    return Place(f":{block[0].number}", document_id, parse)


def _blocks(file: Iterable[bytes]) -> Iterator[list[_Line]]:
    """Lines between blank lines, without line ends."""
    block: list[_Line] = []
    for number, raw in enumerate(chain(file, [b""]), start=1):
        if number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        if raw.strip():
            block.append(_Line(number, raw.removesuffix(b"\n").removesuffix(b"\r")))
        elif block:
            yield block
            block = []


def _document(block: list[_Line], segmenter: Segmenter, id_separator: str, unlinked: str) -> Document:
    texts = [_decode(line) for line in block]
    document_id, title, abstract = _title_and_abstract(block, texts)
    text = title if abstract is None else f"{title} {abstract}"
    sections = ((0, len(title)),) if abstract is None else ((0, len(title)), (len(title) + 1, len(text)))
    mentions, relations = [], []
    for line, content in list(zip(block, texts, strict=True))[len(sections) :]:
        row = _Row(line, content.split("\t"))
        if row.columns[0] != document_id:
            raise line.error(
                f"a line of document '{shown(row.columns[0])}'; is a blank line missing before it?"
            )
        if len(row.columns) > 1 and _INTEGER.fullmatch(row.columns[1]):
            mentions.append(_mention(row, text, id_separator, unlinked))
        else:
            relations.append(row)
    known = {identifier for mention in mentions for identifier in mention.ids}
    facts = tuple(_fact(row, known) for row in relations)
    words, sentences = segmenter(text, [mention.span for mention in mentions], sections)
    try:
        return Document(document_id, text, words, sentences, tuple(mentions), facts, sections=sections)
    except InputError as error:
        raise block[0].error(str(error).removeprefix(f"{document_id}: ")) from None


def _decode(line: _Line) -> str:
    try:
        return line.raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise line.error(f"byte {error.start + 1} of the line is not UTF-8") from None


def _title_and_abstract(block: list[_Line], texts: list[str]) -> tuple[str, str, str | None]:
    title = _TEXT.fullmatch(texts[0])
    if title is None or title[2] != "t":
        raise block[0].error("the first line is not a title, 'identifier|t|text'")
    abstract = _TEXT.fullmatch(texts[1]) if len(texts) > 1 else None
    if abstract is None:
        return title[1], title[3], None
    if abstract[1] != title[1] or abstract[2] != "a":
        raise block[1].error(f"the second line is not the abstract, '{title[1]}|a|text'")
    return title[1], title[3], abstract[3]


def _mention(row: _Row, text: str, id_separator: str, unlinked: str) -> Mention:
    line, columns = row
    if len(columns) not in (6, 7):
        raise line.error(f"a mention has 6 or 7 columns, this line {len(columns)}")
    _, _, _, name, type_, identifiers = columns[:6]
    start, end = _offset(row, 1, "start"), _offset(row, 2, "end")
    if not 0 <= start < end:
        raise line.error(f"mention '{name}' at {start} to {end} is empty or begins before the text")
    if end > len(text):
        raise line.error(f"mention '{name}' ends after the text")
    if text[start:end] != name:
        raise line.error(f"mention '{name}' is not at {start} to {end}, there is '{shown(text[start:end])}'")
    if not name.strip():
        raise line.error(f"mention '{name}' at {start} to {end} is white space")
    parts = identifiers.split(id_separator)
    names = columns[6].split("|") if len(columns) == 7 else [""] * len(parts)
    if len(names) != len(parts):
        raise line.error(f"mention '{name}' has {len(parts)} identifiers and {len(names)} names of parts")
    linked = [part not in (unlinked, *_UNLINKED) for part in parts]
    order = sorted(
        range(len(parts)), key=lambda part: not linked[part]
    )  # stable: parts without identifier last
    ids = tuple(parts[part] for part in order if linked[part])
    return Mention(start, end, type_, ids, tuple(names[part] for part in order) if len(columns) == 7 else ())


def _offset(row: _Row, column: int, field: str) -> int:
    if not _INTEGER.fullmatch(row.columns[column]):
        raise row.line.error(
            f"{field} '{row.columns[column]}' of mention '{row.columns[3]}' is not an integer"
        )
    return int(row.columns[column])


def _fact(row: _Row, known: set[str]) -> Fact:
    line, columns = row
    if len(columns) < 4:
        raise line.error(f"a relation has at least 4 columns, this line {len(columns)}")
    _, relation, head, tail, *extra = columns
    for field, identifier in (("head", head), ("tail", tail)):
        if identifier not in known:
            if len(columns) in (6, 7) and _INTEGER.fullmatch(head):
                _offset(row, 1, "start")  # rather a mention than a relation with further columns
            raise line.error(f"no mention has {field} '{identifier}' of relation '{relation}'")
    return Fact(head, relation, tail, tuple(extra))


def write_pubtator(
    documents: Iterable[Document],
    path: str | os.PathLike[str],
    *,
    id_separator: str = "|",
    unlinked: str = "-1",
    lossy: bool = False,
    on_error: ErrorHandler | None = None,
) -> None:
    """Write documents as :func:`read_pubtator` reads them; the file appears when it is complete.

    Args:
        documents: The documents.
        path: The file.
        id_separator, unlinked: See :func:`read_pubtator`.
        lossy: See :func:`format_pubtator`.
        on_error: Is told of documents that the format cannot hold, which are left out; None raises.

    Raises:
        InputError: If the format cannot hold a document.
    """
    block = partial(format_pubtator, id_separator=id_separator, unlinked=unlinked, lossy=lossy)
    write_each(documents, path, block, on_error)


def format_pubtator(
    document: Document, *, id_separator: str = "|", unlinked: str = "-1", lossy: bool = False
) -> str:
    """The lines of a document and the blank line after it.

    A document whose sections are not two with a space between them is written as a title alone.

    Args:
        document: The document.
        id_separator, unlinked: See :func:`read_pubtator`.
        lossy: Write a space for each line break and Tab of the text, and leave out facts of an entity that
            stands for mentions without identifier (BRAN's ``"-1"``): the format has no place for them.

    Raises:
        InputError: If the format cannot hold the document.
    """
    if lossy:
        nobody = {unlinked, *_UNLINKED}
        facts = tuple(fact for fact in document.facts if not nobody & {fact.head, fact.tail})
        document = replace(document, text=re.sub(r"[\t\r\n]", " ", document.text), facts=facts)
    lines = _text_lines(document)
    for mention in document.mentions:
        name = document.text[mention.start : mention.end]
        missing = [unlinked] * max(1 - len(mention.ids), len(mention.names) - len(mention.ids))
        identifiers = id_separator.join([*mention.ids, *missing])
        parts = len(mention.ids) + len(missing)
        if len(identifiers.split(id_separator)) != parts:
            raise InputError(f"{document.id}: an identifier of mention '{name}' holds '{id_separator}'")
        if mention.names and len("|".join(mention.names).split("|")) != parts:
            raise InputError(f"{document.id}: mention '{name}' has not one name a part, or a name with '|'")
        columns = [document.id, str(mention.start), str(mention.end), name, mention.type, identifiers]
        lines.append([*columns, "|".join(mention.names)] if mention.names else columns)
    for fact in document.facts:
        if _INTEGER.fullmatch(fact.relation):
            raise InputError(f"{document.id}: PubTator cannot hold relation '{fact.relation}', an integer")
        lines.append([document.id, fact.relation, fact.head, fact.tail, *fact.extra])
    for column in chain.from_iterable(lines):
        if re.search(r"[\t\n]|\r$", column):
            raise InputError(f"{document.id}: PubTator cannot hold the line break or Tab in {column[:80]!r}")
    text = "".join("\t".join(line) + "\n" for line in lines) + "\n"
    _check_read(document, text, id_separator, unlinked, lossy)
    return text


def _check_read(document: Document, text: str, id_separator: str, unlinked: str, lossy: bool) -> None:
    """Make sure that lines are read as the document that they were written for, as far as they have it."""

    def as_it_was(*_: object) -> Segments:
        return document.words, document.sentences

    blocks = list(_blocks(BytesIO(text.encode("utf-8"))))
    if len(blocks) != 1:
        raise InputError(f"{document.id}: PubTator cannot hold it, lines of it would be blank")
    try:
        held = _document(blocks[0], as_it_was, id_separator, unlinked)
    except InputError as error:
        reason = str(error).removeprefix(printable(f"{document.id}: "))
        raise InputError(f"{document.id}: PubTator cannot hold it: {reason}") from None
    sizes = [(each.id, len(each.mentions), len(each.facts)) for each in (document, held)]
    if sizes[0] != sizes[1]:
        raise InputError(f"{document.id}: PubTator cannot hold its identifier, or a line of it")
    if not lossy:
        facts = tuple(Fact(fact.head, fact.relation, fact.tail, fact.extra) for fact in document.facts)
        wanted = replace(document, facts=facts, ignored=(), sections=held.sections)
        check_held(wanted, held, "PubTator")


def _text_lines(document: Document) -> list[list[str]]:
    sections: tuple[Span, ...] = document.sections
    if not document.id.strip() or "|" in document.id:
        raise InputError(f"{document.id}: an identifier in PubTator is not empty and holds no '|'")
    if len(sections) == 2:
        (start, cut), (after, end) = sections
        if (start, after, end) == (0, cut + 1, len(document.text)) and document.text[cut] == " ":
            title, abstract = document.text[:cut], document.text[after:]
            return [[f"{document.id}|t|{title}"], [f"{document.id}|a|{abstract}"]]
    return [[f"{document.id}|t|{document.text}"]]
