"""Runs that differ only in seed and file locations are one row, with mean and standard deviation."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import NamedTuple

from glre_pyg.reporting.run_records import Record

# Files are compared by the checksums in the protocol; `fixed_by` and `start` name other runs.
SEEDS_AND_PLACES = (
    *("name", "report", "cases", "cache", "memory", "strict", "seed", "training.seed", "training.resume"),
    *("dataset.root", "dataset.train", "dataset.dev", "dataset.test", "dataset.ignore"),
)
COSTS = ("max_tokens", "max_padding", "gradient_checkpointing", "compile", "checkpoint_minutes")
"""Last parts of keys that change the cost of a computation, not its result."""
BASE = "base"
"""Name of a row that no setting tells from others, and whose model has no name of its own."""

_FEW = 3
"""Number of settings that are all named if rows differ in them."""

Settings = Mapping[str, object]


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation (n - 1) of a number over runs; None for one run."""

    mean: float
    deviation: float | None
    count: int

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Summary | None:
        """Summarize the score of each run; None if a run lacks it.

        Example:
            >>> print(Summary.of([60.0, 62.0]), "|", Summary.of([60.0]))
            61.00 ± 1.41 | 60.00 ± -
        """
        scores = [*values]
        known = [score for score in scores if score is not None]
        if not known or len(known) < len(scores):
            return None
        return cls(fmean(known), stdev(known) if len(known) > 1 else None, len(known))

    def __str__(self) -> str:
        return f"{self.mean:.2f} ± {'-' if self.deviation is None else f'{self.deviation:.2f}'}"


def difference_error(first: Summary, second: Summary) -> float | None:
    """Standard error of the difference of two means, sqrt(s1²/n1 + s2²/n2); None if either has one run."""
    if first.deviation is None or second.deviation is None:
        return None
    return sqrt(first.deviation**2 / first.count + second.deviation**2 / second.count)


class Group(NamedTuple):
    """The runs of a row, which differ in their seeds alone."""

    name: str
    records: tuple[Record, ...]

    @property
    def seeds(self) -> str:
        """Seeds of the runs, separated by spaces."""
        return " ".join(str(record.seeds[0]) for record in self.records)

    @property
    def encoder(self) -> str:
        """Name of the encoder of the runs."""
        return str((self.records[0].config.get("encoder") or {}).get("name", "unknown"))

    def summary(self, split: str, path: str) -> Summary | None:
        """Summarize a column of a table over the runs; see :meth:`Record.value`."""
        return Summary.of(record.value(split, path) for record in self.records)


def group(records: Sequence[Record]) -> tuple[list[Group], list[str]]:
    """Group runs by their settings, in the order of their first runs.

    Returns:
        The groups, and a line for each run with the config and seed of another, which is counted once.
    """
    rows: dict[str, dict[tuple[object, object], Record]] = {}
    duplicates = []
    for record in records:
        key = json.dumps(settings_of(record.config), sort_keys=True, default=str)
        first = rows.setdefault(key, {}).setdefault(record.seeds, record)
        if first is not record:
            duplicates.append(
                f"{record.folder} has the config and the seed of {first.folder} and is not counted again"
            )
    members = [list(row.values()) for row in rows.values()]
    given = [", ".join(sorted({record.name for record in row if record.name})) for row in members]
    names = row_names(given, [settings_of(row[0].config) for row in members])
    return [Group(name, tuple(row)) for name, row in zip(names, members, strict=True)], duplicates


def settings_of(config: Mapping[str, object]) -> Mapping[str, object]:
    """Return a config by dotted keys, without seeds, file locations and settings that change only costs."""
    settings = {
        key: value
        for key, value in flatten(config).items()
        if key not in SEEDS_AND_PLACES and key.split(".")[-1] not in COSTS
    }
    for key in ("fixed_by", "start"):
        if isinstance(settings.get(key), str):
            settings[key] = "a run"
    return settings


def flatten(config: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Flatten a nested config to dotted keys; lists are values.

    >>> flatten({"layer": {"local": {"heads": 4}}, "seed": 0})
    {'layer.local.heads': 4, 'seed': 0}
    """
    flat: dict[str, object] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def row_names(given: Sequence[str], settings: Sequence[Settings]) -> list[str]:
    """Name rows so that rows with different settings have different names.

    Args:
        given: Name of each row, "" for rows without one.
        settings: Settings of each row, by dotted keys.
    """
    names = list(given)
    for name in dict.fromkeys(given):
        rows = [index for index, other in enumerate(given) if other == name]
        for index, words in zip(rows, _distinguish([settings[index] for index in rows]), strict=True):
            names[index] = ", ".join(part for part in (name, words) if part) or _model(settings[index], given)
    return names


def _model(row: Settings, given: Sequence[str]) -> str:
    name = _format("_target_", row.get("model._target_"))
    return BASE if name in ("null", *given) else name


def _distinguish(rows: Sequence[Settings]) -> list[str]:
    """Describe each row by the settings that differ, or the few that tell rows apart if there are many.

    Values that most rows share are omitted.
    """
    keys = sorted({key for row in rows for key in row}, key=_precedence)
    chosen: list[str] = []
    values: list[tuple[str, ...]] = [()] * len(rows)
    for key in keys:
        extended = [(*before, repr(row.get(key))) for before, row in zip(values, rows, strict=True)]
        if len(set(extended)) > len(set(values)):
            chosen, values = [*chosen, key], extended
    differing = _differing(rows, keys)
    if len(differing) <= _FEW:
        chosen += (key for key in differing if key not in chosen)
    brief = [_describe(row, rows, chosen, brief=True) for row in rows]
    if len(set(brief)) == len(set(values)):
        return brief
    return [_describe(row, rows, chosen, brief=False) for row in rows]


def _differing(rows: Sequence[Settings], keys: Sequence[str]) -> list[str]:
    """Return the keys in which rows differ, without those that repeat or follow from another of them.

    A key follows from the class or name of its group, as ``encoder.lr`` does from another encoder.
    """
    differing: list[str] = []
    columns: set[tuple[str, ...]] = set()
    groups: list[str] = []
    for key in keys:
        column = tuple(_format(key, row.get(key)) for row in rows)
        group, _, last = key.rpartition(".")
        if len(set(column)) > 1:
            if column not in columns and not key.startswith(tuple(groups)):
                differing.append(key)
            columns.add(column)
            groups += [f"{group}."] if last in ("name", "_target_") else []
    return differing


def _describe(row: Settings, rows: Sequence[Settings], keys: Sequence[str], *, brief: bool) -> str:
    """Format some settings of a row; in brief, without those it lacks or shares with most rows."""
    words = []
    for key in keys:
        values = [_format(key, other[key]) for other in rows if key in other]
        common, count = Counter(values).most_common(1)[0]
        value = _format(key, row.get(key))
        if not brief or (key in row and (value != common or 2 * count <= len(values))):
            words.append(f"{key.removesuffix('._target_')}={value}")
    return ", ".join(words)


def _precedence(key: str) -> tuple[bool, bool, int, str]:
    """Sort key that puts names and classes first, then short keys; ``model`` repeats other groups."""
    *parents, last = key.split(".")
    return parents[:1] == ["model"], last not in ("name", "_target_"), len(parents), key


def _format(key: str, value: object) -> str:
    """Format a class by its bare name, and a class that stands for no layer (``NoLocal``) as ``none``."""
    if value is None:
        return "null"
    if not key.endswith("_target_"):
        return str(value)
    last = str(value).rpartition(".")[2]
    return "none" if last[:2] == "No" and last[2:3].isupper() else last
