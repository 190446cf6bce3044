"""Section 4.3: thresholds that turn probabilities into facts. Only ever chosen on development documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glre_pyg.evaluation.scores import ScoredPairs, Threshold
from glre_pyg.utils.exceptions import InputError


def one_threshold(pairs: ScoredPairs, *, filtered: bool = True) -> float:
    """The threshold of the highest F1 on these pairs: halfway between two neighbouring probabilities.

    0 and 1 count as neighbours of the lowest and of the highest. Of several that are as good, it is the one
    that predicts the fewest facts. Without any pair it is 0.5.
    """
    kept = pairs.kept(filtered)
    cuts = _Cuts.of(pairs.probability[kept].ravel(), pairs.is_fact[kept].ravel())
    return float(cuts.threshold[cuts.best(0, 0, pairs.gold())])


def threshold_by_relation(pairs: ScoredPairs, *, min_facts: int, filtered: bool = True) -> np.ndarray:
    """One threshold for each relation [R]: no other for one of the relations would give a higher F1 of all.

    It begins with :func:`one_threshold` and goes through the relations in turn until none changes, so F1 is
    never below that of one threshold. Relations with few facts keep that one.

    Args:
        pairs: Development pairs.
        min_facts: Facts that a relation needs for a threshold of its own, among pairs that count.
        filtered: See :meth:`~glre_pyg.evaluation.scores.ScoredPairs.score`.
    """
    kept = pairs.kept(filtered)
    probability, true, gold = pairs.probability[kept], pairs.is_fact[kept], pairs.gold()
    thresholds = np.full(len(pairs.relations), one_threshold(pairs, filtered=filtered))
    chosen = pairs.predicted(thresholds)[kept]
    found = np.stack([(chosen & true).sum(0), chosen.sum(0)], axis=-1)  # [R, 2]
    own = {
        int(relation): _Cuts.of(probability[:, relation], true[:, relation])
        for relation in np.flatnonzero(true.sum(0) >= min_facts)
    }
    # It ends: each change gives a higher F1, or as high a one with fewer predictions.
    before = np.full_like(found, -1)
    while not np.array_equal(before, found):
        before = found.copy()
        for relation, cuts in own.items():
            right, predicted = (found.sum(0) - found[relation]).tolist()
            best = cuts.best(right, predicted, gold)
            found[relation] = cuts.right[best], cuts.predicted[best]
            thresholds[relation] = cuts.threshold[best]
    return thresholds


def saved_threshold(threshold: Threshold, relations: Sequence[str]) -> float | dict[str, float]:
    """A threshold as a run keeps it: a number, or one by the name of each relation."""
    if isinstance(threshold, float):
        return threshold
    return dict(zip(relations, threshold.tolist(), strict=True))


def read_threshold(saved: object, relations: Sequence[str], source: Path) -> Threshold:
    """Read what :func:`saved_threshold` gave.

    Args:
        saved: What a run has kept.
        relations: Names of the R relations.
        source: The file that it is from.

    Raises:
        InputError: If it is not a number, or not one for each relation.
    """
    try:
        if isinstance(saved, dict):
            return np.array([float(saved[relation]) for relation in relations])
        return float(saved)  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{source}: threshold: not a number, or one for each relation of the run") from None


def fixed_threshold(pairs: ScoredPairs, *, value: float) -> Threshold:
    """A threshold that needs no choice, for models that learn their own."""
    return float(value)


@dataclass(frozen=True, eq=False)
class _Cuts:
    """Thresholds that may be the best: above all probabilities, and below each that a fact has, descending.

    To predict more without a further fact among it can only lower F1.

    Args:
        threshold: [C].
        right: Facts among what a threshold predicts [C].
        predicted: What it predicts [C].
    """

    threshold: np.ndarray
    right: np.ndarray
    predicted: np.ndarray

    @classmethod
    def of(cls, probability: np.ndarray, true: np.ndarray) -> _Cuts:
        """Cuts of probabilities [N], of which those that are true are facts."""
        above = probability > 0  # no threshold is below 0
        ranked = np.sort(probability[above])
        values, facts = np.unique(probability[true & above], return_counts=True)
        values, facts = values[::-1], facts[::-1]
        lower = np.searchsorted(ranked, values)
        ranked = np.concatenate([[0.0], ranked.astype(np.float64)])
        below, values = ranked[lower], values.astype(np.float64)
        # Between neighbours with nothing between them, the middle may round up to the one to be predicted.
        middle = np.minimum((values + below) / 2, np.nextafter(values, 0))
        return cls(
            threshold=np.concatenate([[(ranked[-1] + 1) / 2], middle]),
            right=np.concatenate([[0], np.cumsum(facts)]),
            predicted=np.concatenate([[0], len(ranked) - 1 - lower]),
        )

    def best(self, right: int, predicted: int, gold: int) -> int:
        """Index of the cut of the highest F1, beside ``right`` of ``predicted`` that are there already."""
        total = self.predicted + predicted + gold
        return int(np.argmax(2 * (self.right + right) / np.maximum(total, 1)))
