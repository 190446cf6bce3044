"""A table as Markdown, in columns that line up when it is read as text."""

from __future__ import annotations

from collections.abc import Sequence

from glre_pyg.reporting.tables import Row, Section
from glre_pyg.utils.markdown import escape


def markdown_table(section: Section, compared: str | None) -> str:
    """The rows of a section; the paper's figures before ours where the paper has any.

    Args:
        section: The rows.
        compared: Title of the column in which rows are compared.
    """
    printed = {title for title in section.columns for row in section.rows if row.paper[title] is not None}
    header = ["", "runs"]
    for title in section.columns:
        header += [f"{title} paper", f"{title} ours"] if title in printed else [title]
    differences = any(row.difference for row in section.rows)
    if differences:
        header += [f"Δ {compared} paper", f"Δ {compared} ours", "paper's finding"]
    lines = []
    for row in section.rows:
        line = [row.title, str(len(row.group.records)) if row.group else "paper only"]
        for title in section.columns:
            ours = str(row.ours[title] or "-")
            line += [_number(row.paper[title], ".1f"), ours] if title in printed else [ours]
        lines.append(line + (_difference(row) if differences else []))
    return _lined_up([header, *lines])


def _difference(row: Row) -> list[str]:
    if row.difference is None:
        return ["-", "-", "-"]
    of = row.difference
    return [_number(of.paper, "+.1f"), _number(of.ours, "+.2f"), of.finding]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _lined_up(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first column to the left, the others to the right."""
    cells = [[escape(cell) for cell in row] for row in rows]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]
        for row in cells
    ]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])
