"""Tables 2 to 5 and the bench, as ``conf/table`` lays them out: rows of runs beside the paper's figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, NamedTuple

import numpy as np

from glre_pyg.evaluation.protocol import Protocol
from glre_pyg.evaluation.significance import Interval, PairedTest, bootstrap_test, holm, mean_f1_interval
from glre_pyg.reporting.run_comparison import aligned_counts
from glre_pyg.reporting.run_groups import Group, Summary, difference_error, group
from glre_pyg.reporting.run_records import Record, common_protocol
from glre_pyg.utils.console import plural
from glre_pyg.utils.exceptions import InputError

RULE = (
    "A finding of the paper (the sign of its difference) holds or does not hold if our difference exceeds "
    "twice its standard error, sqrt(s1²/n1 + s2²/n2), with two or more runs on both sides; otherwise it is "
    "not decided."
)


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
        columns: Title of each column, and the path of its number; see :meth:`Record.value`.
        settings: Training settings, a section of the table for each; if empty, runs may have any one setting.
        corpus: Name of the corpus; None for any one corpus.
        rows: Rows, of which those without runs and figures are left out; if empty, every run belongs to the
            table, in rows by settings.
        reference: Name of the row that the others are compared with.
        compared: Title of the column in which they are compared.
        tested: Whether differences in filtered F1 are tested by a bootstrap over documents, in place of the
            paper's findings.
        note: A sentence below the table.
    """

    title: str
    columns: Mapping[str, str]
    settings: tuple[str, ...]
    corpus: str | None
    rows: tuple[RowLayout, ...]
    reference: str | None
    compared: str | None
    tested: bool
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
            tested=bool(config.get("tested")),
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
        figures = f"{len(paper)} {plural(len(paper), 'figure')}"
        raise InputError(f"table.rows.{name}.paper: {figures} for {count} {plural(count, 'column')}")
    return RowLayout(config.get("title") or name, (name, *(config.get("also") or ())), paper)


@dataclass(frozen=True)
class Difference:
    """Difference between a row and the reference row, in percentage points.

    Args:
        paper: Difference in the paper.
        ours: Difference of our means, with its standard error, None if a row has one run.
    """

    paper: float | None
    ours: float | None
    error: float | None

    @property
    def finding(self) -> str:
        """Whether the sign of the paper's difference holds; see :data:`RULE`."""
        if not self.paper or self.ours is None:
            return "-"
        if self.error is None or abs(self.ours) <= 2 * self.error:
            return "not decided"
        return "holds" if (self.ours > 0) == (self.paper > 0) else "does not hold"


@dataclass(frozen=True)
class Row:
    """A row of a table: the paper's figures and our scores by column, as far as there are any.

    Args:
        title: Title.
        group: Its runs; None if there are only the paper's figures.
        paper, ours: Figures and scores by column.
        difference: Difference from the reference row, if there is one.
        interval: 95 % interval of filtered F1, in a table with tests.
        test: Test of the difference, with a p value adjusted for the number of rows, likewise.
    """

    title: str
    group: Group | None
    paper: Mapping[str, float | None]
    ours: Mapping[str, Summary | None]
    difference: Difference | None = None
    interval: Interval | None = None
    test: PairedTest | None = None


@dataclass(frozen=True)
class Section:
    """Rows of one training setting, all under one protocol, and the columns that are not empty."""

    setting: str
    protocol: Protocol | None
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def encoders(self) -> str:
        """Encoders of the runs; if there are several, with the titles of their rows."""
        titles: dict[str, list[str]] = {}
        for row in self.rows:
            if row.group:
                titles.setdefault(row.group.encoder, []).append(row.title)
        if len(titles) < 2:
            return ", ".join(titles) or "none"
        return "; ".join(f"{encoder} ({', '.join(rows)})" for encoder, rows in titles.items())


def sections(records: Sequence[Record], layout: Layout, split: str) -> tuple[list[Section], list[str]]:
    """Sort finished runs into the sections and rows of a table, by their scores on a split.

    Returns:
        The sections, and a line about each run that was left out.

    Raises:
        InputError: If no run belongs in the table, or runs of one section have different protocols.
    """
    members, notes = _members(records, layout, split)
    if layout.settings:
        common_protocol(members, ignore=("setting", "dev", "threshold"))
    parts = []
    for number, setting in enumerate(layout.settings or ("",)):
        runs = [record for record in members if setting in ("", record.protocol.setting)]
        protocol = common_protocol(runs) if runs else None
        rows, duplicates = _rows(layout, number, runs, split)
        notes += duplicates
        columns = tuple(
            title
            for title in layout.columns
            if any(row.ours[title] or row.paper[title] is not None for row in rows)
        )
        parts.append(Section(setting, protocol, columns, tuple(rows)))
    return parts, notes


def _members(records: Sequence[Record], layout: Layout, split: str) -> tuple[list[Record], list[str]]:
    """Return the runs that belong in a table, and a line for each reason why others do not."""
    members: list[Record] = []
    left_out: dict[str, list[str]] = {}
    for record in records:
        if reason := _mismatch(record, layout, split):
            left_out.setdefault(reason, []).append(str(record.folder))
        else:
            members.append(record)
    notes = [f"left out, {reason}: {', '.join(folders)}" for reason, folders in left_out.items()]
    if layout.rows:
        present = {(record.protocol.setting, record.name) for record in members}
        members = [record for record in members if _is_preferred(record, layout, present)]
    if not members:
        raise InputError(f"runs: none belongs in the table '{layout.title}'; {'; '.join(notes)}")
    return members, notes


def _mismatch(record: Record, layout: Layout, split: str) -> str | None:
    """Return why a run does not belong in a table."""
    if layout.corpus not in (None, record.protocol.corpus):
        return f"of another corpus than {layout.corpus}"
    if layout.rows and layout.row(record.name) is None:
        return "with a name that is no row of the table"
    if layout.settings and record.protocol.setting not in layout.settings:
        return f"not trained on {' or '.join(layout.settings)}"
    return f"without scores of {split}" if split not in record.scores else None


def _is_preferred(record: Record, layout: Layout, present: set[tuple[str, str | None]]) -> bool:
    """Whether there are no runs of a name that the row prefers to this one."""
    row = layout.row(record.name)
    assert row is not None
    preferred = takewhile(lambda name: name != record.name, row.names)
    return not any((record.protocol.setting, name) in present for name in preferred)


def _rows(layout: Layout, setting: int, records: Sequence[Record], split: str) -> tuple[list[Row], list[str]]:
    """Return the rows of a layout, or rows by settings if it has none, and notes on duplicate runs."""

    def row(title: str, runs: Group | None, paper: Mapping[str, float | None]) -> Row:
        scores = {column: runs and runs.summary(split, path) for column, path in layout.columns.items()}
        return Row(title, runs, paper, scores)

    if not layout.rows:
        groups, notes = group(records)
        return [row(runs.name, runs, dict.fromkeys(layout.columns)) for runs in groups], notes
    rows, notes = [], []
    for row_layout in layout.rows:
        groups, duplicates = group([record for record in records if record.name in row_layout.names])
        if len(groups) > 1:
            first, second, *_ = (runs.records[0].folder for runs in groups)
            raise InputError(
                f"{first} and {second}: both belong to the row '{row_layout.title}', with different configs "
                f"({'; '.join(runs.name for runs in groups)})"
            )
        paper = dict(zip(layout.columns, layout.paper(row_layout, setting), strict=True))
        rows.append(row(row_layout.title, groups[0] if groups else None, paper))
        notes += duplicates
    if not layout.reference or not layout.compared:
        return [row for row in rows if row.group or any(row.paper.values())], notes
    place = [layout.reference in row_layout.names for row_layout in layout.rows].index(True)
    if layout.tested:
        return _with_tests(rows, place, split), notes
    return [
        one if one is rows[place] else replace(one, difference=_difference(one, rows[place], layout.compared))
        for one in rows
    ], notes


def _with_tests(rows: Sequence[Row], place: int, split: str) -> list[Row]:
    """Return the rows that have runs, with intervals, and tests against the row at a place if it has runs."""
    present = [row for row in rows if row.group]
    records = [record for row in present if row.group for record in row.group.records]
    aligned = iter(aligned_counts(records, split))
    counts = {row.title: np.stack([next(aligned) for _ in row.group.records]) for row in present if row.group}
    tests: dict[str, PairedTest] = {}
    if (reference := rows[place].title) in counts:
        tests = {
            title: bootstrap_test(runs, counts[reference])
            for title, runs in counts.items()
            if title != reference
        }
    adjusted = holm([test.p_value for test in tests.values()])
    tests = {
        title: replace(test, p_value=p_value)
        for (title, test), p_value in zip(tests.items(), adjusted, strict=True)
    }
    return [
        replace(row, interval=mean_f1_interval(counts[row.title]), test=tests.get(row.title))
        for row in present
    ]


def _difference(row: Row, reference: Row, column: str) -> Difference:
    paper, paper_reference = row.paper[column], reference.paper[column]
    ours, our_reference = row.ours[column], reference.ours[column]
    return Difference(
        round(paper - paper_reference, 1) if paper is not None and paper_reference is not None else None,
        ours.mean - our_reference.mean if ours and our_reference else None,
        difference_error(ours, our_reference) if ours and our_reference else None,
    )
