"""The blocks of a PubTator file, which may be passages of a document, and the relations beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, groupby
from pathlib import Path

from glre_pyg.data.document import Document
from glre_pyg.formats.checking import FACTS
from glre_pyg.formats.reading import Line, Place, lines_of
from glre_pyg.utils.compression import opened
from glre_pyg.utils.exceptions import ErrorHandler, InputError, leave_out
from glre_pyg.utils.files import is_gzip

_AGAIN = (
    "a document of this identifier was in the file before; passages=join or passages=number reads blocks "
    "that are passages of one document"
)
_TITLE = re.compile(rb"[^|\t]+\|t\|")
Row = tuple[Line, list[str]]
"""A line of a mention or a relation, and its columns."""


def relations_of(path: Path) -> Path | None:
    """Return the table of relations beside a file; None if there is none."""
    base = path.with_suffix("") if is_gzip(path) else path
    tables = (base.with_suffix(f".relations.tsv{packed}") for packed in ("", ".gz"))
    return next((table for table in tables if table.exists()), None)


def read_relations(path: Path | None, on_error: ErrorHandler | None) -> dict[str, list[Row]]:
    """Read the relations of each document from a table with the columns of PubTator's lines."""
    table: dict[str, list[Row]] = {}
    if path is not None:
        with opened(path) as file:
            for line in lines_of(file, path.name):
                try:
                    columns = text_of(line).split("\t")
                except InputError as error:
                    leave_out(FACTS, error, on_error)
                    continue
                if line.raw.strip():
                    table.setdefault(columns[0], []).append((line, columns))
    return table


def text_of(line: Line) -> str:
    """Decode a line, in which a carriage return is an error."""
    text = line.text()
    if "\r" in text:
        raise line.error("a carriage return does not end a line here: save the file with Unix line ends")
    return text


def places_of(
    lines: Iterable[Line], passages: str | None, parse: Callable[[list[list[Line]], str], Document]
) -> Iterator[Place]:
    """Yield the documents of a file.

    Args:
        lines: Its lines.
        passages: See :func:`~glre_pyg.formats.pubtator.read_pubtator`.
        parse: Parses the blocks of a document with an identifier.
    """
    for known, blocks in groupby(blocks_of(lines), identifier_of):
        yield from _places(known, list(blocks), passages, parse)


def identifier_of(block: list[Line]) -> str:
    """Return the identifier of a block's document, which its first line begins with."""
    raw = block[0].raw.rstrip(b"\r\n")
    return re.split(rb"[|\t]", raw, maxsplit=1)[0].decode("utf-8", "replace")


def _places(
    known: str,
    blocks: list[list[Line]],
    passages: str | None,
    parse: Callable[[list[list[Line]], str], Document],
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


def blocks_of(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Group the lines between blank lines."""
    block: list[Line] = []
    for line in chain(lines, [Line("", b"")]):
        if line.raw.strip():
            block.append(line)
        elif block:
            yield block
            block = []
