"""Finished runs as reports read them: config, scores and relations, without the weights."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from glob import glob
from pathlib import Path
from typing import Any

from msgspec import Struct
from omegaconf import OmegaConf

from glre_pyg.evaluation.protocol import Protocol
from glre_pyg.runs.legacy import upgrade
from glre_pyg.runs.plain_yaml import load_config
from glre_pyg.utils.exceptions import InputError, as_input_errors
from glre_pyg.utils.files import read_json
from glre_pyg.utils.json_fields import convert

CONFIG, SCORES, LABELS, COSTS = "config.yaml", "scores.json", "labels.json", "costs.json"


@dataclass(frozen=True)
class Record:
    """A finished run.

    Args:
        folder: The run directory.
        config: The resolved config.
        protocol: The protocol of its scores.
        scores: ``scores.json``.
        relations: Its relations.
        costs: ``costs.json``; empty if it has none.
    """

    folder: Path
    config: Mapping[str, Any]
    protocol: Protocol
    scores: Mapping[str, Any]
    relations: tuple[str, ...]
    costs: Mapping[str, Any]

    @property
    def name(self) -> str | None:
        """Name of its row in tables, if it has one."""
        name = self.config.get("name")
        return None if name is None else str(name)

    @property
    def seeds(self) -> tuple[object, object]:
        """Seeds of the model and of training."""
        seed = self.config.get("seed")
        return seed, (self.config.get("training") or {}).get("seed", seed)

    def value(self, split: str, path: str) -> float | None:
        """Return the number in a column of a table, or None if the run has no such number.

        Args:
            split: Split that is scored.
            path: Path of a score, such as ``by_distance/>=3/f1``, within the scores of the split; of a value
                in ``costs.json``, such as ``costs/peak_memory_gib``; or of a setting, such as
                ``settings/optimizer/lr``. Scores are in percent, and None without facts to find.

        Raises:
            InputError: If the value is not a score, or not a number.
        """
        if not is_score(path):
            value = _lookup({"costs": self.costs, "settings": self.config}, path)
            if isinstance(value, int | float) or value is None:
                return value
            raise InputError(f"{self.folder}: {path}: '{value}' is not a number")
        value = _lookup(self.scores.get(split), path)
        parent = _lookup(self.scores.get(split), path.rpartition("/")[0])
        if value is None or (isinstance(parent, Mapping) and parent.get("gold") == 0):
            return None
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise InputError(f"{self.folder / SCORES}: {split}/{path}: '{value}' is not between 0 and 1")
        return 100 * value


def is_score(path: str) -> bool:
    """Whether a column of a table has scores, which are in percent; see :meth:`Record.value`."""
    return path.partition("/")[0] not in ("costs", "settings")


def find_runs(places: str | int | Sequence[str]) -> list[Path]:
    """Find run directories in or below folders or glob patterns, numbers in names in numeric order.

    Raises:
        InputError: If one of the places has no run directory.
    """
    runs: dict[Path, Path] = {}
    for place in map(str, [places] if isinstance(places, str | int) else places):
        found = glob(place, recursive=True) or glob(place.replace("[", "[[]"), recursive=True)
        folders = [place] if Path(place).is_dir() else sorted(found, key=_natural)
        below = [run for folder in folders for run in _runs_below(Path(folder))]
        if not below:
            raise InputError(f"runs: {place}: no run directory (a folder with a {CONFIG})")
        for run in below:
            runs.setdefault(run.resolve(), run)
    return list(runs.values())


def read_records(places: str | Sequence[str]) -> tuple[list[Record], list[Path]]:
    """Return the finished runs of :func:`find_runs`, and the directories of unfinished ones.

    Raises:
        InputError: If there is no finished run, or one cannot be read.
    """
    runs = find_runs(places)
    if not runs:
        raise InputError("runs: the list is empty")
    finished = [run for run in runs if (run / SCORES).is_file()]
    if not finished:
        raise InputError(f"runs: none of {len(runs)} runs is finished: {runs[0]} has no {SCORES}")
    return [read_record(run) for run in finished], [run for run in runs if run not in finished]


def read_record(folder: Path) -> Record:
    """Read a finished run.

    Raises:
        InputError: If a file is missing or malformed, or does not record the protocol.
    """
    config: Any = OmegaConf.to_container(upgrade(load_config(folder / CONFIG)))
    with as_input_errors(folder / CONFIG):
        convert(config, _Config)
    labels, scores = read_json(folder / LABELS), read_json(folder / SCORES)
    with as_input_errors(folder / LABELS):
        relations = convert(labels, _Labels).relations
    protocol = scores.get("protocol")
    with as_input_errors(folder / SCORES):
        if isinstance(protocol, dict):
            for name in sorted(protocol.keys() - {field.name for field in fields(Protocol)}):
                raise InputError(f"protocol.{name}: unknown field")
        found = convert(protocol, Protocol, "protocol")
    costs = read_json(folder / COSTS) if (folder / COSTS).is_file() else {}
    return Record(folder, config, found, scores, relations, costs)


def common_protocol(records: Sequence[Record], *, ignore: Sequence[str] = ()) -> Protocol:
    """Return the protocol that all runs share, apart from some of its fields.

    Raises:
        InputError: If the protocols of two runs differ.
    """
    first = records[0]
    for other in records[1:]:
        if names := [name for name in first.protocol.differences(other.protocol) if name not in ignore]:
            raise InputError(f"{first.folder} and {other.folder}: protocols differ in {', '.join(names)}")
    return first.protocol


class _Training(Struct):
    seed: str | int | None = None


class _Config(Struct):
    """What reports use of a config."""

    encoder: dict[str, Any] | None = None
    training: _Training | None = None
    seed: str | int | None = None


class _Labels(Struct):
    relations: tuple[str, ...]


def _lookup(node: object, path: str) -> object:
    """Return the value at a path in nested mappings; None if there is none."""
    for name in path.split("/"):
        node = node.get(name) if isinstance(node, Mapping) else None
    return node


def _runs_below(top: Path) -> Iterator[Path]:
    """Yield run directories, without those inside other run directories."""
    for folder, subfolders, files in os.walk(top):
        if CONFIG in files:
            subfolders.clear()
            yield Path(folder)
        subfolders[:] = sorted((name for name in subfolders if not name.startswith(".")), key=_natural)


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts ``job 10`` after ``job 9``."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
