"""Section 4.3: how sure an F1 is, and whether one system is better than another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from glre_pyg.evaluation.scores import ScoredPairs, Threshold
from glre_pyg.utils.exceptions import InputError

Interval = tuple[float, float]


@dataclass(frozen=True)
class PairedTest:
    """Two systems on the same documents.

    Args:
        difference: F1 of the first minus F1 of the second.
        p_value: How likely a difference as large, to either side, is if the two are as good (two-sided).
        interval: 95 % bootstrap interval of the difference.
        documents: Documents that both were scored on.
    """

    difference: float
    p_value: float
    interval: Interval
    documents: int


def f1_interval(counts: np.ndarray, *, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Interval:
    """Bootstrap interval of micro F1 over documents, by the percentile method.

    Args:
        counts: True positives, predictions and facts of each document [D, 3].
        level: Probability that the interval holds.
        resamples: Times that D documents are drawn with replacement.
        seed: Seed of the draws.

    Returns:
        Lower and upper end; the F1 twice where there are fewer than two documents to draw from.
    """
    return _interval(_f1, counts, level, resamples, seed)


def paired_test(first: np.ndarray, second: np.ndarray, *, resamples: int = 5000, seed: int = 0) -> PairedTest:
    """Test whether two systems differ in micro F1, by a permutation test over documents.

    If the two are as good, then for each document it is chance which of them said what. The p value is exact
    where all ways to swap them are no more than ``resamples``, and with fewer than two documents it is 1.

    Args:
        first: True positives, predictions and facts of each document [D, 3].
        second: The same for the other system, documents in the same order.
        resamples: Times that systems are swapped at random, and that documents are drawn for the interval.
        seed: Seed of both.
    """
    both = np.concatenate([first, second], axis=-1)  # [D, 6]
    difference = float(_f1_difference(both.sum(0)))
    p_value = 1.0
    if len(both) > 1:
        rows = np.concatenate([first, second])  # [2D, 3]

        def statistic(one: np.ndarray, other: np.ndarray, axis: int) -> np.ndarray:
            return _f1(_drawn(rows, one)) - _f1(_drawn(rows, other))

        numbers = np.arange(len(rows))
        p_value = stats.permutation_test(
            (numbers[: len(first)], numbers[len(first) :]),
            statistic,
            permutation_type="samples",
            vectorized=True,
            n_resamples=resamples,
            batch=_batch(len(rows)),
            rng=np.random.default_rng(seed),
        ).pvalue
    return PairedTest(
        difference, float(p_value), _interval(_f1_difference, both, 0.95, resamples, seed), len(both)
    )


def compare(
    first: ScoredPairs,
    first_threshold: Threshold,
    second: ScoredPairs,
    second_threshold: Threshold,
    *,
    filtered: bool = True,
    resamples: int = 5000,
    seed: int = 0,
) -> PairedTest:
    """Test whether two systems differ in F1 on the same documents, each with its threshold.

    Args:
        first: What one system says.
        first_threshold: Its threshold.
        second: What the other says, of the same documents in any order.
        second_threshold: Its threshold.
        filtered: See :meth:`~glre_pyg.evaluation.scores.ScoredPairs.score`.
        resamples: See :func:`paired_test`.
        seed: See :func:`paired_test`.

    Raises:
        InputError: If one has a document that the other has not, or other facts in it.
    """
    names, counts = first.counts_by_document(first_threshold, filtered=filtered)
    others, other_counts = second.counts_by_document(second_threshold, filtered=filtered)
    row = {name: index for index, name in enumerate(others)}
    alone = [(name, "first") for name in names if name not in row]
    alone += [(name, "second") for name in row.keys() - set(names)]
    if alone:
        name, which = min(alone)
        raise InputError(f"{name}: only the {which} of the two systems has pairs of this document")
    other_counts = other_counts[[row[name] for name in names]]
    for name, one, other in zip(names, counts[:, 2].tolist(), other_counts[:, 2].tolist(), strict=True):
        if one != other:
            raise InputError(f"{name}: {one} facts for the first system, {other} for the second")
    return paired_test(counts, other_counts, resamples=resamples, seed=seed)


def _interval(
    statistic: Callable[[np.ndarray], np.ndarray], counts: np.ndarray, level: float, resamples: int, seed: int
) -> Interval:
    """Percentile interval of a statistic of the sum of counts [D, ·] over documents."""
    if len(counts) < 2:
        value = float(statistic(counts.sum(0)))
        return value, value

    def of_drawn(numbers: np.ndarray, axis: int) -> np.ndarray:
        return statistic(_drawn(counts, numbers))

    found = stats.bootstrap(
        (np.arange(len(counts)),),
        of_drawn,
        vectorized=True,
        n_resamples=resamples,
        batch=_batch(len(counts)),
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def _drawn(counts: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Sums [..., ·] of the counts [D, ·] of the documents of some numbers [..., D]."""
    return counts[numbers.astype(int)].sum(-2)


def _f1(totals: np.ndarray) -> np.ndarray:
    """F1 [...] of true positives, predictions and facts [..., 3]; 0 where there is neither."""
    right, predicted, gold = np.moveaxis(totals, -1, 0)
    return 2 * right / np.maximum(predicted + gold, 1)


def _f1_difference(totals: np.ndarray) -> np.ndarray:
    """F1 of the first system minus F1 of the second [...], of the counts of both [..., 6]."""
    return _f1(totals[..., :3]) - _f1(totals[..., 3:])


def _batch(documents: int) -> int:
    """Resamples at a time, some ten megabytes of counts."""
    return max(1, 200_000 // documents)
