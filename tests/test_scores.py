"""Scores, and how predictions meet facts."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from documents import LABELS, ONE_WAY, apart, document, empty, one_sentence, random_documents, two_sentences
from glre_pyg.data.document import Document
from glre_pyg.data.labels import Labels
from glre_pyg.evaluation.scores import Scores, joined
from glre_pyg.runs.prediction import score_pairs
from glre_pyg.utils.exceptions import InputError
from scored import random_pairs, scored, scored_pairs

UNDIRECTED = Labels(LABELS.relations, LABELS.types, None, directed=False)


def test_scores_of_counts():
    assert Scores.of(3, 4, 6) == Scores(0.75, 0.5, 0.6, 3, 4, 6)
    assert Scores.of(0, 0, 5) == Scores(0.0, 0.0, 0.0, 0, 0, 5)
    assert Scores.of(0, 5, 0) == Scores(0.0, 0.0, 0.0, 0, 5, 0)
    assert Scores.of(0, 0, 0) == Scores(0.0, 0.0, 0.0, 0, 0, 0)
    assert Scores.of(2, 2, 2).f1 == 1.0
    assert Scores.total(np.array([[1, 2, 4], [2, 2, 2]])) == Scores.of(3, 4, 6)
    assert Scores.total(np.empty((0, 3), dtype=int)) == Scores.of(0, 0, 0)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 30))
def test_f1_is_the_harmonic_mean(true_positives, wrong, missed):
    scores = Scores.of(true_positives, true_positives + wrong, true_positives + missed)
    if true_positives:
        assert scores.f1 == pytest.approx(2 / (1 / scores.precision + 1 / scores.recall))
    else:
        assert scores.f1 == 0


EXAMPLE = scored_pairs(
    [[0.9, 0.2], [0.8, 0.6], [0.7, 0.1], [0.3, 0.55]],
    [[1, 0], [0, 1], [0, 0], [1, 0]],
    ignored=[0, 0, 1, 0],
    other_facts=[0, 2, 0, 0],
    documents=["a", "b", "a", "c"],
)


def test_scores_with_the_filter_and_without():
    # above 0.5: .9 right, .8 wrong, .6 right, .7 wrong but ignored, .55 wrong
    assert EXAMPLE.score(0.5, filtered=False) == Scores.of(2, 5, 5)
    assert EXAMPLE.score(0.5, filtered=True) == Scores.of(2, 4, 5)
    assert EXAMPLE.score(0.25, filtered=True) == Scores.of(3, 5, 5)
    assert EXAMPLE.score(0.0, filtered=False) == Scores.of(3, 8, 5)
    assert EXAMPLE.score(1.0, filtered=False) == Scores.of(0, 0, 5)


def test_facts_that_cannot_be_predicted_count_in_recall():
    assert EXAMPLE.score(0.0, filtered=False).recall == 3 / 5
    assert EXAMPLE.gold() == 5
    none = dataclasses.replace(EXAMPLE, other_facts=np.zeros(4, dtype=int))
    assert none.score(0.0, filtered=False).recall == 1.0


def test_a_threshold_for_each_relation():
    # r above .75: .9 right, .8 wrong; s above .15: .2 wrong, .6 right, .55 wrong
    assert EXAMPLE.score(np.array([0.75, 0.15]), filtered=True) == Scores.of(2, 5, 5)
    assert EXAMPLE.predicted(np.array([1.0, 0.58])).tolist() == [
        [False, False],
        [False, True],
        [False, False],
        [False, False],
    ]


def test_counts_by_pair_and_by_document():
    assert EXAMPLE.counts(0.5, filtered=True).tolist() == [[1, 1, 1], [1, 2, 3], [0, 0, 0], [0, 1, 1]]
    assert EXAMPLE.counts(0.5, filtered=False).tolist()[2] == [0, 1, 0]
    names, counts = EXAMPLE.counts_by_document(0.5, filtered=False)
    assert names == ["a", "b", "c"]
    assert counts.tolist() == [[1, 2, 1], [1, 2, 3], [0, 1, 1]]


def test_pair_scores_ask_for_any_relation():
    # a pair with a fact of another relation is found, whatever is predicted for it
    pairs = scored_pairs(
        [[0.9, 0.9], [0.1, 0.9], [0.9, 0.1], [0.1, 0.1], [0.9, 0.1], [0.9, 0.0]],
        [[1, 0], [1, 0], [0, 0], [0, 1], [0, 0], [0, 0]],
        other_facts=[0, 0, 2, 0, 0, 0],
        ignored=[0, 0, 0, 0, 0, 1],
    )
    assert pairs.pair_score(0.5, filtered=True) == Scores.of(3, 4, 4)
    assert pairs.pair_score(0.5, filtered=False) == Scores.of(3, 5, 4)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_threshold_itself_is_not_enough(dtype):
    one = scored_pairs([0.5], [1], dtype=dtype)
    assert one.score(0.5, filtered=True).predicted == 0
    assert one.score(np.nextafter(0.5, 0), filtered=True).predicted == 1


def test_a_float32_probability_is_compared_as_the_number_that_it_is():
    """As prediction does on Python's floats: 0.1 in float32 is above 0.1."""
    assert scored_pairs([0.1], [1]).score(0.1, filtered=True).predicted == 1


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@given(data=st.data())
def test_predicted_compares_exactly(dtype, data):
    values = data.draw(st.lists(st.floats(0, 1, width=16), min_size=1, max_size=5))
    probability = np.array(values, dtype=dtype)
    near = st.sampled_from(probability.tolist()).map(lambda p: float(np.nextafter(p, data.draw(SIDES))))
    threshold = data.draw(st.floats(-0.5, 1.5) | near | st.sampled_from(probability.tolist()))
    found = scored_pairs(probability, np.zeros(len(values)), dtype=dtype).predicted(threshold)
    assert found[:, 0].tolist() == [p > threshold for p in probability.tolist()]


SIDES = st.sampled_from([-1.0, 0.0, 1.0, 2.0])


def test_without_pairs_or_facts():
    none = scored_pairs(np.empty((0, 2)), np.empty((0, 2)))
    assert none.score(0.5, filtered=True) == none.pair_score(0.5, filtered=True) == Scores.of(0, 0, 0)
    assert none.ign_score(0.5, filtered=True) == Scores.of(0, 0, 0)
    assert none.counts_by_document(0.5, filtered=True)[1].shape == (0, 3)


def test_joined_pairs_are_scored_together():
    one, other = random_pairs(1), random_pairs(2, pairs=5)
    both = joined([one, other], one.relations)
    assert both.relations == one.relations
    for column in dataclasses.fields(both):
        if column.name != "relations":
            whole, parts = getattr(both, column.name), [getattr(each, column.name) for each in (one, other)]
            assert list(map(str, whole)) == [str(value) for part in parts for value in part]
    counts = [each.counts(0.5, filtered=True).sum(0) for each in (one, other)]
    assert both.score(0.5, filtered=True) == Scores.total(np.stack(counts))
    assert joined([], one.relations).score(0.5, filtered=True) == Scores.of(0, 0, 0)


# Predictions and facts


def facts_of(result):
    rows, columns = np.nonzero(result.is_fact)
    return {
        (result.documents[row], result.heads[row], result.relations[column], result.tails[row])
        for row, column in zip(rows, columns, strict=True)
    }


def named(result, column):
    """A column by the names of its pairs, in a single document."""
    values = getattr(result, column).tolist()
    return dict(zip(zip(result.heads, result.tails, strict=True), values, strict=True))


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
    assert result.gold() == 3
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
        *[("R", "cures", "V"), ("R", "cures", "V")],
    ]
    mentions = [(0, 1, "Chemical", "V"), (2, 3, "Disease", "R")]
    gold = document(["velorin caused rash ."], mentions, facts, name="d")
    blind = document(["velorin caused rash ."], mentions, name="d")
    graphs = [ONE_WAY.graph(blind)]
    result = score_pairs([gold], graphs, [np.full((1, 2), 0.9)], ONE_WAY)
    assert facts_of(result) == {
        ("d", "V", "causes", "R"),
        ("d", "R", "causes", "V"),
        ("d", "V", "causes", "X"),
    }
    assert result.gold() == 5
    assert named(result, "other_facts") == {("V", "R"): 1, ("R", "V"): 1, ("V", "X"): 0}
    assert result.score(0.5, filtered=True) == Scores.of(1, 2, 5)
    assert result.score(0.0, filtered=True) == Scores.of(1, 2, 5)


def test_the_same_identifiers_in_two_documents_are_two_pairs():
    mentions = [(0, 1, "Chemical", "V"), (2, 3, "Disease", "R")]
    first = document(["velorin caused rash ."], mentions, [("V", "causes", "R")], name="first")
    second = document(["velorin caused rash ."], mentions, name="second")
    result = scored([first, second], labels=ONE_WAY)
    assert facts_of(result) == {("first", "V", "causes", "R")}
    assert result.documents == ["first", "second"]


def test_two_documents_of_one_id_are_an_error():
    with pytest.raises(InputError, match=r"^two: two documents have this id$"):
        scored([two_sentences(), empty(), two_sentences()])


@pytest.mark.parametrize("table", [np.zeros((5, 2)), np.zeros((7, 2)), np.zeros((6, 3))])
def test_a_table_of_another_shape_is_an_error(table):
    with pytest.raises(ValueError, match=r"^two: probabilities .* of 6 pairs$"):
        score_pairs([two_sentences()], [LABELS.graph(two_sentences())], [table], LABELS)


def test_the_filter_leaves_pairs_out():
    result = scored([dataclasses.replace(two_sentences(), ignored=(("V", "O"), ("R", "V"), ("V", "X")))])
    left_out = {pair for pair, out in named(result, "ignored").items() if out}
    assert left_out == {("V", "O"), ("R", "V")}
    assert result.score(-1, filtered=False).predicted - result.score(-1, filtered=True).predicted == 4


def test_no_document_and_no_pair():
    result = score_pairs([], [], [], LABELS)
    assert (len(result.heads), result.gold(), result.probability.shape) == (0, 0, (0, 2))
    assert scored([empty()]).score(0.5, filtered=True) == Scores.of(0, 0, 0)


def test_facts_of_a_document_without_pairs_are_missed():
    only = document(
        ["velorin eased it ."], [(0, 1, "Chemical", "V")], [("V", "treats", "X"), ("Y", "cures", "X")]
    )
    result = scored([only])
    assert result.score(0.0, filtered=True) == Scores.of(0, 0, 2)
    assert named(result, "distance") == {("V", "X"): -1, ("Y", "X"): -1}
    assert named(result, "mentions") == {("V", "X"): 0.5, ("Y", "X"): 0.0}


# Pairs without direction


def test_undirected_facts_are_found_in_either_order_and_never_twice():
    facts = [("R", "causes", "V"), ("V", "causes", "R"), ("O", "treats", "V")]
    both = dataclasses.replace(two_sentences(), facts=document([], facts=facts).facts)
    result = scored([both], labels=UNDIRECTED)
    assert facts_of(result) == {("two", "V", "causes", "R"), ("two", "V", "treats", "O")}
    assert result.score(-1, filtered=True) == Scores.of(2, 6, 2)
    assert len(result.heads) == 3


def test_undirected_facts_of_no_candidate_pair_count_once():
    facts = [("X", "causes", "V"), ("V", "causes", "X"), ("X", "treats", "V"), ("V", "cures", "X")]
    result = scored(
        [dataclasses.replace(two_sentences(), facts=document([], facts=facts).facts)], labels=UNDIRECTED
    )
    assert len(result.heads) == 4
    assert result.gold() == 3
    assert result.score(0.5, filtered=True).recall == 0


def test_undirected_pairs_are_ignored_in_either_order():
    each = dataclasses.replace(two_sentences(), ignored=(("R", "V"), ("O", "R")))
    left_out = {pair for pair, out in named(scored([each], labels=UNDIRECTED), "ignored").items() if out}
    assert left_out == {("V", "R"), ("O", "R")}


# Distance and number of mentions


def test_distance_and_mentions_by_hand():
    found = named(scored([two_sentences()]), "distance")
    assert set(found.values()) == {0}
    counts = named(scored([two_sentences()]), "mentions")
    assert (counts["V", "O"], counts["V", "R"], counts["O", "R"]) == (1.5, 1.0, 1.5)
    assert set(named(scored([apart()]), "distance").values()) == {1}
    assert set(named(scored([one_sentence()]), "distance").values()) == {0}


def test_distance_is_the_shortest_between_any_two_mentions():
    for each in [*random_documents(20, sentences=(3, 9)), Document("e", "", (), (), ())]:
        result = scored([each])
        mentions = {entity.id: entity.mentions for entity in each.entities}
        for (head, tail), found in named(result, "distance").items():
            sentences = [[each.sentence_of(one) for one in mentions[name]] for name in (head, tail)]
            assert found == min(abs(a - b) for a in sentences[0] for b in sentences[1])
        for (head, tail), found in named(result, "mentions").items():
            assert found == (len(mentions[head]) + len(mentions[tail])) / 2
