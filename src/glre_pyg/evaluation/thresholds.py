"""Thresholds that turn probabilities into facts, chosen on development documents only (Section 4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from glre_pyg.evaluation.precisions import PRECISIONS
from glre_pyg.evaluation.scores import ScoredPairs, Threshold
from glre_pyg.evaluation.significance import precision_interval
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.json_fields import Probability, convert
from glre_pyg.utils.ranges import NonNegativeInt, Share


def one_threshold(pairs: ScoredPairs, *, filtered: bool = True) -> float:
    """Choose the threshold with the highest F1 on these pairs, midway between two neighbouring probabilities.

    The neighbours of the lowest and the highest probability are 0 and 1. Ties go to the threshold with the
    fewest predictions. Without pairs it is 0.5.
    """
    kept = pairs.kept(filtered)
    cuts = _Cuts.of(pairs.probability[kept].ravel(), pairs.is_fact[kept].ravel())
    return float(cuts.threshold[cuts.best(0, 0, pairs.gold())])


def threshold_by_relation(
    pairs: ScoredPairs, *, min_facts: NonNegativeInt, filtered: bool = True
) -> np.ndarray:
    """Choose one threshold for each relation [R] by coordinate ascent on the F1 of all relations.

    It starts from :func:`one_threshold`, so F1 is never lower than with one threshold, and goes through the
    relations in turn until none changes. Relations with few facts keep the common threshold.

    Args:
        pairs: Development pairs.
        min_facts: Minimum number of facts, among pairs that count, for a relation to get its own threshold.
        filtered: See :meth:`~glre_pyg.evaluation.scores.ScoredPairs.score`.
    """
    kept = pairs.kept(filtered)
    probability, is_fact, gold = pairs.probability[kept], pairs.is_fact[kept], pairs.gold()
    thresholds = np.full(len(pairs.relations), one_threshold(pairs, filtered=filtered))
    is_predicted = pairs.predicted(thresholds)[kept]
    counts = np.stack([(is_predicted & is_fact).sum(0), is_predicted.sum(0)], axis=-1)  # [R, 2]
    cuts_by_relation = {
        int(relation): _Cuts.of(probability[:, relation], is_fact[:, relation])
        for relation in np.flatnonzero(is_fact.sum(0) >= min_facts)
    }
    # It terminates: each change raises F1, or keeps it with fewer predictions.
    previous = np.full_like(counts, -1)
    while not np.array_equal(previous, counts):
        previous = counts.copy()
        for relation, cuts in cuts_by_relation.items():
            correct, predicted = (counts.sum(0) - counts[relation]).tolist()
            best = cuts.best(correct, predicted, gold)
            counts[relation] = cuts.correct[best], cuts.predicted[best]
            thresholds[relation] = cuts.threshold[best]
    return thresholds


def thresholds_by_precision(pairs: ScoredPairs, *, filtered: bool = True) -> dict[str, dict[str, Any]]:
    """Choose the lowest threshold for all relations with each precision of :data:`PRECISIONS` on these pairs.

    Returns:
        By precision, such as ``"0.90"``: ``threshold``, ``precision``, its 95 % bootstrap ``interval`` over
        documents, and ``recall``. A precision that no threshold has is left out.
    """
    kept = pairs.kept(filtered)
    cuts = _Cuts.of(pairs.probability[kept].ravel(), pairs.is_fact[kept].ravel())
    precision = cuts.correct / np.maximum(cuts.predicted, 1)
    out: dict[str, dict[str, Any]] = {}
    for wanted in PRECISIONS:
        rows = np.flatnonzero(precision >= wanted)
        if len(rows):
            threshold = float(cuts.threshold[rows[-1]])
            scores = pairs.score(threshold, filtered=filtered)
            _, counts = pairs.counts_by_document(threshold, filtered=filtered)
            out[f"{wanted:.2f}"] = {
                "threshold": threshold,
                "precision": scores.precision,
                "interval": list(precision_interval(counts)),
                "recall": scores.recall,
            }
    return out


def fixed_threshold(pairs: ScoredPairs, *, value: Share) -> Threshold:
    """Return a given threshold, for models that learn their own."""
    return float(value)


def saved_threshold(threshold: Threshold, relations: Sequence[str]) -> float | dict[str, float]:
    """Convert a threshold for a run's files: a number, or one by the name of each relation."""
    if isinstance(threshold, float):
        return threshold
    return dict(zip(relations, threshold.tolist(), strict=True))


def read_threshold(saved: object, relations: Sequence[str], source: Path) -> Threshold:
    """Read what :func:`saved_threshold` returned.

    Args:
        saved: Value in the file.
        relations: Names of the R relations.
        source: The file.

    Raises:
        InputError: If it is neither a number from 0 to 1 nor one for each relation.
    """
    try:
        if not isinstance(saved, dict):
            return convert(saved, Probability, "threshold")
        by_relation = convert(saved, dict[str, Probability], "threshold")
        return np.array([by_relation[relation] for relation in relations])
    except KeyError as error:
        raise InputError(f"{source}: threshold: there is none for the relation {error}") from None
    except InputError as error:
        raise InputError(f"{source}: {error}") from None


@dataclass(frozen=True, eq=False)
class _Cuts:
    """Candidate thresholds, descending: above all probabilities, and just below that of each fact.

    Others need not be considered: predicting more without a further fact lowers F1.

    Args:
        threshold: [C].
        correct: Number of facts predicted at a threshold [C].
        predicted: Number of predictions [C].
    """

    threshold: np.ndarray
    correct: np.ndarray
    predicted: np.ndarray

    @classmethod
    def of(cls, probability: np.ndarray, is_fact: np.ndarray) -> _Cuts:
        """Find the cuts of probabilities [N]."""
        positive = probability > 0  # no threshold is below 0
        ranked = np.sort(probability[positive])
        values, facts = np.unique(probability[is_fact & positive], return_counts=True)
        values, facts = values[::-1], facts[::-1]
        lower = np.searchsorted(ranked, values)
        ranked = np.concatenate([[0.0], ranked.astype(np.float64)])
        below, values = ranked[lower], values.astype(np.float64)
        # Between adjacent floats, the midpoint may round up to the one to be predicted.
        middle = np.minimum((values + below) / 2, np.nextafter(values, 0))
        return cls(
            threshold=np.concatenate([[(ranked[-1] + 1) / 2], middle]),
            correct=np.concatenate([[0], np.cumsum(facts)]),
            predicted=np.concatenate([[0], len(ranked) - 1 - lower]),
        )

    def best(self, correct: int, predicted: int, gold: int) -> int:
        """Index of the cut with the highest F1, in addition to the given numbers of other predictions."""
        total = self.predicted + predicted + gold
        return int(np.argmax(2 * (self.correct + correct) / np.maximum(total, 1)))
