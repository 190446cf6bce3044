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
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from itertools import compress, zip_longest
from pathlib import Path

from glre_pyg.data.document import Document, Fact, Mention, Span
from glre_pyg.data.segmentation import Segmenter, segment
from glre_pyg.formats.checking import FACTS
from glre_pyg.formats.pubtator_blocks import Row, places_of, read_relations, relations_of, text_of
from glre_pyg.formats.reading import Line, PlacedError, documents_at, lines_of
from glre_pyg.utils.compression import opened
from glre_pyg.utils.console import plural, shown
from glre_pyg.utils.exceptions import ErrorHandler, InputError, leave_out, note

_TEXT = re.compile(r"([^|\t]+)\|([ta])\|(.*)", re.DOTALL)
UNLINKED = ("", "-", "-1", "None", "NIL")
"""What stands for no identifier, in PubTator and in BioC."""
_VARIANT_TYPE = re.compile("mutation|variant|allele|snp|acid_?change", re.IGNORECASE)
_VARIANT = re.compile(r"(tmVar:)?[cgmnpr]\|[A-Za-z]+\||(tmVar|HGVS):")
_NUMBER = re.compile(r"\s*([+-]?[0-9.]+(e[+-]?[0-9]+)?)?\s*", re.IGNORECASE)
INTEGER = re.compile(r"-?[0-9]{1,18}")


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
    table = read_relations(relations_of(Path(path)), on_error)
    parse = partial(
        read_blocks,
        segmenter=segmenter,
        id_separators=id_separators,
        unlinked=unlinked,
        table=table,
        on_error=on_error,
    )
    with opened(path) as file:
        yield from documents_at(name, places_of(lines_of(file, name), passages, parse), on_error)
    if table:
        note(f"{name}: relations in the table beside it of other documents: {sum(map(len, table.values()))}")


def read_blocks(
    blocks: Sequence[list[Line]],
    identifier: str,
    *,
    segmenter: Segmenter,
    id_separators: str,
    unlinked: str,
    table: dict[str, list[Row]],
    on_error: ErrorHandler | None = None,
) -> Document:
    """Return the document of one or several blocks, each with a part of the text and its mentions."""
    text, sections, mentions, relations = "", list[Span](), list[Mention](), list[Row]()
    for number, block in enumerate(blocks):
        part, spans, found, rest = _read_block(block, id_separators, {unlinked, *UNLINKED})
        start = len(text) + 1 if number else 0
        text = f"{text} {part}" if number else part
        sections += ((first + start, last + start) for first, last in spans)
        mentions += (
            (replace(each, start=each.start + start, end=each.end + start) for each in found)
            if number
            else found
        )
        relations += rest
    relations += table.pop(identifier, [])
    known = {identifier for mention in mentions for identifier in mention.ids}
    facts = tuple(filter(None, (_fact(line, columns, known, on_error) for line, columns in relations)))
    words, sentences = segmenter(text, [mention.span for mention in mentions], sections)
    return Document(identifier, text, words, sentences, tuple(mentions), facts, sections=tuple(sections))


def titled(title: str, abstract: str | None = None) -> tuple[str, tuple[Span, ...]]:
    """Join title and abstract with a space; return the text and its sections."""
    if abstract is None:
        return title, ((0, len(title)),)
    text = f"{title} {abstract}"
    return text, ((0, len(title)), (len(title) + 1, len(text)))


def _read_block(
    block: list[Line], id_separators: str, unlinked: Collection[str]
) -> tuple[str, tuple[Span, ...], list[Mention], list[Row]]:
    """Return text, sections and mentions of a block, and its lines of relations."""
    texts = [text_of(line) for line in block]
    document_id, title, abstract = _title_and_abstract(block, texts)
    rows: list[Row] = []
    for line, content in list(zip(block, texts, strict=True))[1 if abstract is None else 2 :]:
        columns = content.split("\t")
        if columns[0] != document_id:
            if re.match(rf"{re.escape(document_id)}(\s|\\t)", content):
                raise line.error("its columns are not separated by Tabs")
            raise line.error(f"a line of document '{shown(columns[0])}'; is a blank line missing before it?")
        rows.append((line, columns))
    are_mentions = [len(columns) > 1 and bool(INTEGER.fullmatch(columns[1])) for _, columns in rows]
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
    parts = split_identifiers(identifiers, type_, id_separators)
    names = columns[6].split("|") if len(columns) == 7 else []
    is_other = _NUMBER.fullmatch(columns[-1]) if len(parts) > 1 else not has_part_names(columns[6:], name)
    if is_other:
        names = []
    if names and len(names) != len(parts):
        identified = f"{len(parts)} {plural(len(parts), 'identifier')}"
        named = f"{len(names)} {plural(len(names), 'name of a part', 'names of parts')}"
        raise line.error(f"mention '{name}' has {identified} and {named}")
    pairs = sorted(zip_longest(parts, names), key=lambda pair: pair[0].strip() in unlinked)
    ids = tuple(part for part, _ in pairs if part.strip() not in unlinked)
    return Mention(start, end, type_, ids, tuple(each for _, each in pairs) if names else ())


def has_part_names(names: Sequence[str], text: str) -> bool:
    """Whether the name of a mention with a single identifier is one, and not another value in its column."""
    return all(not name or name.casefold() == text.casefold() for name in names)


def split_identifiers(identifiers: str, type_: str, separators: str) -> list[str]:
    """Split the identifiers of a mention; those of a variant are one if ``|`` would separate them."""
    if "|" in separators and is_variant(type_, identifiers):
        return [identifiers]
    return _any_of(separators).split(identifiers)


@lru_cache
def _any_of(characters: str) -> re.Pattern[str]:
    return re.compile(f"[{re.escape(characters)}]")


def is_variant(type_: str, identifiers: str) -> bool:
    """Return whether identifiers, such as tmVar's, hold the characters that separate those of others."""
    return bool(_VARIANT_TYPE.search(type_) or _VARIANT.match(identifiers))


def _offset(line: Line, columns: Sequence[str], column: int, field: str) -> int:
    if not INTEGER.fullmatch(columns[column]):
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
            if len(columns) in (6, 7) and INTEGER.fullmatch(head):
                _offset(line, columns, 1, "start")  # rather a mention than a relation with further columns
            reason = f"no mention has {field} '{identifier}' of relation '{relation}'"
            leave_out(FACTS, line.error(reason), on_error)
            return None
    return Fact(head, relation, tail, tuple(extra))


def _without_type(end: str, known: Collection[str]) -> str:
    """Return the identifier of ``Disease|MESH:D1``, PubTator3's way of naming an entity in a table."""
    identifier = end.partition("|")[2]
    return identifier if identifier in known else end
