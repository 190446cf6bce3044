"""What the config of a run may name, since loading the run calls it.

A run that this user has trained on this machine may name anything: its config is signed with a random key of
the user, which never leaves the machine. Every other run is untrusted, and may name the classes and functions
that configs of this project consist of, and the layers and optimizers of torch. ``$GLRE_TRUST`` holds further
packages, separated by commas: what they define is allowed, what they import is not. Class methods that build
a tokenizer may read files to do so, and are allowed as tokenizers only.
"""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Collection
from contextlib import suppress
from inspect import isclass, isfunction, ismethod
from pathlib import Path
from tempfile import mkstemp

from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.optim import Optimizer

from glre_pyg.utils.cache import state_folder
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import read_bytes
from glre_pyg.utils.json_fields import walk
from glre_pyg.utils.settings import locate

TRUST = "GLRE_TRUST"
SIGNATURE = "config.yaml.hmac"
TOKENIZER = "encoder.tokenizer._target_"
"""The one place where a class method may be named: one that builds a tokenizer."""
CLASSES = (
    *("glre_pyg.datasets.generator", "glre_pyg.datasets", "glre_pyg.models", "glre_pyg.nn"),
    *("glre_pyg.data.tokenizer", "glre_pyg.data.word_tokenizer", "glre_pyg.training.loop.TrainingSettings"),
)
"""Modules and packages of this project whose classes configs name."""
FUNCTIONS = ("glre_pyg.evaluation.thresholds",)
TORCH = {"torch.nn": nn.Module, "torch.optim": Optimizer}
"""Packages of torch whose classes configs name, and their base classes."""


def sign(config: Path) -> None:
    """Write the signature of a config beside it, so that its run needs no trust on this machine.

    Without a place for the key, no signature is written.
    """
    with suppress(OSError, RuntimeError):
        key = _key_path()
        if not key.exists():
            _make_key(key)
        config.with_name(SIGNATURE).write_bytes(_digest(key, config))


def is_signed(config: Path) -> bool:
    """Whether this user has signed a config on this machine."""
    try:
        return hmac.compare_digest(read_bytes(config.with_name(SIGNATURE)), _digest(_key_path(), config))
    except (OSError, RuntimeError):  # no signature, no key, no home
        return False


def _key_path() -> Path:
    """Path of the key: outside of the cache, which may be shared or come from somebody else."""
    return state_folder() / "key"


def _make_key(path: Path) -> None:
    """Make a key that only this user can read; of several processes, the first one makes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    opened, part = mkstemp(dir=path.parent)  # with mode 0600
    with os.fdopen(opened, "wb") as file:
        file.write(secrets.token_bytes(32))
    with suppress(FileExistsError):
        os.link(part, path)
    os.unlink(part)


def _digest(key: Path, config: Path) -> bytes:
    return hmac.digest(read_bytes(key), read_bytes(config), "sha256").hex().encode()


def check_config(config: DictConfig, source: Path) -> None:
    """Refuse a config that names what it may not, before anything is called.

    Args:
        config: A saved config.
        source: Path of its file.

    Raises:
        InputError: If it names something else, has an interpolation, or needs code of a model repository.
    """
    trusted = is_signed(source)
    for place, key, value in walk(OmegaConf.to_container(config)):
        if isinstance(value, str) and "${" in value:
            raise InputError(f"{source}: {place}: '{value}': a saved config has no interpolations")
        if key == "trust_remote_code" and value:
            raise InputError(f"{source}: {place}: code that comes with a model is never run")
        if key == "_target_" and not trusted and not _is_allowed(value, place, source):
            package = str(value).partition(".")[0]
            raise InputError(
                f"{source}: {place}: '{value}' is not a part of glre_pyg or torch that models consist "
                f"of, and you have not trained this run on this machine; if you trust the package, set "
                f"{TRUST}={package}"
            )


def _is_allowed(target: object, place: str, source: Path) -> bool:
    if not isinstance(target, str):
        return False
    package = target.partition(".")[0]
    if package and package in os.environ.get(TRUST, "").replace(" ", "").split(","):
        home = str(getattr(locate(target, f"{source}: {place}"), "__module__", ""))
        return home.partition(".")[0] == package
    if not _is_below(target, (*CLASSES, *FUNCTIONS, *TORCH)):
        return False
    value = locate(target, f"{source}: {place}")
    if ismethod(value):
        return place == TOKENIZER and isclass(value.__self__) and value.__func__.__module__ in CLASSES
    if isfunction(value):
        return value.__module__ in FUNCTIONS
    if not isclass(value):
        return False
    # Where it is defined decides: "glre_pyg.models.glre.os.system" is below an allowed module by name alone.
    home = f"{value.__module__}.{value.__qualname__}"
    return _is_below(home, CLASSES) or any(
        _is_below(home, [name]) and issubclass(value, base) for name, base in TORCH.items()
    )


def _is_below(name: str, packages: Collection[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)
