"""Scores, thresholds, and how predictions meet facts."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from documents import LABELS, ONE_WAY, document, empty, two_sentences
from glre_pyg.evaluation.scores import ScoredPairs, Scores
from glre_pyg.inference import score_pairs


def test_scores_of_counts():
    assert Scores.of(3, 4, 6) == Scores(0.75, 0.5, 0.6, 3, 4, 6)
    assert Scores.of(0, 0, 5) == Scores(0.0, 0.0, 0.0, 0, 0, 5)
    assert Scores.of(0, 5, 0) == Scores(0.0, 0.0, 0.0, 0, 5, 0)
    assert Scores.of(0, 0, 0) == Scores(0.0, 0.0, 0.0, 0, 0, 0)
    assert Scores.of(2, 2, 2).f1 == 1.0


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_f1_is_the_harmonic_mean(true_positives, wrong, missed):
    scores = Scores.of(true_positives, true_positives + wrong, true_positives + missed)
    if true_positives:
        assert scores.f1 == pytest.approx(2 / (1 / scores.precision + 1 / scores.recall))
    else:
        assert scores.f1 == 0


def pairs(probability, is_fact, *, ignored=None, num_gold=None, dtype=np.float32):
    probability, is_fact = np.asarray(probability, dtype=dtype), np.asarray(is_fact, dtype=bool)
    if probability.ndim == 1:
        probability, is_fact = probability[:, None], is_fact[:, None]
    count = len(probability)
    return ScoredPairs(
        documents=["d"] * count,
        heads=["h"] * count,
        tails=[str(number) for number in range(count)],
        relations=tuple("rst"[: probability.shape[1]]),
        probability=probability,
        is_fact=is_fact,
        ignored=np.zeros(count, dtype=bool) if ignored is None else np.asarray(ignored, dtype=bool),
        num_gold=int(is_fact.sum()) if num_gold is None else num_gold,
    )


EXAMPLE = pairs(
    [[0.9, 0.2], [0.8, 0.6], [0.7, 0.1], [0.3, 0.55]],
    [[1, 0], [0, 1], [0, 0], [1, 0]],
    ignored=[0, 0, 1, 0],
    num_gold=5,  # two are of no candidate pair
)


def test_scores_with_the_filter_and_without():
    # above 0.5: .9 right, .8 wrong, .6 right, .7 wrong but ignored, .55 wrong
    assert EXAMPLE.score(0.5, filtered=False) == Scores.of(2, 5, 5)
    assert EXAMPLE.score(0.5, filtered=True) == Scores.of(2, 4, 5)
    assert EXAMPLE.score(0.25, filtered=True) == Scores.of(3, 5, 5)
    assert EXAMPLE.score(0.0, filtered=False) == Scores.of(3, 8, 5)
    assert EXAMPLE.score(1.0, filtered=False) == Scores.of(0, 0, 5)


def test_facts_of_no_candidate_pair_count_in_recall():
    assert EXAMPLE.score(0.0, filtered=False).recall == 3 / 5
    assert dataclasses.replace(EXAMPLE, num_gold=3).score(0.0, filtered=False).recall == 1.0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_threshold_itself_is_not_enough(dtype):
    one = pairs([0.5], [1], dtype=dtype)
    assert one.score(0.5, filtered=True).predicted == 0
    assert one.score(np.nextafter(0.5, 0), filtered=True).predicted == 1


def test_a_float32_probability_is_compared_as_the_number_that_it_is():
    """As prediction does on Python's floats: 0.1 in float32 is above 0.1."""
    assert pairs([0.1], [1]).score(0.1, filtered=True).predicted == 1


def test_best_threshold_by_hand():
    # with the filter, in order: .9 right, .8 wrong, .6 right, .55 wrong, .3 right, .2 wrong
    assert EXAMPLE.best_threshold(filtered=True) == pytest.approx((0.3 + 0.2) / 2)
    assert EXAMPLE.score(EXAMPLE.best_threshold(filtered=True), filtered=True).f1 == 2 * 3 / (5 + 5)
    fewer = dataclasses.replace(EXAMPLE, num_gold=3)
    assert fewer.best_threshold(filtered=True) == pytest.approx(0.25)
    assert pairs([0.9, 0.4, 0.3], [1, 0, 0]).best_threshold(filtered=True) == pytest.approx(0.65)


PROBABILITIES = {
    "few values": st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0]),
    "any": st.floats(0, 1, width=32),
    "neighbours": st.integers(0, 5),  # steps of the number format from a half, nothing in between
}


@pytest.mark.parametrize("values", PROBABILITIES.values(), ids=PROBABILITIES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(data=st.data(), missed=st.integers(0, 3), filtered=st.booleans())
def test_best_threshold_is_the_best_of_all(values, dtype, data, missed, filtered):
    rows = data.draw(st.lists(st.tuples(values, st.booleans(), st.booleans()), max_size=12))
    columns = [list(column) for column in zip(*rows, strict=True)] or [[], [], []]
    probability, is_fact, ignored = columns
    steps = np.finfo(dtype).epsneg
    probability = [0.5 + steps * value if isinstance(value, int) else value for value in probability]
    scored = pairs(probability, is_fact, ignored=ignored, num_gold=sum(is_fact) + missed, dtype=dtype)
    threshold = scored.best_threshold(filtered=filtered)
    cuts = {0.0, 0.5, *scored.probability.ravel().tolist()}
    assert 0 <= threshold <= 1
    best = max(scored.score(cut, filtered=filtered).f1 for cut in cuts)
    assert scored.score(threshold, filtered=filtered).f1 == best


def test_the_threshold_is_as_far_from_both_sides():
    assert pairs([0.75, 0.25], [1, 0]).best_threshold(filtered=True) == 0.5
    assert pairs([0.75], [1]).best_threshold(filtered=True) == 0.375
    assert pairs([0.75, 0.75, 0.25], [1, 0, 0]).best_threshold(filtered=True) == 0.5


def test_without_pairs_or_facts():
    none = pairs(np.empty((0, 2)), np.empty((0, 2)))
    assert none.best_threshold(filtered=True) == 0.5
    assert none.score(0.5, filtered=True) == Scores.of(0, 0, 0)
    assert dataclasses.replace(none, num_gold=4).score(0.5, filtered=False) == Scores.of(0, 0, 4)
    all_ignored = pairs([0.9, 0.1], [0, 0], ignored=[1, 1])
    assert all_ignored.best_threshold(filtered=True) == 0.5
    no_fact = pairs([0.9, 0.1], [0, 0])
    assert no_fact.score(no_fact.best_threshold(filtered=True), filtered=True).f1 == 0


# Predictions and facts


def none_ignored(document):
    return frozenset()


def scored(documents, *, labels=LABELS, ignored=none_ignored):
    graphs = [labels.graph(each) for each in documents]
    sizes = [graph.pair_index.size(1) for graph in graphs]
    numbers = np.arange(sum(sizes) * 2, dtype=np.float32).reshape(-1, 2) / 1000
    probabilities = np.split(numbers, np.cumsum(sizes)[:-1])
    return score_pairs(documents, graphs, probabilities, labels.relations, ignored)


def facts_of(result):
    rows, columns = np.nonzero(result.is_fact)
    return {
        (result.documents[row], result.heads[row], result.relations[column], result.tails[row])
        for row, column in zip(rows, columns, strict=True)
    }


def test_pairs_meet_their_facts():
    other = document(
        ["velorin eased fevers ."],
        [(0, 1, "Chemical", "V"), (2, 3, "Disease", "R")],
        [("V", "treats", "R")],
        name="other",
    )
    result = scored([two_sentences(), empty(), other])
    assert facts_of(result) == {
        ("two", "V", "causes", "R"),
        ("two", "O", "treats", "R"),
        ("other", "V", "treats", "R"),
    }
    assert result.num_gold == 3
    assert len(result.heads) == len(result.tails) == len(result.probability) == 6 + 2
    graph = LABELS.graph(two_sentences())
    names = graph["entity"].id
    for row, (head, tail) in enumerate(graph.pair_index.t().tolist()):
        assert (result.heads[row], result.tails[row]) == (names[head], names[tail])
        assert result.probability[row].tolist() == pytest.approx([2 * row / 1000, (2 * row + 1) / 1000])
    assert result.relations == LABELS.relations


def test_a_fact_counts_once_and_every_fact_counts():
    facts = [
        *[("V", "causes", "R"), ("V", "causes", "R"), ("V", "causes", "R", ("Novel",))],
        ("R", "causes", "V"),  # no candidate pair under ONE_WAY
        ("V", "causes", "X"),  # an entity that no mention names
        ("V", "cures", "R"),  # a relation that is not predicted
    ]
    mentions = [(0, 1, "Chemical", "V"), (2, 3, "Disease", "R")]
    gold = document(["velorin caused rash ."], mentions, facts, name="d")
    blind = document(["velorin caused rash ."], mentions, name="d")
    graphs = [ONE_WAY.graph(blind)]
    result = score_pairs([gold], graphs, [np.full((1, 2), 0.9)], ONE_WAY.relations, none_ignored)
    assert facts_of(result) == {("d", "V", "causes", "R")}
    assert result.num_gold == 4
    assert result.score(0.5, filtered=True) == Scores.of(1, 2, 4)


def test_the_same_identifiers_in_two_documents_are_two_pairs():
    mentions = [(0, 1, "Chemical", "V"), (2, 3, "Disease", "R")]
    first = document(["velorin caused rash ."], mentions, [("V", "causes", "R")], name="first")
    second = document(["velorin caused rash ."], mentions, name="second")
    result = scored([first, second], labels=ONE_WAY)
    assert facts_of(result) == {("first", "V", "causes", "R")}
    assert result.documents == ["first", "second"]


def test_the_filter_leaves_pairs_out():
    result = scored([two_sentences()], ignored=lambda document: frozenset({("V", "O"), ("R", "V")}))
    left_out = {(h, t) for h, t, out in zip(result.heads, result.tails, result.ignored, strict=True) if out}
    assert left_out == {("V", "O"), ("R", "V")}
    assert result.score(-1, filtered=False).predicted - result.score(-1, filtered=True).predicted == 4


def test_no_document_and_no_pair():
    result = score_pairs([], [], [], LABELS.relations, none_ignored)
    assert (len(result.heads), result.num_gold, result.probability.shape) == (0, 0, (0, 2))
    assert scored([empty()]).score(0.5, filtered=True) == Scores.of(0, 0, 0)
