"""Intervals and tests over documents, against loops, exact enumeration and cases with a known answer."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from glre_pyg.evaluation.scores import Scores
from glre_pyg.evaluation.significance import (
    bootstrap_test,
    compare,
    f1_interval,
    holm,
    mean_f1_interval,
    paired_test,
)
from glre_pyg.utils.exceptions import InputError
from scored import random_pairs

pytestmark = pytest.mark.filterwarnings("error")


def f1(counts):
    return Scores.total(np.asarray(counts)).f1


def system(seed, quality, documents=100):
    """Counts of a system; the facts of the documents depend on nothing but their number."""
    gold = np.random.default_rng(0).poisson(6, documents)
    random = np.random.default_rng(seed)
    right = random.binomial(gold, quality)
    return np.stack([right, right + random.poisson(3, documents), gold], axis=-1)


def test_interval_is_that_of_a_loop_over_resamples():
    counts = system(1, 0.6)
    random = np.random.default_rng(7)
    drawn = [f1(counts[random.integers(0, 100, 100)]) for _ in range(4000)]
    low, high = f1_interval(counts, resamples=4000)
    assert (low, high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.004)
    assert low < f1(counts) < high
    narrow = f1_interval(counts, level=0.5, resamples=4000)
    assert narrow == pytest.approx(np.quantile(drawn, [0.25, 0.75]), abs=0.004)
    assert isinstance(low, float)
    assert isinstance(high, float)


def test_interval_narrows_with_the_root_of_the_documents():
    def width(documents):
        low, high = f1_interval(system(1, 0.6, documents))
        return high - low

    assert width(1600) == pytest.approx(width(100) / 4, rel=0.25)


def test_the_seed_decides():
    counts = system(1, 0.6)
    assert f1_interval(counts) == f1_interval(counts)
    assert f1_interval(counts, seed=1) != f1_interval(counts)
    other = system(2, 0.6)
    assert paired_test(counts, other, resamples=300) == paired_test(counts, other, resamples=300)
    assert paired_test(counts, other, resamples=300) != paired_test(counts, other, resamples=300, seed=1)


@pytest.mark.parametrize(
    ("counts", "value"),
    [
        (np.empty((0, 3), dtype=int), 0.0),
        ([[2, 3, 5]], 0.5),
        ([[2, 3, 5]] * 6, 0.5),
        ([[0, 0, 0]] * 6, 0.0),
        ([[0, 0, 4], [0, 3, 0]], 0.0),
    ],
)
def test_intervals_without_any_spread(counts, value):
    assert f1_interval(np.asarray(counts)) == (value, value)


def test_documents_with_nothing_in_them_are_no_trouble():
    low, high = f1_interval(np.array([[0, 0, 0]] * 5 + [[3, 4, 4]]))
    assert (low, high) == (0.0, 0.75)


@pytest.mark.parametrize("seed", range(1, 12))
def test_p_value_is_exact_for_few_documents(seed):
    """Against all ways to swap the systems: as far from zero, to either side."""
    first, second = system(seed, 0.7, documents=7), system(seed + 100, 0.5, documents=7)
    differences = []
    for swaps in product([False, True], repeat=7):
        swaps = np.array(swaps)[:, None]
        differences.append(f1(np.where(swaps, second, first)) - f1(np.where(swaps, first, second)))
    found = paired_test(first, second, resamples=200)
    assert found.difference == pytest.approx(f1(first) - f1(second))
    extreme = np.abs(differences) >= abs(found.difference) - 1e-12
    assert found.p_value == pytest.approx(extreme.mean())
    assert found.p_value > 0
    assert found.documents == 7


def test_systems_that_differ_and_systems_that_do_not():
    apart = paired_test(system(1, 0.8), system(2, 0.5), resamples=999)
    assert apart.p_value == pytest.approx(2 / 1000)  # no draw is as far apart
    assert 0 < apart.interval[0] < apart.difference < apart.interval[1]
    near = paired_test(system(1, 0.6), system(3, 0.6), resamples=999)
    assert near.p_value > 0.05
    assert near.interval[0] < 0 < near.interval[1]


def test_p_values_of_equal_systems_are_uniform():
    found = [
        paired_test(system(s, 0.6, 40), system(s + 500, 0.6, 40), resamples=99).p_value for s in range(1, 61)
    ]
    assert 0 <= np.mean(np.array(found) <= 0.1) <= 0.25
    assert 0.35 <= np.mean(found) <= 0.65


def test_the_test_is_symmetric():
    first, second = system(1, 0.7, documents=8), system(2, 0.5, documents=8)
    one, other = paired_test(first, second), paired_test(second, first)
    assert one.difference == -other.difference
    assert one.p_value == pytest.approx(other.p_value)
    assert one.interval == pytest.approx(tuple(-end for end in reversed(other.interval)))


def test_pairing_counts():
    """A small advantage in some documents is told from chance, though F1 spreads widely over documents."""
    first = system(1, 0.6)
    spurious = (first[:, 1] > first[:, 0]) & (np.arange(len(first)) % 4 == 0)
    second = first - spurious[:, None] * [0, 1, 0]
    found = paired_test(second, first, resamples=999)
    low, high = f1_interval(first)
    assert found.difference < (high - low) / 2
    assert found.p_value < 0.01
    assert found.interval[0] > 0


def test_a_system_against_itself_and_degenerate_inputs():
    counts = system(1, 0.6)
    same = paired_test(counts, counts, resamples=99)
    assert (same.difference, same.p_value, same.interval) == (0.0, 1.0, (0.0, 0.0))
    none = np.empty((0, 3), dtype=int)
    assert (paired_test(none, none).p_value, paired_test(none, none).interval) == (1.0, (0.0, 0.0))
    one = paired_test(np.array([[1, 1, 1]]), np.array([[0, 1, 1]]))
    assert (one.difference, one.p_value, one.interval) == (1.0, 1.0, (1.0, 1.0))


# Runs


def test_a_bootstrap_test_is_that_of_a_loop_over_resamples():
    """Two runs against three: mean F1 of both on the same resampled documents."""
    first = np.stack([system(1, 0.6), system(2, 0.62)])
    second = np.stack([system(seed, 0.5) for seed in (3, 4, 5)])
    test = bootstrap_test(first, second, resamples=400)
    expected = np.mean([f1(run) for run in first]) - np.mean([f1(run) for run in second])
    assert test.difference == pytest.approx(expected)
    random = np.random.default_rng(1)
    samples = []
    for _ in range(2000):
        chosen = random.integers(0, first.shape[1], first.shape[1])
        samples.append(
            np.mean([f1(run[chosen]) for run in first]) - np.mean([f1(run[chosen]) for run in second])
        )
    assert test.interval == pytest.approx(np.percentile(samples, [2.5, 97.5]), abs=0.01)
    low, high = mean_f1_interval(first)
    assert low < np.mean([f1(run) for run in first]) < high
    assert mean_f1_interval(first[:1], resamples=300) == f1_interval(first[0], resamples=300)


def test_a_bootstrap_test_finds_what_is_there_and_no_more():
    one, other = system(1, 0.8)[None], system(2, 0.4)[None]
    assert bootstrap_test(one, other).p_value < 0.001
    assert bootstrap_test(other, one).difference == -bootstrap_test(one, other).difference
    same = bootstrap_test(one, one)
    assert (same.difference, same.p_value, same.interval) == (0, 1, (0, 0))
    assert bootstrap_test(one[:, :1], other[:, :1]).p_value == 1


def test_holm_multiplies_the_smallest_p_value_by_the_number_of_tests():
    assert holm([]) == []
    assert holm([0.02]) == [0.02]
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.001, 0.9]) == pytest.approx([1.0, 0.003, 1.0])


def shuffled(pairs, seed):
    """The same pairs in another order."""
    order = np.random.default_rng(seed).permutation(len(pairs.heads))

    def column(name):
        values = getattr(pairs, name)
        return values[order] if isinstance(values, np.ndarray) else [values[index] for index in order]

    names = ("documents", "heads", "tails", "probability", "is_fact", "other_facts")
    return replace(
        pairs, **{name: column(name) for name in (*names, "ignored", "known", "distance", "mentions")}
    )


def test_runs_are_compared_document_by_document():
    first = random_pairs(0)
    noise = np.random.default_rng(5).random(first.probability.shape).astype(np.float32)
    second = replace(first, probability=noise)
    found = compare(first, 0.5, second, np.full(4, 0.6), resamples=200)
    scores = first.score(0.5, filtered=True).f1, second.score(0.6, filtered=True).f1
    assert found.difference == pytest.approx(scores[0] - scores[1])
    assert found.p_value < 0.1
    again = compare(first, 0.5, shuffled(second, 1), 0.6, resamples=200)
    assert again.difference == found.difference
    assert again == found
    turned = compare(shuffled(first, 2), 0.5, second, 0.6, resamples=200)
    assert turned.p_value == pytest.approx(found.p_value)
    unfiltered = compare(first, 0.5, second, 0.6, filtered=False, resamples=200)
    assert unfiltered.difference == pytest.approx(
        first.score(0.5, filtered=False).f1 - second.score(0.6, filtered=False).f1
    )


@pytest.mark.parametrize("which", ["first", "second"])
def test_a_document_of_only_one_run_is_named(which):
    both = random_pairs(0), random_pairs(0)
    renamed = ["new" if name == "d3" else name for name in both[0].documents]
    longer = replace(both[0], documents=renamed)
    with pytest.raises(InputError, match=r"^d3: only the (first|second) of the two systems has pairs"):
        compare(*((both[0], 0.5, longer, 0.5) if which == "first" else (longer, 0.5, both[1], 0.5)))


def test_other_facts_in_a_document_are_named():
    first = random_pairs(0)
    other = replace(first, other_facts=first.other_facts + (np.array(first.documents) == "d2"))
    with pytest.raises(InputError, match=r"^d2: \d+ facts for the first system, \d+ for the second$"):
        compare(first, 0.5, other, 0.5)
