"""Whether a file has the weights of a model, before memory is taken for the model."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from glre_pyg.document import InputError


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
