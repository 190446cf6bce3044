"""Time and peak memory of GLRE against words, entities and documents a batch.

One of the three sizes grows, the others stay; documents are invented, in sentences of 20 words. Each point
is one step of training or of prediction in a process of its own, so that the peak of memory is that point's;
the peak of a step on a document of 60 words, which has model, gradients and optimizer in it, is subtracted.
The exponent of a curve is the slope of log time on log size by least squares, over all sizes and over their
upper half: 1 is linear. Writes scaling.json and scaling.png, and prints Markdown tables.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import (
    MARKERS,
    SHADES,
    STYLES,
    Record,
    check,
    exponent,
    header,
    in_child,
    machine_line,
    number,
    parser,
    write,
)

from glre_pyg.utils.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EXAMPLES = """
examples:
  python benchmarks/scaling.py
  python benchmarks/scaling.py --axes entities --modes predict --entities 5 50 300
  python benchmarks/scaling.py --encoder tiny

minilm is the real one where it can be had, else of its size with random weights. A point that does not fit
into --budget-gib is recorded as such.
"""
AXES = ("words", "entities", "batch")
MODES = ("train", "predict")
TOLERANCE = 0.1
"""By which an exponent may exceed that of a claim: times on a shared machine are not exact."""


def arguments() -> Namespace:
    """The options of the command."""
    out = parser(__doc__ or "", EXAMPLES)
    out.add_argument("--axes", nargs="+", choices=AXES, default=AXES, help="what grows (all)")
    out.add_argument("--modes", nargs="+", choices=MODES, default=MODES, help="(both)")
    out.add_argument("--encoder", choices=["minilm", "bert_base", "tiny"], help="(minilm)")
    out.add_argument("--words", nargs="+", type=int, help="(250 to 20,000; with 20 entities)")
    out.add_argument("--entities", nargs="+", type=int, help="(5 to 300; in 2,000 words)")
    out.add_argument("--batch", nargs="+", type=int, help="(1 to 64; of 250 words and 10 entities)")
    out.add_argument("--most-trained", type=int, default=100, help="entities of training, at most (100)")
    out.add_argument("--mentions", type=int, default=2, help="mentions of each entity (2)")
    out.add_argument("--repeats", type=int, help="timed steps a point, at most (5)")
    out.add_argument(
        "--seconds", type=float, default=30, help="after so many, a point begins no further step (30)"
    )
    out.add_argument("--budget-gib", type=float, default=8, help="memory of a process, model included (8)")
    options = out.parse_args()
    check(out, options)
    usual: Record = {
        "encoder": "minilm",
        "words": [250, 500, 1000, 2000, 5000, 10_000, 20_000],
        "entities": [5, 10, 20, 50, 100, 200, 300],
        "batch": [1, 2, 4, 8, 16, 32, 64],
        "repeats": 5,
    }
    quick: Record = {"encoder": "tiny", "words": [60, 120], "entities": [4, 8], "batch": [1, 2], "repeats": 2}
    for name, value in (quick if options.quick else usual).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    options.fixed = {"words": 60, "entities": 4, "batch": 1} if options.quick else {}
    return options


def shape(axis: str, size: int, fixed: Mapping[str, int]) -> Record:
    """Words and entities of a document and documents a batch, where one of the three has a given size."""
    others = {
        "words": {"words": size, "entities": 20, "batch_size": 1},
        "entities": {"words": 2000, "entities": size, "batch_size": 1},
        "batch": {"words": 250, "entities": 10, "batch_size": size},
    }
    small = {"words": fixed.get("words"), "entities": fixed.get("entities"), "batch_size": fixed.get("batch")}
    own = "batch_size" if axis == "batch" else axis
    return {
        name: value if name == own or small[name] is None else small[name]
        for name, value in others[axis].items()
    }


def run(options: Namespace) -> Record:
    """All points and their exponents, as JSON has them; written after each, so that none is lost."""
    common = {"device": options.device, "threads": options.threads}
    found = header("scaling", options.seed, **common)
    found |= {"encoder": options.encoder, "precision": options.precision, "device": options.device}
    found["baseline"] = (
        "above_baseline_mib is the highest resident memory (on a GPU: allocated) during the first step, less "
        "that during a step on a document of 60 words, with model, gradients and optimizer in it"
    )
    found["points"] = []
    for axis in options.axes:
        for mode in options.modes:
            for size in getattr(options, axis):
                if axis == "entities" and mode == "train" and size > options.most_trained:
                    continue
                of = shape(axis, size, options.fixed)
                print(f"measuring {axis} {size:,}, {mode} ...", file=sys.stderr, flush=True)
                result = in_child(
                    "point",
                    **common,
                    **of,
                    precision=options.precision,
                    seed=options.seed,
                    encoder=options.encoder,
                    mode=mode,
                    mentions=options.mentions,
                    repeats=options.repeats,
                    seconds=options.seconds,
                    budget_gib=options.budget_gib,
                )
                found["points"].append({"axis": axis, "mode": mode, "size": size, **of, **result})
                found["fits"] = fits(found["points"])
                found["claims"] = claims(found["fits"])
                write(found, options.output / "scaling.json")
    return found


def fits(points: Sequence[Mapping[str, Any]]) -> list[Record]:
    """Exponents of time and of memory for each axis and mode; with growing entities, against pairs too."""
    out: list[Record] = []
    for axis in AXES:
        for mode in MODES:
            chosen = [
                each
                for each in points
                if (each["axis"], each["mode"]) == (axis, mode) and "failed" not in each
            ]
            for against in ("size", "pairs") if axis == "entities" else ("size",):
                for measure, value in _MEASURES.items():
                    if len(chosen) > 1:
                        fit = exponent([each[against] for each in chosen], [value(each) for each in chosen])
                        name = "pairs" if against == "pairs" else axis
                        out.append({"axis": axis, "mode": mode, "measure": measure, "against": name, **fit})
    return out


_MEASURES = {
    "time": lambda point: point["step_s"]["median"],
    "memory": lambda point: point["memory"]["above_baseline_mib"],
}


def claims(found: Sequence[Mapping[str, Any]]) -> list[Record]:
    """What the exponents have to show: time linear in words, memory linear in pairs, each at most."""
    return [
        {
            "claim": f"{fit['measure']} of {fit['mode']} grows no faster than linearly in {fit['against']}",
            "exponent": fit["upper_half"],
            "tolerance": TOLERANCE,
            "holds": fit["upper_half"] <= 1 + TOLERANCE,
        }
        for fit in found
        if (fit["measure"], fit["against"]) in (("time", "words"), ("memory", "pairs"))
        and fit["upper_half"] is not None
    ]


def tables(found: Mapping[str, Any]) -> str:
    """The measurements as Markdown."""
    parts = [machine_line(found)]
    for axis in AXES:
        points = [each for each in found["points"] if each["axis"] == axis]
        if not points:
            continue
        sizes = sorted({each["size"] for each in points})
        rows = []
        for size in sizes:
            row = [f"{size:,}"]
            for mode in MODES:
                of = next((each for each in points if (each["mode"], each["size"]) == (mode, size)), None)
                row += ["", ""] if of is None else _cells(of)
            rows.append(row)
        columns = [axis, "train s", "train MiB", "predict s", "predict MiB"]
        parts.append(Table(columns, rows).to_markdown())
    columns = ["exponent of", "against", "all sizes", "upper half"]
    rows = [
        [
            f"{fit['mode']} {fit['measure']}, {fit['axis']}",
            fit["against"],
            number(fit["exponent"]),
            number(fit["upper_half"]),
        ]
        for fit in found["fits"]
    ]
    parts.append(Table(columns, rows).to_markdown())
    parts += [
        f"{each['claim']}: {'yes' if each['holds'] else 'NO'} ({each['exponent']:.2f})"
        for each in found["claims"]
    ]
    parts += [
        f"failed: {each['axis']} {each['size']:,}, {each['mode']}: {each['failed']}"
        for each in found["points"]
        if "failed" in each
    ]
    return "\n\n".join(parts)


def _cells(point: Mapping[str, Any]) -> list[str]:
    if "failed" in point:
        return ["failed", "failed"]
    return [f"{point['step_s']['median']:.3f}", f"{point['memory']['above_baseline_mib']:,.0f}"]


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Draw time and memory against each size, both axes logarithmic; markers and lines tell modes apart."""
    from matplotlib.figure import Figure

    axes_drawn = [axis for axis in AXES if any(each["axis"] == axis for each in found["points"])]
    figure = Figure(figsize=(1 + 4.2 * len(axes_drawn), 7.4), layout="constrained")
    grid = figure.subplots(2, len(axes_drawn), squeeze=False, sharex="col")
    labels = {
        "words": "words of the document",
        "entities": "entities of the document",
        "batch": "documents a batch",
    }
    for column, axis in enumerate(axes_drawn):
        ticks = sorted({each["size"] for each in found["points"] if each["axis"] == axis})
        for row, (measure, value) in enumerate(_MEASURES.items()):
            cell: Axes = grid[row][column]
            _curves(cell, found, axis, measure, value)
            cell.set_ylabel("seconds a step" if measure == "time" else "peak memory above baseline (MiB)")
            cell.set_xticks(ticks, [f"{tick:,}" for tick in ticks], fontsize=9)
            cell.minorticks_off()
            if row == 1:
                cell.set_xlabel(labels[axis])
    figure.savefig(path, dpi=150)


def _curves(axes: Axes, found: Mapping[str, Any], axis: str, measure: str, value: Any) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    for place, mode in enumerate(MODES):
        points = [each for each in found["points"] if (each["axis"], each["mode"]) == (axis, mode)]
        good = sorted((each["size"], value(each)) for each in points if "failed" not in each)
        good = [(size, height) for size, height in good if height > 0]
        if not good:
            continue
        fit = next(
            (
                each["upper_half"]
                for each in found["fits"]
                if (each["axis"], each["mode"], each["measure"], each["against"])
                == (axis, mode, measure, axis)
            ),
            None,
        )
        style = {"color": SHADES[place], "marker": MARKERS[place], "linestyle": STYLES[place]}
        axes.plot(
            *zip(*good, strict=True), label=f"{mode}: exponent {number(fit)} of the upper half", **style
        )
        (size, height), last = good[-1], good[0][0]
        guide = [height * last / size, height]
        axes.plot([last, size], guide, ":", color="#999999", label="linear" if place else None)
        for each in points:
            if "failed" in each:
                axes.axvline(each["size"], color=SHADES[place], linestyle=":", linewidth=1)
                axes.annotate(
                    f"{mode}: no room", (each["size"], 0.02), xycoords=("data", "axes fraction"), rotation=90
                )
    axes.grid(color="#dddddd", which="major")
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_lines():
        axes.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1))


def main() -> int:
    """Measure, write and print."""
    options = arguments()
    found = run(options)
    draw(found, options.output / "scaling.png")
    print(tables(found))
    print(f"\nwritten: {options.output}/scaling.json, scaling.png", file=sys.stderr)
    return int(all("failed" in each for each in found["points"]))


if __name__ == "__main__":
    sys.exit(main())
