"""Documents a second of the command, from file to file, over those of the bare model on prepared batches.

    python benchmarks/predict.py run=RUN input=FILE output=FILE

takes the settings of ``python -m glre_pyg.predict``. The two are measured in turn, in one process: the model
over batches that are in memory, longest documents first, and all that the command does after loading the run.
"""

from __future__ import annotations

import statistics
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import torch
from omegaconf import DictConfig

from glre_pyg.predict import Settings
from glre_pyg.utils.cli import command

TIMES = 5


@command("predict", Settings)
def main(config: DictConfig) -> None:
    """Print the median ratio, and the least and the greatest."""
    from hydra.utils import instantiate

    from glre_pyg.data.batch import batches_by_length, collate
    from glre_pyg.extraction.outputs import Output
    from glre_pyg.extraction.pipeline import extract
    from glre_pyg.extraction.scoring import load_run

    run = load_run(config)
    corpus = instantiate(run.config.dataset)
    documents = list(corpus.prepare(corpus.read(Path(config.input))))
    graphs = run.graphs(documents)

    def bare() -> float:
        batches = [
            collate([graphs[index] for index in indices], run.device)
            for indices in batches_by_length(graphs, run.config.eval_batch_size)
        ]
        start = time.perf_counter()
        with torch.inference_mode():
            for batch in batches:
                run.model.probabilities(run.model(batch)).cpu()
        return time.perf_counter() - start

    def whole() -> float:
        start = time.perf_counter()
        with redirect_stdout(StringIO()):
            extract(run, config, Output(Path(config.output)))
        return time.perf_counter() - start

    bare()
    ratios = []
    for number in range(TIMES):
        alone, command_ = bare(), whole()
        ratios.append(alone / command_)
        print(
            f"{number + 1}: model {len(documents) / alone:.1f} documents a second, command "
            f"{len(documents) / command_:.1f}, ratio {ratios[-1]:.3f}",
            flush=True,
        )
    print(f"median {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    main()
