"""A report: tables as Markdown and CSV, and plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glre_pyg.evaluation.significance import Interval
from glre_pyg.reporting.plots import draw_plots
from glre_pyg.reporting.run_groups import Summary
from glre_pyg.reporting.run_records import is_score, read_records
from glre_pyg.reporting.tables import RULE, Layout, Row, Section, sections
from glre_pyg.utils.console import echo
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import write_text
from glre_pyg.utils.markdown import escape
from glre_pyg.utils.table import Table

CONDITIONS = "The paper's figures are under its own protocol and encoder, ours under those above."
FIELDS = (
    *("setting", "row", "runs", "seeds", "score", "paper", "mean", "deviation"),
    *("paper_difference", "difference", "standard_error", "finding", "low", "high", "p_value"),
)
TESTS = (
    "Intervals of F1 and of its difference to {reference} (Δ) are 95 % bootstrap intervals over documents, "
    "of means over runs. p is that of a paired bootstrap, Holm-corrected for the number of rows; a row "
    "differs if p < 0.05."
)


@dataclass(frozen=True)
class Report:
    """Tables of runs, a section for each training setting, and lines about runs that were left out."""

    layout: Layout
    split: str
    sections: Sequence[Section]
    notes: Sequence[str]

    @classmethod
    def of(cls, runs: str | Sequence[str], layout: Layout, split: str) -> Report:
        """Create a report of runs; see :func:`~glre_pyg.reporting.run_records.find_runs`.

        Raises:
            InputError: If there are none, or they have different protocols.
        """
        if split not in ("dev", "test"):
            raise InputError(f"split: '{split}' is not one of dev, test")
        records, unfinished = read_records(runs)
        parts, notes = sections(records, layout, split)
        if unfinished:
            notes.insert(0, f"left out, unfinished: {', '.join(map(str, unfinished))}")
        return cls(layout, split, parts, notes)

    def markdown(self, plots: Sequence[Path] = ()) -> str:
        """Return the report as Markdown.

        Args:
            plots: Pictures to show at its end, in the same folder.
        """
        parts = [f"# {escape(self.layout.title)}"]
        for section in self.sections:
            if len(self.sections) > 1:
                parts.append(f"## Trained on {escape(section.setting)}")
            protocol = escape(str(section.protocol or "none, there are no runs"))
            parts += [f"Protocol: {protocol}.", f"Encoder: {escape(section.encoders)}."]
            if any(figure is not None for row in section.rows for figure in row.paper.values()):
                parts.append(CONDITIONS)
            parts.append(_section_table(section, self.layout).to_markdown())
        parts.append(
            f"Ours: percent on {self.split}, mean ± sample standard deviation over runs with different seeds."
        )
        if self.layout.tested:
            titles = [row.title for row in self.layout.rows if self.layout.reference in row.names]
            parts.append(TESTS.format(reference=escape(titles[0])))
        if any(row.difference for section in self.sections for row in section.rows):
            parts.append(RULE)
        parts += [self.layout.note] if self.layout.note else []
        parts += ["\n".join(f"- {escape(note)}" for note in self.notes)] if self.notes else []
        parts += [f"![{path.stem}]({path.name})" for path in plots]
        return "\n\n".join(parts) + "\n"

    def csv(self) -> str:
        """Return the report as CSV: a line for each row and score, in percent."""
        rows = [
            self._csv_row(section, row, score)
            for section in self.sections
            for row in section.rows
            for score in section.columns
        ]
        return Table(FIELDS, rows).to_csv(lineterminator="\n")

    def _csv_row(self, section: Section, row: Row, score: str) -> list[str | float | None]:
        ours = row.ours[score]
        is_compared = score == self.layout.compared
        difference = row.difference if is_compared else None
        low, high = (100 * bound for bound in row.interval) if row.interval and is_compared else (None, None)
        test = row.test if is_compared else None
        return [
            section.protocol.setting if section.protocol else section.setting,
            row.title,
            len(row.group.records) if row.group else 0,
            row.group.seeds if row.group else "",
            score,
            row.paper[score],
            *((ours.mean, ours.deviation) if ours else (None, None)),
            difference.paper if difference else None,
            100 * test.difference if test else difference.ours if difference else None,
            difference.error if difference else None,
            difference.finding if difference else None,
            *(low, high),
            test.p_value if test else None,
        ]

    def write(self, folder: Path) -> str:
        """Write ``report.md``, ``report.csv`` and the plots, and return the Markdown without the plots.

        Without matplotlib, a line is printed in place of the plots.
        """
        folder.mkdir(parents=True, exist_ok=True)
        write_text(self.csv(), folder / "report.csv")
        try:
            plots = draw_plots(self.sections, self.split, folder)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "matplotlib":
                raise
            echo("plots need matplotlib, which is not installed: pip install matplotlib")
            plots = []
        write_text(self.markdown(plots), folder / "report.md")
        return self.markdown()


def _section_table(section: Section, layout: Layout) -> Table:
    """Return the rows of a section, the paper's figures before ours in columns for which it has any."""
    in_paper = {title for title in section.columns for row in section.rows if row.paper[title] is not None}
    compares = any(row.difference for row in section.rows)
    columns = ["", "runs"]
    for title in section.columns:
        columns += [f"{title} paper", f"{title} ours"] if title in in_paper else [title]
        if layout.tested and title == layout.compared:
            columns += ["95 %", f"Δ {title}", "95 % of Δ", "p", "differs"]
    if compares:
        columns += [f"Δ {layout.compared} paper", f"Δ {layout.compared} ours", "paper's finding"]
    rows = []
    for row in section.rows:
        cells = [row.title, str(len(row.group.records)) if row.group else "paper only"]
        for title in section.columns:
            cells += [_number(row.paper[title], ".1f")] if title in in_paper else []
            cells.append(_ours(row.ours[title], layout.columns[title]))
            if layout.tested and title == layout.compared:
                cells += _test_cells(row)
        if compares and row.difference:
            paper_difference, ours = row.difference.paper, row.difference.ours
            cells += [_number(paper_difference, "+.1f"), _number(ours, "+.2f"), row.difference.finding]
        elif compares:
            cells += ["-", "-", "-"]
        rows.append(list(map(escape, cells)))
    return Table(list(map(escape, columns)), rows)


def _ours(summary: Summary | None, path: str) -> str:
    """Format a score with its deviation, and a cost or a setting as its mean."""
    if summary is None:
        return "-"
    if is_score(path):
        return str(summary)
    return f"{summary.mean:.3g}" if summary.mean < 1000 else f"{summary.mean:,.0f}"


def _test_cells(row: Row) -> list[str]:
    """Return the interval of F1, and the difference with its interval, p value and significance."""
    interval = _interval(row.interval, ".1f") if row.interval else "-"
    if row.test is None:
        return [interval, "-", "-", "-", "-"]
    p_value = row.test.p_value
    return [
        interval,
        f"{100 * row.test.difference:+.2f}",
        _interval(row.test.interval, "+.1f"),
        f"{p_value:.4f}",
        "yes" if p_value < 0.05 else "no",
    ]


def _interval(interval: Interval, format_spec: str) -> str:
    return " to ".join(format(100 * bound, format_spec) for bound in interval)


def _number(value: float | None, format_spec: str) -> str:
    return "-" if value is None else format(value, format_spec)
