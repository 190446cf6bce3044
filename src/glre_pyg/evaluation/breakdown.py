"""All scores of a set of pairs, also by distance, number of mentions and relation (Section 4.5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from glre_pyg.evaluation.calibration import (
    NOT_CALIBRATED,
    Calibration,
    Decision,
    calibration_error,
    reliability,
)
from glre_pyg.evaluation.scores import ScoredPairs, Scores, Threshold
from glre_pyg.evaluation.significance import f1_interval
from glre_pyg.evaluation.thresholds import saved_threshold, thresholds_by_precision
from glre_pyg.utils.console import echo, plural

EVERY_PAIR = "every candidate pair"
DISTANCES = ("0", "1", "2", ">=3")
"""Figure 3: number of sentences between the nearest mentions of head and tail."""
MENTIONS = ("[1,2)", "[2,3)", "[3,4)", ">=4")
"""Figure 4: mean number of mentions of head and tail."""

Breakdown = Mapping[str, Scores]


def by_distance(pairs: ScoredPairs, threshold: Threshold, *, filtered: bool = True) -> Breakdown:
    """Score pairs by the sentence distance of their nearest mentions (Figure 3).

    Facts of an entity without mentions have no distance and are in no bin, also in :func:`by_sentence` and
    :func:`by_mentions`. All other pairs are in one bin.
    """
    return _by(DISTANCES, np.minimum(pairs.distance, 3), pairs, threshold, filtered)


def by_mentions(pairs: ScoredPairs, threshold: Threshold, *, filtered: bool = True) -> Breakdown:
    """Score pairs by the average number of mentions of their entities (Figure 4)."""
    bins = np.minimum(np.floor(pairs.mentions), 4) - 1
    return _by(MENTIONS, np.where(pairs.distance < 0, -1, bins), pairs, threshold, filtered)


def by_sentence(pairs: ScoredPairs, threshold: Threshold, *, filtered: bool = True) -> Breakdown:
    """Score pairs that one sentence mentions (``"intra"``), and the others (``"inter"``)."""
    return _by(("intra", "inter"), np.minimum(pairs.distance, 1), pairs, threshold, filtered)


def by_relation(pairs: ScoredPairs, threshold: Threshold, *, filtered: bool = True) -> Breakdown:
    """Score each relation; facts with relations that the model does not know are left out."""
    predicted = pairs.predicted(threshold, filtered=filtered)
    columns = (predicted & pairs.is_fact).sum(0), predicted.sum(0), pairs.is_fact.sum(0)
    counts = np.stack(columns, axis=-1)
    return {name: Scores.of(*row) for name, row in zip(pairs.relations, counts.tolist(), strict=True)}


def all_scores(
    pairs: ScoredPairs, threshold: Threshold, calibration: Calibration = NOT_CALIBRATED
) -> dict[str, Any]:
    """Compute every score of a split, as plain numbers.

    Args:
        pairs: Probabilities and facts.
        threshold: Probability above which a relation is predicted.
        calibration: The calibration that the probabilities have had.

    Returns:
        ``filtered`` and ``unfiltered`` scores; ``interval``, the 95 % bootstrap interval of the filtered F1;
        the breakdowns ``by_sentence``, ``by_distance``, ``by_mentions`` and ``by_relation``, filtered; with
        known facts, ``ign`` and ``ign_ranked``; with several relations, ``pair``; and ``reliability`` and
        ``calibration_error`` of the probabilities of all pairs, and before calibration,
        ``reliability_before`` and ``calibration_error_before``.
    """
    scores: dict[str, Any] = {
        "filtered": asdict(pairs.score(threshold, filtered=True)),
        "unfiltered": asdict(pairs.score(threshold, filtered=False)),
        "interval": list(f1_interval(pairs.counts_by_document(threshold, filtered=True)[1])),
    }
    if pairs.known.any():
        scores["ign"] = asdict(pairs.ign_score(threshold, filtered=True))
        scores["ign_ranked"] = asdict(pairs.ign_score(threshold, filtered=True, ranked=True))
    if len(pairs.relations) > 1:
        scores["pair"] = asdict(pairs.pair_score(threshold, filtered=True))
    for kind in (by_sentence, by_distance, by_mentions, by_relation):
        scores[kind.__name__] = {name: asdict(each) for name, each in kind(pairs, threshold).items()}
    for suffix, each in (("", pairs), ("_before", calibration.inverse.pairs(pairs))):
        scores[f"reliability{suffix}"] = diagram = reliability(each)
        scores[f"calibration_error{suffix}"] = calibration_error(diagram)
    return scores


def baselines(pairs: ScoredPairs) -> Breakdown:
    """Score predictions that need no model, of the relation for which they are best.

    Returns:
        ``every_pair``: all candidate pairs; ``same_sentence``: those that a sentence mentions; filtered.
    """
    candidate = (pairs.probability > 0).any(-1) & ~pairs.ignored
    found = {}
    for name, kept in (("every_pair", candidate), ("same_sentence", candidate & (pairs.distance == 0))):
        correct = pairs.is_fact[kept].sum(0)
        found[name] = Scores.of(int(correct.max(initial=0)), int(kept.sum()), pairs.gold())
    return found


def _by(
    names: tuple[str, ...], bins: np.ndarray, pairs: ScoredPairs, threshold: Threshold, filtered: bool
) -> Breakdown:
    """Score pairs by their bins [P]; pairs in bin -1 are left out."""
    counts = pairs.counts(threshold, filtered=filtered)
    return {name: Scores.total(counts[bins == index]) for index, name in enumerate(names)}


def print_scores(
    pairs: ScoredPairs,
    threshold: Threshold,
    name: str,
    protocol: str,
    calibration: Calibration = NOT_CALIBRATED,
) -> dict[str, Any]:
    """Print the scores of an evaluation, and return all of them as numbers.

    Args:
        pairs: Probabilities and facts.
        threshold: Probability above which a relation is predicted.
        name: Corpus and split.
        protocol: Description of the pairs that the protocol scores.
        calibration: The calibration that the probabilities have had.
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
        f"  ({scores.true_positives} correct of {scores.predicted} predicted, "
        f"{scores.gold} {plural(scores.gold, 'fact')})"
        for title, scores in rows
    ]
    numbers = all_scores(pairs, threshold, calibration)
    trivial = baselines(pairs)
    numbers["baselines"] = {kind: asdict(scores) for kind, scores in trivial.items()}
    relation = " with the best relation" if len(pairs.relations) > 1 else ""
    lines.append(
        f"{name:12s} for comparison: F1 {trivial['every_pair'].f1:.4f} if every pair is predicted{relation}, "
        f"{trivial['same_sentence'].f1:.4f} if every pair in one sentence is"
    )
    low, high = numbers["interval"]
    lines.append(f"{name:12s} 95 % interval of F1: {low:.4f} to {high:.4f} (bootstrap over documents)")
    if calibration != NOT_CALIBRATED:
        after, before = numbers["calibration_error"], numbers["calibration_error_before"]
        lines.append(
            f"{name:12s} calibration error of probabilities: {after:.4f} ({before:.4f} before calibration)"
        )
    for line in lines:
        echo(line)
    return numbers


def print_splits(
    pairs: Mapping[str, ScoredPairs],
    decision: Decision,
    relations: Sequence[str],
    corpus: str,
    protocol: str,
) -> dict[str, Any]:
    """Print the scores of splits, and return what ``scores.json`` has of them and of the decision.

    Args:
        pairs: Calibrated pairs of each split.
        decision: Threshold and calibration.
        relations: Names of the R relations.
        corpus: Name of the corpus.
        protocol: See :func:`print_scores`.
    """
    scores: dict[str, Any] = {
        "threshold": saved_threshold(decision.threshold, relations),
        "calibration": asdict(decision.calibration),
    }
    for split, scored in pairs.items():
        name = f"{corpus} {split}"
        scores[split] = print_scores(scored, decision.threshold, name, protocol, decision.calibration)
    if "dev" in pairs:
        scores["by_precision"] = thresholds_by_precision(pairs["dev"])
    return scores
