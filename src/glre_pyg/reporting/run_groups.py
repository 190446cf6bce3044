"""Runs that differ in seeds and places alone are one row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from glre_pyg.reporting.row_names import flatten, row_names
from glre_pyg.reporting.run_records import Record
from glre_pyg.reporting.summary import Summary

# Files are compared by the checksums in the protocol; `fixed_by` and `start` name other runs.
SEEDS_AND_PLACES = (
    "name",
    "report",
    "cases",
    "cache",
    "memory",
    "strict",
    "seed",
    "training.seed",
    "training.resume",
    "dataset.root",
    "dataset.train",
    "dataset.dev",
    "dataset.test",
    "dataset.ignore",
)
COSTS = ("max_tokens", "max_padding", "gradient_checkpointing", "compile")
"""Last parts of the keys that say how something is computed, not what."""


@dataclass(frozen=True)
class Group:
    """The runs of one row.

    Args:
        name: What the row is called.
        records: Its runs, one a seed.
    """

    name: str
    records: tuple[Record, ...]

    @property
    def seeds(self) -> str:
        """Their seeds, separated by spaces."""
        return " ".join(str(record.seeds[0]) for record in self.records)

    @property
    def encoder(self) -> str:
        """The name of their encoder."""
        return str((self.records[0].config.get("encoder") or {}).get("name", "unknown"))

    def summary(self, split: str, path: str) -> Summary | None:
        """A number over the runs; see :meth:`Record.score`."""
        return Summary.of(record.score(split, path) for record in self.records)


def group(records: Sequence[Record]) -> tuple[list[Group], list[str]]:
    """Rows in the order of their first runs.

    Returns:
        The rows; and a line for each run that has the config and the seed of another, which counts once.
    """
    rows: dict[str, dict[tuple[object, object], Record]] = {}
    given: dict[str, set[str]] = {}
    twice = []
    for record in records:
        key = json.dumps(settings_of(record.config), sort_keys=True, default=str)
        row = rows.setdefault(key, {})
        given.setdefault(key, set()).update([record.name] if record.name else [])
        if (first := row.setdefault(record.seeds, record)) is not record:
            twice.append(
                f"{record.folder} has the config and the seed of {first.folder} and is not counted again"
            )
    members = [list(row.values()) for row in rows.values()]
    titles = [", ".join(sorted(given[key])) for key in rows]
    names = row_names(titles, [settings_of(row[0].config) for row in members])
    return [Group(name, tuple(row)) for name, row in zip(names, members, strict=True)], twice


def settings_of(config: Mapping[str, object]) -> Mapping[str, object]:
    """What a run was configured with, by dotted keys, without seeds, places and costs."""
    found = flatten(config)
    kept = {
        key: value
        for key, value in found.items()
        if key not in SEEDS_AND_PLACES and key.split(".")[-1] not in COSTS
    }
    for key in ("fixed_by", "start"):
        if isinstance(kept.get(key), str):
            kept[key] = "a run"
    return kept
