"""Section 4.2: precision, recall and F1 of predicted facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Threshold = float | np.ndarray
"""Probability above which a relation is predicted: one for all relations, or one for each [R]."""


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

    @classmethod
    def total(cls, counts: np.ndarray) -> Scores:
        """Scores of the sum of counts [·, 3]: true positives, predictions, facts."""
        return cls.of(*counts.sum(0).tolist())


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredPairs:
    """What a model says of all pairs of a set of documents, beside what is true.

    The rows are the candidate pairs, and the pairs that are none but have a fact: those have probability 0
    and are never predicted, but count in recall. No pair of a document comes twice.

    Args:
        documents: Document identifier of each pair (P strings).
        heads: Head entity of each pair.
        tails: Tail entity of each pair.
        relations: Names of the R relations.
        probability: [P, R].
        is_fact: [P, R], bool.
        other_facts: [P], int: facts whose relation is not one of the R.
        ignored: [P], bool: pairs that the protocol's filter leaves out.
        known: [P, R], bool: facts that also stand, by name, in what Ign F1 leaves out.
        distance: [P], int: sentences between the nearest mentions of the two; -1 where one has none.
        mentions: [P], float: mentions of head and tail, their mean.
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

    def kept(self, filtered: bool) -> np.ndarray:
        """Pairs [P] that count: all, or those that the protocol's filter does not leave out."""
        return ~self.ignored if filtered else np.ones_like(self.ignored)

    def predicted(self, threshold: Threshold, *, filtered: bool = False) -> np.ndarray:
        """Whether each relation of each pair is predicted [P, R]; ``filtered``: none of an ignored pair."""
        chosen = self.probability > _rounded_down(threshold, self.probability.dtype)
        if filtered:
            chosen[self.ignored] = False
        return chosen

    def counts(self, threshold: Threshold, *, filtered: bool) -> np.ndarray:
        """True positives, predictions and facts of each pair [P, 3].

        Args:
            threshold: Probability above which a relation is predicted.
            filtered: See :meth:`score`.
        """
        chosen = self.predicted(threshold, filtered=filtered)
        return np.stack([_count(chosen & self.is_fact), _count(chosen), self.facts()], axis=-1)

    def facts(self) -> np.ndarray:
        """Facts of each pair [P], those whose relation is not one of the R included."""
        return _count(self.is_fact) + self.other_facts

    def gold(self, rows: np.ndarray | None = None) -> int:
        """Facts, those of no candidate pair included."""
        return int(self.facts()[slice(None) if rows is None else rows].sum())

    def score(self, threshold: Threshold, *, filtered: bool, rows: np.ndarray | None = None) -> Scores:
        """Scores of the facts whose probability exceeds the threshold.

        Args:
            threshold: Probability above which a relation is predicted.
            filtered: Whether pairs that are ``ignored`` are left out (the field's convention), or every
                candidate pair counts (the BioCreative way).
            rows: [P], bool: the pairs to score; by default all.
        """
        return Scores.total(self.counts(threshold, filtered=filtered)[slice(None) if rows is None else rows])

    def ign_score(
        self, threshold: Threshold, *, filtered: bool, ranked: bool = False, rows: np.ndarray | None = None
    ) -> Scores:
        """Ign F1: scores without the facts that the training file knows by name.

        Correct predictions that are ``known`` are taken from the true positives and from the predictions.
        Recall is that of all facts, as in the official scorer of DocRED: known facts stay in it. Wrong
        predictions stay.

        Args:
            threshold: Probability above which a relation is predicted.
            filtered: See :meth:`score`.
            ranked: The other definition in use (LSR): recall, too, loses the known facts that were found,
                but is still divided by all facts.
            rows: See :meth:`score`.
        """
        of = slice(None) if rows is None else rows
        chosen = self.predicted(threshold, filtered=filtered)[of] & self.is_fact[of]
        found = self.score(threshold, filtered=filtered, rows=rows)
        known = int((chosen & self.known[of]).sum())
        if not known:
            return found
        new = Scores.of(found.true_positives - known, found.predicted - known, found.gold)
        precision, recall = new.precision, new.recall if ranked else found.recall
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        return Scores(precision, recall, f1, new.true_positives, new.predicted, new.gold)

    def pair_score(self, threshold: Threshold, *, filtered: bool) -> Scores:
        """Scores of whether there is any relation, whichever it is."""
        _, chosen, facts = self.counts(threshold, filtered=filtered).T > 0
        return Scores.of(int((chosen & facts).sum()), int(chosen.sum()), int(facts.sum()))

    def counts_by_document(self, threshold: Threshold, *, filtered: bool) -> tuple[list[str], np.ndarray]:
        """Documents in order, and their true positives, predictions and facts [D, 3].

        A document without any pair is not among them.
        """
        number = {name: index for index, name in enumerate(dict.fromkeys(self.documents))}
        out = np.zeros((len(number), 3), dtype=int)
        rows = np.array([number[name] for name in self.documents], dtype=int)
        np.add.at(out, rows, self.counts(threshold, filtered=filtered))
        return list(number), out


def joined(parts: Sequence[ScoredPairs], relations: tuple[str, ...]) -> ScoredPairs:
    """Pairs of several sets of documents as one; all have these relations."""
    none = np.empty((0, len(relations)), dtype=np.float32)
    no_fact, no_pair = none.astype(bool), np.empty(0, dtype=int)
    return ScoredPairs(
        documents=[name for part in parts for name in part.documents],
        heads=[name for part in parts for name in part.heads],
        tails=[name for part in parts for name in part.tails],
        relations=relations,
        probability=np.concatenate([none, *(part.probability for part in parts)]),
        is_fact=np.concatenate([no_fact, *(part.is_fact for part in parts)]),
        other_facts=np.concatenate([no_pair, *(part.other_facts for part in parts)]),
        ignored=np.concatenate([no_pair.astype(bool), *(part.ignored for part in parts)]),
        known=np.concatenate([no_fact, *(part.known for part in parts)]),
        distance=np.concatenate([no_pair, *(part.distance for part in parts)]),
        mentions=np.concatenate([no_pair.astype(float), *(part.mentions for part in parts)]),
    )


def _count(chosen: np.ndarray) -> np.ndarray:
    return np.count_nonzero(chosen, axis=-1)


def _rounded_down(threshold: Threshold, dtype: np.dtype) -> np.ndarray:
    """The largest number of a type that is no larger: a probability exceeds either or none.

    Beside a float32 array numpy rounds a threshold to float32, onto or above a probability at worst.
    """
    exact = np.asarray(threshold, dtype=np.float64)
    near = exact.astype(dtype)
    return np.where(near > exact, np.nextafter(near, dtype.type(-np.inf)), near)
