"""Dictionary files with a name, an identifier and a type per line, in columns separated by tabs or commas."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from io import StringIO
from itertools import chain, islice, permutations
from pathlib import Path
from typing import NamedTuple

from glre_pyg.formats.reading import decoded_lines
from glre_pyg.utils.compression import opened
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import unpacked_name

COLUMNS = ("name", "id", "type")
_HEADERS = {
    "name": re.compile("(preferred_)?(names?|terms?|labels?)|synonyms?|mentions?|text|string"),
    "id": re.compile("([a-z]+_)*(ids?|identifiers?|code|curie)|mesh|cui|accession"),
    "type": re.compile("(semantic_|entity_)?types?|labels?|class|category|kind|group"),
}
"""Words by which a header names the columns, in lower case."""


class NameRow(NamedTuple):
    """A name of a dictionary file. Lines are numbered from 1; the identifier may be empty."""

    line: int
    name: str
    id: str
    type: str


def name_rows(file: str | os.PathLike[str]) -> Iterator[NameRow]:
    """Read a dictionary file in UTF-8, with or without a byte order mark, with Unix or Windows line ends.

    Columns are name, identifier and type; a header may give another order, as ``term,mesh_id,label`` does. A
    name may be several synonyms, separated by ``|``. Columns of a .csv file may be separated by semicolons,
    as spreadsheets write them in many countries. Cells may be in double quotes. Empty columns at the end of a
    line are ignored, as are empty lines and those that begin with ``#``.

    Args:
        file: The file.

    Raises:
        InputError: ``names.tsv:3: message``; also if there are no names, or the extension is another.
    """
    path = Path(file)
    name = unpacked_name(path)
    if not name.endswith((".tsv", ".csv")):
        raise InputError(f"{path.name}: a file of names ends in .tsv or .csv")
    with opened(path) as raw:
        yield from name_rows_in(raw, path.name, is_tsv=name.endswith(".tsv"))


def name_rows_in(raw: Iterable[bytes], name: str, *, is_tsv: bool) -> Iterator[NameRow]:
    """Read the lines of a dictionary; see :func:`name_rows`.

    Args:
        raw: The lines.
        name: Name in errors.
        is_tsv: Whether columns are rather separated by tabs.

    Raises:
        InputError: ``name:3: message``; also if there are no names.
    """
    order: Sequence[str] = COLUMNS
    is_empty = True
    for line, columns in _rows(_lines(raw, name), name, is_tsv):
        if is_empty and (header := _header(columns)):
            order = header
            continue
        if len(columns) != len(COLUMNS):
            raise InputError(
                f"{name}:{line}: a line has {len(COLUMNS)} columns, {', '.join(COLUMNS)}, "
                f"this one {len(columns)}"
            )
        cells = dict(zip(order, columns, strict=True))
        for synonym in cells.pop("name").split("|"):
            yield NameRow(line, synonym.strip(), **cells)
        is_empty = False
    if is_empty:
        raise InputError(f"{name}: there are no names in this file")


def _rows(lines: Iterator[str], name: str, is_tsv: bool) -> Iterator[tuple[int, list[str]]]:
    """Yield number and cells of the lines with names, and of a header."""
    first = list(islice(lines, 20))
    delimiter = max("\t,;" if is_tsv else ",;\t", key=partial(_num_fitting, first, is_tsv=is_tsv))
    reader = csv.reader(
        chain(first, lines),
        delimiter=delimiter,
        quoting=csv.QUOTE_NONE if is_tsv else csv.QUOTE_MINIMAL,
        strict=not is_tsv,
    )
    try:
        for row in reader:
            columns = _cells(row, is_tsv)
            if any(columns) and not columns[0].startswith(("#", "sep=")):
                yield reader.line_num, columns
    except csv.Error as error:
        raise InputError(f"{name}:{reader.line_num}: {error}") from None


def _lines(file: Iterable[bytes], name: str) -> Iterator[str]:
    """Yield lines, which a carriage return may end as well, as in files of old spreadsheets."""
    for line in decoded_lines(file, name):
        yield from StringIO(line, newline="")


def _num_fitting(lines: Sequence[str], delimiter: str, *, is_tsv: bool) -> int:
    """Return how many lines have the right number of columns if these are separated by a character."""
    rows = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE if is_tsv else csv.QUOTE_MINIMAL)
    with suppress(csv.Error):  # raised again when the lines are read
        return sum(len(_cells(row, is_tsv)) == len(COLUMNS) for row in rows)
    return 0


def _cells(row: Iterable[str], is_tsv: bool) -> list[str]:
    """Return the cells of a row without white space and quotes around them, and empty ones at the end."""
    columns = [_unquoted(cell.strip()) if is_tsv else cell.strip() for cell in row]
    while len(columns) > len(COLUMNS) and not columns[-1]:
        columns.pop()
    return columns


def _unquoted(cell: str) -> str:
    is_quoted = len(cell) > 1 and cell[0] == cell[-1] == '"'
    return cell[1:-1].replace('""', '"').strip() if is_quoted else cell


def _header(columns: Iterable[str]) -> tuple[str, ...] | None:
    """Return what each column holds if a line is a header.

    >>> _header(["Term", "MeSH ID", "label"]), _header(["aspirin", "D001241", "Chemical"])
    (('name', 'id', 'type'), None)
    """
    words = [re.sub(r"\W+", "_", column.lower()) for column in columns]
    for order in permutations(COLUMNS, len(words)) if len(words) == len(COLUMNS) else ():
        if all(_HEADERS[name].fullmatch(word) for name, word in zip(order, words, strict=True)):
            return order
    return None
