"""Documents a second of the command, from file to file, over those of the bare model on prepared batches.

    python benchmarks/predict.py run=RUN input=FILE output=FILE

takes the settings of ``python -m glre_pyg.predict``. They are measured in turn, in one process: the model
over batches that are in memory, longest documents first, and all that the command does after loading the run,
with each splitter of sentences, whatever the run was trained with. On a CPU, seconds are those of the
processor, so that other programs do not count.
"""

from __future__ import annotations

import statistics
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import get_args

import torch
from omegaconf import DictConfig

from glre_pyg.data.segmentation import Splitter
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
    clock = time.process_time if run.device.type == "cpu" else time.perf_counter
    corpus = instantiate(run.config.dataset)
    documents = list(corpus.prepare(corpus.read(Path(config.input))))
    graphs = run.graphs(documents)

    # Generated documents are not split, and their corpus has no such setting.
    splitters = get_args(Splitter) if "sentences" in run.config.dataset else (corpus.sentences,)

    def bare() -> float:
        batches = [
            collate([graphs[index] for index in indices], run.device)
            for indices in batches_by_length(graphs, run.config.eval_batch_size)
        ]
        start = clock()
        with torch.inference_mode():
            for batch in batches:
                run.model.probabilities(run.model(batch)).cpu()
        return clock() - start

    def whole(sentences: Splitter) -> float:
        if len(splitters) > 1:
            run.config.dataset.sentences = sentences
        start = clock()
        with redirect_stdout(StringIO()):
            extract(run, config, Output(Path(config.output)))
        return clock() - start

    bare()
    ratios = {sentences: list[float]() for sentences in splitters}
    for number in range(TIMES):
        for sentences in splitters:
            alone, command_ = bare(), whole(sentences)
            ratios[sentences].append(alone / command_)
            print(
                f"{number + 1}: model {len(documents) / alone:.1f} documents a second, command with "
                f"{sentences} {len(documents) / command_:.1f}, ratio {ratios[sentences][-1]:.3f}",
                flush=True,
            )
    for sentences, found in ratios.items():
        print(f"{sentences}: median {statistics.median(found):.3f} ({min(found):.3f} to {max(found):.3f})")


if __name__ == "__main__":
    main()
