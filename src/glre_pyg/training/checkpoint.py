"""Section 4.3: checkpoints, which contain the complete state of a training run.

``checkpoint.pt`` contains the current and the best weights, optimizer, schedule, moving average, progress and
the random states of all processes. It is read with ``weights_only``, which restores tensors and plain values
only. A checkpoint that is damaged or belongs to another run is refused. With another number of processes, a
run continues with other random numbers, and from the beginning of the epoch if a step then has another number
of documents.
"""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from glre_pyg.runs.directory import WEIGHTS
from glre_pyg.utils import distributed
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import WriteError, atomic_path, open_regular

CHECKPOINT = "checkpoint.pt"
FORMAT = 2  # incremented when the contents change
_FORMAT_1 = "checkpoint"  # folder of the first format


class Stateful(Protocol):
    """Protocol of objects whose state consists of tensors and plain values, such as optimizers."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object:
        """Restore the state."""
        ...


class Checkpoint:
    """Checkpoint of a training run.

    Args:
        folder: Run directory.
        model: The model, without the wrapper for distributed training.
        parts: Other objects with a state, by name.
        run: Values that identify the run, as JSON; a checkpoint with other values is refused.
    """

    def __init__(
        self, folder: Path, model: nn.Module, parts: Mapping[str, Stateful], run: Mapping[str, object]
    ) -> None:
        self.path, self.best = folder / CHECKPOINT, folder / WEIGHTS
        self.parts: dict[str, Stateful] = {"model": model, **parts}
        self.run: dict[str, object] = json.loads(json.dumps(run))

    def save(self) -> None:
        """Replace the last checkpoint; has to be called in all processes.

        Raises:
            WriteError: If it cannot be written; the last one remains.
        """
        random_states = distributed.all_gather([_random_state()])
        if distributed.is_main_process():
            best: torch.Tensor | None = None
            if self.best.exists():  # memory-mapped
                size = self.best.stat().st_size
                best = torch.from_file(str(self.best), size=size, dtype=torch.uint8)
            self._write(
                {
                    "format": FORMAT,
                    "run": self.run,
                    "parts": {name: part.state_dict() for name, part in self.parts.items()},
                    "best": best,
                    "random": random_states,
                }
            )
        distributed.barrier()

    def _write(self, state: Mapping[str, object]) -> None:
        with atomic_path(self.path) as part, part.open("wb") as file:
            try:
                torch.save(state, file)
            except RuntimeError as error:  # torch raises it while handling the OSError
                if isinstance(error.__context__, OSError):
                    raise WriteError.from_error(self.path, error.__context__) from error
                raise

    def remove(self) -> None:
        """Remove the checkpoint of an earlier run; has to be called in all processes."""
        if distributed.is_main_process():
            self.path.unlink(missing_ok=True)
        distributed.barrier()

    def restore(self) -> bool:
        """Restore the last checkpoint; has to be called in all processes.

        Returns:
            Whether there is a checkpoint.

        Raises:
            InputError: If it is damaged or belongs to another run.
        """
        if not self.path.exists():
            if (self.path.parent / _FORMAT_1).exists():
                raise InputError(
                    f"{self.path.parent / _FORMAT_1}: written by an earlier version: start a new run"
                )
            return False
        state = self._read()
        try:
            self._check(state["run"])
            for name, part in self.parts.items():
                part.load_state_dict(state["parts"][name])
                if isinstance(part, Optimizer):
                    _check_averages(part)
            if state["best"] is not None and state["best"].dtype != torch.uint8:
                raise TypeError("best weights are not bytes")
            if len(state["random"]) == distributed.world_size():
                _set_random_state(state["random"][distributed.rank()])
        except (RuntimeError, LookupError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            reason = " ".join(str(error).split())
            raise InputError(f"{self.path}: is not of this run: {type(error).__name__}: {reason}") from error
        if distributed.is_main_process() and state["best"] is not None:
            with atomic_path(self.best) as copy:
                state["best"].numpy().tofile(copy)
        distributed.barrier()
        return True

    def _read(self) -> dict[str, Any]:
        try:
            with open_regular(self.path) as file:
                damaged = zipfile.ZipFile(file).testzip()  # torch does not verify the checksums
                if damaged:
                    raise zipfile.BadZipFile(f"{damaged} does not match its checksum")
                file.seek(0)
                state = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # files can be wrong in any way
            reason = getattr(error, "strerror", None) or next(
                iter(str(error).splitlines()), type(error).__name__
            )
            raise InputError(f"{self.path}: is damaged, or not a checkpoint: {reason}") from error
        if not isinstance(state, dict) or state.get("format") != FORMAT:
            raise InputError(f"{self.path}: not a checkpoint of this version: start a new run")
        return state

    def _check(self, saved: Mapping[str, object]) -> None:
        for name in sorted(self.run.keys() | saved.keys()):
            ours, theirs = self.run.get(name), saved.get(name)
            if ours != theirs:
                raise InputError(f"{self.path}: is of another run: {name} was {theirs}, and is {ours}")


def _check_averages(optimizer: Optimizer) -> None:
    """Refuse averages of gradients of another shape: the optimizer reads them without a check."""
    for parameter, state in optimizer.state.items():
        for name in _AVERAGES & state.keys():
            if state[name].shape != parameter.shape:
                raise ValueError(f"{name} of the optimizer has the shape {tuple(state[name].shape)}")


_AVERAGES = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "exp_inf", "momentum_buffer", "square_avg", "sum"}
"""Names of what torch's optimizers keep in the shape of a parameter."""


def _random_state() -> dict[str, object]:
    name, keys, *rest = np.random.get_state(legacy=True)
    return {
        "python": random.getstate(),
        "numpy": [name, np.asarray(keys).tolist(), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _set_random_state(state: Mapping[str, Any]) -> None:
    random.setstate(state["python"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
