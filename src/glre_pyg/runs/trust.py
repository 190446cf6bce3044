"""What the config of a saved model may name: it may be a stranger's, and what it names gets called.

Allowed are the classes and functions that configs of this project are made of, and the layers and optimizers
of torch. What builds pieces may read a file for it, and is allowed in the place of pieces alone. Packages of
one's own are named in ``$GLRE_TRUST``, with commas between them: what they define is allowed, what they have
imported is not.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from importlib import import_module
from inspect import isclass, isfunction, ismethod
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.optim import Optimizer

from glre_pyg.utils.exceptions import InputError

TRUST = "GLRE_TRUST"
TOKENIZER = "encoder.tokenizer._target_"
"""The one place where a method may be named: one that builds pieces."""
CLASSES = (
    *("glre_pyg.datasets.generator", "glre_pyg.datasets", "glre_pyg.models", "glre_pyg.nn", "glre_pyg.data.tokenizer"),
    "glre_pyg.training.loop.Settings",
)
"""Where classes of this project are that configs name."""
FUNCTIONS = ("glre_pyg.evaluation.thresholds",)
FOREIGN = {"torch.nn": nn.Module, "torch.optim": Optimizer}
"""Where classes of others are that configs name, and what they have to be."""


def check_config(config: DictConfig, source: Path, *, trusted: Collection[str] = ()) -> None:
    """Refuse a config that names anything but what is allowed, before anything of it is called.

    Args:
        config: A saved config, which has no interpolations.
        source: The file that it is from.
        trusted: Packages whose layers and models are allowed, too.

    Raises:
        InputError: If it names something else, or has an interpolation.
    """
    for place, key, value in _entries(OmegaConf.to_container(config), ""):
        if isinstance(value, str) and "${" in value:
            raise InputError(f"{source}: {place}: '{value}': a saved config has no interpolations")
        if key == "trust_remote_code" and value:
            raise InputError(f"{source}: {place}: code that comes with a model is never run")
        if key == "_target_" and not _is_allowed(value, place, source, trusted):
            raise InputError(
                f"{source}: {place}: '{value}' is no class that models are made of; "
                f"{TRUST}=PACKAGE allows one of yours"
            )


def _entries(node: object, place: str) -> Iterator[tuple[str, object, object]]:
    """(place, key, value) of everything in a config."""
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inside:
        below = f"{place}.{key}" if place else str(key)
        yield below, key, value
        yield from _entries(value, below)


def _is_allowed(target: object, place: str, source: Path, trusted: Collection[str]) -> bool:
    if not isinstance(target, str):
        return False
    own = os.environ.get(TRUST, "").replace(" ", "").split(",")
    package = target.partition(".")[0]
    if package and package in own:
        return _home(_found(target, source, place)) == package
    if package in trusted:
        found = _found(target, source, place)
        return _home(found) == package and isclass(found) and issubclass(found, nn.Module)
    if not _below(target, (*CLASSES, *FUNCTIONS, *FOREIGN)):
        return False
    found = _found(target, source, place)
    if ismethod(found):  # Subwords.build
        return place == TOKENIZER and isclass(found.__self__) and found.__func__.__module__ == "glre_pyg.data.tokenizer"
    return _is_harmless(found)


def _home(found: object) -> str:
    """The package that something is defined in."""
    return str(getattr(found, "__module__", "")).partition(".")[0]


def _is_harmless(found: object) -> bool:
    """Whether an object is what its name promises: ``glre_pyg.models.glre.os.system`` is another's."""
    if isfunction(found):
        return found.__module__ in FUNCTIONS
    if not isclass(found):
        return False
    name = f"{found.__module__}.{found.__qualname__}"
    foreign = (kind for package, kind in FOREIGN.items() if _below(name, [package]))
    return _below(name, CLASSES) or any(issubclass(found, kind) for kind in foreign)


def _below(name: str, packages: Collection[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _found(target: str, source: Path, place: str) -> object:
    """What a name stands for, found as Hydra finds it: attributes before modules."""
    first, *parts = target.split(".")
    try:
        found, module = import_module(first), first
        for part in parts:
            module = f"{module}.{part}"
            found = getattr(found, part) if hasattr(found, part) else import_module(module)
    except (ImportError, ValueError):
        raise InputError(f"{source}: {place}: there is no '{target}' here") from None
    return found
