"""Scored pairs as JSON lines, from which every score of a run can be computed again.

Each line is a pair: ``document``, ``head``, ``tail``, ``probability`` (by relation), ``distance``,
``mentions`` and, unless they are empty, ``facts``, ``known`` (lists of relations), ``other_facts`` (a number)
and ``ignored`` (true).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from msgspec import Meta, Struct, to_builtins

from glre_pyg.evaluation.calibration import FLOOR
from glre_pyg.evaluation.scores import ScoredPairs, Threshold
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import atomic_open, open_regular
from glre_pyg.utils.json_fields import Probability, check_text, convert, parse

_EXACT = Meta(gt=-(1 << 53), lt=1 << 53)  # integers that float64 represents exactly


class _Row(Struct, forbid_unknown_fields=True, omit_defaults=True):
    document: str
    head: str
    tail: str
    probability: dict[str, Probability]
    distance: Annotated[int, _EXACT]
    mentions: Annotated[float, _EXACT]
    facts: list[str] = []
    known: list[str] = []
    other_facts: Annotated[int, _EXACT] = 0
    ignored: bool = False


def predictions_of(folder: Path, split: str) -> Path:
    """Return the file of a run's predictions for a split."""
    return folder / f"predictions_{split}.jsonl"


def write_predictions(pairs: ScoredPairs, path: Path, threshold: Threshold = 1.0) -> None:
    """Write every pair with its probabilities, its facts, and what breakdowns need.

    Probabilities are exact; those below 0.001 are left out, and read as 0, unless they exceed the threshold.

    Args:
        pairs: The pairs; their probabilities are converted to float32.
        path: The file, which is replaced when all is written.
        threshold: Threshold of the run; probabilities above it are always written.
    """
    with atomic_open(path) as file:
        file.writelines(_lines(pairs, threshold))


def read_predictions(path: Path, relations: tuple[str, ...]) -> ScoredPairs:
    """Read what :func:`write_predictions` wrote.

    Args:
        path: The file.
        relations: Relations of the run.

    Raises:
        InputError: If there is no such file, a line is not of this format or has a relation that the run does
            not have, or a pair is in two lines.
    """
    column = {name: index for index, name in enumerate(relations)}
    rows: list[_Row] = []
    seen: set[tuple[str, str, str]] = set()
    try:
        with open_regular(path) as file:
            for line in file:
                row = _row(line, column)
                if (pair := (row.document, row.head, row.tail)) in seen:
                    raise InputError("head, tail: this pair of the document stood in a line before")
                seen.add(pair)
                rows.append(row)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except InputError as error:
        raise InputError(f"{path}:{len(rows) + 1}: {error}") from None

    return ScoredPairs(
        documents=[row.document for row in rows],
        heads=[row.head for row in rows],
        tails=[row.tail for row in rows],
        relations=relations,
        probability=_table([row.probability for row in rows], column, np.float32),
        is_fact=_table([dict.fromkeys(row.facts, True) for row in rows], column, bool),
        other_facts=np.array([row.other_facts for row in rows], dtype=int),
        ignored=np.array([row.ignored for row in rows], dtype=bool),
        known=_table([dict.fromkeys(row.known, True) for row in rows], column, bool),
        distance=np.array([row.distance for row in rows], dtype=int),
        mentions=np.array([row.mentions for row in rows], dtype=float),
    )


def _table(rows: list[dict[str, Any]], column: Mapping[str, int], dtype: type) -> np.ndarray:
    """Return an array [P, R] of the values that each row has by relation, 0 elsewhere."""
    table: np.ndarray = np.zeros((len(rows), len(column)), dtype)
    numbers = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    columns = np.fromiter((column[name] for row in rows for name in row), int)
    table[numbers, columns] = np.fromiter((value for row in rows for value in row.values()), dtype)
    return table


def _row(line: bytes, column: Mapping[str, int]) -> _Row:
    row = convert(parse(line), _Row)
    for field, text in (("document", row.document), ("head", row.head), ("tail", row.tail)):
        check_text(text, field)
    for field, names in (("probability", row.probability), ("facts", row.facts), ("known", row.known)):
        for name in names:
            if name not in column:
                raise InputError(f"{field}: {name!r} is not a relation of the run")
    return row


def _lines(pairs: ScoredPairs, threshold: Threshold) -> Iterator[str]:
    names = pairs.relations
    is_written = (pairs.probability >= FLOOR) | pairs.predicted(threshold)
    probabilities = pairs.probability.astype(np.float32)
    for index, document in enumerate(pairs.documents):
        columns = is_written[index].nonzero()[0]
        row = _Row(
            document=document,
            head=pairs.heads[index],
            tail=pairs.tails[index],
            probability={
                names[column]: float(f"{value:.9g}")  # as many digits as float32 can tell apart
                for column, value in zip(columns, probabilities[index, columns].tolist(), strict=True)
            },
            distance=int(pairs.distance[index]),
            mentions=float(pairs.mentions[index]),
            facts=[names[column] for column in pairs.is_fact[index].nonzero()[0]],
            known=[names[column] for column in pairs.known[index].nonzero()[0]],
            other_facts=int(pairs.other_facts[index]),
            ignored=bool(pairs.ignored[index]),
        )
        yield json.dumps(to_builtins(row)) + "\n"
