"""Model weights as safetensors: reproducible files, checked before memory is allocated."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from textwrap import shorten

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_model, save_file
from torch import Tensor, nn

from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import WriteError


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the weights of a model; shared tensors are stored once, under the first of their names.

    Unlike ``safetensors.torch.save_model``, which records the other names in an order that differs between
    processes, equal weights give equal files. ``safetensors.torch.load_model`` reads both.

    Raises:
        WriteError: If the file cannot be written.
    """
    unique: dict[tuple[object, ...], tuple[str, Tensor]] = {}
    for name, tensor in sorted(model.state_dict().items()):
        memory = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride())
        unique.setdefault(memory if tensor.numel() else (name,), (name, tensor.contiguous()))
    try:
        save_file(dict(unique.values()), path)
    except (SafetensorError, OSError) as error:
        raise WriteError.from_error(path, error) from error


def load_weights(model: nn.Module, path: Path) -> None:
    """Load the weights of a model.

    Raises:
        InputError: If the file is damaged, or the weights are those of another model.
    """
    try:
        load_model(model, path)
    except SafetensorError as error:
        raise _damaged(path, error) from error
    except RuntimeError as error:  # torch lists all mismatches, one in a line
        first = shorten(" ".join(str(error).splitlines()[1:]) or str(error), 200)
        raise _mismatch(path, first) from error


def check_size(make_model: Callable[[], nn.Module], path: Path) -> None:
    """Refuse a model that is larger than its weights: a short config can demand any amount of memory.

    Args:
        make_model: Makes the model. It is called on the meta device, where tensors take no memory; a model
            that cannot be made there is not checked.
        path: Its weights.

    Raises:
        InputError: If the file is damaged, or has fewer numbers than the model.
    """
    try:
        with safe_open(path, framework="pt") as file:
            stored = sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from error
    try:
        with torch.device("meta"):
            model = make_model()
    except Exception:  # raised again, with its reason, when the real model is made
        return
    needed = sum(parameter.numel() for parameter in model.parameters())
    if needed > stored:
        raise _mismatch(path, f"{stored:,} numbers, where it has {needed:,}")


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: not a whole file of safetensors: {error}")


def _mismatch(path: Path, reason: str) -> InputError:
    return InputError(f"{path}: not the weights of the model in config.yaml: {reason}")
