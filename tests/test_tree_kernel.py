"""The tree kernel against a count of common fragments, and its combination with others."""

import networkx as nx
import numpy as np
import pytest
import torch
from hydra.utils import instantiate

from documents import LABELS, batch_of, bilstm, random_documents, vocabulary
from glre_pyg.nn import instance_words
from glre_pyg.nn.dependency_paths import DocumentTree
from glre_pyg.nn.loss import AdaptiveThreshold
from glre_pyg.nn.mention_pairs import mention_pairs
from glre_pyg.nn.tree_kernel import TreeFragments
from glre_pyg.utils.exceptions import InputError
from instances import (
    DOCUMENTS,
    every_instance,
    found_features,
    gram,
    labels_of,
    parents_of,
    parsed,
    words_of,
)
from test_models import built, config_of


def fragments_of(graph, pair, head, tail, depth, max_words):
    """Depth and nested tuples of the fragments of each kind of labels."""
    parents, labels = parents_of(graph), labels_of(graph, pair)
    whole = nx.Graph((word, above) for word, above in enumerate(parents) if above is not None)
    whole.add_nodes_from(range(len(parents)))
    path = set(nx.shortest_path(whole, head, tail))
    words = words_of(graph, min(head, tail), max(head, tail), max_words)

    def children(word):
        below = [other for other in words if parents[other] == word and word in path]
        between = [{*range(min(word, other), max(word, other) + 1)} for other in below]
        return [other for other, some in zip(below, between, strict=True) if some <= {*words}]

    def label(word, kind):
        text, pos = labels[word]
        return graph.dependency[word], *((text,) if kind == 0 else (pos, word in path))

    def fragment(word, kind, left):
        below = sorted(str(fragment(other, kind, left - 1)) for other in children(word)) if left else []
        return label(word, kind), tuple(below)

    def height(word):
        return max((1 + height(other) for other in children(word)), default=0)

    inside = {word for word in words if word in path}
    inside |= {below for word in path for below in children(word)}
    return [
        (level, kind, fragment(word, kind, level))
        for word in inside
        for kind in (0, 1)
        for level in range(min(depth, height(word)) + 1)
    ]


@pytest.mark.parametrize(("depth", "max_words"), [(0, 200), (1, 200), (3, 200), (3, 15), (3, 6)])
def test_common_fragments_are_counted(depth, max_words, monkeypatch):
    monkeypatch.setattr(instance_words, "WORDS", 100)
    kernel = TreeFragments(depth=depth, decay=0.5, max_words=max_words)
    pairs, tables, parts = found_features(kernel, batch_of(DOCUMENTS, parsed))
    assert parts > 3
    every = [*every_instance()]
    assert pairs == [pair + before for _, pair, _, _, before, _ in every]
    lists = [fragments_of(*instance, depth, max_words) for *instance, _, _ in every]
    counts = np.array(
        [
            [sum(0.25 ** one[0] for one in some for other in others if one == other) for others in lists]
            for some in lists
        ]
    )
    length = np.sqrt(np.diag(counts))
    np.testing.assert_allclose(gram(tables), counts / np.outer(length, length), atol=1e-4)
    assert depth == 0 or max(level for some in lists for level, *_ in some) > 0


def test_probabilities_are_combined_linearly():
    documents = random_documents(4)
    model, tokenizer = built("zhou_hybrid", "bilstm", documents)
    batch = batch_of(documents, tokenizer)
    network = model(batch).sigmoid().detach()
    model.eval()
    tree = DocumentTree(batch)
    instances = mention_pairs(batch, tree)
    lexical = model.features_classifier(batch, model.features(batch, tree, instances)).sigmoid()
    syntactic = model.kernel_classifier(batch, model.kernel(batch, tree, instances)).sigmoid()
    expected = 0.5 * lexical + 0.25 * syntactic + 0.25 * network
    torch.testing.assert_close(model.probabilities(model(batch)).detach(), expected, atol=1e-5, rtol=0)
    for one in (lexical, syntactic, network):
        assert (one - expected).abs().max() > 0.05


@pytest.mark.parametrize("options", [{"features_weight": 0.9}, {"loss": AdaptiveThreshold}])
def test_settings_that_do_not_fit_are_errors_in_a_line(options):
    model = instantiate(config_of("zhou_hybrid").model)
    with pytest.raises(InputError, match=rf"^model.*{next(iter(options))}"):
        model(vocabulary(DOCUMENTS), len(LABELS.relations), encoder=bilstm(), **options)
