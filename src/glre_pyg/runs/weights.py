"""Weights as safetensors: the same weights are the same bytes, and no more memory than they need."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import WriteError


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the weights of a model, those that it has under several names once, under the first of them.

    ``safetensors.torch.save_model`` does so, too, but writes the other names in an order that differs from
    process to process. Its ``load_model`` reads both.

    Raises:
        WriteError: If the file cannot be written.
    """
    save_tensors(_once(model.state_dict()), path)


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors by name.

    Raises:
        WriteError: If the file cannot be written.
    """
    try:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    except (SafetensorError, OSError) as error:
        raise WriteError.from_error(path, error) from error


def _once(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found: dict[tuple[object, ...], str] = {}
    for name, tensor in sorted(state.items()):
        place = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride())
        found.setdefault(place if tensor.numel() else (name,), name)
    return {name: state[name] for name in found.values()}


def check_size(make: Callable[[], nn.Module], path: Path) -> None:
    """Refuse a model that is larger than its weights, as a config can ask for it in a few words.

    Args:
        make: Makes the model. It is called where tensors take no memory; a model that cannot be made there is
            not looked at.
        path: Its weights.

    Raises:
        InputError: If the file is none of safetensors, or has fewer numbers than the model.
    """
    try:
        with safe_open(path, framework="pt") as file:
            there = sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a whole file of safetensors: {error}") from error
    try:
        with torch.device("meta"):
            model = make()
    except Exception:  # it is made in earnest next, and says what is wrong
        return
    needed = sum(parameter.numel() for parameter in model.parameters())
    if needed > there:
        raise InputError(
            f"{path}: not the weights of the model in config.yaml: {there:,} numbers, where it has {needed:,}"
        )
