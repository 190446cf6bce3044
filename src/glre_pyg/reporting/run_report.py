"""A report: Markdown to read, CSV to compute with, plots to show."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from glre_pyg.reporting.markdown_table import markdown_table
from glre_pyg.reporting.plots import draw_plots
from glre_pyg.reporting.run_records import read_records
from glre_pyg.reporting.table_layout import Layout
from glre_pyg.reporting.tables import RULE, Section, sections
from glre_pyg.utils.cells import quoted
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import write_text
from glre_pyg.utils.markdown import escape

CONDITIONS = "Figures of the paper are under the paper's protocol and encoder; ours under the one above."
FIELDS = (
    "setting",
    "row",
    "runs",
    "seeds",
    "score",
    "paper",
    "mean",
    "deviation",
    "paper_difference",
    "difference",
    "standard_error",
    "finding",
)


@dataclass(frozen=True)
class Report:
    """Tables of runs.

    Args:
        layout: What was asked for.
        split: Split of the scores.
        sections: The tables, one a setting.
        notes: What was left out.
    """

    layout: Layout
    split: str
    sections: Sequence[Section]
    notes: Sequence[str]

    @classmethod
    def of(cls, runs: Sequence[str], layout: Layout, split: str) -> Report:
        """The report of the runs below folders or glob patterns.

        Raises:
            InputError: If there are none, or they are of two protocols.
        """
        if split not in ("dev", "test"):
            raise InputError(f"split: '{split}' is not one of dev, test")
        records, unfinished = read_records(runs)
        found, notes = sections(records, layout, split)
        if unfinished:
            notes.insert(0, f"left out, unfinished: {', '.join(map(str, unfinished))}")
        return cls(layout, split, found, notes)

    def markdown(self, plots: Sequence[Path] = ()) -> str:
        """The report as Markdown.

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
            parts.append(markdown_table(section, self.layout.compared))
        parts.append(
            f"Ours: percent on {self.split}, mean ± sample standard deviation over runs with different seeds."
        )
        if any(row.difference for section in self.sections for row in section.rows):
            parts.append(RULE)
        parts += [self.layout.note] if self.layout.note else []
        parts += ["\n".join(f"- {escape(note)}" for note in self.notes)] if self.notes else []
        parts += [f"![{path.stem}]({path.name})" for path in plots]
        return "\n\n".join(parts) + "\n"

    def csv(self) -> str:
        """The report as CSV: a line for each row and score, in percent; no name is a formula."""
        file = StringIO()
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        for section in self.sections:
            for row in section.rows:
                for score in section.columns:
                    ours = row.ours[score]
                    line: dict[str, object] = {
                        "setting": quoted(section.protocol.setting if section.protocol else section.setting),
                        "row": quoted(row.title),
                        "runs": len(row.group.records) if row.group else 0,
                        "seeds": quoted(row.group.seeds) if row.group else "",
                        "score": score,
                        "paper": row.paper[score],
                        "mean": ours and ours.mean,
                        "deviation": ours and ours.deviation,
                    }
                    if row.difference and score == self.layout.compared:
                        line["paper_difference"] = row.difference.paper
                        line["difference"] = row.difference.ours
                        line["standard_error"] = row.difference.error
                        line["finding"] = row.difference.finding
                    writer.writerow(line)
        return file.getvalue()

    def write(self, folder: Path) -> str:
        """Write ``report.md``, ``report.csv`` and the plots; give the Markdown.

        Without matplotlib there are no plots, and a line says so.
        """
        folder.mkdir(parents=True, exist_ok=True)
        write_text(self.csv(), folder / "report.csv")
        try:
            plots = draw_plots(self.sections, self.split, folder)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "matplotlib":
                raise
            print("plots need matplotlib, which is not installed: pip install matplotlib")
            plots = []
        text = self.markdown(plots)
        write_text(text, folder / "report.md")
        return text
