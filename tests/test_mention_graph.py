"""The graph of mentions and the paths of GAIN against plain loops."""

import pytest
import torch

from documents import LABELS, batch_of, odd_documents, random_documents
from glre_pyg.nn.mention_graph import MentionGraph, PathReasoning, paths

DOCUMENTS = [*odd_documents(), *random_documents(4)]


def close(one, other):
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def entities_and_sentences(graph):
    """Entity and sentence of each mention of a graph."""
    refers_to = graph["mention", "refers_to", "entity"].edge_index.t().tolist()
    return dict(refers_to), dict(graph["mention", "in", "sentence"].edge_index.t().tolist())


def mean(rows, channels=4):
    return torch.stack(rows).mean(0) if rows else torch.zeros(channels)


def test_convolution_against_loops():
    layer = MentionGraph(4, num_layers=2, dropout=0.0)
    batch = batch_of(DOCUMENTS)
    mention, document = torch.randn(batch["mention"].num_nodes, 4), torch.randn(len(DOCUMENTS), 4)
    found, found_document = layer(mention, document, batch)
    start = 0
    for number, each in enumerate(DOCUMENTS):
        graph = LABELS.graph(each)
        entity, sentence = entities_and_sentences(graph)
        nodes = range(graph["mention"].num_nodes)
        rows, whole = [[mention[start + u] for u in nodes]], [document[number]]
        for linear in layer.layers:
            x, new = rows[-1], []
            for u in nodes:
                same = mean([x[v] for v in nodes if v != u and entity[v] == entity[u]])
                inside = [v for v in nodes if sentence[v] == sentence[u]]
                other = mean([x[v] for v in inside if entity[v] != entity[u]])
                new.append(linear(torch.cat([x[u], same, other, whole[-1]])).relu())
            whole.append(linear(torch.cat([whole[-1], torch.zeros(8), mean(x)])).relu())
            rows.append(new)
        for u in nodes:
            close(found[start + u], layer.output(torch.cat([level[u] for level in rows])))
        close(found_document[number], layer.output(torch.cat(whole)))
        start += len(nodes)


def test_paths_against_loops():
    batch = batch_of(DOCUMENTS)
    layer = PathReasoning(6, channels=3)
    entity = torch.randn(batch["entity"].num_nodes, 6)
    found, listed = layer(entity, batch), {*zip(*(index.tolist() for index in paths(batch)), strict=True)}
    expected_paths, first, pair, some = set(), 0, 0, 0

    def edge(i, j):
        return torch.relu(layer.source(entity[i]) + layer.target(entity[j]))

    for each in DOCUMENTS:
        graph = LABELS.graph(each)
        inside = graph["entity", "in", "sentence"].edge_index.t().tolist()
        adjacent = {(i, j) for i, s in inside for j, other in inside if i != j and s == other}
        for a, b in graph.pair_index.t().tolist():
            middles = [o for o in range(graph["entity"].num_nodes) if {(a, o), (o, b)} <= adjacent]
            expected_paths |= {(pair, first + o) for o in middles}
            h, t = first + a, first + b
            query = layer.query(torch.cat([entity[h], entity[t]]))
            rows = [
                torch.cat([edge(h, first + o), edge(first + o, t), edge(t, first + o), edge(first + o, h)])
                for o in middles
            ]
            expected = torch.zeros(12)
            if rows:
                rows, some = torch.stack(rows), some + 1
                expected = (rows @ query).softmax(0) @ rows
            close(found[pair], expected)
            pair += 1
        first += graph["entity"].num_nodes
    assert listed == expected_paths
    assert 0 < some < pair
