"""Tables 2 to 5: rows of runs under one protocol, the paper's figures beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from glre_pyg.evaluation.protocol import Protocol
from glre_pyg.reporting.run_groups import Group, group
from glre_pyg.reporting.run_records import Record, one_protocol
from glre_pyg.reporting.summary import Summary, difference_error
from glre_pyg.reporting.table_layout import Layout
from glre_pyg.utils.exceptions import InputError

RULE = (
    "A finding of the paper (the sign of its difference) holds or not where our difference exceeds twice its "
    "standard error, sqrt(s1²/n1 + s2²/n2), with two runs or more on both sides; otherwise it is not decided."
)
SETTINGS_MAY_DIFFER_IN = ("setting", "dev", "threshold")


@dataclass(frozen=True)
class Difference:
    """A row against the row of reference, in percentage points.

    Args:
        paper: The paper's difference.
        ours: The difference of our means.
        error: Its standard error; None where a row has one run.
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
    """A row of a table.

    Args:
        title: What it is called.
        group: Its runs; None where there is only the paper's.
        paper: The paper's figures by column.
        ours: Ours by column.
        difference: What it differs from the row of reference in, where there is one.
    """

    title: str
    group: Group | None
    paper: Mapping[str, float | None]
    ours: Mapping[str, Summary | None]
    difference: Difference | None = None


@dataclass(frozen=True)
class Section:
    """The rows of one setting, all under one protocol.

    Args:
        setting: What the models were trained on.
        protocol: The protocol; None where there are no runs.
        columns: Titles of the columns that hold anything.
        rows: The rows.
    """

    setting: str
    protocol: Protocol | None
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def encoders(self) -> str:
        """The encoders of the runs; where there are several, with their rows."""
        rows: dict[str, list[str]] = {}
        for row in self.rows:
            if row.group:
                rows.setdefault(row.group.encoder, []).append(row.title)
        if len(rows) < 2:
            return ", ".join(rows) or "none"
        return "; ".join(f"{name} ({', '.join(titles)})" for name, titles in rows.items())


def sections(records: Sequence[Record], layout: Layout, split: str) -> tuple[list[Section], list[str]]:
    """The parts of a table.

    Args:
        records: Finished runs.
        layout: What the table is to hold.
        split: Split of the scores.

    Returns:
        The parts, and a line on each thing that was left out.

    Raises:
        InputError: If no run belongs into the table, or runs of two protocols would share a column.
    """
    kept, notes = _belonging(records, layout, split)
    if layout.settings:
        one_protocol(kept, ignoring=SETTINGS_MAY_DIFFER_IN)
    found = []
    for number, setting in enumerate(layout.settings or ("",)):
        here = [record for record in kept if setting in ("", record.protocol.setting)]
        protocol = one_protocol(here) if here else None
        rows, twice = _rows(layout, number, here, split)
        notes += twice
        columns = tuple(
            title
            for title in layout.columns
            if any(row.ours[title] or row.paper[title] is not None for row in rows)
        )
        found.append(Section(setting, protocol, columns, tuple(rows)))
    return found, notes


def _belonging(records: Sequence[Record], layout: Layout, split: str) -> tuple[list[Record], list[str]]:
    """Runs that the table has a place for, and a line for each reason to leave others out."""
    left: dict[str, list[Record]] = {}
    kept = []
    for record in records:
        if layout.corpus not in (None, record.protocol.corpus):
            reason = f"of another corpus than {layout.corpus}"
        elif layout.rows and layout.row(record.name) is None:
            reason = "with a name that is no row of the table"
        elif layout.settings and record.protocol.setting not in layout.settings:
            reason = f"not trained on {' or '.join(layout.settings)}"
        elif split not in record.scores:
            reason = f"without scores of {split}"
        else:
            kept.append(record)
            continue
        left.setdefault(reason, []).append(record)
    notes = [
        f"left out, {reason}: {', '.join(str(record.folder) for record in rows)}"
        for reason, rows in left.items()
    ]
    if layout.rows:
        there = {(record.protocol.setting, record.name) for record in kept}
        kept = [record for record in kept if _is_first(record, layout, there)]
    if not kept:
        raise InputError(f"runs: none belongs into the table '{layout.title}'; {'; '.join(notes)}")
    return kept, notes


def _is_first(record: Record, layout: Layout, there: set[tuple[str, str | None]]) -> bool:
    """Whether there are no runs of a name that its row prefers."""
    row = layout.row(record.name)
    assert row is not None
    before = takewhile(lambda name: name != record.name, row.names)
    return not any((record.protocol.setting, name) in there for name in before)


def _rows(layout: Layout, setting: int, records: Sequence[Record], split: str) -> tuple[list[Row], list[str]]:
    """Rows of the layout, or of whatever there is where it names none; and the runs that are there twice."""
    if not layout.rows:
        groups, notes = group(records)
        nothing = dict.fromkeys(layout.columns)
        return [Row(each.name, each, nothing, _ours(layout, each, split)) for each in groups], notes
    rows, notes = [], []
    for wanted in layout.rows:
        groups, twice = group([record for record in records if record.name in wanted.names])
        if len(groups) > 1:
            first, second, *_ = (each.records[0].folder for each in groups)
            raise InputError(
                f"{first} and {second}: both are of the row '{wanted.title}', with different configs "
                f"({'; '.join(each.name for each in groups)})"
            )
        found = groups[0] if groups else None
        paper = dict(zip(layout.columns, layout.paper(wanted, setting), strict=True))
        rows.append(Row(wanted.title, found, paper, _ours(layout, found, split)))
        notes += twice
    names = [layout.reference in wanted.names for wanted in layout.rows]
    if not layout.compared or True not in names:
        return rows, notes
    reference, column = rows[names.index(True)], layout.compared
    compared = [
        row if row is reference else replace(row, difference=_difference(row, reference, column))
        for row in rows
    ]
    return compared, notes


def _ours(layout: Layout, found: Group | None, split: str) -> dict[str, Summary | None]:
    return {title: found.summary(split, path) if found else None for title, path in layout.columns.items()}


def _difference(row: Row, reference: Row, column: str) -> Difference:
    paper, paper_reference = row.paper[column], reference.paper[column]
    ours, our_reference = row.ours[column], reference.ours[column]
    return Difference(
        round(paper - paper_reference, 1) if paper is not None and paper_reference is not None else None,
        ours.mean - our_reference.mean if ours and our_reference else None,
        difference_error(ours, our_reference) if ours and our_reference else None,
    )
