"""Versions, code, data and machine of a run, without anything that identifies its user."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import torch

from glre_pyg.utils import distributed
from glre_pyg.utils.cache import contents_of

_PACKAGES = (
    *("glre_pyg", "torch", "torch-geometric", "torch-scatter", "transformers", "tokenizers", "accelerate"),
    *("safetensors", "hydra-core", "numpy", "scipy", "pysbd", "sentencex"),
)


def describe_environment(data: Mapping[str, str], parser: str | None = None) -> dict[str, object]:
    """Return versions, code, data and machine as JSON.

    Args:
        data: Checksum (SHA-256) of the file of each split, or of the config that generates them.
        parser: Name and version of the pipeline that parses documents; None if the model needs no parse.
    """
    package = Path(__file__).resolve().parents[1]
    gpus = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "commit": git_commit(package),
        "code": contents_of(*sorted(package.rglob("*.py"))),
        "data": dict(data),
        "parser": parser,
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cpus": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "gpu": ", ".join(gpus) or None,
        "cuda": torch.version.cuda,
        "processes": distributed.world_size(),
        "threads": torch.get_num_threads(),
    }


def git_commit(place: Path) -> str | None:
    """Return the git commit of the checkout that a folder is in; None if it is in none."""
    root = next((folder for folder in (place, *place.parents) if (folder / ".git").exists()), None)
    if root is None:
        return None
    try:
        git = root / ".git"
        if git.is_file():  # a worktree
            git = (root / git.read_text(encoding="utf-8").removeprefix("gitdir:").strip()).resolve()
        head = (git / "HEAD").read_text(encoding="utf-8").strip()
        if not head.startswith("ref:"):
            return head
        name = head.removeprefix("ref:").strip()
        common = (
            git / (git / "commondir").read_text(encoding="utf-8").strip()
            if (git / "commondir").exists()
            else git
        )
        if (common / name).exists():
            return (common / name).read_text(encoding="utf-8").strip()
        rows = (line.split() for line in (common / "packed-refs").read_text(encoding="utf-8").splitlines())
        return next((row[0] for row in rows if row[1:] == [name]), None)
    except (OSError, UnicodeDecodeError):
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu() -> str | None:
    """Return the name of the processor, if the system knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)
