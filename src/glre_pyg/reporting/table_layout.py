"""What a table is to hold, as ``conf/table`` says: columns, rows, and the paper's figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glre_pyg.utils.exceptions import InputError


@dataclass(frozen=True)
class RowLayout:
    """A row of one of the paper's tables.

    Args:
        title: What the paper calls it.
        names: ``config.name`` of its runs; of several, the first that there are runs of.
        paper: The paper's figures in percent by setting, then in the order of the columns; None for a dash.
    """

    title: str
    names: tuple[str, ...]
    paper: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A table.

    Args:
        title: Its heading.
        columns: Title to the place of the number among a run's scores; see :meth:`Record.score`.
        settings: What models were trained on, a part of the table for each; none takes whatever there is.
        corpus: Name of its corpus; none takes whatever there is.
        rows: Its rows; with none, every run belongs, in rows of its own.
        reference: Name of the row that the others are compared with.
        compared: Title of the column in which they are compared.
        note: A sentence below the table.
    """

    title: str
    columns: Mapping[str, str]
    settings: tuple[str, ...] = ()
    corpus: str | None = None
    rows: tuple[RowLayout, ...] = ()
    reference: str | None = None
    compared: str | None = None
    note: str | None = None

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Layout:
        """The layout that a config describes.

        Raises:
            InputError: If a row does not have one figure a column, or the reference is no row.
        """
        settings, columns = tuple(config["settings"] or ()), config["columns"]
        count = max(1, len(settings)) * len(columns)
        rows = tuple(_row(name, of or {}, count) for name, of in (config["rows"] or {}).items())
        reference, compared = config.get("reference"), config.get("compared")
        if reference and not (reference in (config["rows"] or {}) and compared in columns):
            raise InputError(
                f"table.reference: '{reference}' or table.compared: '{compared}' is not in the table"
            )
        return cls(
            title=config["title"],
            columns=columns,
            settings=settings,
            corpus=config.get("corpus"),
            rows=rows,
            reference=reference,
            compared=compared,
            note=config.get("note"),
        )

    def row(self, name: str | None) -> RowLayout | None:
        """The row that runs of a name belong to."""
        return next((row for row in self.rows if name in row.names), None)

    def paper(self, row: RowLayout, setting: int) -> Sequence[float | None]:
        """The paper's figures of a row, one a column, for one of the settings."""
        start = setting * len(self.columns)
        return row.paper[start : start + len(self.columns)]


def _row(name: str, config: Mapping[str, Any], count: int) -> RowLayout:
    paper = tuple(config.get("paper") or [None] * count)
    if len(paper) != count:
        raise InputError(f"table.rows.{name}.paper: {len(paper)} figures for {count} columns")
    return RowLayout(config.get("title") or name, (name, *(config.get("also") or ())), paper)
