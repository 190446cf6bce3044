"""Files of names: a name, its identifier and its type a line, between tabs (.tsv) or commas (.csv)."""

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
    """A line of a file of names, counted from 1; an empty identifier is none."""

    line: int
    name: str
    id: str
    type: str


def name_rows(file: str | os.PathLike[str]) -> Iterator[NameRow]:
    """Read a file of names in UTF-8, with or without a byte order mark, with Unix or Windows line ends.

    Columns are name, identifier and type; a first line of just the words ``name``, ``id`` and ``type`` may
    give another order. Lines without anything are left out.

    Args:
        file: The file. Fields of a .csv file may stand in double quotes; in a .tsv file quotes mean nothing.

    Raises:
        InputError: ``names.tsv:3: what is wrong``; also if there is no name, or the ending is another.
    """
    path = Path(file)
    name = path.name
    if path.suffix.lower() not in _DIALECTS:
        raise InputError(f"{name}: a file of names ends in {' or '.join(_DIALECTS)}")
    order: tuple[str, ...] = COLUMNS
    none = True
    try:
        with opened(path) as raw:
            reader = csv.reader(decoded_lines(raw, name), **_DIALECTS[path.suffix.lower()])
            for fields in reader:
                columns = [field.strip() for field in fields]
                if not any(columns):
                    continue
                if none and sorted(column.lower() for column in columns) == sorted(COLUMNS):
                    order = tuple(column.lower() for column in columns)
                    continue
                if len(columns) != len(COLUMNS):
                    raise InputError(
                        f"{name}:{reader.line_num}: a line has {len(COLUMNS)} columns, {', '.join(COLUMNS)}, "
                        f"this one {len(columns)}"
                    )
                none = False
                yield NameRow(reader.line_num, **dict(zip(order, columns, strict=True)))
    except csv.Error as error:
        raise InputError(f"{name}:{reader.line_num}: {error}") from None
    if none:
        raise InputError(f"{name}: there are no names in this file")
