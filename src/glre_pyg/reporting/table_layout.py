"""Layout of a table as described in ``conf/table``: columns, rows, and the paper's figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from glre_pyg.utils.exceptions import InputError


class RowLayout(NamedTuple):
    """A row of one of the paper's tables.

    Args:
        title: Title of the row in the paper.
        names: Values of ``config.name`` of its runs, by preference: the first that has runs is used.
        paper: The paper's figures in percent, by setting and then by column; None for a dash.
    """

    title: str
    names: tuple[str, ...]
    paper: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A table.

    Args:
        title: Heading.
        columns: Title of each column, and the path of its score; see :meth:`Record.score`.
        settings: Training settings, a section of the table for each; if empty, runs may have any one setting.
        corpus: Name of the corpus; None for any one corpus.
        rows: Rows; if empty, every run belongs to the table, in rows by settings.
        reference: Name of the row that the others are compared with.
        compared: Title of the column in which they are compared.
        note: A sentence below the table.
    """

    title: str
    columns: Mapping[str, str]
    settings: tuple[str, ...]
    corpus: str | None
    rows: tuple[RowLayout, ...]
    reference: str | None
    compared: str | None
    note: str | None

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Layout:
        """Create a layout from its config.

        Raises:
            InputError: If a row does not have a figure for each column, or the reference is no row.
        """
        settings, columns, rows = tuple(config["settings"] or ()), config["columns"], config["rows"] or {}
        reference, compared = config.get("reference"), config.get("compared")
        if reference and not (reference in rows and compared in columns):
            raise InputError(
                f"table.reference: '{reference}' or table.compared: '{compared}' is not in the table"
            )
        count = max(1, len(settings)) * len(columns)
        return cls(
            title=config["title"],
            columns=columns,
            settings=settings,
            corpus=config.get("corpus"),
            rows=tuple(_row(name, row or {}, count) for name, row in rows.items()),
            reference=reference,
            compared=compared,
            note=config.get("note"),
        )

    def row(self, name: str | None) -> RowLayout | None:
        """Return the row to which runs of a name belong."""
        return next((row for row in self.rows if name in row.names), None)

    def paper(self, row: RowLayout, setting: int) -> Sequence[float | None]:
        """Return the paper's figures of a row in one setting, by column."""
        start = setting * len(self.columns)
        return row.paper[start : start + len(self.columns)]


def _row(name: str, config: Mapping[str, Any], count: int) -> RowLayout:
    paper = tuple(config.get("paper") or [None] * count)
    if len(paper) != count:
        raise InputError(f"table.rows.{name}.paper: {len(paper)} figures for {count} columns")
    return RowLayout(config.get("title") or name, (name, *(config.get("also") or ())), paper)
