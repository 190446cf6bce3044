"""The all-paths graph kernel of instances, against plain loops with matrices."""

from collections import defaultdict
from itertools import pairwise, product

import networkx as nx
import numpy as np
import pytest
import torch

from documents import batch_of, document
from glre_pyg.nn import instance_words
from glre_pyg.nn.dependency_paths import DocumentTree
from glre_pyg.nn.mention_pairs import mention_pairs
from glre_pyg.nn.path_kernel import AllPaths
from instances import (
    DOCUMENTS,
    every_instance,
    found_features,
    gram,
    labels_of,
    normalized,
    parents_of,
    parsed,
    words_of,
)


def paths(matrix, labels, weights):
    """Add to the weights of pairs of labels those of all paths."""
    total = np.linalg.inv(np.eye(len(matrix)) - matrix) - np.eye(len(matrix))
    for i, j in product(range(len(matrix)), repeat=2):
        for one, other in product(labels[i], labels[j]):
            weights[one, other] += total[i, j]


def features_of(graph, pair, head, tail, max_words):
    """Weights of pairs of labels, with length 1."""
    parents, labels, weights = parents_of(graph), labels_of(graph, pair), defaultdict(float)
    first, last = sorted((head, tail))
    words = words_of(graph, first, last, max_words)
    whole = nx.Graph((word, above) for word, above in enumerate(parents) if above is not None)
    whole.add_nodes_from(range(len(parents)))
    path = set(nx.shortest_path(whole, head, tail))
    number = {word: index for index, word in enumerate(words)}

    tree = np.zeros((2 * len(words), 2 * len(words)))
    marked = [[(label, word in path) for label in labels[word]] for word in words]
    for word in words:
        above, here = number.get(parents[word]), number[word]
        on = above is not None and word in path and parents[word] in path
        marked.append([("dependency", graph.dependency[word], on)])
        if above is not None and here - above == word - parents[word]:  # nothing between is left out
            dependency, weight = len(words) + here, 0.9 if on else 0.3
            tree[above, dependency] = tree[dependency, here] = weight
    paths(tree, marked, weights)

    line = np.zeros((len(words), len(words)))
    for index, (one, other) in enumerate(pairwise(words)):
        line[index, index + 1] = 0.9 * (other == one + 1)
    sides = ["before" if word < first else "after" if word > last else "between" for word in words]
    paths(
        line, [[(label, side) for label in labels[w]] for w, side in zip(words, sides, strict=True)], weights
    )
    return normalized(weights)


@pytest.mark.parametrize("max_words", [6, 15, 200])
def test_inner_products_are_the_kernel(max_words, monkeypatch):
    monkeypatch.setattr(instance_words, "WORDS", 100)
    kernel = AllPaths(path_weight=0.9, other_weight=0.3, least_weight=1e-12, max_words=max_words)
    pairs, tables, parts = found_features(kernel, batch_of(DOCUMENTS, parsed))
    assert parts > 3
    every = [*every_instance()]
    assert pairs == [pair + before for _, pair, _, _, before, _ in every]
    expected = [features_of(*instance, max_words) for *instance, _, _ in every]
    mine, theirs = gram(tables), gram(expected)
    np.testing.assert_allclose(mine, theirs, atol=1e-4)
    assert ((theirs > 1e-3) & (theirs < 0.9)).any()


def features(kernel, batch):
    tree = DocumentTree(batch)
    return kernel(batch, tree, mention_pairs(batch, tree))


def test_paths_that_weigh_little_are_left_out():
    batch = batch_of(DOCUMENTS, parsed)
    for least in (0.2, 0.5):
        kernel = AllPaths(path_weight=0.9, other_weight=0.3, least_weight=least, max_words=200)
        values = torch.cat([part.value for part in features(kernel, batch)])
        assert least <= values.min() < values.max() <= 0.9


def test_a_word_in_both_entities_has_no_features():
    nested = document(["rash"], [(0, 1, "Disease", "A"), (0, 1, "Disease", "B")])
    kernel = AllPaths(path_weight=0.9, other_weight=0.3, least_weight=0.1, max_words=9)
    [part] = features(kernel, batch_of([nested], parsed))
    assert part.pair.tolist() == [0, 1]
    assert not len(part.row)
    assert part.rows(4).num_rows == 2
