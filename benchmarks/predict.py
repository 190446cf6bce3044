"""Documents a second of the command, from file to file, over those of the bare model on prepared batches.

    python benchmarks/predict.py run=RUN input=FILE output=FILE

takes the settings of ``python -m glre_pyg.predict``. All are measured in turn, in one process: the model over
batches that are in memory, longest documents first, and all that the command does after loading the run, with
and without reading ahead. Ratios are of elapsed time, and of processor time of this process, which with
``OMP_NUM_THREADS=1`` is nearly the elapsed time on a machine with nothing else to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import torch
from common import spread, with_spread
from omegaconf import DictConfig

from glre_pyg.predict import Settings
from glre_pyg.utils.cli import command

TIMES = 5


@command("predict", Settings)
def main(config: DictConfig) -> None:
    """Print the ratios of each turn, and their medians and quartiles."""
    from hydra.utils import instantiate

    from glre_pyg.data.batch import batches_by_length, collate
    from glre_pyg.extraction.outputs import Output
    from glre_pyg.extraction.pipeline import extract
    from glre_pyg.extraction.scoring import load_run
    from glre_pyg.runs.numeric_precision import autocast

    run = load_run(config)
    corpus = instantiate(run.config.dataset)
    documents = list(corpus.prepare(corpus.read(Path(config.input))))
    graphs = run.graphs(documents)
    batches = [
        collate([graphs[index] for index in indices], run.device)
        for indices in batches_by_length(graphs, run.config.eval_batch_size)
    ]

    def bare() -> None:
        with torch.inference_mode():
            for batch in batches:
                with autocast(run.precision, run.device)():
                    logits = run.model(batch)
                run.model.probabilities(logits.float()).cpu()

    def whole() -> None:
        with redirect_stdout(StringIO()):
            extract(run, config, Output(Path(config.output)))

    bare()
    ratios: dict[str, list[float]] = {}
    for number in range(TIMES):
        alone = _times(bare)
        for config.read_ahead in (True, False):
            for clock, model, command_ in zip(("elapsed", "processor"), alone, _times(whole), strict=True):
                name = f"read_ahead={config.read_ahead}, {clock}"
                ratios.setdefault(name, []).append(model / command_)
        line = ", ".join(f"{name} {values[-1]:.3f}" for name, values in ratios.items())
        print(f"{number + 1}: {len(documents) / alone[0]:.1f} documents a second; {line}", flush=True)
    for name, values in ratios.items():
        print(f"{name}: {with_spread(spread(values), '.3f')}")


def _times(work: Callable[[], None]) -> tuple[float, float]:
    """Return elapsed time and processor time of this process."""
    start, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - used


if __name__ == "__main__":
    main()
