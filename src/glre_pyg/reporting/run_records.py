"""What a report needs of a run directory: config, scores and relations, not the weights."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from glob import glob
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from glre_pyg.evaluation.protocol import Protocol
from glre_pyg.runs.plain_yaml import load_config
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import read_json

CONFIG, SCORES, LABELS = "config.yaml", "scores.json", "labels.json"


@dataclass(frozen=True)
class Record:
    """A finished run.

    Args:
        folder: Its directory.
        config: Its resolved config.
        protocol: What its scores were measured under.
        scores: ``scores.json``.
        relations: Its relations, in order.
    """

    folder: Path
    config: Mapping[str, Any]
    protocol: Protocol
    scores: Mapping[str, Any]
    relations: tuple[str, ...]

    @property
    def name(self) -> str | None:
        """The name of its row in tables, if it was given one."""
        name = self.config.get("name")
        return None if name is None else str(name)

    @property
    def seeds(self) -> tuple[object, object]:
        """What it was started with."""
        seed = self.config.get("seed")
        return seed, (self.config.get("training") or {}).get("seed", seed)

    def score(self, split: str, path: str) -> float | None:
        """One number, in percent; None where the run has no such score, or nothing to find.

        Args:
            split: ``"dev"`` or ``"test"``.
            path: Its place among the scores of the split, as in ``by_distance/>=3/f1``.

        Raises:
            InputError: If there is something else in its place.
        """
        *place, last = path.split("/")
        found: Any = self.scores.get(split)
        for part in place:
            found = found.get(part) if isinstance(found, Mapping) else None
        if not isinstance(found, Mapping) or last not in found or found.get("gold") == 0:
            return None
        if not isinstance(found[last], int | float) or not 0 <= found[last] <= 1:
            raise InputError(f"{self.folder / SCORES}: {split}/{path}: '{found[last]}' is not a share")
        return 100 * found[last]


def as_places(runs: object) -> list[str]:
    """A setting that is one folder or pattern, or a list of them, as a list."""
    return (
        [str(run) for run in runs]
        if isinstance(runs, Sequence) and not isinstance(runs, str)
        else [str(runs)]
    )


def find_runs(places: Sequence[str]) -> list[Path]:
    """Run directories below folders or glob patterns, each once; numbers in names are ordered as numbers.

    Raises:
        InputError: If there is none below one of them.
    """
    found: dict[Path, Path] = {}
    for place in places:
        tops = [place] if Path(place).is_dir() else sorted(glob(place, recursive=True), key=_natural)
        runs = [run for top in tops for run in _below(Path(top))]
        if not runs:
            raise InputError(f"runs: {place}: there is no run directory (one with a {CONFIG})")
        for run in runs:
            found.setdefault(run.resolve(), run)
    return list(found.values())


def read_records(places: Sequence[str]) -> tuple[list[Record], list[Path]]:
    """Finished runs below folders or glob patterns, and the directories of unfinished ones.

    Raises:
        InputError: If there is no finished run, or one cannot be read.
    """
    runs = find_runs(places)
    if not runs:
        raise InputError("runs: none is named")
    finished = [run for run in runs if (run / SCORES).is_file()]
    if not finished:
        raise InputError(f"runs: none of {len(runs)} runs is finished: {runs[0]} has no {SCORES}")
    return [read_record(run) for run in finished], [run for run in runs if run not in finished]


def read_record(folder: Path) -> Record:
    """A finished run.

    Raises:
        InputError: If one of its files is missing or malformed, or it says nothing of its protocol.
    """
    scores, labels = read_json(folder / SCORES), read_json(folder / LABELS)
    relations = labels.get("relations")
    if not isinstance(relations, list) or not all(isinstance(name, str) for name in relations):
        raise InputError(f"{folder / LABELS}: relations: not a list of names")
    return Record(folder, _config(folder), _protocol(scores, folder), scores, tuple(relations))


def one_protocol(records: Sequence[Record], *, ignoring: Sequence[str] = ()) -> Protocol:
    """The protocol that runs share.

    Args:
        records: Runs, at least one.
        ignoring: Fields that may differ.

    Raises:
        InputError: If two runs have two; it names them and the fields that differ.
    """
    first = records[0]
    for other in records[1:]:
        if different := [name for name in first.protocol.differences(other.protocol) if name not in ignoring]:
            raise InputError(
                f"{first.folder} and {other.folder}: two protocols, they differ in {', '.join(different)}"
            )
    return first.protocol


def _config(folder: Path) -> Mapping[str, Any]:
    """A run's config, in which what a report looks at is of its kind."""
    found: Any = OmegaConf.to_container(load_config(folder / CONFIG))
    for name in ("encoder", "training"):
        if not isinstance(found.get(name) or {}, Mapping):
            raise InputError(f"{folder / CONFIG}: {name}: not a mapping")
    training = found.get("training") or {}
    for name, value in (("seed", found.get("seed")), ("training.seed", training.get("seed"))):
        if not isinstance(value, str | int | None):
            raise InputError(f"{folder / CONFIG}: {name}: not a number")
    return found


def _protocol(scores: Mapping[str, Any], folder: Path) -> Protocol:
    found = scores.get("protocol")
    names = {field.name for field in fields(Protocol)}
    if isinstance(found, dict):
        found = {"skipped": {}, **found}  # which older runs did not have
    if not isinstance(found, dict) or set(found) != names:
        missing = sorted(names - set(found)) if isinstance(found, dict) else sorted(names)
        raise InputError(
            f"{folder / SCORES}: protocol: not known in full, so the run stands in no table "
            f"(missing: {', '.join(missing) or 'none, but there are other fields'})"
        )
    texts = {name: value for name, value in found.items() if name not in ("files", "ignored", "skipped")}
    if found["ignored"] is not None:
        texts["ignored"] = found["ignored"]
    files = found["files"]
    if not isinstance(files, dict) or not all(
        isinstance(of, str) for of in (*texts.values(), *files.values())
    ):
        raise InputError(f"{folder / SCORES}: protocol: not made of texts")
    if not isinstance(found["skipped"], dict) or not all(
        isinstance(of, int) for of in found["skipped"].values()
    ):
        raise InputError(f"{folder / SCORES}: protocol: skipped: not numbers by split")
    return Protocol(**found)


def _below(top: Path) -> Iterator[Path]:
    """A run directory has no others below it."""
    for folder, folders, files in os.walk(top):
        if CONFIG in files:
            folders.clear()
            yield Path(folder)
        folders[:] = sorted((name for name in folders if not name.startswith(".")), key=_natural)


def _natural(name: str) -> list[tuple[int, str]]:
    """Orders ``job 10`` after ``job 9``."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
