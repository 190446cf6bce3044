"""Runs that differ only in seed and file locations are one row, with mean and standard deviation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev
from typing import NamedTuple

from glre_pyg.reporting.row_names import flatten, row_names
from glre_pyg.reporting.run_records import Record

# Files are compared by the checksums in the protocol; `fixed_by` and `start` name other runs.
SEEDS_AND_PLACES = (
    *("name", "report", "cases", "cache", "memory", "strict", "seed", "training.seed", "training.resume"),
    *("dataset.root", "dataset.train", "dataset.dev", "dataset.test", "dataset.ignore"),
)
COSTS = ("max_tokens", "max_padding", "gradient_checkpointing", "compile", "checkpoint_minutes")
"""Last parts of keys that change the cost of a computation, not its result."""


@dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation (n - 1) of a score over runs, in percent; None for one run."""

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
        """Summarize a score over the runs; see :meth:`Record.score`."""
        return Summary.of(record.score(split, path) for record in self.records)


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
