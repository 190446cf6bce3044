"""Documents a second of ``predict`` in each numeric precision, compiled and quantized, and what that costs.

    python benchmarks/precisions.py run=RUN input=FILE output=NAME.jsonl

takes the settings of ``python -m glre_pyg.predict``; the input needs facts. All rows are measured in turn, in
one process, from file to file, without loading and compiling the run. Times are those of the processor,
also of the process that reads ahead: a busy machine matters less. int8 is dynamic quantization of the
encoder's linear layers, with a scale for each output channel; ``predict`` has no setting for it. F1 is of all
facts, at the threshold of the run.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from copy import deepcopy
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from common import spread, with_spread
from omegaconf import DictConfig
from torch import nn

from glre_pyg.predict import Settings
from glre_pyg.utils.cli import command
from glre_pyg.utils.table import Table

if TYPE_CHECKING:
    from glre_pyg.data.document import Document
    from glre_pyg.runs.run import Run

TIMES = 3
Facts = set[tuple[str, str, str, str]]


@command("predict", Settings)
def main(config: DictConfig) -> None:
    """Print a table after each turn; speeds are relative to fp32, as median and quartiles."""
    from glre_pyg.extraction.outputs import Output
    from glre_pyg.extraction.pipeline import extract
    from glre_pyg.extraction.scoring import load_run
    from glre_pyg.formats.detection import read_documents

    config.resume = False
    run = load_run(config)
    runs = {"fp32": run, "bf16": replace(run, precision="bf16"), "int8": quantized(run)}
    config.compile = "inductor"
    runs["compile"] = load_run(config)
    documents = [*read_documents(Path(config.input))]
    runs["compile"].predict(run.graphs(documents[:20]))
    gold, seconds = _facts(documents), {name: list[float]() for name in runs}
    for _ in range(TIMES):
        found = {}
        for name, each in runs.items():
            start = _processor_time()
            with redirect_stdout(StringIO()):
                extract(each, config, Output(Path(config.output)), settings=name)  # int8 has no hash
            seconds[name].append(_processor_time() - start)
            found[name] = _facts(read_documents(Path(config.output)))
            print(f"{name}: {seconds[name][-1]:.1f} s", flush=True)
        print(_table(seconds, found, gold, len(documents)), flush=True)


def _table(
    seconds: Mapping[str, Sequence[float]], found: Mapping[str, Facts], gold: Facts, number: int
) -> str:
    from glre_pyg.evaluation.scores import Scores

    rows = [
        (
            name,
            f"{number / spread(times)['median']:.1f}",
            with_spread(spread([fp32 / time for fp32, time in zip(seconds["fp32"], times, strict=True)])),
            f"{100 * Scores.of(len(found[name] & gold), len(found[name]), len(gold)).f1:.2f}",
            f"{len(found[name] ^ found['fp32'])}",
        )
        for name, times in seconds.items()
    ]
    titles = ("", "documents per processor second", "speed / fp32", "F1", "facts that differ from fp32")
    return Table(titles, rows).to_markdown()


def _processor_time() -> float:
    """Return the time of this process and of those that it has waited for."""
    return sum(os.times()[:4])


def _facts(documents: Iterable[Document]) -> Facts:
    return {(each.id, fact.head, fact.relation, fact.tail) for each in documents for fact in each.facts}


def quantized(run: Run) -> Run:
    """Return a run whose encoder has int8 weights."""
    from glre_pyg.nn.encoder import TransformerEncoder

    model = deepcopy(run.model)
    layers = {nn.Linear: torch.ao.quantization.per_channel_dynamic_qconfig}
    for module in model.modules():
        if isinstance(module, TransformerEncoder):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it is deprecated
                module.transformer = torch.ao.quantization.quantize_dynamic(module.transformer, layers)
    return replace(run, model=model)


if __name__ == "__main__":
    main()
