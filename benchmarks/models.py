"""How fast every model trains and predicts beside GLRE, on the same batches in turns.

All models have the same encoder and are in one process. For each batch, each model makes a full step of
training (collating, forward, loss, backward, clipping, optimizer) and one of prediction (collating, forward,
probabilities on the host); its time is divided by GLRE's on that batch. Writes models.json, and prints a
Markdown table.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from common import Record, check, header, in_child, machine_line, number, parser, with_spread, write

from glre_pyg.utils.table import Table

EXAMPLES = """
examples:
  python benchmarks/models.py
  python benchmarks/models.py --corpus redocred --models glre atlop
  python benchmarks/models.py --device cuda --precision bf16
"""
REFERENCE = "glre"
FITTED_AT_ONCE = {"panyam_kernel"}
"""Models without a step of training."""


def arguments() -> Namespace:
    """The options of the command."""
    files = Path(__file__).parents[1].joinpath("conf/model").glob("*.yaml")
    names = sorted({path.stem for path in files} - FITTED_AT_ONCE)
    out = parser(__doc__ or "", EXAMPLES)
    out.add_argument("--corpus", default="cdr", help="corpus, whose training split is measured (cdr)")
    out.add_argument("--models", nargs="+", choices=names, default=names, help="(all)")
    out.add_argument("--encoder", help="encoder of all models, as in conf/encoder (minilm)")
    out.add_argument("--batch-size", type=int, default=4, help="documents a batch (4)")
    out.add_argument("--batches", type=int, help="batches that are measured (14)")
    options = out.parse_args()
    if options.quick:
        options.corpus = "synthetic"
    options.encoder = options.encoder or ("tiny" if options.quick else "minilm")
    options.batches = options.batches or (5 if options.quick else 14)
    options.models = [REFERENCE, *(name for name in options.models if name != REFERENCE)]
    check(out, options)
    return options


def run(options: Namespace) -> Record:
    """All measurements, as JSON has them."""
    found = header("models", options.seed, device=options.device, threads=options.threads)
    names = ("device", "threads", "precision", "seed", "batch_size", "batches", "encoder", "models", "corpus")
    return found | in_child("models", **{name: getattr(options, name) for name in names})


def table(found: Record) -> str:
    """The measurements as Markdown."""
    columns = ["model", "parameters", "step / GLRE", "predict / GLRE", "train docs/s", "predict docs/s"]
    rows = [
        [
            name,
            f"{model['parameters'] / 1e6:.1f} M",
            with_spread(model["train"]["ratio"]),
            with_spread(model["predict"]["ratio"]),
            number(model["train"]["documents_per_second"], ".1f"),
            number(model["predict"]["documents_per_second"], ".1f"),
        ]
        for name, model in found["models"].items()
    ]
    return f"{machine_line(found)}\n\n{Table(columns, rows).to_markdown()}"


def main() -> int:
    """Measure, write and print."""
    options = arguments()
    found = run(options)
    write(found, options.output / "models.json")
    if "failed" in found:
        print(f"failed: {found['failed']}", file=sys.stderr)
        return 1
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
