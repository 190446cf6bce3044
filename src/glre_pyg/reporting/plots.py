"""Figures 3 and 4 over runs, F1 by row, and reliability diagrams.

They are readable in grey, as hatches, markers and line styles differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glre_pyg.evaluation.breakdown import DISTANCES, MENTIONS
from glre_pyg.evaluation.calibration import BINS
from glre_pyg.reporting.tables import Row, Section
from glre_pyg.utils.console import printable
from glre_pyg.utils.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

F1 = "filtered/f1"
_BREAKDOWNS = (
    ("distance", "by_distance", DISTANCES, "shortest distance of the two entities (sentences)"),
    ("mentions", "by_mentions", MENTIONS, "average number of mentions of the two entities"),
)
_COLORS = ("#3b6ea5", "#e6891a", "#1b9e77", "#aa4499", "#6b7280", "#b8a400", "#7a4b2a")
_HATCHES = ("", "//", "..", "xx", "\\\\", "++", "oo")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_STYLES = ("-", "--", "-.", ":")
_MAX_BARS = 4  # rows; more are drawn as lines, which need less room


def draw_plots(sections: Sequence[Section], split: str, folder: Path) -> list[Path]:
    """Draw F1 by row, entity distance and number of mentions, and reliability, as PNG and SVG.

    Sections without runs are skipped, and so is the reliability of runs without any. Returns the PNG files.

    Raises:
        ModuleNotFoundError: If matplotlib is not installed.
    """
    files = []
    for section in sections:
        rows = [row for row in section.rows if row.group]
        if not rows:
            continue
        suffix = f"_{section.setting.replace('+', '_')}" if len(sections) > 1 else ""
        axes = _new_axes(1.2 + 0.42 * len(rows))
        _draw_rows(axes, rows, split)
        files.append(_save(axes, folder / f"f1{suffix}"))
        for name, kind, bins, label in _BREAKDOWNS:
            axes = _new_axes(3.8 + 0.2 * len(rows))
            _draw_breakdown(axes, rows, split, kind, bins)
            axes.set_xlabel(label)
            files.append(_save(axes, folder / f"{name}{suffix}"))
        axes = _new_axes(4.6 + 0.2 * len(rows))
        if _draw_reliability(axes, rows, split):
            files.append(_save(axes, folder / f"reliability{suffix}"))
    return files


def _new_axes(height: float) -> Axes:
    from matplotlib.figure import Figure

    axes = Figure(figsize=(6.4, height), layout="constrained").add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    return axes


def _save(axes: Axes, path: Path) -> Path:
    figure: Any = axes.figure
    if handles := axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside lower center", ncols=1 if len(handles) > 4 else 2, frameon=False)
    for suffix in (".png", ".svg"):
        with atomic_path(path.with_suffix(suffix)) as file:
            figure.savefig(file, dpi=150, format=suffix[1:])
    return path.with_suffix(".png")


def _draw_rows(axes: Axes, rows: Sequence[Row], split: str) -> None:
    """Draw a bar for each row, with its deviation, and a marker for the paper's figure if there is one."""
    papers = []
    look: dict[str, Any] = {"height": 0.62, "capsize": 4, "color": "#c9d5e3", "edgecolor": "#333333"}
    for place, row in enumerate(rows):
        ours = row.group and row.group.summary(split, F1)
        if ours is None:
            continue
        label = "ours, mean and standard deviation over runs" if not place else None
        axes.barh(place, ours.mean, xerr=ours.deviation, label=label, **look)
        if (paper := row.paper.get("F1")) is not None:
            papers.append((paper, place))
    if papers:
        axes.plot(*zip(*papers, strict=True), "D", color="black", markersize=6, label="the paper's figure")
    axes.set_yticks(range(len(rows)), [_plain(row.title) for row in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.grid(axis="x", color="#dddddd")
    axes.set_xlabel(f"F1 on {split} (%)")


def _draw_breakdown(axes: Axes, rows: Sequence[Row], split: str, kind: str, bins: Sequence[str]) -> None:
    """Draw F1 by bin: grouped bars for a few rows, lines for many. Bins without facts stay empty."""
    bars = len(rows) <= _MAX_BARS
    width = (0.8 if bars else 0.3) / len(rows)
    for number, row in enumerate(rows):
        summaries = [row.group and row.group.summary(split, f"{kind}/{name}/f1") for name in bins]
        points = [(place, summary) for place, summary in enumerate(summaries) if summary is not None]
        x = [place + (number - (len(rows) - 1) / 2) * width for place, _ in points]
        y = [summary.mean for _, summary in points]
        common: dict[str, Any] = {
            "yerr": [summary.deviation or 0.0 for _, summary in points],
            "capsize": 3,
            "label": _plain(row.title),
            "color": _COLORS[number % len(_COLORS)],
        }
        if bars:
            axes.bar(x, y, width * 0.92, hatch=_HATCHES[number % len(_HATCHES)], edgecolor="white", **common)
        else:
            style, marker = _STYLES[number % len(_STYLES)], _MARKERS[number % len(_MARKERS)]
            axes.errorbar(x, y, linestyle=style, marker=marker, **common)
    axes.set_xticks(range(len(bins)), [name.replace(">=", "≥ ") for name in bins])
    axes.set_ylim(0, None)
    axes.grid(axis="y", color="#dddddd")
    axes.set_ylabel(f"F1 on {split} (%)")


def _draw_reliability(axes: Axes, rows: Sequence[Row], split: str) -> bool:
    """Draw the share of facts by probability, of a single row also before calibration.

    Returns whether the runs have any.
    """
    kinds = ("reliability", "reliability_before") if len(rows) == 1 else ("reliability",)
    lines = [(row, kind, _reliability(row, split, kind)) for row in rows for kind in kinds]
    axes.plot([0, 100], [0, 100], color="#999999", linewidth=1)
    for number, (row, kind, points) in enumerate(lines):
        if points:
            axes.plot(
                *zip(*points, strict=True),
                label=_plain(row.title) + (", before calibration" if kind != kinds[0] else ""),
                color=_COLORS[number % len(_COLORS)],
                linestyle=_STYLES[number % len(_STYLES)],
                marker=_MARKERS[number % len(_MARKERS)],
            )
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axes.set_aspect("equal")
    axes.grid(color="#dddddd")
    axes.set_xlabel(f"probability on {split}, mean of each tenth (%)")
    axes.set_ylabel("share of facts (%)")
    return any(points for *_, points in lines)


def _reliability(row: Row, split: str, kind: str) -> list[tuple[float, float]]:
    """Return mean probability and share of facts of each bin that some run of a row has, means over runs."""
    points = []
    for name in BINS:
        mean, share = (
            row.group and row.group.summary(split, f"{kind}/{name}/{of}") for of in ("mean", "share")
        )
        if mean and share:
            points.append((mean.mean, share.mean))
    return points


def _plain(title: str) -> str:
    """Escape a title, in which ``$`` starts mathematics; matplotlib hides labels that start with ``_``."""
    text = printable(title).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text
