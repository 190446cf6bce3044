"""Instances, and the all-paths graph kernel of them, against plain loops with matrices."""

from collections import Counter, defaultdict
from itertools import pairwise, product

import networkx as nx
import numpy as np
import pytest
import torch

from documents import LABELS, annotated, batch_of, document, odd_documents, random_documents
from glre_pyg.data.parser import UPOS
from glre_pyg.nn import path_kernel
from glre_pyg.nn.dependency_paths import DocumentTree
from glre_pyg.nn.hashed_features import Features, combined
from glre_pyg.nn.mention_pairs import mention_pairs
from glre_pyg.nn.path_kernel import AllPaths

DOCUMENTS = [*odd_documents(), *random_documents(3)]
parsed = annotated(lambda graph: graph, parse="invented")
BITS = 50  # no two features share a column


def parents_of(graph):
    """Word that each word depends on; a root depends on the previous root, the first on None."""
    heads = dict(graph.depends.t().tolist())
    roots = [word for word in range(len(graph.words)) if word not in heads]
    previous = dict(zip(roots, [None, *roots], strict=False))
    return [heads.get(word, previous.get(word)) for word in range(len(graph.words))]


def depth(parents, word):
    return 0 if parents[word] is None else 1 + depth(parents, parents[word])


def sentence_of(graph, word):
    return next(n for n, (start, end) in enumerate(graph["sentence"].span.tolist()) if start <= word < end)


def instances(graph):
    """(pair, head, tail): mentions in a sentence, else the closest ones; words stand for mentions."""
    parents, tops = parents_of(graph), defaultdict(list)
    for mention, entity in graph["mention", "refers_to", "entity"].edge_index.t().tolist():
        words = range(*graph["mention"].span[mention].tolist())
        tops[entity].append(min(words, key=lambda word: (depth(parents, word), word)))
    found = []
    for number, (head, tail) in enumerate(graph.pair_index.t().tolist()):
        every = sorted(set(product(tops[head], tops[tail])))
        kept = [(a, b) for a, b in every if a != b and sentence_of(graph, a) == sentence_of(graph, b)]
        far = {(a, b): abs(a - b) or len(graph.words) for a, b in every}
        kept = kept or [each for each in every if far[each] == min(far.values())]
        found += [(number, *each) for each in kept]
    return found


def words_of(graph, first, last, max_words):
    """Words of an instance."""
    spans = graph["sentence"].span.tolist()
    (start, middle), (resume, end) = (spans[sentence_of(graph, word)] for word in (first, last))
    if end - start <= max_words:
        return [*range(start, end)]
    near = max_words // 2
    return [
        word
        for word in range(start, end)
        if (start <= word < middle and first - near <= word < first + near)
        or (resume <= word < end and last - near <= word < last + near)
    ]


def labels_of(graph, pair):
    """Text and part of speech of each word."""
    head, tail = graph.pair_index[:, pair].tolist()
    texts, whose = [("text", word) for word in graph.words], Counter()
    for mention, (start, end) in enumerate(graph["mention"].span.tolist()):
        for word in range(start, end):
            kind = int(graph["mention"].type[mention])
            before = texts[word][1] if texts[word][0] == "type" else -1
            texts[word] = ("type", max(kind, before))
    for mention, entity in graph["mention", "refers_to", "entity"].edge_index.t().tolist():
        for word in range(*graph["mention"].span[mention].tolist()):
            whose[word] |= (entity == head) + 2 * (entity == tail)
    types = graph["entity"].type[[head, tail]].tolist()
    return [
        (("entity", whose[word], *types) if whose[word] else text, ("pos", UPOS[graph.pos[word]]))
        for word, text in enumerate(texts)
    ]


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
    length = sum(weight**2 for weight in weights.values()) ** 0.5
    return {key: weight / max(length, 1e-6) for key, weight in weights.items()}


def test_the_instances_of_a_batch():
    batch = batch_of(DOCUMENTS, parsed)
    found = mention_pairs(batch, DocumentTree(batch))
    expected, pairs, words = [], 0, 0
    for each in DOCUMENTS:
        graph = parsed(LABELS.graph(each))
        for pair, head, tail in instances(graph):
            same = sentence_of(graph, head) == sentence_of(graph, tail)
            expected.append((pairs + pair, words + head, words + tail, same))
        pairs, words = pairs + graph.pair_index.size(1), words + len(graph.words)
    rows = torch.stack([found.pair, found.head, found.tail, found.together.long()]).t().tolist()
    assert [tuple(row) for row in rows] == expected
    assert {row[3] for row in rows} == {0, 1}
    assert {row[0] for row in rows} == set(range(pairs))


@pytest.mark.parametrize("max_words", [6, 15, 200])
def test_inner_products_are_the_kernel(max_words, monkeypatch):
    monkeypatch.setattr(path_kernel, "_WORDS", 100)
    kernel = AllPaths(path_weight=0.9, other_weight=0.3, least_weight=1e-12, max_words=max_words)
    parts = [*kernel(batch_of(DOCUMENTS, parsed))]
    assert len(parts) > 3
    found, first = [], 0
    for part in parts:
        rows = part.rows(BITS)
        table = [{} for _ in range(rows.num_rows)]
        for row, column, value in zip(
            *(x.tolist() for x in (rows.row, rows.column, rows.value)), strict=True
        ):
            table[row][column] = value
        found += zip(part.pair.tolist(), table, strict=True)
    expected = []
    for each in DOCUMENTS:
        graph = parsed(LABELS.graph(each))
        for pair, head, tail in instances(graph):
            expected.append((first + pair, features_of(graph, pair, head, tail, max_words)))
        first += graph.pair_index.size(1)
    assert [pair for pair, _ in found] == [pair for pair, _ in expected]
    mine, theirs = (gram([table for _, table in rows]) for rows in (found, expected))
    np.testing.assert_allclose(mine, theirs, atol=1e-4)
    assert ((theirs > 1e-3) & (theirs < 0.9)).any()


def gram(tables):
    return np.array(
        [[sum(value * other.get(key, 0) for key, value in one.items()) for other in tables] for one in tables]
    )


def test_paths_that_weigh_little_are_left_out():
    batch = batch_of(DOCUMENTS, parsed)
    for least in (0.2, 0.5):
        kernel = AllPaths(path_weight=0.9, other_weight=0.3, least_weight=least, max_words=200)
        values = torch.cat([part.value for part in kernel(batch)])
        assert least <= values.min() < values.max() <= 0.9


def test_a_word_in_both_entities_has_no_features():
    nested = document(["rash"], [(0, 1, "Disease", "A"), (0, 1, "Disease", "B")])
    [part] = AllPaths(path_weight=0.9, other_weight=0.3, least_weight=0.1, max_words=9)(
        batch_of([nested], parsed)
    )
    assert part.pair.tolist() == [0, 1]
    assert not len(part.row)
    assert part.rows(4).num_rows == 2


def test_hashes_are_those_of_plain_numbers():
    def mixed(x):
        def signed(x):
            return (x + 2**63) % 2**64 - 2**63

        x = signed((x ^ (x >> 31)) * -7046029254386353131)
        x = signed((x ^ (x >> 29)) * -4658895280553007687)
        return x ^ (x >> 32)

    numbers = [0, 1, 2**32 - 1, 12345, 2**62]
    expected = [mixed(mixed(mixed(number) + 7) + 3) for number in numbers]
    assert combined(torch.tensor(numbers), 7, torch.tensor(3)).tolist() == expected


def test_features_in_a_column_add_up_with_their_signs():
    pair, row = torch.tensor([4, 5, 5]), torch.tensor([2, 0, 0, 0, 2])
    feature = torch.tensor([5, 1, -15, 2, 5])  # -15 is 1 in four bits, with the other sign
    rows = Features(pair, row, feature, torch.tensor([3.0, 5.0, 1.0, 3.0, 1.0])).rows(4)
    assert (rows.row.tolist(), rows.column.tolist(), rows.num_rows) == ([0, 0, 2], [1, 2, 5], 3)
    torch.testing.assert_close(rows.value, torch.tensor([0.8, 0.6, 1.0]))
