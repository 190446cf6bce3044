"""Tables, written as text, Markdown, CSV or HTML."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO

MAX_CELL = 32_767
"""Characters that a cell of a spreadsheet can hold."""
# White space and apostrophes in any order, so that one more apostrophe does not change the rest.
_FORMULA = r"(?=[\s']*[=+\-@＝＋－＠]|'*[\t\r\n])"
_BEGINS = re.compile(rf"(^|[;\t]){_FORMULA}")
_QUOTED = re.compile(rf"(^|[;\t])'{_FORMULA}")


@dataclass(frozen=True)
class Table:
    """Rows of cells under column names.

    Args:
        columns: Names of the columns; empty for a table without a header.
        rows: Cells of each row. They are written as they are: plain text that may hold markup is escaped by
            the caller.
        left: Number of columns that are aligned to the left; the others, numbers, to the right.

    Example:
        >>> table = Table(["layer", "F1"], [["none", "48.9"], ["attention", "61.0"]])
        >>> print(table.to_text())
        layer        F1
        none       48.9
        attention  61.0
        >>> print(table.to_markdown())
        | layer     |   F1 |
        | --------- | ---: |
        | none      | 48.9 |
        | attention | 61.0 |
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | None]]
    left: int = 1

    def to_text(self) -> str:
        """Return the table as plain text."""
        return "\n".join("  ".join(line).rstrip() for line in self._aligned())

    def to_markdown(self) -> str:
        """Return the table as Markdown, readable as text too."""
        header, *lines = self._aligned(min_width=3)
        rule = ["-" * (len(cell) - 1) + ("-" if i < self.left else ":") for i, cell in enumerate(header)]
        return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *lines))

    def to_csv(self, *, lineterminator: str = "\r\n") -> str:
        """Return the table as CSV that is safe to open in a spreadsheet.

        Text that a spreadsheet would run as a formula is quoted (:func:`quoted`), and cut at :data:`MAX_CELL`
        characters.
        """
        file = StringIO(newline="")
        writer = csv.writer(file, lineterminator=lineterminator)
        writer.writerows(map(_csv_cell, line) for line in self._lines())
        return file.getvalue()

    def to_html(self, *, style: str = "", cell_style: str = "") -> str:
        """Return the table as HTML; without a header, the first cell of a row is its header.

        Args:
            style: Inline style of the table.
            cell_style: Inline style of each cell.
        """

        def line(cells: Sequence[object], scopes: Sequence[str]) -> str:
            tags = (
                f'<th scope="{scope}" style="{cell_style}">{cell}</th>'
                if scope
                else f'<td style="{cell_style}">{cell}</td>'
                for cell, scope in zip(cells, scopes, strict=True)
            )
            return f"<tr>{''.join(tags)}</tr>"

        header = line(self.columns, ["col"] * len(self.columns)) if self.columns else ""
        first = [""] if self.columns else ["row"]
        body = "".join(line(row, first + [""] * (len(row) - 1)) for row in self.rows)
        return f'<table style="{style}">{header}{body}</table>'

    def _lines(self) -> Iterator[Sequence[str | float | None]]:
        if self.columns:
            yield self.columns
        yield from self.rows

    def _aligned(self, min_width: int = 0) -> list[list[str]]:
        lines = [[str(cell) for cell in line] for line in self._lines()]
        widths = [max(min_width, *map(len, column)) for column in zip(*lines, strict=True)]
        return [
            [
                cell.ljust(width) if index < self.left else cell.rjust(width)
                for index, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            for line in lines
        ]


def _csv_cell(value: str | float | None) -> str | float | None:
    if not isinstance(value, str):
        return value
    safe = quoted(value)
    return safe if len(safe) <= MAX_CELL else f"{safe[: MAX_CELL - 1]}…"


def quoted(text: str) -> str:
    """Put an apostrophe before what a spreadsheet would run as a formula; :func:`unquoted` is the inverse.

    Formulas begin with ``=``, ``+``, ``-`` or ``@`` or their full-width forms, also after white space, or
    with a tab or an end of line: at the start of a cell, and after a semicolon or a tab, where spreadsheets
    in some locales start a new cell.

    Example:
        >>> quoted("=1+1"), quoted("'=1+1"), quoted("1-butanol"), quoted("aspirin; +codeine")
        ("'=1+1", "''=1+1", '1-butanol', "aspirin;' +codeine")
    """
    return _BEGINS.sub(r"\1'", text)


def unquoted(text: str) -> str:
    """Remove the apostrophes that :func:`quoted` added."""
    return _QUOTED.sub(r"\1", text)
