"""Figures 3 and 4: scores by distance, number of mentions and relation."""

import dataclasses
import json

import numpy as np
import pytest

from documents import LABELS, document, random_documents
from glre_pyg.data.labels import Labels
from glre_pyg.evaluation.breakdown import (
    DISTANCES,
    MENTIONS,
    all_scores,
    baselines,
    by_distance,
    by_mentions,
    by_relation,
    by_sentence,
)
from glre_pyg.evaluation.scores import Scores
from scored import random_pairs, scored, scored_pairs

FOUR = document(
    [
        "velorin was given .",
        "velorin eased fevers .",
        "ostamide was given .",
        "rash followed .",
        "velorin and velorin and dexoril .",
    ],
    [
        (0, 1, "Chemical", "V"),
        (4, 5, "Chemical", "V"),
        (6, 7, "Disease", "F"),
        (8, 9, "Chemical", "O"),
        (12, 13, "Disease", "R"),
        (15, 16, "Chemical", "V"),
        (17, 18, "Chemical", "V"),
        (19, 20, "Chemical", "D"),
    ],
    [
        ("V", "treats", "F"),
        ("V", "causes", "R"),
        ("F", "causes", "O"),
        ("D", "causes", "F"),
        ("V", "causes", "X"),
    ],
    name="four",
)
"""V in sentences 0, 1, 4, 4; F in 1; O in 2; R in 3; D in 4; X nowhere."""


def test_figure_3_by_hand():
    # 0: V-F, V-D; 1: V-O, V-R, F-O, O-R, R-D; 2: F-R, O-D; 3: F-D; both ways each; X has no distance
    pairs = scored([FOUR])
    found = by_distance(pairs, -1.0)  # predicts both relations of all pairs, and of the one that is none
    assert list(found) == list(DISTANCES)
    assert found == {
        "0": Scores.of(1, 8, 1),
        "1": Scores.of(2, 20, 2),
        "2": Scores.of(0, 8, 0),
        ">=3": Scores.of(1, 4, 1),
    }
    assert pairs.score(-1.0, filtered=True).gold == 5
    assert by_sentence(pairs, -1.0) == {"intra": Scores.of(1, 8, 1), "inter": Scores.of(3, 32, 3)}


def test_figure_4_by_hand():
    # V has 4 mentions, all others one: 2.5 with V, 1 without
    found = by_mentions(scored([FOUR]), -1.0)
    assert list(found) == list(MENTIONS)
    assert found == {
        "[1,2)": Scores.of(2, 24, 2),
        "[2,3)": Scores.of(2, 16, 2),
        "[3,4)": Scores.of(0, 0, 0),
        ">=4": Scores.of(0, 0, 0),
    }


def test_edges_of_the_bins():
    count = 8
    pairs = scored_pairs(
        np.ones(count),
        np.ones(count),
        distance=[-1, 0, 1, 2, 3, 4, 30, -1],
        mentions=[0.5, 1, 1.5, 2, 3.5, 4, 9, 4],
    )
    assert [scores.gold for scores in by_distance(pairs, 0.5).values()] == [1, 1, 1, 3]
    assert [scores.gold for scores in by_sentence(pairs, 0.5).values()] == [1, 5]
    assert [scores.gold for scores in by_mentions(pairs, 0.5).values()] == [
        2,
        1,
        1,
        2,
    ]  # the last has no distance


def test_by_relation_by_hand():
    pairs = scored_pairs(
        [[0.9, 0.9], [0.9, 0.1], [0.1, 0.9], [0.9, 0.9]],
        [[1, 0], [0, 0], [1, 0], [0, 0]],
        other_facts=[0, 0, 3, 0],
        ignored=[0, 0, 0, 1],
    )
    assert by_relation(pairs, 0.5) == {"r": Scores.of(1, 2, 2), "s": Scores.of(0, 2, 0)}
    assert by_relation(pairs, 0.5, filtered=False) == {"r": Scores.of(1, 3, 2), "s": Scores.of(0, 3, 0)}
    assert by_relation(pairs, np.array([0.95, 0.5]))["r"] == Scores.of(0, 0, 2)


@pytest.mark.parametrize("filtered", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_bins_add_up_to_the_whole(seed, filtered):
    pairs = random_pairs(seed)
    thresholds = np.random.default_rng(seed).random(4)
    for threshold in (0.5, thresholds):
        inside = score_of(pairs, threshold, filtered, pairs.distance >= 0)
        for kind in (by_distance, by_mentions, by_sentence):
            bins = kind(pairs, threshold, filtered=filtered)
            assert sum_of(bins) == counts(inside), kind
        whole = pairs.score(threshold, filtered=filtered)
        bins = sum_of(by_relation(pairs, threshold, filtered=filtered))
        assert bins == (whole.true_positives, whole.predicted, whole.gold - pairs.other_facts.sum())
        nowhere = score_of(pairs, threshold, filtered, pairs.distance < 0)
        assert np.add(counts(inside), counts(nowhere)).tolist() == list(counts(whole))


def score_of(pairs, threshold, filtered, rows):
    return Scores.total(pairs.counts(threshold, filtered=filtered)[rows])


def counts(scores):
    return scores.true_positives, scores.predicted, scores.gold


def sum_of(bins):
    return tuple(np.array([counts(scores) for scores in bins.values()]).sum(0).tolist())


@pytest.mark.parametrize("filtered", [False, True])
def test_bins_are_scores_of_their_pairs(filtered):
    pairs = random_pairs(1, pairs=200)
    for index, scores in enumerate(by_distance(pairs, 0.6, filtered=filtered).values()):
        rows = (pairs.distance == index) if index < 3 else (pairs.distance >= 3)
        assert scores == score_of(pairs, 0.6, filtered, rows)
        assert scores.predicted > scores.true_positives > 0


def test_every_pair_of_documents_is_in_a_bin():
    pairs = scored(random_documents(10, sentences=(3, 8)), seed=0)
    whole = pairs.score(0.5, filtered=True)
    for kind in (by_distance, by_mentions, by_sentence):
        assert sum_of(kind(pairs, 0.5)) == counts(whole)


def test_undirected_facts_are_found_in_their_bins():
    labels = Labels(LABELS.relations, LABELS.types, None, directed=False)
    turned = dataclasses.replace(
        FOUR, facts=tuple(dataclasses.replace(f, head=f.tail, tail=f.head) for f in FOUR.facts)
    )
    both = dataclasses.replace(FOUR, facts=(*FOUR.facts, *turned.facts))
    expected = by_distance(scored([FOUR], labels=labels), -1.0)
    assert [scores.gold for scores in expected.values()] == [1, 2, 0, 1]
    assert [scores.predicted for scores in expected.values()] == [4, 10, 4, 2]
    for each in (turned, both):
        pairs = scored([each], labels=labels)
        assert by_distance(pairs, -1.0) == expected
        assert pairs.score(-1.0, filtered=True).gold == 5


def test_all_scores_are_plain_numbers():
    pairs = random_pairs(2)
    found = all_scores(pairs, np.full(4, 0.5))
    assert json.loads(json.dumps(found)) == found
    assert list(found) == [
        *["filtered", "unfiltered", "interval", "ign", "ign_ranked", "pair"],
        *["by_sentence", "by_distance", "by_mentions", "by_relation"],
        *["reliability", "calibration_error", "reliability_before", "calibration_error_before"],
    ]
    assert found["filtered"] == dataclasses.asdict(pairs.score(0.5, filtered=True))
    assert found["unfiltered"] == dataclasses.asdict(pairs.score(0.5, filtered=False))
    assert found["filtered"] != found["unfiltered"]
    assert found["ign"]["f1"] == pairs.ign_score(0.5, filtered=True).f1
    assert found["ign_ranked"]["f1"] == pairs.ign_score(0.5, filtered=True, ranked=True).f1
    assert found["pair"] == dataclasses.asdict(pairs.pair_score(0.5, filtered=True))
    assert found["by_relation"]["s"] == dataclasses.asdict(by_relation(pairs, 0.5)["s"])


def test_baselines_need_no_model():
    pairs = scored_pairs(
        [[0.9, 0.1], [0.2, 0.3], [0.4, 0.2], [0.1, 0.2], [0, 0]],
        [[1, 0], [0, 0], [1, 1], [0, 1], [1, 0]],
        distance=[0, 0, 1, 2, 0],
        ignored=[False, True, False, False, False],
    )
    found = baselines(pairs)
    assert found["every_pair"] == Scores.of(2, 3, 5)
    assert found["same_sentence"] == Scores.of(1, 1, 5)
    assert baselines(scored_pairs([], []))["every_pair"].f1 == 0


def test_scores_that_say_nothing_are_left_out():
    one = scored_pairs([0.9, 0.1], [1, 0])
    assert not {"ign", "ign_ranked", "pair"} & all_scores(one, 0.5).keys()
