"""How fast GLRE trains and predicts beside its encoder alone, and where the time goes.

For each corpus and encoder, in a process of its own, on the same batches in turns: a full step of training
(collating, forward, loss, backward, clipping, optimizer) over forward and backward of the encoder alone,
and prediction (collating, forward, probabilities on the host) over the encoder's forward. Also documents a
second, peak memory, each part's share of a step, padding, graph building and tokenizing on one core, and an
epoch from the features of a frozen encoder over one that encodes. Writes throughput.json and
throughput.png, and prints Markdown tables.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from common import (
    HATCHES,
    SHADES,
    Record,
    check,
    header,
    hide_scatter,
    in_child,
    machine_line,
    number,
    parser,
    read,
    spread,
    with_spread,
    write,
)

from glre_pyg.utils.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EXAMPLES = """
examples:
  python benchmarks/throughput.py
  python benchmarks/throughput.py --corpora redocred --encoders bert_base --batches 15
  python benchmarks/throughput.py --device cuda --precision bf16
  python benchmarks/throughput.py --compare-scatter

The official corpora are looked for as in training: below $GLRE_DATA, then in the cache, then downloaded.
bert_base has the size of BERT-base and random weights, over MiniLM's tokenizer, with fused attention.
"""
CORPORA = {"cdr": "train", "redocred": "dev", "synthetic": "train"}
"""The split of each that is measured."""
PADDED = (4, 8, 16)
QUICK: Record = {
    "corpora": ["synthetic"],
    "encoders": ["tiny"],
    "batches": 5,
    "profiled": 1,
    "repeats": 1,
    "limit": 16,
}


def arguments() -> Namespace:
    """The options of the command."""
    out = parser(__doc__ or "", EXAMPLES)
    out.add_argument("--corpora", nargs="+", choices=list(CORPORA), help="(all)")
    out.add_argument(
        "--encoders", nargs="+", choices=["minilm", "bert_base", "tiny"], help="(minilm bert_base)"
    )
    out.add_argument("--redocred", type=Path, help="Re-DocRED's dev_revised.json, where it is elsewhere")
    out.add_argument("--batch-size", type=int, default=4, help="documents a batch (4)")
    out.add_argument("--batches", type=int, help="batches that are measured (7)")
    out.add_argument("--repeats", type=int, help="times that each batch is measured (1)")
    out.add_argument("--limit", type=int, help="documents of the epochs with a frozen encoder (100)")
    out.add_argument("--only-steps", action="store_true", help="neither graph building nor frozen epochs")
    out.add_argument("--compare-scatter", action="store_true", help="with torch-scatter and without it")
    out.add_argument("--without-scatter", action="store_true", help="as if torch-scatter were not installed")
    options = out.parse_args()
    usual: Record = {
        "corpora": list(CORPORA),
        "encoders": ["minilm", "bert_base"],
        "batches": 7,
        "profiled": 3,
        "repeats": 1,
        "limit": 100,
    }
    if options.compare_scatter:
        usual |= {"corpora": ["redocred"], "encoders": ["minilm"]}
    for name, value in (usual | (QUICK if options.quick else {})).items():
        if getattr(options, name, None) is None:
            setattr(options, name, value)
    if options.batches < 5:
        out.error("--batches: a median needs at least 5")
    check(out, options)
    if options.redocred and not options.redocred.is_file():
        out.error(f"--redocred {options.redocred}: no such file")
    return options


def corpus_overrides(corpus: str, options: Namespace) -> list[str]:
    """Overrides of the config that choose a corpus."""
    out = [f"dataset={corpus}"]
    if corpus == "redocred" and options.redocred:
        out.append(f"dataset.dev={options.redocred.resolve()}")
    if corpus == "synthetic" and options.quick:
        out.append("dataset.sizes.train=24")
    return out


def run(options: Namespace) -> Record:
    """All measurements, as JSON has them."""
    common = {"device": options.device, "threads": options.threads}
    found = header("throughput", options.seed, **common)
    common |= {"precision": options.precision, "seed": options.seed, "batch_size": options.batch_size}
    found["results"] = []
    for corpus in options.corpora:
        of = {"overrides": corpus_overrides(corpus, options), "split": CORPORA[corpus]}
        for encoder in options.encoders:
            print(f"measuring {corpus}, {encoder} ...", file=sys.stderr, flush=True)
            result = in_child(
                "steps",
                **common,
                **of,
                encoder=encoder,
                batches=options.batches,
                repeats=options.repeats,
                profiled=options.profiled,
                padded=PADDED if encoder == options.encoders[0] else (),
            )
            found["results"].append({"corpus": corpus, "encoder": encoder} | result)
            write(found, options.output / "throughput.json")
    if options.only_steps:
        return found
    corpus, encoder = options.corpora[0], options.encoders[0]
    of = {"overrides": corpus_overrides(corpus, options), "split": CORPORA[corpus], "encoder": encoder}
    print(f"measuring graph building and a frozen encoder on {corpus} ...", file=sys.stderr, flush=True)
    found["graphs"] = in_child("graph_building", device="cpu", **of, repeats=5, limit=1000)
    found["frozen"] = in_child("epochs", **common, **of, repeats=5, limit=options.limit)
    return found


def compare_scatter(options: Namespace) -> Record:
    """The steps with torch-scatter and without it, in turns: with, without, without, with."""
    again = [each for each in sys.argv[1:] if each != "--compare-scatter"]
    for name in ("corpora", "encoders"):
        if f"--{name}" not in again:
            again += [f"--{name}", *getattr(options, name)]
    records: dict[bool, list[Record]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as folder:
        for turn, scatter in enumerate((True, False, False, True)):
            out = Path(folder, str(turn))
            extra = ["--only-steps", "--output", str(out), *([] if scatter else ["--without-scatter"])]
            subprocess.run([sys.executable, __file__, *again, *extra], check=True, stdout=subprocess.DEVNULL)
            records[scatter].append(read(out / "throughput.json"))
    found = dict(records[True][0])
    found["command"] = " ".join(["python", *sys.argv])
    found["scatter"] = [
        scatter_ratio([[each["results"][place] for each in records[kind]] for kind in (True, False)])
        for place in range(len(found["results"]))
    ]
    return found


def scatter_ratio(runs: Sequence[Sequence[Mapping[str, Any]]]) -> Record:
    """Time over the encoder alone without torch-scatter, over the same with it, batch by batch.

    The encoder makes no use of it: dividing by its time takes out what else the machine was doing.

    Args:
        runs: Results of the runs with it, and of those without it, on the same batches.
    """
    having, lacking = runs
    if broken := [each for each in (*having, *lacking) if "failed" in each]:
        return {"failed": broken[0]["failed"]}
    if not all(each["torch_scatter"] for each in having) or any(each["torch_scatter"] for each in lacking):
        return {"failed": "torch-scatter is not installed"}

    def over_encoder(of: Sequence[Mapping[str, Any]], place: int, kind: str, alone: str) -> float:
        batches = [each["batches"][place] for each in of]
        return median(batch[kind] / batch[alone] for batch in batches)

    out: Record = {"corpus": having[0]["corpus"], "encoder": having[0]["encoder"]}
    for mode, *kinds in (
        ("train", "step_s", "encoder_step_s"),
        ("predict", "predict_s", "encoder_forward_s"),
    ):
        places = range(len(having[0]["batches"]))
        out[mode] = spread(
            [over_encoder(lacking, place, *kinds) / over_encoder(having, place, *kinds) for place in places]
        )
    return out


def tables(found: Mapping[str, Any]) -> str:
    """The measurements as Markdown."""
    good = [each for each in found["results"] if "failed" not in each]
    parts = [machine_line(found)]
    parts.append(
        Table(
            [
                "corpus, encoder",
                "step / encoder (quartiles)",
                "predict / encoder (quartiles)",
                "train docs/s",
                "predict docs/s",
                "train MiB",
                "predict MiB",
            ],
            [
                [
                    title(each),
                    with_spread(each["train"]["ratio"]),
                    with_spread(each["predict"]["ratio"]),
                    number(each["train"]["documents_per_second"], ".1f"),
                    number(each["predict"]["documents_per_second"], ".1f"),
                    number(each["memory"]["train"]["peak_mib"], ".0f"),
                    number(each["memory"]["predict"]["peak_mib"], ".0f"),
                ]
                for each in good
            ],
        ).to_markdown()
    )
    if good:
        names = list(good[0]["shares"])
        rows = [[title(each), *(f"{each['shares'][name]:.1%}" for name in names)] for each in good]
        parts.append(Table(["share of a step", *names], rows).to_markdown())
    if padded := [each for each in good if each["padding"]]:
        rows = [[each["corpus"], *(number(of, ".1%") for of in each["padding"].values())] for each in padded]
        parts.append(Table(["padding in batches of", *padded[0]["padding"]], rows).to_markdown())
    parts += [f"failed: {title(each)}: {each['failed']}" for each in found["results"] if "failed" in each]
    for name, (what, say) in _LINES.items():
        if of := found.get(name):
            parts.append(f"{what} failed: {of['failed']}" if "failed" in of else say(of))
    parts += _scatter(found.get("scatter"))
    return "\n\n".join(parts)


def title(result: Mapping[str, Any]) -> str:
    """The name of a result."""
    return f"{result['corpus']}, {result['encoder']}"


def _graphs(of: Mapping[str, Any]) -> str:
    return (
        f"one core, {of['documents']} documents of {of['corpus']} {of['split']}: "
        f"{with_spread(of['graphs_per_second'], ',.0f')} graphs/s, tokenizing apart "
        f"{with_spread(of['pieces_per_second'], ',.0f')} documents/s"
    )


def _frozen(of: Mapping[str, Any]) -> str:
    return (
        f"frozen {of['encoder']}, {of['documents']} documents of {of['corpus']} {of['split']}: an epoch that "
        f"encodes takes {with_spread(of['ratio'], '.1f')} times one from kept features "
        f"({of['cached_epoch_s']['median']:.2f} s)"
    )


def _scatter(of: Sequence[Mapping[str, Any]] | None) -> list[str]:
    return [
        f"torch-scatter: {each['failed']}"
        if "failed" in each
        else f"without torch-scatter on {title(each)}: a step over the encoder alone is "
        f"{with_spread(each['train'], '.3f')} times what it is with it, prediction "
        f"{with_spread(each['predict'], '.3f')} times"
        for each in of or ()
    ]


_LINES = {"graphs": ("graph building", _graphs), "frozen": ("frozen encoder", _frozen)}


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Draw ratios, speeds and shares; readable without colour, as hatches differ."""
    from matplotlib.figure import Figure

    results = [each for each in found["results"] if "failed" not in each]
    figure = Figure(figsize=(11, 3.2 + 0.75 * len(results)), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.15))
    ratios, speeds = top.subplots(1, 2, sharey=True)
    _bars(ratios, results, lambda each: each["ratio"], "{:.2f}")
    ratios.axvline(1, color="black", linewidth=1)
    ratios.set_xlabel("time over the encoder alone (median and quartiles)")
    _bars(speeds, results, lambda each: each["batch_documents_per_second"], "{:.1f}")
    speeds.set_xlabel("documents a second (median and quartiles of batches)")
    speeds.invert_yaxis()
    top.legend(*ratios.get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    _shares(bottom.subplots(), results)
    bottom.legend(loc="outside lower center", ncols=7, frameon=False)
    figure.savefig(path, dpi=150)


def _bars(axes: Axes, results: Sequence[Mapping[str, Any]], value: Any, form: str) -> None:
    for kind, mode in enumerate(("train", "predict")):
        spreads = [value(each[mode]) for each in results]
        middles = [of["median"] for of in spreads]
        errors = [[of["median"] - of["q1"] for of in spreads], [of["q3"] - of["median"] for of in spreads]]
        places = [place + 0.4 * kind - 0.2 for place in range(len(results))]
        look = {"color": SHADES[2 * kind + 1], "hatch": HATCHES[kind], "edgecolor": "black"}
        axes.barh(places, middles, 0.36, xerr=errors, capsize=3, label=f"{mode}", **look)
        for place, of in zip(places, spreads, strict=True):
            axes.annotate(
                form.format(of["median"]), (of["q3"], place), (4, 0), textcoords="offset points", va="center"
            )
    axes.set_yticks(range(len(results)), [title(each) for each in results])
    axes.margins(x=0.15)
    axes.set_xlim(left=0)
    axes.spines[["top", "right"]].set_visible(False)


def _shares(axes: Axes, results: Sequence[Mapping[str, Any]]) -> None:
    names = list(results[0]["shares"]) if results else []
    left = [0.0] * len(results)
    for place, name in enumerate(names):
        widths = [100 * each["shares"][name] for each in results]
        look = {"color": SHADES[1 + place % 3], "hatch": HATCHES[place % len(HATCHES)], "edgecolor": "black"}
        axes.barh(range(len(results)), widths, 0.62, left=left, label=name, linewidth=0.6, **look)
        for row, width in enumerate(widths):
            if width >= 4:
                middle = left[row] + width / 2
                box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
                axes.text(middle, row, f"{width:.0f}", ha="center", va="center", fontsize=8, bbox=box)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axes.set_yticks(range(len(results)), [title(each) for each in results])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of a training step (%), forward and backward")
    axes.spines[["top", "right"]].set_visible(False)


def main() -> int:
    """Measure, write and print."""
    options = arguments()
    if options.without_scatter:
        hide_scatter()
    found = compare_scatter(options) if options.compare_scatter else run(options)
    write(found, options.output / "throughput.json")
    if any("failed" not in each for each in found["results"]):
        draw(found, options.output / "throughput.png")
    print(tables(found))
    print(f"\nwritten: {options.output}/throughput.json, throughput.png", file=sys.stderr)
    return int(any("failed" in each for each in found["results"]))


if __name__ == "__main__":
    sys.exit(main())
