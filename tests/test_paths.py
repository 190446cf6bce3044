"""Paths: they are those that networkx finds, ties included, and the sentences to read are marked."""

import sys
from itertools import pairwise

import networkx
import pytest

from documents import LABELS, document, random_documents
from glre_pyg.data.graph import EDGE_TYPES
from glre_pyg.data.paths import connection, marked, passages

MANY = random_documents(40, sentences=(3, 8), entities=(3, 9))


def pairs_of(each):
    return LABELS.candidates(each)


# Paths


def networks(each):
    """The document's graph in networkx, whole and without edges between sentences, mentions left out."""
    graph = LABELS.graph(each)
    whole = networkx.Graph()
    for kind in ("entity", "sentence"):
        whole.add_nodes_from((kind, number) for number in range(graph[kind].num_nodes))
    for source, relation, target in EDGE_TYPES:
        if source != "mention":
            rows = graph[source, relation, target].edge_index.t().tolist()
            whole.add_edges_from(((source, a), (target, b)) for a, b in rows)
    bridged = whole.copy()
    bridged.remove_edges_from([edge for edge in whole.edges if edge[0][0] == edge[1][0] == "sentence"])
    return whole, bridged


def far(path):
    """Sentences walked through the text."""
    numbers = [number for kind, number in path if kind == "sentence"]
    return sum(abs(one - other) for one, other in pairwise(numbers))


def test_paths_are_those_of_networkx():
    kinds = set()
    for each in MANY:
        whole, bridged = networks(each)
        for head, tail in pairs_of(each):
            path = [(step.kind, step.number) for step in connection(each, head, tail)]
            ends = [("entity", [of.id for of in each.entities].index(name)) for name in (head, tail)]
            assert [path[0], path[-1]] == ends
            network = bridged if networkx.has_path(bridged, *ends) else whole
            assert networkx.is_path(network, path)
            # Of the shortest, the one that walks the fewest sentences; of equals, the first node by node.
            assert path == min(networkx.all_shortest_paths(network, *ends), key=lambda of: (far(of), of))
            kinds.add((network is whole, len(path)))
    assert kinds >= {(False, 3), (False, 5), (False, 7), (True, 4)}


def chain(sentences):
    """A document of sentences that each mention an entity of the sentence before and one of the next."""
    names = [f"E{number}" for number in range(sentences + 1)]
    return document(
        [f"one{number} then two{number} ." for number in range(sentences)],
        [
            (4 * number + 2 * side, 4 * number + 2 * side + 1, "Chemical", names[number + side])
            for number in range(sentences)
            for side in (0, 1)
        ],
    )


def crowd(sentences):
    """A document in which one entity is in the first half of all sentences, another in the second."""
    words = [4 * number for number in range(sentences)]
    return document(
        ["one two three ."] * sentences,
        [
            *((word, word + 1, "Chemical", "E0" if word < 2 * sentences else "E1") for word in words),
            *((word + 2, word + 3, "Disease", f"D{word}") for word in words),
            (2 * sentences + 1, 2 * sentences + 2, "Chemical", "E0"),
        ],
    )


@pytest.mark.parametrize(("make", "length"), [(chain, 2 * 400 + 1), (crowd, 5)])
def test_the_search_for_a_path_is_linear_in_the_document(make, length):
    """Lines that run for four times the document are about four times as many."""
    counts = []
    for sentences in (100, 400):
        each = make(sentences)
        ends = each.entities[0].id, each.entities[-1].id
        connection(each, *ends)  # what belongs to the document is there from here on
        lines = []
        sys.settrace(lambda *_, lines=lines: lambda *event: lines.append(event[1]))
        try:
            path = connection(each, *ends)
        finally:
            sys.settrace(None)
        counts.append(len(lines))
    assert len(path) == length
    assert counts[1] < 5 * counts[0]


def test_a_path_backwards_is_as_long():
    for each in MANY:
        for head, tail in pairs_of(each):
            forth, back = connection(each, head, tail), connection(each, tail, head)
            assert [step.kind for step in forth] == [step.kind for step in back]


BRIDGE = document(
    [
        "velorin was given with ostamide .",
        "patients had fevers .",
        "the ostamide dose raised querine .",
        "querine preceded tremor .",
        "rash followed .",
    ],
    [
        (0, 1, "Chemical", "V"),
        (4, 5, "Chemical", "O"),
        (11, 12, "Chemical", "O"),
        (14, 15, "Chemical", "Q"),
        (16, 17, "Chemical", "Q"),
        (18, 19, "Disease", "T"),
        (20, 21, "Disease", "R"),
    ],
    name="bridge",
)


def test_a_path_goes_over_entities_and_names_them():
    path = connection(BRIDGE, "V", "T")
    assert [(step.kind, step.name) for step in path] == [
        ("entity", "velorin"),
        ("sentence", "velorin was given with ostamide ."),
        ("entity", "ostamide"),
        ("sentence", "the ostamide dose raised querine ."),
        ("entity", "querine"),
        ("sentence", "querine preceded tremor ."),
        ("entity", "tremor"),
    ]


def test_a_path_without_entities_joins_the_nearest_sentences():
    path = connection(BRIDGE, "O", "R")
    assert [(step.kind, step.number) for step in path] == [
        ("entity", 1),
        ("sentence", 2),
        ("sentence", 4),
        ("entity", 4),
    ]


# Sentences to read


def test_the_sentences_to_read_mark_the_two_and_what_joins_them():
    found = dict(passages(BRIDGE, "V", "T"))
    assert [*found] == [0, 2, 3]
    assert found[0] == [
        ("velorin", "target"),
        (" was given with ", ""),
        ("ostamide", "related"),
        (" .", ""),
    ]
    assert found[3][0] == ("querine", "related")


def test_the_sentences_to_read_hold_the_nearest_mentions_too():
    """The path takes the bridge, from the first sentence; the nearest mention of the head is in the second."""
    each = document(
        ["velorin and querine .", "velorin daily .", "rash and querine ."],
        [
            (0, 1, "Chemical", "V"),
            (2, 3, "Chemical", "Q"),
            (4, 5, "Chemical", "V"),
            (7, 8, "Disease", "R"),
            (9, 10, "Chemical", "Q"),
        ],
    )
    assert [step.number for step in connection(each, "V", "R") if step.kind == "sentence"] == [0, 2]
    assert [sentence for sentence, _ in passages(each, "V", "R")] == [0, 1, 2]


def test_marks_leave_the_text_as_it_is():
    for each in MANY[:10]:
        ids = [entity.id for entity in each.entities]
        for number, sentence in enumerate(each.sentences):
            text = each.text[each.words[sentence.start][0] : each.words[sentence.end - 1][1]]
            found = marked(each, number, ids[:2], ids[2:])
            assert "".join(part for part, _ in found) == text
            assert all(one[1] != other[1] for one, other in pairwise(found))


def test_a_target_inside_another_mention_is_marked():
    each = document(
        ["severe rash followed ."], [(0, 2, "Disease", "S"), (1, 2, "Disease", "R")], name="nested"
    )
    parts = [("severe ", "related"), ("rash", "target"), (" followed .", "")]
    assert marked(each, 0, ["R"], ["S"]) == parts
