"""Section 4.3: all that the next step of a training run depends on, on disk.

The folder has ``model.safetensors``, the weights; ``best.safetensors``, those of the best epoch;
``state.json`` with ``state.safetensors``, optimizer, schedule, moving average, random states and how far the
run is; and ``checksums.json``. Nothing is pickled. One that is broken, or of another run, is refused.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, load_model
from torch import Tensor, nn

from glre_pyg.runs.artifacts import WEIGHTS
from glre_pyg.runs.checksums import CHECKSUMS, verify_files, write_checksums
from glre_pyg.runs.weights import save_tensors, save_weights
from glre_pyg.utils import distributed
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import atomic_folder, atomic_path, complete_folder, read_json, write_json

CHECKPOINT = "checkpoint"
BEST, STATE, TENSORS = "best.safetensors", "state.json", "state.safetensors"
FORMAT = 1  # to be raised with each change of what is in a checkpoint


class Stateful(Protocol):
    """What has a state of tensors, numbers and names: an optimizer, a schedule, a scaler."""

    def state_dict(self) -> dict[str, Any]:
        """The state."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object:
        """Have the state."""
        ...


class Checkpoint:
    """The checkpoint of a run.

    Args:
        folder: Run directory.
        model: The model, not wrapped for several processes.
        parts: What else has a state, by name.
        run: What the run is known by, as JSON has it: a checkpoint of another is refused.
    """

    def __init__(
        self, folder: Path, model: nn.Module, parts: Mapping[str, Stateful], run: Mapping[str, object]
    ) -> None:
        self.folder, self.model, self.parts = folder, model, parts
        self.run: dict[str, object] = json.loads(json.dumps({"processes": distributed.world_size(), **run}))

    def save(self) -> None:
        """Write a checkpoint in the place of the last one; all processes take part.

        Raises:
            WriteError: If it cannot be written; the last one is still there.
        """
        rows = distributed.all_gather([_random_state()])
        if distributed.is_main_process():
            state = {name: part.state_dict() for name, part in self.parts.items()}
            self._write({"format": FORMAT, "run": self.run, "parts": state, "random": rows})
        distributed.barrier()

    def _write(self, state: Mapping[str, object]) -> None:
        place = self.folder / CHECKPOINT
        tensors: dict[str, Tensor] = {}
        with atomic_folder(place) as part:
            save_weights(self.model, part / WEIGHTS)
            write_json({"state": _packed(state, "", tensors)}, part / STATE)
            save_tensors(tensors, part / TENSORS)
            if (self.folder / WEIGHTS).exists():
                shutil.copyfile(self.folder / WEIGHTS, part / BEST)
            write_checksums(part, _files(part))

    def remove(self) -> None:
        """Remove what an earlier run has left; all processes take part."""
        if distributed.is_main_process():
            while (place := complete_folder(self.folder / CHECKPOINT)) is not None:
                shutil.rmtree(place)
        distributed.barrier()

    def restore(self) -> bool:
        """Go back to the last checkpoint; False if there is none. All processes take part.

        Raises:
            InputError: If a file of it is missing or not what was written, or it is of another run.
        """
        place = complete_folder(self.folder / CHECKPOINT)
        if place is None:
            return False
        if not (place / CHECKSUMS).is_file():
            raise InputError(f"{place}: without {CHECKSUMS}, so not a checkpoint of this version: begin anew")
        verify_files(place, _files(place))
        saved = read_json(place / STATE)
        try:
            state: dict[str, Any] = _unpacked(saved["state"], load_file(place / TENSORS))
            self._check(place, state)
            load_model(self.model, place / WEIGHTS)
            for name, part in self.parts.items():
                part.load_state_dict(state["parts"][name])
        except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            reason = " ".join(str(error).split())
            raise InputError(f"{place}: is not of this run: {type(error).__name__}: {reason}") from error
        if distributed.is_main_process() and (place / BEST).exists():
            with atomic_path(self.folder / WEIGHTS) as copy:
                shutil.copyfile(place / BEST, copy)
        _set_random_state(state["random"][distributed.rank()])
        distributed.barrier()
        return True

    def _check(self, place: Path, state: Mapping[str, Any]) -> None:
        if state["format"] != FORMAT:
            raise InputError(f"{place}: of version {state['format']}, not {FORMAT}: begin anew")
        for name in sorted(self.run.keys() | state["run"].keys()):
            ours, theirs = self.run.get(name), state["run"].get(name)
            if ours != theirs:
                raise InputError(f"{place}: is of another run: {name} was {theirs}, and is {ours}")


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != CHECKSUMS)


def _random_state() -> dict[str, object]:
    version, numbers, gauss = random.getstate()
    name, keys, *rest = np.random.get_state(legacy=True)
    return {
        "python": [version, [*numbers], gauss],
        "numpy": [name, np.asarray(keys).tolist(), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _set_random_state(state: Mapping[str, Any]) -> None:
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])


def _packed(value: object, place: str, tensors: dict[str, Tensor]) -> object:
    """A state as JSON has it, its tensors apart."""
    if isinstance(value, Tensor):
        tensors[place] = value.detach().cpu().clone().contiguous()
        return {"tensor": place}
    if isinstance(value, Mapping):
        return {"map": [[key, _packed(of, f"{place}/{key}", tensors)] for key, of in value.items()]}
    if isinstance(value, list | tuple):
        return {"list": [_packed(of, f"{place}/{index}", tensors) for index, of in enumerate(value)]}
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise TypeError(f"{place}: a {type(value).__name__} cannot be kept")


def _unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    [(kind, of)] = value.items()
    if kind == "tensor":
        return tensors[of]
    if kind == "map":
        return {key: _unpacked(inside, tensors) for key, inside in of}
    return [_unpacked(inside, tensors) for inside in of]
