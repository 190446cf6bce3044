"""Scored pairs as JSON lines, so that every score can be computed again from a run alone.

A line is a pair: ``document``, ``head``, ``tail``, ``probability`` (relation to number), ``distance``,
``mentions``, and where they are not empty ``facts``, ``known`` (relations), ``other_facts`` (a number) and
``ignored`` (true).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeVar

import numpy as np

from glre_pyg.evaluation.scores import ScoredPairs, Threshold
from glre_pyg.utils import json_fields as fields
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import atomic_open

_T = TypeVar("_T")
_N = TypeVar("_N", int, float)
_HUGE = 1 << 53  # what float64 counts to
_FIELDS = {"document", "head", "tail", "probability", "distance", "mentions"}
_FIELDS |= {"facts", "known", "other_facts", "ignored"}

FLOOR = 1e-3
"""Lower probabilities are not written, unless they exceed the threshold."""


def write_predictions(pairs: ScoredPairs, path: Path, threshold: Threshold = 1.0) -> None:
    """Write every pair with its probabilities, its facts, and what breakdowns need.

    Probabilities are exact; those below :data:`FLOOR` are left out, and read as 0.

    Args:
        pairs: The pairs; their probabilities are taken to be float32.
        path: The file; it is replaced when all is written.
        threshold: The threshold of the run; what exceeds it is written, however low.
    """
    with atomic_open(path) as file:
        file.writelines(_lines(pairs, threshold))


def read_predictions(path: Path, relations: tuple[str, ...]) -> ScoredPairs:
    """Read what :func:`write_predictions` wrote.

    Args:
        path: The file.
        relations: The relations of the run.

    Raises:
        InputError: If there is no such file, a line is not of this format or has a relation that the run has
            not, or a pair comes twice.
    """
    column = {name: index for index, name in enumerate(relations)}
    rows: list[_Row] = []
    seen: set[tuple[str, str, str]] = set()
    try:
        with path.open("rb") as file:
            for line in file:
                row = _Row.read(line, column)
                if row.pair in seen:
                    raise InputError("head, tail: this pair of the document stood in a line before")
                seen.add(row.pair)
                rows.append(row)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except InputError as error:
        raise InputError(f"{path}:{len(rows) + 1}: {error}") from None
    shape = len(rows), len(relations)
    is_fact, known = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    probability = np.zeros(shape, dtype=np.float32)
    values = chain.from_iterable(row.probability.values() for row in rows)
    probability[_cells([row.probability for row in rows])] = np.fromiter(values, np.float32)
    is_fact[_cells([row.facts for row in rows])] = True
    known[_cells([row.known for row in rows])] = True
    return ScoredPairs(
        documents=[row.pair[0] for row in rows],
        heads=[row.pair[1] for row in rows],
        tails=[row.pair[2] for row in rows],
        relations=relations,
        probability=probability,
        is_fact=is_fact,
        other_facts=np.array([row.other_facts for row in rows], dtype=int),
        ignored=np.array([row.ignored for row in rows], dtype=bool),
        known=known,
        distance=np.array([row.distance for row in rows], dtype=int),
        mentions=np.array([row.mentions for row in rows], dtype=float),
    )


def _lines(pairs: ScoredPairs, threshold: Threshold) -> Iterator[str]:
    columns = zip(
        pairs.documents,
        pairs.heads,
        pairs.tails,
        pairs.probability.astype(np.float32),
        (pairs.probability >= FLOOR) | pairs.predicted(threshold),
        pairs.is_fact,
        pairs.known,
        pairs.other_facts.tolist(),
        pairs.ignored.tolist(),
        pairs.distance.tolist(),
        pairs.mentions.tolist(),
        strict=True,
    )
    names = pairs.relations
    for (
        document,
        head,
        tail,
        probability,
        written,
        fact,
        known,
        other,
        ignored,
        distance,
        mentions,
    ) in columns:
        found = written.nonzero()[0]
        numbers = [
            float(f"{number:.9g}") for number in probability[found].tolist()
        ]  # what float32 can tell apart
        row = {
            "document": document,
            "head": head,
            "tail": tail,
            "probability": dict(zip([names[index] for index in found], numbers, strict=True)),
            "distance": distance,
            "mentions": mentions,
        }
        optional = {
            "facts": [names[index] for index in fact.nonzero()[0]],
            "known": [names[index] for index in known.nonzero()[0]],
            "other_facts": other,
            "ignored": ignored,
        }
        yield json.dumps(row | {name: value for name, value in optional.items() if value}) + "\n"


@dataclass(frozen=True, slots=True)
class _Row:
    """A line; relations by their number."""

    pair: tuple[str, str, str]
    probability: Mapping[int, float]
    facts: list[int]
    known: list[int]
    other_facts: int
    ignored: bool
    distance: int
    mentions: float

    @classmethod
    def read(cls, line: bytes, column: Mapping[str, int]) -> _Row:
        """Read a line.

        Raises:
            InputError: If it is not of the format; the message names the field.
        """
        row = fields.mapping(fields.parse(line), "the line", _FIELDS)
        probability = fields.mapping(fields.get(row, "probability", "probability"), "probability")
        shares = [fields.share(value, f"probability of '{name}'") for name, value in probability.items()]
        return cls(
            pair=(_name(row, "document"), _name(row, "head"), _name(row, "tail")),
            probability=dict(zip(_numbers("probability", list(probability), column), shares, strict=True)),
            facts=_numbers("facts", _field(row, "facts", list, []), column),
            known=_numbers("known", _field(row, "known", list, []), column),
            other_facts=_within(row, "other_facts", int, 0),
            ignored=_field(row, "ignored", bool, False),
            distance=_within(row, "distance", int),
            mentions=_within(row, "mentions", float),
        )


def _cells(columns: Sequence[Collection[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the cells of a table that each row names."""
    rows = np.repeat(np.arange(len(columns)), [len(names) for names in columns])
    return rows, np.fromiter(chain.from_iterable(columns), int)


def _name(row: Mapping[str, object], name: str) -> str:
    return fields.text(_field(row, name, str), name)


def _within(row: Mapping[str, object], name: str, kind: type[_N], default: _N | None = None) -> _N:
    """A number that is not huge: of sentences or of mentions."""
    value = _field(row, name, kind, default)
    if not abs(value) < _HUGE:
        raise InputError(f"{name}: {value!r} is not a number below {_HUGE}")
    return value


def _field(row: Mapping[str, object], name: str, kind: type[_T], default: _T | None = None) -> _T:
    value = row.get(name, default)
    if kind is float and type(value) is int and abs(value) < _HUGE:
        value = float(value)
    if type(value) is not kind:  # not isinstance: true is an int to Python
        raise InputError(f"{name}: " + ("missing" if value is None else f"{value!r} is no {kind.__name__}"))
    return value


def _numbers(field: str, names: Sequence[object], column: Mapping[str, int]) -> list[int]:
    for name in names:
        if type(name) is not str or name not in column:
            raise InputError(f"{field}: {name!r} is not a relation of the run")
    return [column[str(name)] for name in names]
