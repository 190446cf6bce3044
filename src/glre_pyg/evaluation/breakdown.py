"""Section 4.5: all scores of a set of pairs, and by distance, number of mentions and relation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from glre_pyg.evaluation.scores import ScoredPairs, Scores, Threshold
from glre_pyg.evaluation.significance import f1_interval
from glre_pyg.utils.exceptions import printable

EVERY_PAIR = "every candidate pair"
DISTANCES = ("0", "1", "2", ">=3")
"""Figure 3: sentences between the nearest mentions of head and tail."""
MENTIONS = ("[1,2)", "[2,3)", "[3,4)", ">=4")
"""Figure 4: mentions of head and tail, their mean."""

Breakdown = Mapping[str, Scores]


def by_distance(pairs: ScoredPairs, threshold: Threshold, *, filtered: bool = True) -> Breakdown:
    """Scores by the shortest sentence distance between two entities (Figure 3).

    A fact of an entity that no mention names has no distance: it is in no bin, here and in
    :func:`by_sentence` and :func:`by_mentions`. But for those, the bins hold every pair once.
    """
    return _by(DISTANCES, np.minimum(pairs.distance, 3), pairs, threshold, filtered)


def by_mentions(pairs: ScoredPairs, threshold: Threshold, *, filtered: bool = True) -> Breakdown:
    """Scores by the average number of mentions of two entities (Figure 4)."""
    bins = np.minimum(np.floor(pairs.mentions), 4) - 1
    return _by(MENTIONS, np.where(pairs.distance < 0, -1, bins), pairs, threshold, filtered)


def by_sentence(pairs: ScoredPairs, threshold: Threshold, *, filtered: bool = True) -> Breakdown:
    """Scores of pairs that a sentence names together (``"intra"``), and of the others (``"inter"``)."""
    return _by(("intra", "inter"), np.minimum(pairs.distance, 1), pairs, threshold, filtered)


def by_relation(pairs: ScoredPairs, threshold: Threshold, *, filtered: bool = True) -> Breakdown:
    """Scores of each relation; facts of a relation that the model does not know are in none."""
    chosen = pairs.predicted(threshold, filtered=filtered)
    counts = np.stack([(chosen & pairs.is_fact).sum(0), chosen.sum(0), pairs.is_fact.sum(0)], axis=-1)
    return {name: Scores.of(*row) for name, row in zip(pairs.relations, counts.tolist(), strict=True)}


def all_scores(pairs: ScoredPairs, threshold: Threshold) -> dict[str, Any]:
    """Every score of a split, as plain numbers.

    Returns:
        ``filtered`` and ``unfiltered`` scores; ``interval``, the 95 % bootstrap interval of the filtered F1;
        the breakdowns ``by_sentence``, ``by_distance``, ``by_mentions`` and ``by_relation``, filtered; with
        known facts, ``ign`` and ``ign_ranked``; with several relations, ``pair``.
    """
    out: dict[str, Any] = {
        "filtered": asdict(pairs.score(threshold, filtered=True)),
        "unfiltered": asdict(pairs.score(threshold, filtered=False)),
        "interval": list(f1_interval(pairs.counts_by_document(threshold, filtered=True)[1])),
    }
    if pairs.known.any():
        out["ign"] = asdict(pairs.ign_score(threshold, filtered=True))
        out["ign_ranked"] = asdict(pairs.ign_score(threshold, filtered=True, ranked=True))
    if len(pairs.relations) > 1:
        out["pair"] = asdict(pairs.pair_score(threshold, filtered=True))
    for kind in (by_sentence, by_distance, by_mentions, by_relation):
        out[kind.__name__] = {name: asdict(scores) for name, scores in kind(pairs, threshold).items()}
    return out


def _by(
    names: tuple[str, ...], bins: np.ndarray, pairs: ScoredPairs, threshold: Threshold, filtered: bool
) -> Breakdown:
    """Scores by the bin of each pair [P]; -1 is in none."""
    counts = pairs.counts(threshold, filtered=filtered)
    return {name: Scores.total(counts[bins == index]) for index, name in enumerate(names)}


def print_scores(pairs: ScoredPairs, threshold: Threshold, name: str, protocol: str) -> dict[str, Any]:
    """Print the scores of an evaluation, and return all of them as numbers.

    Args:
        pairs: Probabilities and facts.
        threshold: Probability above which a relation is predicted.
        name: Corpus and split.
        protocol: Description of the pairs that the protocol scores.
    """
    rows = [(protocol, pairs.score(threshold, filtered=True))]
    if pairs.ignored.any():
        rows.append((EVERY_PAIR, pairs.score(threshold, filtered=False)))
    if pairs.known.any():
        rows.append(("Ign F1", pairs.ign_score(threshold, filtered=True)))
    if len(pairs.relations) > 1:
        rows.append(("any relation", pairs.pair_score(threshold, filtered=True)))
    lines = [
        f"{name:12s} {title:24s} P {scores.precision:.4f}  R {scores.recall:.4f}  F1 {scores.f1:.4f}"
        f"  ({scores.true_positives} right of {scores.predicted} predicted, {scores.gold} true)"
        for title, scores in rows
    ]
    numbers = all_scores(pairs, threshold)
    low, high = numbers["interval"]
    lines.append(f"{name:12s} F1 is between {low:.4f} and {high:.4f} (95 %, bootstrap over documents)")
    for line in lines:
        print(printable(line), flush=True)
    return numbers
