"""PubTator, the format of CDR and BioRED (section 4).

A block for each document, followed by a blank line::

    1|t|Title
    1|a|Abstract
    1<Tab>0<Tab>5<Tab>Title<Tab>Disease<Tab>D1|D2<Tab>first part|second part
    1<Tab>CID<Tab>C1<Tab>D1

The text is title and abstract, joined by a space; offsets count its characters, end exclusive. The sixth
column, the identifiers, is optional: without it, as with ``-1`` or ``-``, a mention belongs to no entity. The
seventh is optional, too: the names of the parts of a mention with several identifiers. With a single
identifier it is the name in the text, or none at all (a score, say) and not kept. Relations may have further
columns.

Identifiers of variants are one each, whatever they hold: ``p|SUB|K|12|Q``.

Where offsets do not count white space at the end of a title, it is no part of the text. Full text may have a
block for each passage, whose offsets begin anew; ``passages`` joins or numbers them. Relations may also be in
a table beside the file, ``NAME.relations.tsv``, with the columns of their lines.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from itertools import chain, compress, groupby, zip_longest
from pathlib import Path

from glre_pyg.data.document import Document, Fact, Mention, Span
from glre_pyg.data.segmentation import Segmenter, segment
from glre_pyg.formats.lossless import check_held_but_evidence, segments_of
from glre_pyg.formats.reading import (
    FACTS,
    VARIANT,
    Line,
    Place,
    PlacedError,
    documents_at,
    lines_of,
    opened,
    reason_of,
    titled,
)
from glre_pyg.formats.writing import write_each
from glre_pyg.utils.console import plural, shown
from glre_pyg.utils.exceptions import ErrorHandler, InputError, leave_out, note
from glre_pyg.utils.files import is_gzip

_TEXT = re.compile(r"([^|\t]+)\|([ta])\|(.*)", re.DOTALL)
_TITLE = re.compile(rb"[^|\t]+\|t\|")
_UNLINKED = ("", "-", "-1")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_AGAIN = (
    "a document of this identifier was in the file before; passages=join or passages=number reads blocks "
    "that are passages of one document"
)
_Row = tuple[Line, list[str]]


def read_pubtator(
    path: str | os.PathLike[str],
    *,
    segmenter: Segmenter = segment,
    id_separators: str = "|;",
    unlinked: str = "-1",
    passages: str | None = None,
    on_error: ErrorHandler | None = None,
) -> Iterator[Document]:
    """Read documents one at a time.

    Args:
        path: A file in UTF-8, with or without a byte order mark, with Unix or Windows line ends.
        segmenter: Cuts the text into words and sentences.
        id_separators: Characters that separate the identifiers of a mention: ``"|"`` in CDR, ``";"`` in
            PubTator3, ``","`` in BioRED.
        unlinked: Placeholder of a missing identifier: ``"-1"`` in CDR, ``"-"`` in BioRED and PubTator
            Central. These two and the empty string are always recognised. In a composite mention it stands
            for a part without identifier; such parts come last in ``names``.
        passages: What blocks of the same identifier, one after the other, are: ``"join"`` for passages of one
            document, ``"number"`` for a document each, ``1-1``, ``1-2`` and so on; None for an error.
        on_error: Callback for documents with an error, which are skipped; None raises.

    Raises:
        InputError: ``file:line: document: what is wrong``; also if the file has no document at all.
    """
    if passages not in (None, "join", "number"):
        raise InputError(f"passages: '{passages}' is neither join nor number")
    name = Path(path).name
    table = _table(relations_of(Path(path)))
    parse = partial(
        _document,
        segmenter=segmenter,
        id_separators=id_separators,
        unlinked=unlinked,
        table=table,
        on_error=on_error,
    )
    with opened(path) as file:
        places = (
            place
            for known, blocks in groupby(_blocks(lines_of(file, name)), _identifier)
            for place in _places(known, list(blocks), passages, parse)
        )
        yield from documents_at(name, places, on_error)
    if table:
        note(f"{name}: relations in the table beside it of other documents: {sum(map(len, table.values()))}")


def relations_of(path: Path) -> Path | None:
    """Return the table of relations beside a file; None if there is none."""
    base = path.with_suffix("") if is_gzip(path) else path
    tables = (base.with_suffix(f".relations.tsv{packed}") for packed in ("", ".gz"))
    return next((table for table in tables if table.exists()), None)


def _table(path: Path | None) -> dict[str, list[_Row]]:
    """Read the relations of each document from a table with the columns of PubTator's lines."""
    table: dict[str, list[_Row]] = {}
    if path is not None:
        with opened(path) as file:
            for line in lines_of(file, path.name):
                columns = _text(line).split("\t")
                if line.raw.strip():
                    table.setdefault(columns[0], []).append((line, columns))
    return table


def _identifier(block: list[Line]) -> str:
    raw = block[0].raw.rstrip(b"\r\n")
    return re.split(rb"[|\t]", raw, maxsplit=1)[0].decode("utf-8", "replace")


def _places(
    known: str, blocks: list[list[Line]], passages: str | None, parse: Callable[..., Document]
) -> Iterator[Place]:
    """Yield the documents of blocks with the same identifier.

    Lines that are cut off from their block by a blank line are not read, and neither is that document.
    """
    titled_blocks: list[list[Line]] = []
    cut_off: dict[int, Line] = {}  # by the block before
    for block in blocks:
        if titled_blocks and not _TITLE.match(block[0].raw):
            cut_off.setdefault(len(titled_blocks) - 1, block[0])
        else:
            titled_blocks.append(block)
    if passages == "join" and not cut_off:
        yield Place(blocks[0][0].place, known, partial(parse, titled_blocks, known))
        return
    for number, block in enumerate(titled_blocks):
        is_numbered = passages == "number" and len(titled_blocks) > 1
        identifier = f"{known}-{number + 1}" if is_numbered else known
        error: InputError | None = None
        if number in cut_off:
            error = cut_off[number].error(
                "there is no title, 'identifier|t|text': is there a blank line above?"
            )
        elif not _TITLE.match(block[0].raw):
            error = block[0].error("the first line is not a title, 'identifier|t|text'")
        elif number and passages is None:
            error = InputError(_AGAIN)
        yield Place(block[0].place, identifier, error or partial(parse, [block], identifier))


def _blocks(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Group the lines between blank lines."""
    block: list[Line] = []
    for line in chain(lines, [Line("", b"")]):
        if line.raw.strip():
            block.append(line)
        elif block:
            yield block
            block = []


def _document(
    blocks: Sequence[list[Line]],
    identifier: str,
    *,
    segmenter: Segmenter,
    id_separators: str,
    unlinked: str,
    table: dict[str, list[_Row]],
    on_error: ErrorHandler | None = None,
) -> Document:
    """Return the document of one or several blocks, each with a part of the text and its mentions."""
    text, sections, mentions, relations = "", list[Span](), list[Mention](), list[_Row]()
    for number, block in enumerate(blocks):
        part, spans, found, rest = _read_block(block, id_separators, {unlinked, *_UNLINKED})
        start = len(text) + 1 if number else 0
        text = f"{text} {part}" if number else part
        sections += ((first + start, last + start) for first, last in spans)
        mentions += (replace(each, start=each.start + start, end=each.end + start) for each in found)
        relations += rest
    relations += table.pop(identifier, [])
    known = {identifier for mention in mentions for identifier in mention.ids}
    facts = tuple(filter(None, (_fact(line, columns, known, on_error) for line, columns in relations)))
    words, sentences = segmenter(text, [mention.span for mention in mentions], sections)
    return Document(identifier, text, words, sentences, tuple(mentions), facts, sections=tuple(sections))


def _read_block(
    block: list[Line], id_separators: str, unlinked: Collection[str]
) -> tuple[str, tuple[Span, ...], list[Mention], list[_Row]]:
    """Return text, sections and mentions of a block, and its lines of relations."""
    texts = [_text(line) for line in block]
    document_id, title, abstract = _title_and_abstract(block, texts)
    rows: list[_Row] = []
    for line, content in list(zip(block, texts, strict=True))[1 if abstract is None else 2 :]:
        columns = content.split("\t")
        if columns[0] != document_id:
            raise line.error(f"a line of document '{shown(columns[0])}'; is a blank line missing before it?")
        rows.append((line, columns))
    are_mentions = [len(columns) > 1 and bool(_INTEGER.fullmatch(columns[1])) for _, columns in rows]
    relations = [row for row, is_mention in zip(rows, are_mentions, strict=True) if not is_mention]
    error: PlacedError | None = None
    for candidate in dict.fromkeys((title, title.rstrip())):
        text, sections = titled(candidate, abstract)
        try:
            mentions = [
                read_mention(*row, text, id_separators, unlinked) for row in compress(rows, are_mentions)
            ]
        except PlacedError as wrong:
            error = error or wrong
        else:
            return text, sections, mentions, relations
    assert error is not None
    if title == title.rstrip():
        raise error
    raise PlacedError(error.place, f"{error.reason} (nor without the white space at the end of the title)")


def _text(line: Line) -> str:
    text = line.text()
    if "\r" in text:
        raise line.error("a carriage return does not end a line here: save the file with Unix line ends")
    return text


def _title_and_abstract(block: list[Line], texts: list[str]) -> tuple[str, str, str | None]:
    title = _TEXT.fullmatch(texts[0])
    if title is None or title[2] != "t":
        raise block[0].error("the first line is not a title, 'identifier|t|text'")
    if f"{title[1]}|a|" in title[3]:
        raise block[0].error(f"the title holds '{title[1]}|a|': is there no line end before it?")
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
    id_separators: str,
    unlinked: Collection[str],
    *,
    ignore_case: bool = False,
) -> Mention:
    """Read a mention.

    Args:
        line: The line.
        columns: Its columns.
        text: Text of the document.
        id_separators: Characters that separate identifiers.
        unlinked: Placeholders of missing identifiers.
        ignore_case: Whether the name may differ from the text in case.

    Raises:
        PlacedError: If it is not a mention of this text.
    """
    if len(columns) not in (5, 6, 7):
        raise line.error(f"a mention has 5 to 7 columns, this line {len(columns)}")
    name, type_, identifiers = [*columns, ""][3:6]
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
    parts = _split(identifiers, type_, id_separators)
    names = columns[6].split("|") if len(columns) == 7 else []
    if len(parts) == 1 and not _are_kept(columns[6:], name):
        names = []
    if names and len(names) != len(parts):
        identified = f"{len(parts)} {plural(len(parts), 'identifier')}"
        named = f"{len(names)} {plural(len(names), 'name of a part', 'names of parts')}"
        raise line.error(f"mention '{name}' has {identified} and {named}")
    pairs = sorted(zip_longest(parts, names), key=lambda pair: pair[0] in unlinked)
    ids = tuple(part for part, _ in pairs if part not in unlinked)
    return Mention(start, end, type_, ids, tuple(each for _, each in pairs) if names else ())


def _are_kept(names: Sequence[str], text: str) -> bool:
    """Whether the name of a mention with a single identifier is one, and not another value in its column."""
    return all(not name or name.casefold() == text.casefold() for name in names)


def _split(identifiers: str, type_: str, separators: str) -> list[str]:
    """Split the identifiers of a mention; those of a variant are one if ``|`` would separate them."""
    if "|" in separators and VARIANT.search(type_):
        return [identifiers]
    return re.split(f"[{re.escape(separators)}]", identifiers)


def _offset(line: Line, columns: Sequence[str], column: int, field: str) -> int:
    if not _INTEGER.fullmatch(columns[column]):
        raise line.error(f"{field} '{columns[column]}' of mention '{columns[3]}' is not an integer")
    return int(columns[column])


def _fact(line: Line, columns: Sequence[str], known: set[str], on_error: ErrorHandler | None) -> Fact | None:
    if len(columns) < 4:
        reason = f"a relation has at least 4 columns, this line {len(columns)}"
        leave_out(FACTS, line.error(reason), on_error)
        return None
    _, relation, head, tail, *extra = columns
    head, tail = (end if end in known else _without_type(end, known) for end in (head, tail))
    for field, identifier in (("head", head), ("tail", tail)):
        if identifier not in known:
            if len(columns) in (6, 7) and _INTEGER.fullmatch(head):
                _offset(line, columns, 1, "start")  # rather a mention than a relation with further columns
            reason = f"no mention has {field} '{identifier}' of relation '{relation}'"
            leave_out(FACTS, line.error(reason), on_error)
            return None
    return Fact(head, relation, tail, tuple(extra))


def _without_type(end: str, known: Collection[str]) -> str:
    """Return the identifier of ``Disease|MESH:D1``, PubTator3's way of naming an entity in a table."""
    identifier = end.partition("|")[2]
    return identifier if identifier in known else end


def write_pubtator(
    documents: Iterable[Document],
    path: str | os.PathLike[str],
    *,
    id_separators: str = "|;",
    unlinked: str = "-1",
    lossy: bool = False,
    on_error: ErrorHandler | None = None,
) -> None:
    """Write documents as :func:`format_pubtator` does; see :func:`~glre_pyg.formats.writing.write_each`."""
    block = partial(format_pubtator, id_separators=id_separators, unlinked=unlinked, lossy=lossy)
    write_each(documents, path, block, on_error)


def format_pubtator(
    document: Document, *, id_separators: str = "|;", unlinked: str = "-1", lossy: bool = False
) -> str:
    """Return the lines of a document and the blank line after it.

    A document whose sections are not two with a space between them is written as a title alone.

    Args:
        document: The document.
        id_separators, unlinked: See :func:`read_pubtator`; the first of the separators is written.
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
        parts = [*mention.ids, *missing]
        identifiers = id_separators[0].join(parts)
        if _split(identifiers, mention.type, id_separators) != parts:
            raise InputError(
                f"{document.id}: mention '{name}' has an identifier that holds one of '{id_separators}', or "
                "is a variant with several"
            )
        names = mention.names if len(parts) > 1 or _are_kept(mention.names, name) else ()
        if names and len("|".join(names).split("|")) != len(parts):
            raise InputError(f"{document.id}: mention '{name}' has not one name a part, or a name with '|'")
        columns = [document.id, str(mention.start), str(mention.end), name, mention.type, identifiers]
        lines.append([*columns, "|".join(names)] if names else columns)
    for fact in document.facts:
        if _INTEGER.fullmatch(fact.relation):
            raise InputError(f"{document.id}: PubTator cannot hold relation '{fact.relation}', an integer")
        lines.append([document.id, fact.relation, fact.head, fact.tail, *fact.extra])
    for column in chain.from_iterable(lines):
        if re.search(r"[\t\r\n]", column):
            raise InputError(f"{document.id}: PubTator cannot hold the line break or Tab in {column[:80]!r}")
    text = "".join("\t".join(line) + "\n" for line in lines) + "\n"
    _check_read(document, text, id_separators, unlinked, lossy)
    return text


def _text_lines(document: Document) -> list[list[str]]:
    if not document.id.strip() or "|" in document.id:
        raise InputError(f"{document.id}: an identifier in PubTator is not empty and holds no '|'")
    if len(document.sections) == 2:
        title, abstract = (document.text[start:end] for start, end in document.sections)
        if titled(title, abstract) == (document.text, document.sections):
            return [[f"{document.id}|t|{title}"], [f"{document.id}|a|{abstract}"]]
    return [[f"{document.id}|t|{document.text}"]]


def _check_read(document: Document, text: str, id_separators: str, unlinked: str, lossy: bool) -> None:
    """Check that lines are read as the document that they were written for, as far as they hold it."""
    blocks = list(_blocks(lines_of(BytesIO(text.encode("utf-8")), "")))
    if len(blocks) != 1:
        raise InputError(f"{document.id}: PubTator cannot hold it, lines of it would be blank")
    try:
        held = _document(
            blocks,
            _identifier(blocks[0]),
            segmenter=segments_of(document),
            id_separators=id_separators,
            unlinked=unlinked,
            table={},
        )
    except InputError as error:
        reason = reason_of(error, document.id)
        raise InputError(f"{document.id}: PubTator cannot hold it: {reason}") from None
    sizes = [(each.id, len(each.mentions), len(each.facts)) for each in (document, held)]
    if sizes[0] != sizes[1]:
        raise InputError(f"{document.id}: PubTator cannot hold its identifier, or a line of it")
    if not lossy:
        check_held_but_evidence(replace(document, sections=held.sections), held, "PubTator")
