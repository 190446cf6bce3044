"""Dependency paths of pairs, and convolution over them, against plain loops."""

import networkx as nx
import pytest
import torch
from torch_geometric.data import Batch

from documents import LABELS, annotated, batch_of, document, no_pair, odd_documents, random_documents
from glre_pyg.data.graph import word_counts
from glre_pyg.nn.dependency_paths import (
    DocumentTree,
    PathNodes,
    TreeConvolution,
    max_of_nodes,
    path_nodes,
)
from glre_pyg.utils.exceptions import InputError

DOCUMENTS = [*odd_documents(), *random_documents(4)]
parsed = annotated(lambda graph: graph, parse="invented")


def links(graph):
    """Head of each word of a document; a root has the previous root, the first None."""
    heads = dict(graph.depends.t().tolist())
    roots = [word for word in range(len(graph.words)) if word not in heads]
    previous = dict(zip(roots, [None, *roots], strict=False))
    return [heads.get(word, previous.get(word)) for word in range(len(graph.words))], set(roots)


def ancestors(parents, word):
    above = [word]
    while parents[above[-1]] is not None:
        above.append(parents[above[-1]])
    return above


def words_of(graph, entity):
    """Words of all mentions of an entity."""
    mention, target = graph["mention", "refers_to", "entity"].edge_index
    return {
        w
        for start, end in graph["mention"].span[mention[target == entity]].tolist()
        for w in range(start, end)
    }


def closest(graph, parents, head, tail):
    """Syntactic heads of the closest mentions of two entities, and the words of all mentions with these heads."""
    mentions = []
    for entity in (head, tail):
        mention, target = graph["mention", "refers_to", "entity"].edge_index
        spans = [range(*span) for span in graph["mention"].span[mention[target == entity]].tolist()]
        depth = {word: (len(ancestors(parents, word)), word) for span in spans for word in span}
        mentions.append([(min(span, key=depth.get), {*span}) for span in spans])
    pairs = [(one, other, a | b) for one, a in mentions[0] for other, b in mentions[1]]
    key = min((one == other, abs(one - other), *sorted((one, other))) for one, other, _ in pairs)
    return *key[2:], set().union(*(words for one, other, words in pairs if {one, other} == {*key[2:]}))


def test_the_tree_of_a_document_in_a_batch():
    batch = batch_of(DOCUMENTS, parsed)
    tree, first = DocumentTree(batch), 0
    for each, count in zip(DOCUMENTS, word_counts(batch), strict=True):
        parents, _ = links(parsed(LABELS.graph(each)))
        for word in range(count):
            above = ancestors(parents, word)
            assert tree.ancestors[first + word].nonzero().flatten().tolist() == sorted(above)
            assert tree.depth[first + word] == len(above)
        first += count


@pytest.mark.parametrize("distance", [0, 1, 2])
def test_the_words_around_a_path(distance):
    batch = batch_of(DOCUMENTS, parsed)
    nodes, first, number = path_nodes(batch, batch.pair_index, distance=distance), 0, 0
    for each in DOCUMENTS:
        graph = parsed(LABELS.graph(each))
        parents, roots = links(graph)
        tree = nx.Graph((word, above) for word, above in enumerate(parents) if above is not None)
        tree.add_nodes_from(range(len(parents)))
        for head, tail in graph.pair_index.t().tolist():
            one, other, words = closest(graph, parents, head, tail)
            kept = words.union(nx.shortest_path(tree, one, other))
            for _ in range(distance):
                kept |= {word for word, above in enumerate(parents) if above in kept and word not in roots}
            mine = nodes.pair == number
            assert (nodes.word[mine] - first).tolist() == sorted(kept)
            above = nodes.word[nodes.parent[mine]] - first
            expected = [parents[word] if parents[word] in kept else word for word in sorted(kept)]
            assert above.tolist() == expected
            for entity, inside in ((head, nodes.in_head[mine]), (tail, nodes.in_tail[mine])):
                assert inside.tolist() == [word in words_of(graph, entity) for word in sorted(kept)]
            number += 1
        first += len(parents)
    assert number == batch.pair_index.size(1)


def test_convolution_against_a_loop():
    torch.manual_seed(0)
    layer = TreeConvolution(3, 4)
    parent, nothing = torch.tensor([1, 1, 1, 4, 4]), torch.empty(0)
    neighbours, start = PathNodes(nothing, nothing, parent, nothing, nothing).neighbours()
    x, edges = torch.randn(5, 3), {(0, 1), (2, 1), (3, 4)}
    for node, row in enumerate(layer(x, neighbours, start)):
        near = [other for other in range(5) if {(node, other), (other, node)} & edges or node == other]
        expected = torch.relu(layer.linear(sum(x[other] for other in near) / len(near)))
        torch.testing.assert_close(row, expected)


def test_the_maximum_of_some_nodes():
    batch = batch_of(DOCUMENTS, parsed)
    nodes = path_nodes(batch, batch.pair_index, distance=1)
    x = torch.randn(len(nodes.pair), 2)
    found = max_of_nodes(x[nodes.in_head], nodes.pair[nodes.in_head], batch.pair_index.size(1))
    for pair, row in enumerate(found):
        assert torch.equal(row, x[(nodes.pair == pair) & nodes.in_head].amax(0))


def test_documents_without_pairs_or_words():
    for documents in ([no_pair()], [document([])]):
        batch = batch_of(documents, parsed)
        assert not len(path_nodes(batch, batch.pair_index, distance=1).pair)


def test_graphs_without_a_parse_are_an_error_in_a_line():
    batch = Batch.from_data_list([LABELS.graph(DOCUMENTS[0])])
    with pytest.raises(InputError, match=r"^parse: "):
        path_nodes(batch, batch.pair_index, distance=1)
