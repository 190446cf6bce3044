"""PubTator, the format of CDR and BioRED (section 4).

A block for each document, followed by a blank line::

    1|t|Title
    1|a|Abstract
    1<Tab>0<Tab>5<Tab>Title<Tab>Disease<Tab>D1|D2<Tab>first part|second part
    1<Tab>CID<Tab>C1<Tab>D1

The text is title and abstract, joined by a space; offsets count its characters, end exclusive. The seventh
column, the names of the parts of a composite mention, is optional. Relations may have further columns.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from itertools import chain
from pathlib import Path

from glre_pyg.data.document import Document, Fact, Mention
from glre_pyg.data.segmentation import Segmenter, segment
from glre_pyg.formats.lossless import check_held
from glre_pyg.formats.reading import Line, Place, documents_at, lines_of, opened, reason_of, titled
from glre_pyg.formats.writing import write_each
from glre_pyg.utils.exceptions import ErrorHandler, InputError, shown

_TEXT = re.compile(r"([^|\t]+)\|([ta])\|(.*)", re.DOTALL)
_UNLINKED = ("", "-", "-1")
_INTEGER = re.compile(r"-?[0-9]{1,18}")


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
        segmenter: Cuts the text into words and sentences.
        id_separator: Separator of the identifiers of a composite mention: ``"|"`` in CDR, ``","`` in BioRED.
        unlinked: Placeholder of a missing identifier: ``"-1"`` in CDR, ``"-"`` in BioRED and PubTator
            Central. These two and the empty string are always recognised. In a composite mention it stands
            for a part without identifier; such parts come last in ``names``.
        on_error: Callback for documents with an error, which are skipped; None raises.

    Raises:
        InputError: ``file:line: document: what is wrong``; also if the file has no document at all.
    """
    name = Path(path).name
    with opened(path) as file:
        places = (
            Place(
                block[0].place,
                re.split(rb"[|\t]", block[0].raw.rstrip(b"\r\n"), maxsplit=1)[0].decode("utf-8", "replace"),
                partial(_document, block, segmenter, id_separator, unlinked),
            )
            for block in _blocks(lines_of(file, name))
        )
        yield from documents_at(name, places, on_error)


def _blocks(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Group the lines between blank lines."""
    block: list[Line] = []
    for line in chain(lines, [Line("", b"")]):
        if line.raw.strip():
            block.append(line)
        elif block:
            yield block
            block = []


def _document(block: list[Line], segmenter: Segmenter, id_separator: str, unlinked: str) -> Document:
    texts = [line.text() for line in block]
    document_id, title, abstract = _title_and_abstract(block, texts)
    text, sections = titled(title, abstract)
    mentions, relations = [], []
    for line, content in list(zip(block, texts, strict=True))[len(sections) :]:
        columns = content.split("\t")
        if columns[0] != document_id:
            raise line.error(f"a line of document '{shown(columns[0])}'; is a blank line missing before it?")
        if len(columns) > 1 and _INTEGER.fullmatch(columns[1]):
            mentions.append(read_mention(line, columns, text, id_separator, {unlinked, *_UNLINKED}))
        else:
            relations.append((line, columns))
    known = {identifier for mention in mentions for identifier in mention.ids}
    facts = tuple(_fact(line, columns, known) for line, columns in relations)
    words, sentences = segmenter(text, [mention.span for mention in mentions], sections)
    return Document(document_id, text, words, sentences, tuple(mentions), facts, sections=sections)


def _title_and_abstract(block: list[Line], texts: list[str]) -> tuple[str, str, str | None]:
    title = _TEXT.fullmatch(texts[0])
    if title is None or title[2] != "t":
        raise block[0].error("the first line is not a title, 'identifier|t|text'")
    abstract = _TEXT.fullmatch(texts[1]) if len(texts) > 1 else None
    if abstract is None:
        return title[1], title[3], None
    if abstract[1] != title[1] or abstract[2] != "a":
        raise block[1].error(f"the second line is not the abstract, '{title[1]}|a|text'")
    return title[1], title[3], abstract[3]


def read_mention(
    line: Line,
    columns: Sequence[str],
    text: str,
    id_separator: str,
    unlinked: Collection[str],
    *,
    ignore_case: bool = False,
) -> Mention:
    """Read a mention.

    Args:
        line: The line.
        columns: Its columns.
        text: Text of the document.
        id_separator: Separator of identifiers.
        unlinked: Placeholders of missing identifiers.
        ignore_case: Whether the name may differ from the text in case.

    Raises:
        PlacedError: If it is not a mention of this text.
    """
    if len(columns) not in (6, 7):
        raise line.error(f"a mention has 6 or 7 columns, this line {len(columns)}")
    name, type_, identifiers = columns[3:6]
    start, end = _offset(line, columns, 1, "start"), _offset(line, columns, 2, "end")
    if not 0 <= start < end:
        raise line.error(f"mention '{name}' at {start} to {end} is empty or begins before the text")
    if end > len(text):
        raise line.error(f"mention '{name}' ends after the text")
    found = text[start:end]
    if found != name and not (ignore_case and found.casefold() == name.casefold()):
        raise line.error(f"mention '{name}' is not at {start} to {end}, there is '{shown(found)}'")
    if not name.strip():
        raise line.error(f"mention '{name}' at {start} to {end} is white space")
    parts = identifiers.split(id_separator)
    names = columns[6].split("|") if len(columns) == 7 else [""] * len(parts)
    if len(names) != len(parts):
        raise line.error(f"mention '{name}' has {len(parts)} identifiers and {len(names)} names of parts")
    pairs = sorted(zip(parts, names, strict=True), key=lambda pair: pair[0] in unlinked)
    ids = tuple(part for part, _ in pairs if part not in unlinked)
    return Mention(start, end, type_, ids, tuple(each for _, each in pairs) if len(columns) == 7 else ())


def _offset(line: Line, columns: Sequence[str], column: int, field: str) -> int:
    if not _INTEGER.fullmatch(columns[column]):
        raise line.error(f"{field} '{columns[column]}' of mention '{columns[3]}' is not an integer")
    return int(columns[column])


def _fact(line: Line, columns: Sequence[str], known: set[str]) -> Fact:
    if len(columns) < 4:
        raise line.error(f"a relation has at least 4 columns, this line {len(columns)}")
    _, relation, head, tail, *extra = columns
    for field, identifier in (("head", head), ("tail", tail)):
        if identifier not in known:
            if len(columns) in (6, 7) and _INTEGER.fullmatch(head):
                _offset(line, columns, 1, "start")  # rather a mention than a relation with further columns
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
    """Write documents as :func:`format_pubtator` does; see :func:`~glre_pyg.formats.writing.write_each`."""
    block = partial(format_pubtator, id_separator=id_separator, unlinked=unlinked, lossy=lossy)
    write_each(documents, path, block, on_error)


def format_pubtator(
    document: Document, *, id_separator: str = "|", unlinked: str = "-1", lossy: bool = False
) -> str:
    """Return the lines of a document and the blank line after it.

    A document whose sections are not two with a space between them is written as a title alone.

    Args:
        document: The document.
        id_separator, unlinked: See :func:`read_pubtator`.
        lossy: Whether to replace line breaks and Tabs of the text by spaces, and to leave out facts of an
            entity that stands for mentions without identifier (BRAN's ``"-1"``), which the format has no
            place for.

    Raises:
        InputError: If the format cannot hold the document.
    """
    if lossy:
        placeholders = {unlinked, *_UNLINKED}
        facts = tuple(fact for fact in document.facts if not placeholders & {fact.head, fact.tail})
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


def _text_lines(document: Document) -> list[list[str]]:
    if not document.id.strip() or "|" in document.id:
        raise InputError(f"{document.id}: an identifier in PubTator is not empty and holds no '|'")
    if len(document.sections) == 2:
        title, abstract = (document.text[start:end] for start, end in document.sections)
        if titled(title, abstract) == (document.text, document.sections):
            return [[f"{document.id}|t|{title}"], [f"{document.id}|a|{abstract}"]]
    return [[f"{document.id}|t|{document.text}"]]


def _check_read(document: Document, text: str, id_separator: str, unlinked: str, lossy: bool) -> None:
    """Check that lines are read as the document that they were written for, as far as they hold it."""
    blocks = list(_blocks(lines_of(BytesIO(text.encode("utf-8")), "")))
    if len(blocks) != 1:
        raise InputError(f"{document.id}: PubTator cannot hold it, lines of it would be blank")
    try:
        held = _document(blocks[0], lambda *_: (document.words, document.sentences), id_separator, unlinked)
    except InputError as error:
        reason = reason_of(error, document.id)
        raise InputError(f"{document.id}: PubTator cannot hold it: {reason}") from None
    sizes = [(each.id, len(each.mentions), len(each.facts)) for each in (document, held)]
    if sizes[0] != sizes[1]:
        raise InputError(f"{document.id}: PubTator cannot hold its identifier, or a line of it")
    if not lossy:
        facts = tuple(Fact(fact.head, fact.relation, fact.tail, fact.extra) for fact in document.facts)
        wanted = replace(document, facts=facts, ignored=(), sections=held.sections)
        check_held(wanted, held, "PubTator")
