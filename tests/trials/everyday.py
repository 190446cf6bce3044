"""Trials of commands: ``settings``, ``signals`` and ``ranks`` of ``hostile.py``.

``settings`` changes one setting of a small training at a time. It is refused in a line that names a setting, or
the training ends well. ``signals`` sends a signal to a training at any time: it ends with its code and no
traceback, and the run that goes on has the weights of a whole one. ``ranks`` has one of two processes raise,
run out of memory or be killed at any step: the command ends within 30 seconds of it, and goes on in one process.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from glre_pyg.train import Settings
from glre_pyg.training.experiment import train
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.settings import check_settings

TINY = [
    *("encoder=tiny", "dataset.sizes={train: 10, dev: 4, test: 4}", "model.nodes.hidden_channels=16"),
    *("training.epochs=2", "training.batch_size=2", "cache=false"),
]
VALUES = [
    -1,
    0,
    1.5,
    float("nan"),
    float("inf"),
    None,
    True,
    "foo",
    "",
    [],
    {},
    2**31,
    10**30,
    "(",
    "\n\x1b[2J",
]
FAULT = """
import os, signal
from glre_pyg.train import main
from glre_pyg.training.epochs import EpochTrainer
step = EpochTrainer._step
def faulty(self, batches):
    if os.environ["RANK"] == "{rank}" and self.progress.step == {step}:
        open("fault", "w").close()
        {fault}
    return step(self, batches)
EpochTrainer._step = faulty
main()
"""
FAULTS = [
    "raise MemoryError",
    "raise TypeError('a bug')",
    "os.kill(os.getpid(), signal.SIGKILL)",
    "os._exit(3)",
]


def leaves(node: object, place: str = "") -> Iterator[str]:
    """Yield the names of all settings, except of where files are."""
    for key, value in node.items() if isinstance(node, dict) else ():
        if key not in (
            "_target_",
            "_partial_",
            "groups",
            "root",
            "cache",
            "resume",
            "start",
            "package",
            "folder",
        ):
            if not isinstance(value, dict):
                yield f"{place}{key}"
            yield from leaves(value, f"{place}{key}.")


def settings(options: argparse.Namespace) -> int:
    def attempt(random: Random, folder: Path) -> str:
        with initialize_config_dir(config_dir(), version_base="1.3"):
            config = compose("train", overrides=TINY)
        name = random.choice([*leaves(OmegaConf.to_container(config))])
        value: Any = random.choice(VALUES)
        OmegaConf.update(config, name, value, merge=False)
        try:
            with redirect_stdout(StringIO()):
                check_settings(config, Settings)
                train(config, folder / "run")
        except (InputError, MemoryError, OmegaConfBaseException):
            return ""
        except Exception as error:
            return f"{name}={value!r}: {type(error).__name__}: {error}"
        return ""

    return _tries(options, attempt)


def signals(options: argparse.Namespace) -> int:
    def attempt(random: Random, folder: Path) -> str:
        number = random.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
        process = _start([sys.executable, "-m", "glre_pyg.train", *TINY, "hydra.run.dir=run"], folder)
        while not (folder / "run/config.yaml").exists() and process.poll() is None:
            time.sleep(0.05)
        time.sleep(random.uniform(0, 5))
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        if process.returncode not in (0, 128 + number) or "Traceback" in err:
            return f"{number.name}: exit code {process.returncode}: {err[-300:]}"
        again = [*TINY, "hydra.run.dir=run", "training.resume=auto"]
        for arguments in (again, [*TINY, "hydra.run.dir=whole"]):
            ended = _start([sys.executable, "-m", "glre_pyg.train", *arguments], folder)
            _, err = ended.communicate(timeout=300)
            if ended.returncode:
                return f"{number.name}: the run does not go on: {err[-300:]}"
        weights = [(folder / name / "model.safetensors").read_bytes() for name in ("run", "whole")]
        return "" if weights[0] == weights[1] else f"{number.name}: other weights"

    return _tries(options, attempt)


def ranks(options: argparse.Namespace) -> int:
    def attempt(random: Random, folder: Path) -> str:
        fault = random.choice(FAULTS)
        code = FAULT.format(rank=random.randrange(2), step=random.randrange(6), fault=fault)
        (folder / "faulty.py").write_text(code)
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "faulty.py"]
        process = _start([*torchrun, *TINY, "hydra.run.dir=run"], folder)
        while not (folder / "fault").exists() and process.poll() is None:
            time.sleep(0.1)
        try:
            process.communicate(timeout=40)  # 30 seconds, and the end of torchrun
        except subprocess.TimeoutExpired:
            process.kill()
            return f"{fault}: the other process goes on"
        ended = _start([sys.executable, "-m", "glre_pyg.train", "training.resume=run"], folder)
        _, err = ended.communicate(timeout=300)
        return f"{fault}: the run does not go on: {err[-300:]}" if ended.returncode else ""

    return _tries(options, attempt)


def _start(command: list[str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        cwd=folder,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def _tries(options: argparse.Namespace, attempt: Callable[[Random, Path], str]) -> int:
    failures = 0
    for number in range(options.count) if options.only is None else [options.only]:
        with TemporaryDirectory() as folder:
            problem = attempt(Random(f"{options.seed}/{number}"), Path(folder))
        failures += bool(problem)
        if problem:
            print(f"{options.trial}: --seed {options.seed} --only {number}: {problem}", flush=True)
    print(f"{failures} of {options.count} failed")
    return int(failures > 0)


TRIALS = {"settings": settings, "signals": signals, "ranks": ranks}
