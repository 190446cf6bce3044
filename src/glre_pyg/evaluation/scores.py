"""Section 4.2: precision, recall and F1, and the threshold that turns probabilities into facts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scores:
    """Micro-averaged scores, and the counts they come from."""

    precision: float
    recall: float
    f1: float
    true_positives: int
    predicted: int
    gold: int

    @classmethod
    def of(cls, true_positives: int, predicted: int, gold: int) -> Scores:
        """Scores of counts; 0 where a count to divide by is 0."""
        precision = true_positives / predicted if predicted else 0.0
        recall = true_positives / gold if gold else 0.0
        f1 = 2 * true_positives / (predicted + gold) if predicted + gold else 0.0
        return cls(precision, recall, f1, true_positives, predicted, gold)


@dataclass(frozen=True)
class ScoredPairs:
    """What a model says of all candidate pairs of a set of documents, beside what is true.

    Args:
        documents: Document identifier of each pair (P strings).
        heads: Head entity of each pair.
        tails: Tail entity of each pair.
        relations: Names of the R relations.
        probability: [P, R].
        is_fact: [P, R], bool.
        ignored: [P], bool: pairs that the convention's filter leaves out.
        num_gold: Distinct facts of the documents, those of no candidate pair included.
    """

    documents: list[str]
    heads: list[str]
    tails: list[str]
    relations: tuple[str, ...]
    probability: np.ndarray
    is_fact: np.ndarray
    ignored: np.ndarray
    num_gold: int

    def score(self, threshold: float, *, filtered: bool) -> Scores:
        """Scores of the facts whose probability exceeds the threshold.

        Args:
            threshold: Probability above which a relation is predicted.
            filtered: Whether pairs that are ``ignored`` are left out (the field's convention), or every
                candidate pair counts (the BioCreative way).
        """
        predicted, true = self._kept(filtered)
        chosen = predicted > threshold
        return Scores.of(int(true[chosen].sum()), int(chosen.sum()), self.num_gold)

    def best_threshold(self, *, filtered: bool) -> float:
        """The threshold of the highest F1 on these pairs: halfway between two neighbouring probabilities.

        Only ever to be chosen on development documents. Without any pair it is 0.5.
        """
        predicted, true = self._kept(filtered)
        if not len(predicted):
            return 0.5
        order = np.argsort(-predicted, kind="stable")
        ranked, hits = predicted[order], np.cumsum(true[order])
        below = np.append(ranked[1:], 0.0)
        f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + self.num_gold)
        cut = int(np.argmax(np.where(ranked > below, f1, -1.0)))
        # Between neighbours with nothing between them, the middle may round up to the one to be predicted.
        return float(min((ranked[cut] + below[cut]) / 2, np.nextafter(ranked[cut], 0)))

    def _kept(self, filtered: bool) -> tuple[np.ndarray, np.ndarray]:
        kept = ~self.ignored if filtered else np.ones_like(self.ignored)
        # In float64: beside a float32 array numpy rounds a threshold to float32, onto a probability at worst.
        return self.probability[kept].ravel().astype(np.float64), self.is_fact[kept].ravel()
