"""Dictionary files with a name, an identifier and a type per line, tab- (.tsv) or comma-separated (.csv)."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from glre_pyg.formats.reading import decoded_lines, opened
from glre_pyg.utils.exceptions import InputError

COLUMNS = ("name", "id", "type")
_DIALECTS: dict[str, dict[str, Any]] = {
    ".tsv": {"delimiter": "\t", "quoting": csv.QUOTE_NONE},
    ".csv": {"strict": True},
}


class NameRow(NamedTuple):
    """A row of a dictionary file. Lines are numbered from 1; the identifier may be empty."""

    line: int
    name: str
    id: str
    type: str


def name_rows(file: str | os.PathLike[str]) -> Iterator[NameRow]:
    """Read a dictionary file in UTF-8, with or without a byte order mark, with Unix or Windows line ends.

    Columns are name, identifier and type; a header of the words ``name``, ``id`` and ``type`` may give
    another order. Empty lines are skipped.

    Args:
        file: The file. Fields of a .csv file may be in double quotes; in a .tsv file quotes have no meaning.

    Raises:
        InputError: ``names.tsv:3: message``; also if there are no names, or the extension is another.
    """
    path = Path(file)
    name = path.name
    if path.suffix.lower() not in _DIALECTS:
        raise InputError(f"{name}: a file of names ends in {' or '.join(_DIALECTS)}")
    order: tuple[str, ...] = COLUMNS
    is_empty = True
    try:
        with opened(path) as raw:
            reader = csv.reader(decoded_lines(raw, name), **_DIALECTS[path.suffix.lower()])
            for fields in reader:
                columns = [field.strip() for field in fields]
                if not any(columns):
                    continue
                if is_empty and sorted(column.lower() for column in columns) == sorted(COLUMNS):
                    order = tuple(column.lower() for column in columns)
                    continue
                if len(columns) != len(COLUMNS):
                    raise InputError(
                        f"{name}:{reader.line_num}: a line has {len(COLUMNS)} columns, {', '.join(COLUMNS)}, "
                        f"this one {len(columns)}"
                    )
                is_empty = False
                yield NameRow(reader.line_num, **dict(zip(order, columns, strict=True)))
    except csv.Error as error:
        raise InputError(f"{name}:{reader.line_num}: {error}") from None
    if is_empty:
        raise InputError(f"{name}: there are no names in this file")
