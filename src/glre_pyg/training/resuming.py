"""Starting and resuming of runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from glre_pyg.reporting.run_groups import flatten
from glre_pyg.runs.directory import has_run, is_finished, read_config, write_config
from glre_pyg.utils import distributed
from glre_pyg.utils.cli import input_paths
from glre_pyg.utils.exceptions import InputError

AUTO = "auto"
_RESOURCES = ("memory", "cache")  # settings that may change when a run is resumed


def begin_or_resume(
    config: DictConfig, folder: Path, overrides: Sequence[str] = ()
) -> tuple[DictConfig, Path, bool]:
    """Start a new run, or resume one.

    Args:
        config: The composed config. ``training.resume`` is the directory of a run to resume; with ``"auto"``,
            the run in ``folder`` is resumed if there is one.
        folder: Directory of a new run.
        overrides: Overrides of the command line.

    Returns:
        Config and directory of the run, and whether it is finished.

    Raises:
        InputError: If the folder contains another run, or overrides are given that differ from a resumed run.
    """
    folder, resume = distributed.broadcast(folder), config.training.resume
    if resume == AUTO:
        resume = str(folder) if distributed.broadcast(has_run(folder)) else None
        if resume:
            _check_same(config, folder)
            if is_finished(folder):
                return config, folder, True
    elif resume:
        _check_overrides(overrides, resume)
    if resume:
        folder = Path(resume)
        resources = {name: config[name] for name in _RESOURCES if config.get(name) is not None}
        config = read_config(folder)
        config.update(resources)
        config.training.resume = str(folder)
        return config, folder, False
    config.training.resume = None
    for source in input_paths(config):
        if folder.resolve() in source.resolve().parents:
            raise InputError(f"{folder}: {source} lies in it: name another hydra.run.dir")
    if distributed.is_main_process():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            write_config(folder, config)
        except FileExistsError:
            raise InputError(
                f"{folder}: has a run in it: training.resume={AUTO} resumes it, and another hydra.run.dir "
                "begins a new one"
            ) from None
    distributed.barrier()
    return config, folder, False


def plain(config: DictConfig) -> dict[str, Any]:
    """Return a resolved config as plain values."""
    values = OmegaConf.to_container(config, resolve=True)
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _check_same(config: DictConfig, folder: Path) -> None:
    """Check that a config is that of the run in a folder."""
    ours, theirs = (flatten(plain(each)) for each in (config, read_config(folder)))
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in (*_RESOURCES, "strict", "training.resume") and ours.get(name) != theirs.get(name):
            raise InputError(f"{folder}: has a run with another {name}: name another hydra.run.dir")


def _check_overrides(overrides: Sequence[str], resume: str) -> None:
    for override in overrides:
        name = override.lstrip("+~").partition("=")[0]
        if name not in (*_RESOURCES, "training.resume"):
            raise InputError(
                f"training.resume={resume} continues with the settings of that run: leave out {override}"
            )
