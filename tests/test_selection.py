"""Scores on dev for which no document chose its own epoch and threshold."""

import numpy as np
import pytest

from glre_pyg.evaluation.scores import Scores
from glre_pyg.evaluation.selection import FOLDS, evaluate, folds_of, held_out_scores
from glre_pyg.evaluation.thresholds import one_threshold
from scored import random_pairs, scored_pairs


def test_folds_agree_with_plain_loops():
    epochs = [random_pairs(seed, documents=12) for seed in range(3)]
    totals = np.zeros(3, int)
    for fold in range(FOLDS):
        best = None
        for pairs in epochs:
            names = list(dict.fromkeys(pairs.documents))
            inside = np.array([names.index(name) % FOLDS == fold for name in pairs.documents])
            others, these = pairs.select(~inside), pairs.select(inside)
            assert set(others.documents).isdisjoint(these.documents)
            threshold = one_threshold(others)
            f1 = others.score(threshold, filtered=True).f1
            if best is None or f1 > best[0]:
                best = f1, these.counts(threshold, filtered=True).sum(0)
        totals += best[1]
    found = held_out_scores([evaluate(pairs, one_threshold).folds for pairs in epochs])
    assert found == Scores.of(*totals.tolist())


def test_the_whole_of_dev_is_evaluated():
    pairs = random_pairs(0)
    found = evaluate(pairs, one_threshold)
    assert found.threshold == one_threshold(pairs)
    assert found.scores == pairs.score(found.threshold, filtered=True)


def test_a_model_that_knows_nothing_looks_better_on_the_documents_that_choose():
    draw = np.random.default_rng(0)
    documents = [f"d{number}" for number in range(50) for _ in range(4)]
    is_fact = draw.random(200) < 0.2
    epochs = [scored_pairs(draw.random(200), is_fact, documents=documents) for _ in range(20)]
    evaluations = [evaluate(pairs, one_threshold) for pairs in epochs]
    best = max(each.scores.f1 for each in evaluations)
    assert held_out_scores([each.folds for each in evaluations]).f1 < best - 0.02


@pytest.mark.parametrize("documents", [[], ["a"], list("aabbccdd")])
def test_few_documents_have_no_folds(documents):
    pairs = scored_pairs([0.5] * len(documents), [True] * len(documents), documents=documents)
    assert folds_of(pairs, one_threshold) == []
    assert held_out_scores([[]]) is held_out_scores([]) is None
