"""Features of dependency paths, and the linear layer over features, against plain loops."""

from collections import Counter
from functools import partial

import numpy as np
import pytest
import torch

from documents import batch_of
from glre_pyg.nn import instance_words
from glre_pyg.nn.lexical_features import LexicalFeatures
from glre_pyg.nn.path_features import PathFeatures
from glre_pyg.nn.sparse_linear import SparseLinear
from instances import (
    DOCUMENTS,
    every_instance,
    found_features,
    gram,
    normalized,
    parents_of,
    parsed,
    words_of,
)


def chain(parents, word):
    return [word] if parents[word] is None else [word, *chain(parents, parents[word])]


def path_of(parents, head, tail):
    """The words from head to tail, and whether the path goes up from each, turns at it, or comes down to it."""
    up, down = chain(parents, head), chain(parents, tail)
    top = next(word for word in up if word in down)
    before, after = up[: up.index(top)], down[: down.index(top)][::-1]
    return [*before, top, *after], ["up"] * len(before) + ["top"] + ["down"] * len(after)


def features_of(graph, pair, head, tail, max_words):
    texts = [("text", text.lower()) for text in graph.words]
    for mention, (start, end) in enumerate(graph["mention"].span.tolist()):
        for word in range(start, end):
            kind = int(graph["mention"].type[mention])
            texts[word] = max(texts[word], ("type", kind), key=lambda text: (text[0] == "type", text[1]))
    kept = words_of(graph, min(head, tail), max(head, tail), max_words)
    path = [*zip(*path_of(parents_of(graph), head, tail), strict=True)]
    path = [(word, direction) for word, direction in path if word in kept]
    words = [texts[word] for word, _ in path]
    edges = [(graph.dependency[word], direction) for word, direction in path]
    weights = Counter(("word", word) for word in words)
    weights.update(("edge", edge) for edge in edges)
    weights.update(("both", *both) for both in zip(words, edges, strict=True))
    for first, second in zip(range(len(path)), range(1, len(path)), strict=False):
        weights["two", words[first], words[second], edges[first], edges[second]] += 1
        weights["edges", edges[first], edges[second]] += 1
    for first in range(len(path) - 2):
        weights["three", *words[first : first + 3]] += 1
        weights["around", edges[first], words[first + 1], edges[first + 2]] += 1
    weights["length", min(len(path), 12)] += 1
    return normalized(weights)


@pytest.mark.parametrize("max_words", [200, 8])
def test_inner_products(max_words, monkeypatch):
    monkeypatch.setattr(instance_words, "WORDS", 100)
    pairs, tables, parts = found_features(PathFeatures(max_words=max_words), batch_of(DOCUMENTS, parsed))
    assert parts > 3
    every = [*every_instance()]
    assert pairs == [pair + before for _, pair, _, _, before, _ in every]
    expected = [features_of(*instance, max_words) for *instance, _, _ in every]
    np.testing.assert_allclose(gram(tables), gram(expected), atol=1e-4)


def linear(num_logits=2, **options):
    return SparseLinear(
        num_logits,
        lexical=partial(LexicalFeatures, window=2, max_words=200),
        path=partial(PathFeatures, max_words=200),
        **{"bits": 12, "max_weights": 2**20, "dropout": 0.0, "lr": 0.01} | options,
    )


def test_a_pair_has_the_largest_logit_of_its_instances():
    batch, layer = batch_of(DOCUMENTS, parsed), linear(bits=20, max_weights=2**21)
    torch.nn.init.normal_(layer.weight)
    expected = torch.full((batch.pair_index.size(1), 2), -torch.inf)
    extracted = [found_features(features, batch) for features in layer.features]
    assert len({len(pairs) for pairs, _, _ in extracted}) == 1
    for row, pair in enumerate(extracted[0][0]):
        logits = torch.zeros(2)
        for _, tables, _ in extracted:
            for column, value in tables[row].items():
                logits += value * layer.weight[column % 2**20]
        expected[pair] = torch.maximum(expected[pair], logits)
    torch.testing.assert_close(layer(batch), expected, atol=1e-4, rtol=0)


def test_many_logits_have_fewer_columns():
    assert linear(1).weight.shape == (2**12, 1)
    assert linear(97, max_weights=2**16).weight.shape == (512, 97)
    assert linear(2**20, max_weights=2**10).weight.shape[0] == 2


def test_weights_begin_as_zero_and_learn_from_every_instance_that_decides():
    batch, layer = batch_of(DOCUMENTS, parsed), linear()
    assert not layer(batch).any()
    layer(batch).sum().backward()
    assert layer.weight.grad.any()


def test_dropout_is_of_training_alone():
    batch, layer = batch_of(DOCUMENTS, parsed), linear(dropout=0.5)
    torch.nn.init.normal_(layer.weight)
    assert not torch.equal(layer(batch), layer(batch))
    layer.eval()
    assert torch.equal(layer(batch), layer(batch))
