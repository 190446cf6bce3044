"""Calibration of probabilities on dev, and how well they agree with the facts.

Slope and intercept of logits are Platt's (1999); the expected calibration error is that of Guo et al. (ICML
2017).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logit

from glre_pyg.evaluation.scores import ScoredPairs, Threshold
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.json_fields import convert
from glre_pyg.utils.ranges import PositiveFloat

FLOOR = 1e-3
"""Lower probabilities are not kept, unless they exceed the threshold."""

ENOUGH = 50
"""Number of facts, and of pairs without a relation, that a calibration needs."""

BINS = tuple(f"{low / 10:.1f}-{low / 10 + 0.1:.1f}" for low in range(10))
"""Ranges of probabilities in reliability diagrams."""


@dataclass(frozen=True)
class Calibration:
    r"""Calibrated probabilities :math:`\mathrm{sigmoid}(a \, \mathrm{logit}(p) + b)`.

    Their order is that of *p*: with a calibrated threshold, the same facts are predicted, up to rounding.

    Args:
        slope: *a*; below 1 if the model is too sure of itself.
        intercept: *b*.
    """

    slope: PositiveFloat
    intercept: float

    def __call__(self, probability: np.ndarray) -> np.ndarray:
        """Return calibrated probabilities, of the same shape and type; 0, that of no candidate, remains."""
        if (self.slope, self.intercept) == (1, 0):
            return probability
        exact = self.slope * _logit(probability) + self.intercept
        return np.where(probability > 0, expit(exact), 0).astype(probability.dtype)

    def threshold(self, threshold: Threshold) -> Threshold:
        """Return the threshold that predicts the same from calibrated probabilities."""
        calibrated = self(np.asarray(threshold, dtype=np.float64))
        return float(calibrated) if isinstance(threshold, float) else calibrated

    def pairs(self, pairs: ScoredPairs) -> ScoredPairs:
        """Return pairs with calibrated probabilities."""
        return replace(pairs, probability=self(pairs.probability))

    @property
    def inverse(self) -> Calibration:
        """The calibration that restores probabilities, up to rounding."""
        return Calibration(1 / self.slope, -self.intercept / self.slope)


NOT_CALIBRATED = Calibration(1.0, 0.0)


def fitted_calibration(pairs: ScoredPairs) -> Calibration:
    """Fit slope and intercept, common to all relations, to candidate pairs of dev by maximum likelihood.

    Targets are smoothed as by Platt, so that both stay finite if a model ranks all facts first. With fewer
    than :data:`ENOUGH` facts or others, or if facts have the lower probabilities, nothing is calibrated.
    """
    candidate = pairs.probability > 0
    score, is_fact = _logit(pairs.probability[candidate]), pairs.is_fact[candidate]
    facts, others = int(is_fact.sum()), int((~is_fact).sum())
    if min(facts, others) < ENOUGH:
        return NOT_CALIBRATED
    target = np.where(is_fact, (facts + 1) / (facts + 2), 1 / (others + 2))

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        z = parameters[0] * score + parameters[1]
        residual = expit(z) - target
        gradient = np.array([(residual * score).mean(), residual.mean()])
        return float(-(target * log_expit(z) + (1 - target) * log_expit(-z)).mean()), gradient

    slope, intercept = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS").x.tolist()
    return Calibration(slope, intercept) if slope > 0 else NOT_CALIBRATED


@dataclass(frozen=True)
class Decision:
    """What turns the probabilities of a model into facts.

    Args:
        threshold: Calibrated probability above which a relation is predicted.
        calibration: The calibration.
    """

    threshold: Threshold
    calibration: Calibration = NOT_CALIBRATED

    @classmethod
    def on(cls, pairs: ScoredPairs, choose: Callable[[ScoredPairs], Threshold]) -> Decision:
        """Fit the calibration to pairs of dev, and choose the threshold on them."""
        calibration = fitted_calibration(pairs)
        return cls(calibration.threshold(choose(pairs)), calibration)


def read_calibration(scores: Mapping[str, Any]) -> Calibration:
    """Read the calibration of ``scores.json``; runs that were trained before there was any have none.

    Raises:
        InputError: If it is malformed.
    """
    found = scores.get("calibration")
    calibration = NOT_CALIBRATED if found is None else convert(found, Calibration, "calibration")
    if not np.isfinite([calibration.slope, calibration.intercept]).all():
        raise InputError("calibration: is not finite")
    return calibration


def reliability(pairs: ScoredPairs) -> dict[str, dict[str, float]]:
    """Return a reliability diagram of the probabilities of all pairs.

    Returns:
        By range of :data:`BINS`, unless it is empty: the ``count`` of probabilities, their ``mean``, and the
        ``share`` of them whose relation is a fact. Probabilities below :data:`FLOOR` are taken as 0.
    """
    probability = np.where(pairs.probability < FLOOR, 0, pairs.probability).ravel().astype(np.float64)
    index = np.minimum((probability * len(BINS)).astype(int), len(BINS) - 1)
    count, total, facts = (
        np.bincount(index, weights, minlength=len(BINS)).tolist()
        for weights in (None, probability, pairs.is_fact.ravel())
    )
    return {
        name: {"count": n, "mean": total[number] / n, "share": facts[number] / n}
        for number, (name, n) in enumerate(zip(BINS, count, strict=True))
        if n
    }


def calibration_error(diagram: Mapping[str, Mapping[str, float]]) -> float:
    r"""Return the expected calibration error, the mean distance of probabilities from shares of facts.

    .. math:: ECE = \sum_b \frac{n_b}{N} |p_b - f_b|

    Args:
        diagram: See :func:`reliability`.
    """
    gaps = [row["count"] * abs(row["mean"] - row["share"]) for row in diagram.values()]
    return sum(gaps) / max(sum(row["count"] for row in diagram.values()), 1)


def _logit(probability: np.ndarray) -> np.ndarray:
    return logit(np.clip(probability.astype(np.float64), 1e-45, 1 - 1e-12))
