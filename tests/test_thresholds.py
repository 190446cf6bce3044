"""Thresholds against a search through all of them."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glre_pyg.evaluation.precisions import PRECISIONS
from glre_pyg.evaluation.scores import Scores
from glre_pyg.evaluation.thresholds import (
    fixed_threshold,
    one_threshold,
    threshold_by_relation,
    thresholds_by_precision,
)
from scored import random_pairs, scored_pairs

EXAMPLE = {
    "probability": [[0.9, 0.2], [0.8, 0.6], [0.7, 0.1], [0.3, 0.55]],
    "is_fact": [[1, 0], [0, 1], [0, 0], [1, 0]],
    "ignored": [0, 0, 1, 0],
}


# One for all relations


def test_one_threshold_by_hand():
    # with the filter, in order: .9 right, .8 wrong, .6 right, .55 wrong, .3 right, .2 wrong
    pairs = scored_pairs(**EXAMPLE, other_facts=[0, 2, 0, 0])
    assert one_threshold(pairs) == pytest.approx((0.3 + 0.2) / 2)
    assert pairs.score(one_threshold(pairs), filtered=True).f1 == 2 * 3 / (5 + 5)
    assert one_threshold(scored_pairs(**EXAMPLE)) == pytest.approx(0.25)
    assert one_threshold(scored_pairs([0.9, 0.4, 0.3], [1, 0, 0])) == pytest.approx(0.65)
    # without the filter .7 is wrong, and the three facts are still worth it
    assert one_threshold(pairs, filtered=False) == pytest.approx(0.25)


def test_the_filter_changes_the_choice():
    pairs = scored_pairs([0.9, 0.8, 0.7, 0.6], [1, 0, 0, 1], ignored=[0, 1, 1, 0])
    assert one_threshold(pairs) == pytest.approx(0.3)
    assert one_threshold(scored_pairs([0.9, 0.8, 0.7, 0.75, 0.6], [1, 0, 0, 0, 1])) == pytest.approx(0.85)


PROBABILITIES = {
    "few values": st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0]),
    "any": st.floats(0, 1, width=32),
    "neighbours": st.integers(0, 5),  # steps of the number format from a half, nothing in between
}


def drawn(data, values, dtype, relations=1, max_size=12):
    """Pairs of drawn values, with facts of other relations and ignored pairs."""
    cell = st.tuples(values, st.booleans())
    row = st.tuples(st.lists(cell, min_size=relations, max_size=relations), st.booleans(), st.integers(0, 2))
    rows = data.draw(st.lists(row, max_size=max_size))
    steps = np.finfo(dtype).epsneg
    shape = len(rows), relations
    probability = [
        [0.5 + steps * value if isinstance(value, int) else value for value, _ in cells]
        for cells, _, _ in rows
    ]
    return scored_pairs(
        np.array(probability, dtype=dtype).reshape(shape),
        np.array([[fact for _, fact in cells] for cells, _, _ in rows]).reshape(shape),
        ignored=[out for _, out, _ in rows],
        other_facts=[other for _, _, other in rows],
        dtype=dtype,
    )


def cuts(pairs):
    """Thresholds that differ in what they predict."""
    return sorted({0.0, 0.5, 1.0, *pairs.probability.ravel().tolist()})


@pytest.mark.parametrize("values", PROBABILITIES.values(), ids=PROBABILITIES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@settings(max_examples=40)
@given(data=st.data(), filtered=st.booleans())
def test_one_threshold_is_the_best_of_all(values, dtype, data, filtered):
    pairs = drawn(data, values, dtype)
    threshold = one_threshold(pairs, filtered=filtered)
    assert 0 <= threshold <= 1
    all_of_them = [pairs.score(cut, filtered=filtered) for cut in cuts(pairs)]
    found = pairs.score(threshold, filtered=filtered)
    assert found.f1 == max(each.f1 for each in all_of_them)
    assert found.predicted == min(each.predicted for each in all_of_them if each.f1 == found.f1)


@settings(max_examples=40)
@given(data=st.data())
def test_one_threshold_is_the_best_over_several_relations(data):
    pairs = drawn(data, PROBABILITIES["few values"], np.float32, relations=3)
    best = max(pairs.score(cut, filtered=True).f1 for cut in cuts(pairs))
    assert pairs.score(one_threshold(pairs), filtered=True).f1 == best


def test_the_threshold_is_as_far_from_both_sides():
    assert one_threshold(scored_pairs([0.75, 0.25], [1, 0])) == 0.5
    assert one_threshold(scored_pairs([0.75], [1])) == 0.375
    assert one_threshold(scored_pairs([0.75, 0.75, 0.25], [1, 0, 0])) == 0.5
    assert one_threshold(scored_pairs([0.75, 0.5, 0.25], [1, 1, 0])) == 0.375


def test_of_several_as_good_the_highest():
    # .9 alone: 2 / (1 + 3); all three of .9, .6, .5: 4 / (5 + 3), the same
    pairs = scored_pairs([0.9, 0.8, 0.7, 0.6, 0.5], [1, 0, 0, 0, 1], other_facts=[1, 0, 0, 0, 0])
    assert pairs.score(0.85, filtered=True).f1 == pairs.score(0.4, filtered=True).f1 == 0.5
    assert one_threshold(pairs) == pytest.approx(0.85)


def test_neighbours_in_single_precision_are_told_apart():
    above = float(np.nextafter(np.float32(0.5), np.float32(1)))
    pairs = scored_pairs([above, 0.5], [1, 0])
    assert 0.5 <= one_threshold(pairs) < above
    assert pairs.score(one_threshold(pairs), filtered=True) == Scores.of(1, 1, 1)
    lowest = scored_pairs([np.finfo(np.float32).smallest_subnormal, 0], [1, 0])
    assert lowest.score(one_threshold(lowest), filtered=True) == Scores.of(1, 1, 1)


def test_one_threshold_without_pairs_or_facts():
    assert one_threshold(scored_pairs(np.empty((0, 2)), np.empty((0, 2)))) == 0.5
    assert one_threshold(scored_pairs([0.9, 0.1], [0, 0], ignored=[1, 1])) == 0.5
    assert one_threshold(scored_pairs([0.0, 0.0], [1, 0])) == 0.5  # facts of no candidate pair
    no_fact = scored_pairs([0.75, 0.1], [0, 0])
    assert one_threshold(no_fact) == 0.875
    assert no_fact.score(one_threshold(no_fact), filtered=True) == Scores.of(0, 0, 0)


def test_a_model_that_says_nan_predicts_nothing():
    pairs = scored_pairs([np.nan, np.nan], [1, 0])
    assert one_threshold(pairs) == 0.5
    assert pairs.score(0.5, filtered=True).predicted == 0
    assert one_threshold(scored_pairs([np.nan, 0.5], [0, 1])) == 0.25


# One for each relation


def test_threshold_by_relation_by_hand():
    # r is sure of itself, s is shy: one threshold has to give up one of them
    pairs = scored_pairs([[0.9, 0.3], [0.7, 0.2], [0.6, 0.05], [0.5, 0.05]], [[1, 1], [0, 1], [0, 0], [0, 0]])
    assert threshold_by_relation(pairs, min_facts=1).tolist() == pytest.approx([0.8, 0.125])
    assert pairs.score(threshold_by_relation(pairs, min_facts=1), filtered=True).f1 == 1
    assert pairs.score(one_threshold(pairs), filtered=True).f1 < 1


def test_a_relation_that_is_only_wrong_is_not_predicted():
    pairs = scored_pairs([[0.9, 0.5], [0.8, 0.5], [0.4, 0.5], [0.4, 0.3]], [[1, 0], [1, 0], [1, 0], [0, 1]])
    found = threshold_by_relation(pairs, min_facts=1)
    assert pairs.score(found, filtered=True).f1 == pytest.approx(6 / 8)
    assert found[1] == pytest.approx((0.5 + 1) / 2)


def test_relations_with_few_facts_keep_the_threshold_of_all():
    pairs = random_pairs(3, pairs=80)
    facts = (pairs.is_fact & ~pairs.ignored[:, None]).sum(0)
    assert len(set(facts.tolist())) > 1
    few = facts < facts.max()
    found = threshold_by_relation(pairs, min_facts=int(facts.max()))
    assert (found[few] == one_threshold(pairs)).all()
    assert (found[~few] != one_threshold(pairs)).all()
    assert (threshold_by_relation(pairs, min_facts=1000) == one_threshold(pairs)).all()


@pytest.mark.parametrize("values", PROBABILITIES.values(), ids=PROBABILITIES)
@settings(max_examples=40)
@given(data=st.data(), min_facts=st.integers(0, 3), filtered=st.booleans())
def test_never_worse_than_one_threshold_and_no_relation_can_do_better_alone(
    values, data, min_facts, filtered
):
    pairs = drawn(data, values, np.float32, relations=3, max_size=8)
    found = threshold_by_relation(pairs, min_facts=min_facts, filtered=filtered)
    best = pairs.score(found, filtered=filtered).f1
    assert ((found >= 0) & (found <= 1)).all()
    assert best >= pairs.score(one_threshold(pairs, filtered=filtered), filtered=filtered).f1
    facts = pairs.is_fact[pairs.kept(filtered)].sum(0)
    for relation in np.flatnonzero(facts >= min_facts):
        for cut in cuts(pairs):
            other = found.copy()
            other[relation] = cut
            assert pairs.score(other, filtered=filtered).f1 <= best


@pytest.mark.parametrize("seed", range(20))
def test_two_relations_against_all_pairs_of_thresholds(seed):
    """Going through the relations in turn may end beside the best of all; seldom, and never far from it."""
    pairs = random_pairs(seed, pairs=14, relations=2)
    found = pairs.score(threshold_by_relation(pairs, min_facts=0), filtered=True).f1
    best = max(pairs.score(np.array(both), filtered=True).f1 for both in product(cuts(pairs), repeat=2))
    assert 0.95 * best <= found <= best


def test_one_relation_has_the_one_threshold():
    for seed in range(5):
        pairs = random_pairs(seed, relations=1)
        assert threshold_by_relation(pairs, min_facts=1).tolist() == [one_threshold(pairs)]


def test_threshold_by_relation_without_pairs_or_facts():
    assert (
        threshold_by_relation(scored_pairs(np.empty((0, 2)), np.empty((0, 2))), min_facts=0).tolist()
        == [0.5] * 2
    )
    no_fact = scored_pairs([[0.75, 0.5], [0.1, 0.25]], np.zeros((2, 2)))
    assert no_fact.score(threshold_by_relation(no_fact, min_facts=0), filtered=True) == Scores.of(0, 0, 0)


def test_fixed_threshold():
    assert fixed_threshold(random_pairs(0), value=0.5) == 0.5


# By precision


@pytest.mark.parametrize("seed", range(5))
def test_a_precision_has_the_threshold_with_the_most_predictions(seed):
    pairs = random_pairs(np.random.default_rng(seed))
    found = thresholds_by_precision(pairs)
    cuts = [*np.unique(pairs.probability[pairs.kept(True)]), 0.0]
    for wanted in PRECISIONS:
        good = [
            scores for cut in cuts if (scores := pairs.score(float(cut), filtered=True)).precision >= wanted
        ]
        if not good:
            assert f"{wanted:.2f}" not in found
            continue
        row = found[f"{wanted:.2f}"]
        scores = pairs.score(row["threshold"], filtered=True)
        assert scores.true_positives == max(scores.true_positives for scores in good)
        assert (row["precision"], row["recall"]) == (scores.precision, scores.recall)
        assert row["interval"][0] <= row["precision"] <= row["interval"][1]


def test_a_precision_that_no_threshold_has():
    assert thresholds_by_precision(scored_pairs([0.9, 0.8], [0, 0])) == {}
    assert {*thresholds_by_precision(scored_pairs([0.9, 0.8], [0, 1]))} == {"0.50"}
