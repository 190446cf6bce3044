"""How far scores on dev mislead, which are those of the epoch and the threshold that are best on dev."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from glre_pyg.evaluation.scores import ScoredPairs, Scores, Threshold

FOLDS = 5

Fold = tuple[float, int, int, int]
"""F1 on the documents of the other folds with their best threshold; with this threshold, true positives,
predictions and facts of this fold."""


@dataclass(frozen=True)
class Evaluation:
    """Evaluation of an epoch on dev.

    Args:
        scores: Scores with the best threshold.
        threshold: This threshold.
        folds: See :func:`folds_of`.
    """

    scores: Scores
    threshold: Threshold
    folds: Sequence[Fold] = ()


def evaluate(pairs: ScoredPairs, choose: Callable[[ScoredPairs], Threshold]) -> Evaluation:
    """Evaluate the scored pairs of dev.

    Args:
        pairs: The pairs.
        choose: Selects a threshold on pairs.
    """
    threshold = choose(pairs)
    return Evaluation(pairs.score(threshold, filtered=True), threshold, folds_of(pairs, choose))


def folds_of(pairs: ScoredPairs, choose: Callable[[ScoredPairs], Threshold]) -> list[Fold]:
    """Score the documents of each fold with the threshold of the others; empty with few documents."""
    number = {name: index for index, name in enumerate(dict.fromkeys(pairs.documents))}
    if len(number) < FOLDS:
        return []
    fold = np.array([number[name] for name in pairs.documents]) % FOLDS
    folds = []
    for held_out in range(FOLDS):
        others, these = pairs.select(fold != held_out), pairs.select(fold == held_out)
        threshold = choose(others)
        counts = these.score(threshold, filtered=True)
        f1 = others.score(threshold, filtered=True).f1
        folds.append((f1, counts.true_positives, counts.predicted, counts.gold))
    return folds


def held_out_scores(epochs: Sequence[Sequence[Fold]]) -> Scores | None:
    """Return scores on dev for which no document took part in the choice of its own epoch and threshold.

    Args:
        epochs: :func:`folds_of` each epoch.

    Returns:
        Scores over all folds, each at the first epoch with the highest F1 on the other folds; None if there
        are no folds.
    """
    if not epochs or not all(epochs):
        return None
    best = [max(folds, key=lambda fold: fold[0]) for folds in zip(*epochs, strict=True)]
    return Scores.total(np.array([counts for _, *counts in best]))
