"""Figures 3 and 4 over runs, and F1 by row; readable in grey, as hatches, markers and lines differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from glre_pyg.evaluation.breakdown import DISTANCES, MENTIONS
from glre_pyg.reporting.tables import Row, Section
from glre_pyg.utils.exceptions import printable
from glre_pyg.utils.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

F1 = "filtered/f1"
_SHADES = ("#3b6ea5", "#e6891a", "#1b9e77", "#aa4499", "#6b7280", "#b8a400", "#7a4b2a")
_HATCHES = ("", "//", "..", "xx", "\\\\", "++", "oo")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_STYLES = ("-", "--", "-.", ":")
_BARS_UP_TO = 4  # rows; more are lines, which need less room


def draw_plots(sections: Sequence[Section], split: str, folder: Path) -> list[Path]:
    """Draw F1 by row, by entity distance and by number of mentions, as PNG and SVG.

    Args:
        sections: The tables; those without runs are passed over.
        split: Split of the scores.
        folder: Gets the files.

    Returns:
        The PNG files.

    Raises:
        ModuleNotFoundError: If matplotlib is not installed.
    """
    drawn = []
    for section in sections:
        rows = [row for row in section.rows if row.group]
        if not rows:
            continue
        ending = f"_{section.setting.replace('+', '_')}" if len(sections) > 1 else ""

        def by_row(axes: Axes, rows: list[Row] = rows) -> None:
            _draw_rows(axes, rows, split)

        def by_distance(axes: Axes, rows: list[Row] = rows) -> None:
            _draw_breakdown(axes, rows, split, "by_distance", DISTANCES)
            axes.set_xlabel("shortest distance of the two entities (sentences)")

        def by_mentions(axes: Axes, rows: list[Row] = rows) -> None:
            _draw_breakdown(axes, rows, split, "by_mentions", MENTIONS)
            axes.set_xlabel("average number of mentions of the two entities")

        drawn.append(_save(by_row, (6.4, 1.2 + 0.42 * len(rows)), folder / f"f1{ending}"))
        height = 3.8 + 0.2 * len(rows)
        drawn.append(_save(by_distance, (6.4, height), folder / f"distance{ending}"))
        drawn.append(_save(by_mentions, (6.4, height), folder / f"mentions{ending}"))
    return drawn


def _save(draw: Callable[[Axes], None], size: tuple[float, float], path: Path) -> Path:
    """Draw on new axes, and write PNG and SVG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    draw(axes)
    if len(handles := axes.get_legend_handles_labels()[0]) > 0:
        figure.legend(loc="outside lower center", ncols=1 if len(handles) > 4 else 2, frameon=False)
    for ending in (".png", ".svg"):
        with atomic_path(path.with_suffix(ending)) as part:
            figure.savefig(part, dpi=150, format=ending[1:])
    return path.with_suffix(".png")


def _draw_rows(axes: Axes, rows: Sequence[Row], split: str) -> None:
    """A bar for each row, with its deviation, and the paper's figure where there is one."""
    papers = []
    for place, row in enumerate(rows):
        assert row.group is not None
        ours = row.group.summary(split, F1)
        if ours is None:
            continue
        axes.barh(
            place,
            ours.mean,
            xerr=ours.deviation,
            height=0.62,
            capsize=4,
            color="#c9d5e3",
            edgecolor="#333333",
            label="ours, mean and standard deviation over runs" if not place else None,
        )
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
    """F1 by bin: bars side by side for a few rows, lines for many. Bins without facts stay empty."""
    bars = len(rows) <= _BARS_UP_TO
    width = (0.8 if bars else 0.3) / len(rows)
    for number, row in enumerate(rows):
        assert row.group is not None
        found = [(place, row.group.summary(split, f"{kind}/{name}/f1")) for place, name in enumerate(bins)]
        shown = [(place, of) for place, of in found if of is not None]
        middle = (number - (len(rows) - 1) / 2) * width
        places, means = [place + middle for place, _ in shown], [of.mean for _, of in shown]
        errors = [of.deviation or 0.0 for _, of in shown]
        color = _SHADES[number % len(_SHADES)]
        if bars:
            hatch = _HATCHES[number % len(_HATCHES)]
            axes.bar(
                places,
                means,
                width * 0.92,
                yerr=errors,
                capsize=3,
                label=_plain(row.title),
                color=color,
                hatch=hatch,
                edgecolor="white",
            )
        else:
            style, marker = _STYLES[number % len(_STYLES)], _MARKERS[number % len(_MARKERS)]
            axes.errorbar(
                places,
                means,
                errors,
                capsize=3,
                label=_plain(row.title),
                color=color,
                linestyle=style,
                marker=marker,
            )
    axes.set_xticks(range(len(bins)), [name.replace(">=", "≥ ") for name in bins])
    axes.set_ylim(0, None)
    axes.grid(axis="y", color="#dddddd")
    axes.set_ylabel(f"F1 on {split} (%)")


def _plain(title: str) -> str:
    """A title in which nothing means mathematics, a line of its own, or that it is not to be shown."""
    shown = printable(title).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown
