"""What the config of a saved model may name: it may be a stranger's, and what it names gets called.

Allowed are the classes and functions that configs of this project are made of, and the layers and optimizers
of torch. Packages of one's own are named in ``$GLRE_TRUST``, with commas between them.
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

from glre_pyg.document import InputError

TRUST = "GLRE_TRUST"
CLASSES = (
    *("glre_pyg.corpora.synthetic", "glre_pyg.datasets", "glre_pyg.models", "glre_pyg.nn", "glre_pyg.pieces"),
    "glre_pyg.training.Settings",
)
"""Where classes of this project are that configs name; of those in pieces, methods that build them, too."""
FUNCTIONS = ("glre_pyg.evaluation.thresholds",)
FOREIGN = {"torch.nn": nn.Module, "torch.optim": Optimizer}
"""Where classes of others are that configs name, and what they have to be."""


def check_config(config: DictConfig, source: Path, *, trusted: Collection[str] = ()) -> None:
    """Refuse a config that names anything but what is allowed, before anything of it is called.

    Args:
        config: A saved config, which has no interpolations.
        source: The file that it is from.
        trusted: Packages that are allowed besides those of ``$GLRE_TRUST``.

    Raises:
        InputError: If it names something else, or has an interpolation.
    """
    own = {*trusted, *filter(None, os.environ.get(TRUST, "").replace(" ", "").split(","))}
    for place, key, value in _entries(OmegaConf.to_container(config), ""):
        if isinstance(value, str) and "${" in value:
            raise InputError(f"{source}: {place}: '{value}': a saved config has no interpolations")
        if key == "trust_remote_code" and value:
            raise InputError(f"{source}: {place}: code that comes with a model is never run")
        if key == "_target_":
            _check(value, f"{source}: {place}", own)


def _entries(node: object, place: str) -> Iterator[tuple[str, object, object]]:
    """(place, key, value) of everything in a config that is not itself a mapping or a list."""
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in inside:
        below = f"{place}.{key}" if place else str(key)
        if isinstance(value, dict | list):
            yield from _entries(value, below)
        else:
            yield below, key, value


def _check(target: object, place: str, own: Collection[str]) -> None:
    if isinstance(target, str) and target.partition(".")[0] in own:
        return
    listed = (*CLASSES, *FUNCTIONS, *FOREIGN)
    if not isinstance(target, str) or not _below(target, listed) or not _is_harmless(_found(target, place)):
        raise InputError(
            f"{place}: '{target}' is no class that models are made of; {TRUST}=PACKAGE allows one of yours"
        )


def _is_harmless(found: object) -> bool:
    """Whether an object is what its name promises: ``glre_pyg.models.glre.os.system`` is another's."""
    if ismethod(found):  # Subwords.build
        return isclass(found.__self__) and found.__func__.__module__ == "glre_pyg.pieces"
    if isfunction(found):
        return found.__module__ in FUNCTIONS
    if not isclass(found):
        return False
    name = f"{found.__module__}.{found.__qualname__}"
    foreign = (kind for package, kind in FOREIGN.items() if _below(name, [package]))
    return _below(name, CLASSES) or any(issubclass(found, kind) for kind in foreign)


def _below(name: str, packages: Collection[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _found(target: str, place: str) -> object:
    """What a name stands for, found as Hydra finds it: attributes before modules."""
    first, *parts = target.split(".")
    try:
        found, module = import_module(first), first
        for part in parts:
            module = f"{module}.{part}"
            found = getattr(found, part) if hasattr(found, part) else import_module(module)
    except (ImportError, ValueError):
        raise InputError(f"{place}: there is no '{target}' here") from None
    return found
