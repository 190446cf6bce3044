"""Precision, recall and F1 of predicted facts (Section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress

import numpy as np

Threshold = float | np.ndarray
"""Probability above which a relation is predicted: one for all relations, or one for each [R]."""


@dataclass(frozen=True)
class Scores:
    """Micro-averaged scores and the counts they are computed from."""

    precision: float
    recall: float
    f1: float
    true_positives: int
    predicted: int
    gold: int

    @classmethod
    def of(cls, true_positives: int, predicted: int, gold: int) -> Scores:
        """Compute scores from counts; a score whose denominator is 0 is 0."""
        precision = true_positives / predicted if predicted else 0.0
        recall = true_positives / gold if gold else 0.0
        f1 = 2 * true_positives / (predicted + gold) if predicted + gold else 0.0
        return cls(precision, recall, f1, true_positives, predicted, gold)

    @classmethod
    def total(cls, counts: np.ndarray) -> Scores:
        """Compute scores from the sum of counts [..., 3]: true positives, predictions, facts."""
        return cls.of(*counts.sum(0).tolist())


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredPairs:
    """Predicted probabilities and facts of all pairs of a set of documents.

    The rows are the candidate pairs, and further pairs that have a fact: these have probability 0, so that
    they are never predicted but count in recall. A pair of a document has one row.

    Args:
        documents: Identifier of the document of each pair (P strings).
        heads: Head of each pair.
        tails: Tail of each pair.
        relations: Names of the R relations.
        probability: [P, R].
        is_fact: [P, R], bool.
        other_facts: [P], int: number of facts with other relations.
        ignored: [P], bool: pairs that the protocol leaves out.
        known: [P, R], bool: facts that Ign F1 leaves out.
        distance: [P], int: number of sentences between the nearest mentions; -1 if an entity has none.
        mentions: [P], float: mean number of mentions of head and tail.
    """

    documents: Sequence[str]
    heads: Sequence[str]
    tails: Sequence[str]
    relations: tuple[str, ...]
    probability: np.ndarray
    is_fact: np.ndarray
    other_facts: np.ndarray
    ignored: np.ndarray
    known: np.ndarray
    distance: np.ndarray
    mentions: np.ndarray

    def select(self, kept: np.ndarray) -> ScoredPairs:
        """Return the pairs in a mask [P]."""
        arrays = ("probability", "is_fact", "other_facts", "ignored", "known", "distance", "mentions")
        return replace(
            self,
            documents=[*compress(self.documents, kept)],
            heads=[*compress(self.heads, kept)],
            tails=[*compress(self.tails, kept)],
            **{name: getattr(self, name)[kept] for name in arrays},
        )

    def kept(self, filtered: bool) -> np.ndarray:
        """Return which pairs count [P]: those that are not ignored if filtered, otherwise all."""
        return ~self.ignored if filtered else np.ones_like(self.ignored)

    def predicted(self, threshold: Threshold, *, filtered: bool = False) -> np.ndarray:
        """Return which relations are predicted [P, R]; if filtered, none of ignored pairs."""
        predicted = self.probability > _round_down(threshold, self.probability.dtype)
        if filtered:
            predicted[self.ignored] = False
        return predicted

    def counts(self, threshold: Threshold, *, filtered: bool) -> np.ndarray:
        """Count true positives, predictions and facts of each pair [P, 3]; see :meth:`score`."""
        predicted = self.predicted(threshold, filtered=filtered)
        return np.stack([_count(predicted & self.is_fact), _count(predicted), self.facts()], axis=-1)

    def facts(self) -> np.ndarray:
        """Number of facts of each pair [P], including those with other relations."""
        return _count(self.is_fact) + self.other_facts

    def gold(self) -> int:
        """Number of facts, including those of pairs that are not candidates."""
        return int(self.facts().sum())

    def score(self, threshold: Threshold, *, filtered: bool) -> Scores:
        """Score the facts whose probability exceeds the threshold.

        Args:
            threshold: Probability above which a relation is predicted.
            filtered: Whether to leave out ``ignored`` pairs, as most of the literature does; otherwise every
                candidate pair counts, as in BioCreative.
        """
        return Scores.total(self.counts(threshold, filtered=filtered))

    def ign_score(self, threshold: Threshold, *, filtered: bool, ranked: bool = False) -> Scores:
        """Compute Ign F1, which leaves out facts that are in the training file by name.

        Correct predictions of ``known`` facts are removed from the true positives and from the predictions.
        As in the official scorer of DocRED, recall is that of all facts, including known ones.

        Args:
            threshold: Probability above which a relation is predicted.
            filtered: See :meth:`score`.
            ranked: Whether to use the definition of LSR: recall, too, loses the known facts that were found,
                but is still divided by the number of all facts.
        """
        scores = self.score(threshold, filtered=filtered)
        correct = self.predicted(threshold, filtered=filtered) & self.is_fact
        known = int((correct & self.known).sum())
        if not known:
            return scores
        ign = Scores.of(scores.true_positives - known, scores.predicted - known, scores.gold)
        precision, recall = ign.precision, ign.recall if ranked else scores.recall
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        return Scores(precision, recall, f1, ign.true_positives, ign.predicted, ign.gold)

    def pair_score(self, threshold: Threshold, *, filtered: bool) -> Scores:
        """Score whether pairs have any relation."""
        _, predicted, facts = self.counts(threshold, filtered=filtered).T > 0
        return Scores.of(int((predicted & facts).sum()), int(predicted.sum()), int(facts.sum()))

    def counts_by_document(self, threshold: Threshold, *, filtered: bool) -> tuple[list[str], np.ndarray]:
        """Return the documents that have pairs, and their true positives, predictions and facts [D, 3]."""
        number = {name: index for index, name in enumerate(dict.fromkeys(self.documents))}
        totals = np.zeros((len(number), 3), dtype=int)
        rows = np.array([number[name] for name in self.documents], dtype=int)
        np.add.at(totals, rows, self.counts(threshold, filtered=filtered))
        return list(number), totals


def joined(parts: Sequence[ScoredPairs], relations: tuple[str, ...]) -> ScoredPairs:
    """Concatenate the pairs of several sets of documents, all with the same relations."""
    table, column = np.empty((0, len(relations))), np.empty(0)
    empty = {
        **dict.fromkeys(("probability",), table.astype(np.float32)),
        **dict.fromkeys(("is_fact", "known"), table.astype(bool)),
        **dict.fromkeys(("other_facts", "distance"), column.astype(int)),
        **{"ignored": column.astype(bool), "mentions": column},
    }
    return ScoredPairs(
        documents=[name for part in parts for name in part.documents],
        heads=[name for part in parts for name in part.heads],
        tails=[name for part in parts for name in part.tails],
        relations=relations,
        **{
            name: np.concatenate([none, *(getattr(part, name) for part in parts)])
            for name, none in empty.items()
        },
    )


def _count(values: np.ndarray) -> np.ndarray:
    return np.count_nonzero(values, axis=-1)


def _round_down(threshold: Threshold, dtype: np.dtype) -> np.ndarray:
    """Round thresholds down to a type, so that the same probabilities exceed them.

    Compared with a float32 array, NumPy rounds a threshold to float32, perhaps up to or above a probability.
    """
    exact = np.asarray(threshold, dtype=np.float64)
    near = exact.astype(dtype)
    return np.where(near > exact, np.nextafter(near, dtype.type(-np.inf)), near)
