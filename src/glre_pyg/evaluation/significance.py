"""Confidence intervals of F1, and tests whether one system is better than another (Section 4.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from glre_pyg.evaluation.scores import ScoredPairs, Threshold
from glre_pyg.utils.console import plural
from glre_pyg.utils.exceptions import InputError

Interval = tuple[float, float]
DocumentCounts = tuple[list[str], np.ndarray]
"""Names of documents [D], and their true positives, predictions and facts [D, 3]."""


@dataclass(frozen=True)
class PairedTest:
    """Comparison of two systems on the same documents.

    Args:
        difference: F1 of the first minus F1 of the second.
        p_value: Two-sided p value under the hypothesis that both are equally good.
        interval: 95 % bootstrap interval of the difference.
        documents: Number of documents.
    """

    difference: float
    p_value: float
    interval: Interval
    documents: int


def f1_interval(counts: np.ndarray, *, level: float = 0.95, resamples: int = 2000, seed: int = 0) -> Interval:
    """Compute a bootstrap interval of micro F1 over documents, by the percentile method.

    Args:
        counts: True positives, predictions and facts of each document [D, 3].
        level: Confidence level.
        resamples: Number of bootstrap samples.
        seed: Random seed.

    Returns:
        Lower and upper bound; both are the F1 if there are fewer than two documents.
    """
    return _interval(_f1, counts, level, resamples, seed)


def precision_interval(counts: np.ndarray, *, resamples: int = 2000, seed: int = 0) -> Interval:
    """Compute a 95 % bootstrap interval of micro precision; see :func:`f1_interval`."""
    return _interval(_precision, counts, 0.95, resamples, seed)


def paired_test(first: np.ndarray, second: np.ndarray, *, resamples: int = 5000, seed: int = 0) -> PairedTest:
    """Test whether two systems differ in micro F1, by a permutation test over documents.

    Under the null hypothesis, the outputs of the two systems are exchangeable in each document. The p value
    is exact if there are at most ``resamples`` ways to exchange them; with fewer than two documents it is 1.

    Args:
        first: True positives, predictions and facts of each document [D, 3].
        second: The same for the other system, documents in the same order.
        resamples: Number of permutations, and of bootstrap samples for the interval.
        seed: Random seed of both.
    """
    both = np.concatenate([first, second], axis=-1)  # [D, 6]
    p_value = 1.0
    if len(both) > 1:
        rows = np.concatenate([first, second])  # [2D, 3]
        numbers = np.arange(len(rows))
        p_value = stats.permutation_test(
            (numbers[: len(first)], numbers[len(first) :]),
            lambda one, other, axis: _f1(_sum(rows, one)) - _f1(_sum(rows, other)),
            permutation_type="samples",
            vectorized=True,
            n_resamples=resamples,
            batch=_batch(len(rows)),
            rng=np.random.default_rng(seed),
        ).pvalue
    difference = float(_f1_difference(both.sum(0)))
    interval = _interval(_f1_difference, both, 0.95, resamples, seed)
    return PairedTest(difference, float(p_value), interval, len(both))


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
    """Test whether two systems differ in F1 on the same documents, each with its own threshold.

    Args:
        first: Pairs scored by one system.
        first_threshold: Its threshold.
        second: Pairs of the same documents, in any order, scored by the other system.
        second_threshold: Its threshold.
        filtered: See :meth:`~glre_pyg.evaluation.scores.ScoredPairs.score`.
        resamples, seed: See :func:`paired_test`.

    Raises:
        InputError: If the two systems have different documents, or different numbers of facts in one.
    """
    documents, counts = first.counts_by_document(first_threshold, filtered=filtered)
    other_counts = paired_counts(
        (documents, counts), second.counts_by_document(second_threshold, filtered=filtered)
    )
    return paired_test(counts, other_counts, resamples=resamples, seed=seed)


def paired_counts(first: DocumentCounts, second: DocumentCounts) -> np.ndarray:
    """Return the counts [D, 3] of the second system in the order of the first system's documents.

    Raises:
        InputError: If the two systems have different documents, or different numbers of facts in one.
    """
    (names, counts), (others, other_counts) = first, second
    row = {name: index for index, name in enumerate(others)}
    unpaired = [(name, "first") for name in names if name not in row]
    unpaired += [(name, "second") for name in row.keys() - set(names)]
    if unpaired:
        name, which = min(unpaired)
        raise InputError(f"{name}: only the {which} of the two systems has pairs of this document")
    other_counts = other_counts[[row[name] for name in names]]
    for name, one, other in zip(names, counts[:, 2].tolist(), other_counts[:, 2].tolist(), strict=True):
        if one != other:
            raise InputError(
                f"{name}: {one} {plural(one, 'fact')} for the first system, {other} for the second"
            )
    return other_counts


def mean_f1_interval(runs: np.ndarray, *, resamples: int = 5000, seed: int = 0) -> Interval:
    """Compute a 95 % bootstrap interval over documents of the mean F1 of runs with different seeds.

    Args:
        runs: Counts of each run [S, D, 3], documents in the same order.
        resamples, seed: See :func:`f1_interval`.
    """
    return _interval(_mean_f1, np.moveaxis(runs, 0, 1), 0.95, resamples, seed)


def bootstrap_test(
    first: np.ndarray, second: np.ndarray, *, resamples: int = 5000, seed: int = 0
) -> PairedTest:
    """Test whether the mean F1 of two systems differs, by a paired bootstrap over documents.

    The systems may have different numbers of runs, which a permutation of documents cannot exchange. The p
    value is twice the share of resamples in which the difference is zero or has the other sign.

    Args:
        first: Counts of each run of one system [S, D, 3].
        second: Counts of each run of the other, documents in the same order.
        resamples: Number of bootstrap samples.
        seed: Random seed.
    """
    size = len(first)
    both = np.moveaxis(np.concatenate([first, second]), 0, 1)  # [D, S, 3]

    def difference(totals: np.ndarray) -> np.ndarray:
        return _mean_f1(totals[..., :size, :]) - _mean_f1(totals[..., size:, :])

    value, documents = float(difference(both.sum(0))), len(both)
    if documents < 2:
        return PairedTest(value, 1.0, (value, value), documents)
    result = _bootstrap(difference, both, 0.95, resamples, seed)
    samples, interval = result.bootstrap_distribution, result.confidence_interval
    tail = min(np.count_nonzero(samples <= 0), np.count_nonzero(samples >= 0))
    p_value = min(1.0, 2 * (tail + 1) / (resamples + 1))
    return PairedTest(value, p_value, (float(interval.low), float(interval.high)), documents)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p values for the number of tests, so that the family-wise error rate is kept (Holm, 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def _interval(
    statistic: Callable[[np.ndarray], np.ndarray], counts: np.ndarray, level: float, resamples: int, seed: int
) -> Interval:
    """Percentile interval of a statistic of the sum of counts [D, ...] over documents."""
    if len(counts) < 2:
        value = float(statistic(counts.sum(0)))
        return value, value
    interval = _bootstrap(statistic, counts, level, resamples, seed).confidence_interval
    return float(interval.low), float(interval.high)


def _bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray], counts: np.ndarray, level: float, resamples: int, seed: int
) -> Any:
    """Bootstrap a statistic of the sum of counts [D, ...] over documents; returns SciPy's result."""
    return stats.bootstrap(
        (np.arange(len(counts)),),
        lambda numbers, axis: statistic(_sum(counts, numbers)),
        vectorized=True,
        n_resamples=resamples,
        batch=_batch(counts.size // counts.shape[-1]),
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(seed),
    )


def _sum(counts: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Sums [..., *C] of the counts [D, *C] of samples of documents [..., D]."""
    return counts[numbers.astype(int)].sum(numbers.ndim - 1)


def _f1(totals: np.ndarray) -> np.ndarray:
    """F1 [...] of true positives, predictions and facts [..., 3]; 0 without predictions and facts."""
    correct, predicted, gold = np.moveaxis(totals, -1, 0)
    return 2 * correct / np.maximum(predicted + gold, 1)


def _precision(totals: np.ndarray) -> np.ndarray:
    """Precision [...] of true positives, predictions and facts [..., 3]; 0 without predictions."""
    return totals[..., 0] / np.maximum(totals[..., 1], 1)


def _mean_f1(totals: np.ndarray) -> np.ndarray:
    """Mean F1 [...] of runs, from the counts of each [..., S, 3]."""
    return _f1(totals).mean(-1)


def _f1_difference(totals: np.ndarray) -> np.ndarray:
    """F1 of the first system minus F1 of the second [...], from the counts of both [..., 6]."""
    return _f1(totals[..., :3]) - _f1(totals[..., 3:])


def _batch(documents: int) -> int:
    """Number of resamples computed together, for some ten megabytes of counts."""
    return max(1, 200_000 // documents)
