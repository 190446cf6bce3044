"""Whether training takes more memory the longer it goes on: resident memory early, and after many steps.

    python tests/trials/memory.py --steps 2000

Trains on the synthetic corpus with a tiny encoder, epochs with all that belongs to them: evaluation on dev, the
log, checkpoints. One line says what is resident after step 200 and after the last, garbage collected, with medians
over the 50 steps around each. The exit code is 1 if either has grown by more than 5 %.
"""

import argparse
import gc
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import psutil
from hydra import compose, initialize_config_dir
from torch.optim.optimizer import register_optimizer_step_post_hook

from glre_pyg.training.experiment import train
from glre_pyg.utils.cli import config_dir, limit_kernel_cache

FIRST = 200
AROUND = 25  # steps before and after
GROWTH = 0.05
STEPS_OF_EPOCH = 50
BATCH = 8
MIB = 2**20


def resident() -> int:
    """Bytes of memory that the process has."""
    return psutil.Process().memory_info().rss


@dataclass
class Watch:
    """Looks at memory around two steps.

    Args:
        first, last: The steps.
        read: Says how many bytes are taken.
    """

    first: int
    last: int
    read: Callable[[], int] = resident
    step: int = 0
    seen: dict[int, int] = field(default_factory=dict)

    def __call__(self, *_: object) -> None:
        """Another step has been done."""
        self.step += 1
        if self.step in (self.first, self.last):
            gc.collect()
        if any(-AROUND < self.step - step <= AROUND for step in (self.first, self.last)):
            self.seen[self.step] = self.read()

    def at(self, step: int) -> tuple[int, float]:
        """Bytes after a step, and their median around it."""
        around = [taken for number, taken in self.seen.items() if -AROUND < number - step <= AROUND]
        return self.seen[step], median(around)

    def growth(self) -> tuple[float, float]:
        """The last step over the first, and the same of medians."""
        (early, early_median), (late, late_median) = self.at(self.first), self.at(self.last)
        return late / early, late_median / early_median

    def __str__(self) -> str:
        said = [
            f"step {step}: {taken / MIB:.1f} MiB (median {around / MIB:.1f})"
            for step in (self.first, self.last)
            for taken, around in [self.at(step)]
        ]
        ratio, ratio_of_medians = self.growth()
        return f"{', '.join(said)}: {ratio:.3f} times as much (median {ratio_of_medians:.3f})"


def trained(watch: Watch, folder: Path) -> None:
    """Train for as many steps as are watched, and the rest of an epoch."""
    epochs = -(-(watch.last + AROUND) // STEPS_OF_EPOCH)
    overrides = [
        "encoder=tiny",
        "model.nodes.hidden_channels=16",
        f"dataset.sizes.train={STEPS_OF_EPOCH * BATCH}",
        "dataset.sizes.dev=8",
        "dataset.sizes.test=8",
        f"training.batch_size={BATCH}",
        f"training.epochs={epochs}",
        "cache=false",
    ]
    with initialize_config_dir(config_dir(), version_base="1.3"):
        config = compose("train", overrides=overrides)
    handle = register_optimizer_step_post_hook(watch)
    try:
        train(config, folder)
    finally:
        handle.remove()


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, say what was resident, and give the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=2000, help="the late step (%(default)s)")
    parser.add_argument("--first", type=int, default=FIRST, help="the early step (%(default)s)")
    options = parser.parse_args(arguments)
    if not AROUND <= options.first < options.steps:
        parser.error(f"--first: from {AROUND} up, and before the last step")
    limit_kernel_cache()  # as the command does
    watch = Watch(options.first, options.steps)
    with TemporaryDirectory() as folder, redirect_stdout(sys.stderr):
        trained(watch, Path(folder))
    print(watch)
    return int(max(watch.growth()) > 1 + GROWTH)


if __name__ == "__main__":
    sys.exit(main())
