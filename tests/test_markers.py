"""Markers around mentions, and what models read at them: hidden states, attention, localized context."""

import pytest
import torch
from torch_geometric.utils import scatter

from documents import (
    LABELS,
    batch_of,
    document,
    empty,
    random_documents,
    subwords,
    transformer,
    two_sentences,
)
from glre_pyg.data.batch import sizes_of
from glre_pyg.data.tokenizer import SubwordTokenizer
from glre_pyg.nn.bilinear import Bilinear, GroupedBilinear
from glre_pyg.nn.distance import DistanceEmbedding
from glre_pyg.nn.localized_context import localized_context
from glre_pyg.nn.pooling import logsumexp_of_mentions
from glre_pyg.utils.exceptions import InputError

DOCUMENTS = [*random_documents(4), two_sentences(), empty()]


def close(one, other, tolerance=1e-5):
    torch.testing.assert_close(one, other, atol=tolerance, rtol=0)


def marked(documents=DOCUMENTS, **sizes):
    return subwords(documents, marker="*", **sizes)


def nested():
    """Two mentions that begin with the same word, and two that end with the same word."""
    mentions = [(0, 1, "Gene", "A"), (0, 3, "Gene", "B"), (2, 3, "Chemical", "C"), (4, 5, "Disease", "D")]
    return document(["velorin receptor kinase caused rash ."], mentions)


def test_tokens_with_markers():
    tokenizer = marked([nested()])
    graph = tokenizer(LABELS.graph(nested()))
    tokens = tokenizer.tokenizer.convert_ids_to_tokens(graph.input_ids)
    assert " ".join(tokens) == "* velorin * receptor * kinase * caused * rash * ."
    assert graph.word_index.tolist() == [0, 0, 0, 1, 2, 2, 2, 3, 4, 4, 4, 5]
    spans = graph["mention"].span.tolist()
    found = sorted((token, *spans[mention]) for token, mention in graph.marker_index.t().tolist())
    assert found == [(0, 0, 1), (0, 0, 3), (4, 2, 3), (8, 4, 5)]


def test_every_mention_has_a_marker_in_each_window_with_its_first_word():
    for each in random_documents(6):
        tokenizer = marked(max_length=16, overlap=5)
        graph = tokenizer(LABELS.graph(each))
        whole = torch.bincount(marked(max_length=250)(LABELS.graph(each)).word_index)
        expected = set()
        for token, (word, window) in enumerate(
            zip(graph.word_index.tolist(), graph.window_index.tolist(), strict=True)
        ):
            inside = (graph.word_index == word) & (graph.window_index == window)
            if inside.nonzero()[0] == token and inside.sum() == whole[word]:
                starts = graph["mention"].span[:, 0]
                expected |= {(token, mention) for mention in (starts == word).nonzero().flatten().tolist()}
        assert {*map(tuple, graph.marker_index.t().tolist())} == expected
        assert {mention for _, mention in expected} == {*range(graph["mention"].num_nodes)}


def test_markers_are_saved(tmp_path):
    tokenizer = marked()
    tokenizer.save(tmp_path)
    loaded = SubwordTokenizer.load(tmp_path)
    graph = LABELS.graph(DOCUMENTS[0])
    assert loaded.marker == "*"
    assert loaded(graph.clone()).input_ids.tolist() == tokenizer(graph.clone()).input_ids.tolist()


def by_hand(encoder, tokenizer, graph):
    """Hidden states [·, d] and attention [z, ·, ·] of each window, by the path that computes all weights."""
    encoder.transformer.set_attn_implementation("eager")
    try:
        for window in range(int(graph.window_index.max()) + 1):
            tokens = (graph.window_index == window).nonzero().flatten()
            ids = torch.tensor([*encoder.prefix, *graph.input_ids[tokens].tolist(), *encoder.suffix])
            out = encoder.transformer(input_ids=ids[None], output_attentions=True)
            yield tokens, out.last_hidden_state[0], out.attentions[-1][0]
    finally:
        encoder.transformer.set_attn_implementation("sdpa")


@pytest.mark.parametrize("max_padding", [None, 0.1])
def test_attention_and_mentions_against_loops(max_padding):
    torch.manual_seed(0)
    tokenizer = marked(max_length=24, overlap=6, num_hidden_layers=2)
    encoder = transformer(max_padding=max_padding)(tokenizer).eval()
    batch = batch_of(DOCUMENTS, tokenizer)
    mention, windows = encoder.attend(batch)
    width = encoder.out_channels
    context = localized_context(windows, batch, width)
    first_mention = first_pair = 0
    for each in DOCUMENTS:
        graph = tokenizer(LABELS.graph(each))
        num_mentions, num_entities = graph["mention"].num_nodes, graph["entity"].num_nodes
        vectors = [[] for _ in range(num_mentions)]
        rows = []  # attention [z, E, ·] of each window, and its tokens
        if len(graph.input_ids):
            for tokens, hidden, attention in by_hand(encoder, tokenizer, graph):
                of_entity = torch.zeros(attention.size(0), num_entities, attention.size(2))
                for token, number in graph.marker_index.t().tolist():
                    if token in tokens.tolist():
                        place = len(encoder.prefix) + tokens.tolist().index(token)
                        vectors[number].append(hidden[place])
                        entity = graph["mention", "refers_to", "entity"].edge_index[1, number]
                        of_entity[:, entity] += attention[:, place]
                rows.append((of_entity, hidden))
        for number, found in enumerate(vectors):
            close(mention[first_mention + number], torch.stack(found).mean(0))
        for number, (head, tail) in enumerate(graph.pair_index.t().tolist()):
            weights = [(of_entity[:, head] * of_entity[:, tail]).sum(0) for of_entity, _ in rows]
            total = sum(weight.sum() for weight in weights)
            expected = torch.zeros(width)
            for weight, (_, hidden) in zip(weights, rows, strict=True):
                expected = expected + (weight / total) @ hidden if total > 0 else expected
            close(context[first_pair + number], expected)
        first_mention, first_pair = first_mention + num_mentions, first_pair + graph.pair_index.size(1)


def test_gradients_reach_the_queries_of_the_last_layer_through_the_context():
    tokenizer = marked()
    encoder = transformer()(tokenizer)
    batch = batch_of(DOCUMENTS, tokenizer)
    _, windows = encoder.attend(batch)
    localized_context(windows, batch, encoder.out_channels).square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for name, p in encoder.named_parameters() if "query.weight" in name)


def test_models_without_scaled_dot_product_attention_are_an_error_in_a_line():
    tokenizer = marked()
    encoder = transformer()(tokenizer)
    encoder.transformer.set_attn_implementation("eager")
    with pytest.raises(InputError, match=r"^encoder: a model of this type does not offer its attention"):
        encoder.attend(batch_of(DOCUMENTS, tokenizer))
    encoder.backend = "inductor"
    with pytest.raises(InputError, match=r"^encoder: compile "):
        encoder.attend(batch_of(DOCUMENTS, tokenizer))


def test_logsumexp_against_a_loop():
    torch.manual_seed(0)
    mention, refers_to = 50 * torch.randn(6, 4), torch.tensor([[0, 1, 2, 3, 4, 5], [2, 0, 1, 1, 0, 1]])
    expected = [mention[refers_to[0, refers_to[1] == number]].logsumexp(0) for number in range(3)]
    close(logsumexp_of_mentions(mention, refers_to, 3), torch.stack(expected))


def test_logsumexp_has_the_gradient_of_a_softmax():
    mention = torch.randn(5, 3, requires_grad=True)
    refers_to = torch.tensor([[0, 1, 2, 3, 4], [0, 0, 1, 1, 1]])
    logsumexp_of_mentions(mention, refers_to, 2).sum().backward()
    close(scatter(mention.grad, refers_to[1]), torch.ones(2, 3))


@pytest.mark.parametrize(("relations", "block_size"), [(2, 4), (7, 4), (3, 12), (20, 12)])
def test_grouped_bilinear_against_loops(relations, block_size):
    torch.manual_seed(0)
    layer = GroupedBilinear(12, relations, block_size=block_size)
    head, tail = torch.randn(5, 12), torch.randn(5, 12)
    expected = torch.zeros(5, relations)
    for pair in range(5):
        for relation in range(relations):
            for block in range(12 // block_size):
                part = slice(block * block_size, (block + 1) * block_size)
                product = head[pair, part] @ layer.weight[relation, block] @ tail[pair, part]
                expected[pair, relation] += product
    close(layer(head, tail), expected + layer.bias)


def test_bilinear_against_loops(monkeypatch):
    torch.manual_seed(0)
    layer = Bilinear(5, 3)
    batch = batch_of(DOCUMENTS, subwords(DOCUMENTS))
    entity = torch.randn(batch["entity"].num_nodes, 2)
    distance = DistanceEmbedding(channels=3, num_bins=6, zero_is_fixed=False)
    head, tail = distance.append(entity, batch)
    places = [*zip(*batch.pair_index.tolist(), batch.pair_distance.tolist(), strict=True)]
    expected = torch.zeros(len(places), 3)
    for pair, (i, j, length) in enumerate(places):
        one = torch.cat([entity[i], distance(torch.tensor(length))])
        other = torch.cat([entity[j], distance(torch.tensor(-length))])
        for relation in range(3):
            expected[pair, relation] = one @ layer.weight[relation] @ other + layer.bias[relation]
    for limit in (0, 128):  # documents alone, and together
        monkeypatch.setattr("glre_pyg.nn.bilinear.MAX_SHARED_PAIRS", limit)
        close(layer(head, tail, sizes_of(batch).pairs), expected)


def test_a_width_that_is_no_multiple_of_the_block_size_is_an_error():
    with pytest.raises(InputError, match="12 channels are not a multiple of block_size=5"):
        GroupedBilinear(12, 2, block_size=5)


def test_attention_has_the_dropout_of_the_transformer_in_training():
    tokenizer = marked(attention_probs_dropout_prob=0.5)
    encoder = transformer(dropout=0.5)(tokenizer)
    batch = batch_of(random_documents(4), tokenizer)
    inside = [window.attention for window in encoder.attend(batch)[1]]
    dropped = sum((weights == 0).sum() for weights in inside) / sum(weights.numel() for weights in inside)
    assert 0.3 < dropped < 0.8  # half of the weights, and padding
    [window] = encoder.eval().attend(tokenizer(LABELS.graph(random_documents(1)[0])))[1]
    assert (window.attention > 0).all()
