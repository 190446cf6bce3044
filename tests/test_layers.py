"""Each layer against its equation, written as plain loops over mentions, entities and pairs."""

import math
from collections import defaultdict

import numpy as np
import pytest
import torch
import torch_geometric.typing
from torch import nn
from torch_geometric.data import Batch
from torch_geometric.nn import RGCNConv

from documents import (
    LABELS,
    ONE_WAY,
    annotated,
    batch_of,
    odd_documents,
    random_documents,
    random_nodes,
    vocabulary,
)
from glre_pyg.data.graph import EDGE_TYPES, NODE_TYPES, documents_of_pairs
from glre_pyg.data.ontology import IS_A, Ontology
from glre_pyg.data.word_tokenizer import WordTokenizer
from glre_pyg.data.word_vectors import WordVectors
from glre_pyg.nn.classifier import Classifier
from glre_pyg.nn.context import ContextAttention, NoContext
from glre_pyg.nn.distance import DistanceEmbedding
from glre_pyg.nn.encoder import WordEmbedding
from glre_pyg.nn.local import LocalAttention, MentionAttention, NoLocal, mentions_of_pairs
from glre_pyg.nn.nodes import NodeEncoder, Nodes, mean_of_spans
from glre_pyg.nn.pairs import DocumentGroup, PairFeatures, SharedFeatures
from glre_pyg.nn.recurrent import LSTM, BiLSTM
from glre_pyg.nn.rgcn import IS_GENERAL, RGCN, NoGlobal, RGCNLayer, reverse, undirected
from glre_pyg.utils.exceptions import InputError

close = torch.testing.assert_close


@pytest.fixture(autouse=True)
def double():
    """Seeded, in double precision: what differs is wrong, not rounded."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(params=["scatter", "native"])
def both_backends(request, monkeypatch):
    """Run with torch-scatter and without."""
    if request.param == "native":
        monkeypatch.setattr(torch_geometric.typing, "WITH_TORCH_SCATTER", False)
    elif not torch_geometric.typing.WITH_TORCH_SCATTER:
        pytest.skip("torch-scatter is not installed")


@pytest.fixture
def batch():
    """All kinds of documents, those that lack something among them."""
    return batch_of([*odd_documents(), *random_documents(4)])


# Section 3.2, nodes


def test_the_node_of_a_document_is_the_mean_of_its_sentences():
    batch = batch_of([*odd_documents(), *random_documents(4)], annotated(lambda graph: graph, documents=True))
    layer = NodeEncoder(7, hidden_channels=5, type_channels=3)
    nodes = layer(torch.randn(sum(map(len, batch.words)), 7), batch)
    assert len(nodes.typed["document"]) == len(batch.id)
    for document, row in enumerate(nodes.typed["document"]):
        of = nodes.sentence[batch["sentence"].batch == document]
        close(row, torch.cat([of.mean(0) if len(of) else torch.zeros(5), torch.zeros(3)]))


def test_nodes_are_means_with_their_types(batch, both_backends):
    words = torch.randn(sum(map(len, batch.words)), 7)
    layer = NodeEncoder(7, hidden_channels=5, type_channels=3)
    nodes = layer(words, batch)
    words = words @ layer.linear.weight.T + layer.linear.bias
    for name in ("mention", "sentence"):
        spans = batch[name].span.tolist()
        means = [sum(words[index] for index in range(start, end)) / (end - start) for start, end in spans]
        close(getattr(nodes, name), torch.stack(means))
    for entity in range(batch["entity"].num_nodes):
        index = batch["mention", "refers_to", "entity"].edge_index.t().tolist()
        mine = [nodes.mention[mention] for mention, other in index if other == entity]
        close(nodes.entity[entity], sum(mine) / len(mine))
    for number, name in enumerate(NODE_TYPES):
        for plain, typed in zip(getattr(nodes, name), nodes.typed[name], strict=True):
            close(typed, torch.cat([plain, layer.node_type.weight[number]]))
    assert (layer.out_channels, layer.hidden_channels) == (8, 5)


def test_sentence_is_divided_by_its_own_length_not_by_the_longest():
    one, both = (
        batch_of(odd_documents()[:1]),
        batch_of([*odd_documents()[:1], *random_documents(1, words=(40, 50))]),
    )
    layer, words = NodeEncoder(7, hidden_channels=5, type_channels=3), torch.randn(500, 7)
    alone = layer(words[: len(one.words[0])], one).sentence
    together = layer(words[: sum(map(len, both.words))], both).sentence
    close(together[: len(alone)], alone)


def test_mean_of_an_empty_span_is_zero(both_backends):
    words = torch.randn(4, 3, requires_grad=True)
    means = mean_of_spans(words, torch.tensor([[2, 2], [0, 4], [1, 2], [0, 0]]))
    close(means, torch.stack([torch.zeros(3), words.mean(0), words[1], torch.zeros(3)]))
    means.sum().backward()
    assert words.grad.isfinite().all()
    assert mean_of_spans(words, torch.empty(0, 2, dtype=torch.long)).shape == (0, 3)


# Eq. 2


def neighbours_of(batch, *, self_loops, edge_types=EDGE_TYPES):
    """Neighbours of each node by kind of edge, in either direction: {(type, node): {kind: [(type, node)]}}."""
    out = {
        (name, node): defaultdict(list) for name in batch.node_types for node in range(batch[name].num_nodes)
    }
    edges = batch.edge_index_dict
    if IS_A in edges:
        edges[IS_GENERAL] = edges[IS_A].flip(0)
    for kind, (source, _, target) in enumerate(edge_types):
        for a, b in edges[edge_types[kind]].t().tolist():
            out[target, b][kind].append((source, a))
            if source != target:
                out[source, a][kind].append((target, b))
        if source == target != "entity" and self_loops:
            for node in range(batch[source].num_nodes):
                out[source, node][kind].append((source, node))
    return out


def weights_of(layer):
    """W_x of each kind of edge that the layer has."""
    found = dict(layer.messages.convs.items())
    return {
        kind: (found[key] if key in found else found[reverse(key)]).lin_l.weight
        for kind, key in enumerate(layer.edge_types)
        if key in found or reverse(key) in found
    }


def rgcn_by_hand(layer, x, neighbours, target):
    """One layer in loops: Eq. 2, or C.5 item 5 of our notes on the released code."""
    weight, rows = weights_of(layer), []
    for node in range(len(x[target])):
        total = layer.root.weight @ x[target][node] + layer.root.bias
        count = 0
        for kind, of in neighbours[target, node].items():
            messages = [weight[kind] @ x[name][other] for name, other in of]
            if layer.bias is not None:
                messages = [message + layer.bias[kind] for message in messages]
            total = total + sum(messages) / (len(of) if layer.norm == "relation" else 1)
            count += len(of)
        rows.append(total / (1 + count) if layer.norm == "node" else total)
    return torch.stack(rows)


@pytest.mark.parametrize("self_loops", [False, True])
@pytest.mark.parametrize("message_bias", [False, True])
@pytest.mark.parametrize("norm", ["relation", "node"])
@pytest.mark.parametrize("targets", [NODE_TYPES, ("entity",)])
def test_rgcn_layer_is_eq_2(batch, norm, message_bias, self_loops, targets):
    layer = RGCNLayer(6, 4, norm=norm, message_bias=message_bias, targets=targets)
    if message_bias:
        nn.init.normal_(layer.bias)
    x = random_nodes(batch, 6)
    out = layer(x, undirected(x, batch.edge_index_dict, self_loops=self_loops))
    assert set(out) == set(targets)
    neighbours = neighbours_of(batch, self_loops=self_loops)
    for name in targets:
        close(out[name], rgcn_by_hand(layer, x, neighbours, name))


@pytest.mark.parametrize("self_loops", [False, True])
@pytest.mark.parametrize(("norm", "message_bias"), [("relation", False), ("node", True)])
def test_rgcn_over_documents_and_an_ontology(norm, message_bias, self_loops):
    documents = random_documents(5)
    ids = sorted({entity.id for each in documents for entity in each.entities})
    ontology = Ontology({name: ids[number + 1 : number + 3] for number, name in enumerate(ids)})
    batch = batch_of(documents, annotated(lambda graph: graph, ontology=ontology, documents=True))
    assert batch["document"].num_nodes == 5
    assert batch[IS_A].edge_index.size(1) > 1
    model = RGCN(
        6,
        out_channels=4,
        num_layers=3,
        dropout_in=0.0,
        dropout=0.0,
        norm=norm,
        message_bias=message_bias,
        self_loops=self_loops,
        documents=True,
        is_a=True,
    )
    x = {name: torch.randn(batch[name].num_nodes, 6) for name in (*NODE_TYPES, "document")}
    out = model(x, batch.edge_index_dict)
    neighbours = neighbours_of(batch, self_loops=self_loops, edge_types=model.edge_types)
    for layer in model.layers:
        x = {name: rgcn_by_hand(layer, x, neighbours, name).relu() for name in layer.targets}
    close(out, x["entity"])
    with pytest.raises(InputError, match=r"^layer\.global\.is_a: "):
        model(x, {name: edges for name, edges in batch.edge_index_dict.items() if name != IS_A})


@pytest.mark.parametrize(("norm", "aggr"), [("relation", "mean"), ("node", "sum")])
def test_rgcn_layer_is_pygs_rgcn_on_stacked_nodes(batch, norm, aggr):
    layer = RGCNLayer(6, 4, norm=norm, message_bias=False)
    reference = RGCNConv(6, 4, num_relations=5, aggr=aggr)
    with torch.no_grad():
        for kind, weight in weights_of(layer).items():
            reference.weight[kind] = weight.T
        reference.root.copy_(layer.root.weight.T)
        reference.bias.copy_(layer.root.bias)
    x = random_nodes(batch, 6)
    out = layer(x, undirected(x, batch.edge_index_dict, self_loops=False))
    flat = batch.to_homogeneous()
    across = torch.tensor([source != target for source, _, target in EDGE_TYPES])[flat.edge_type]
    edge_index = torch.cat([flat.edge_index, flat.edge_index[:, across].flip(0)], dim=1)
    edge_type = torch.cat([flat.edge_type, flat.edge_type[across]])
    expected = reference(torch.cat([x[name] for name in NODE_TYPES]), edge_index, edge_type)
    if norm == "node":
        expected = expected / (1 + edge_index[1].bincount(minlength=len(expected))[:, None])
    close(torch.cat([out[name] for name in NODE_TYPES]), expected)


@pytest.mark.parametrize("targets", [NODE_TYPES, ("entity",)])
@pytest.mark.parametrize("message_bias", [False, True])
def test_both_directions_of_a_relation_have_one_weight(targets, message_bias):
    layer = RGCNLayer(6, 4, norm="relation", message_bias=message_bias, targets=targets)
    kinds = 5 if targets == NODE_TYPES else 2
    assert sum(p.numel() for p in layer.parameters()) == kinds * 24 + 24 + 4 + message_bias * 20


@pytest.mark.parametrize("options", [("relation", False, False), ("node", True, True)])
@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_rgcn_stacks_layers_with_relu(batch, options, num_layers):
    norm, message_bias, self_loops = options
    model = RGCN(
        6,
        out_channels=4,
        num_layers=num_layers,
        dropout_in=0.3,
        dropout=0.3,
        norm=norm,
        message_bias=message_bias,
        self_loops=self_loops,
    ).eval()
    assert len(model.layers) == num_layers
    x, neighbours = random_nodes(batch, 6), neighbours_of(batch, self_loops=self_loops)
    out = model(x, batch.edge_index_dict)
    for number, layer in enumerate(model.layers):
        names = NODE_TYPES if number < num_layers - 1 else ("entity",)
        x = {name: rgcn_by_hand(layer, x, neighbours, name).relu() for name in names}
    close(out, x["entity"])
    assert out.size(1) == model.out_channels
    assert not torch.equal(model.train()(random_nodes(batch, 6), batch.edge_index_dict), out)


def test_rgcn_is_as_wide_as_its_nodes_if_nothing_else_is_said(batch):
    options = {"norm": "relation", "message_bias": False, "self_loops": False}
    model = RGCN(6, out_channels=None, num_layers=2, dropout_in=0.0, dropout=0.0, **options)
    assert model.out_channels == 6
    assert model(random_nodes(batch, 6), batch.edge_index_dict).shape == (batch["entity"].num_nodes, 6)


@pytest.mark.parametrize(("norm", "message_bias"), [("relation", False), ("node", True)])
def test_rgcn_runs_in_half_precision(batch, norm, message_bias):
    options = {"norm": norm, "message_bias": message_bias, "self_loops": message_bias}
    model = RGCN(6, out_channels=4, num_layers=2, dropout_in=0.0, dropout=0.0, **options)
    x = {name: nodes.requires_grad_() for name, nodes in random_nodes(batch, 6).items()}
    full = model(x, batch.edge_index_dict)
    with torch.autocast("cpu", torch.bfloat16):
        half = model(x, batch.edge_index_dict)
    close(half, full)
    half.sum().backward()
    assert x["mention"].grad.abs().sum() > 0


@pytest.mark.parametrize("where", ["dropout_in", "dropout"])
def test_rgcn_drops_out_in_training_only(batch, where):
    rates = {"dropout_in": 0.0, "dropout": 0.0, where: 0.5}
    model = RGCN(
        6, out_channels=4, num_layers=2, norm="relation", message_bias=False, self_loops=False, **rates
    )
    x = random_nodes(batch, 6)
    assert not torch.equal(model(x, batch.edge_index_dict), model(x, batch.edge_index_dict))
    model.eval()
    assert torch.equal(model(x, batch.edge_index_dict), model(x, batch.edge_index_dict))


def test_no_global_layer_gives_the_entities_that_came(batch):
    x = random_nodes(batch, 6)
    layer = NoGlobal(6)
    assert layer(x, batch.edge_index_dict) is x["entity"]
    assert layer.out_channels == 6
    assert not list(layer.parameters())


# Eqs. 3 to 5


def random_initial_nodes(batch, channels):
    return Nodes(**random_nodes(batch, channels), typed={})


def edges_of(batch):
    """The last three arguments of a local layer."""
    return (
        batch.pair_index,
        batch["mention", "refers_to", "entity"].edge_index,
        batch["mention", "in", "sentence"].edge_index,
    )


def local(layer, query, nodes, batch):
    return layer(query, nodes.mention, nodes.sentence, *edges_of(batch))


def local_by_hand(attention, norm, query, nodes, batch, mine, other):
    """The local representation of one entity of one pair, head by head and mention by mention."""
    mentions = [m for m, e in batch["mention", "refers_to", "entity"].edge_index.t().tolist() if e == mine]
    sentence_of = dict(batch["mention", "in", "sentence"].edge_index.t().tolist())
    width = attention.query.out_features // attention.heads
    heads = []
    for head in range(attention.heads):
        rows = slice(head * width, (head + 1) * width)

        def project(linear, x, rows=rows):
            return linear.weight[rows] @ x + linear.bias[rows]

        q = project(attention.query, query[other])
        keys = [project(attention.key, nodes.sentence[sentence_of[mention]]) for mention in mentions]
        values = [project(attention.value, nodes.mention[mention]) for mention in mentions]
        powers = [math.exp((q @ key).item() / math.sqrt(width)) for key in keys]
        heads.append(sum(power / sum(powers) * value for power, value in zip(powers, values, strict=True)))
    out = attention.out.weight @ torch.cat(heads) + attention.out.bias
    scaled = (out - out.mean()) / (out.var(unbiased=False) + norm.eps).sqrt()
    return scaled * norm.weight + norm.bias


@pytest.mark.parametrize("labels", [LABELS, ONE_WAY])
@pytest.mark.parametrize("heads", [1, 2, 4])
def test_local_attention_is_eqs_3_to_5(labels, heads, both_backends):
    batch = batch_of([*odd_documents(), *random_documents(4)], labels=labels)
    layer = LocalAttention(6, 8, heads=heads, dropout=0.4).eval()
    for norm in (layer.head_norm, layer.tail_norm):
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    query, nodes = torch.randn(batch["entity"].num_nodes, 6), random_initial_nodes(batch, 8)
    heads_, tails_ = local(layer, query, nodes, batch)
    assert heads_.shape == tails_.shape == (batch.pair_index.size(1), layer.out_channels)
    for pair, (a, b) in enumerate(batch.pair_index.t().tolist()):
        close(heads_[pair], local_by_hand(layer.head, layer.head_norm, query, nodes, batch, a, b))
        close(tails_[pair], local_by_hand(layer.tail, layer.tail_norm, query, nodes, batch, b, a))


def test_local_attention_sees_no_other_mention(batch):
    """Changing every mention and sentence but those of one entity leaves that entity's side as it was."""
    layer = LocalAttention(6, 8, heads=2, dropout=0.0).eval()
    query, nodes = torch.randn(batch["entity"].num_nodes, 6), random_initial_nodes(batch, 8)
    entity = int(batch.pair_index[0, -1])
    mentions, entities = batch["mention", "refers_to", "entity"].edge_index
    mine = mentions[entities == entity]
    mention, sentence = torch.randn_like(nodes.mention), torch.randn_like(nodes.sentence)
    mention[mine] = nodes.mention[mine]
    theirs = batch["mention", "in", "sentence"].edge_index[1][mine]
    sentence[theirs] = nodes.sentence[theirs]
    changed = Nodes(mention=mention, sentence=sentence, entity=nodes.entity, typed={})
    before, after = local(layer, query, nodes, batch)[0], local(layer, query, changed, batch)[0]
    assert torch.equal(before[batch.pair_index[0] == entity], after[batch.pair_index[0] == entity])
    assert not torch.equal(before, after)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("sized", [False, True])
def test_pairs_have_the_mentions_of_their_entity(batch, side, sized):
    # The order of the edges does not matter.
    edges = batch["mention", "refers_to", "entity"].edge_index
    edges = edges[:, torch.randperm(edges.size(1))]
    entity, count = batch.pair_index[side], batch["entity"].num_nodes
    mentions = [sorted(m for m, e in edges.t().tolist() if e == number) for number in range(count)]
    size = sum(len(mentions[number]) for number in entity.tolist()) if sized else None
    pair, mention = mentions_of_pairs(entity, edges, count, size)
    assert pair.tolist() == sorted(pair.tolist())
    for number, of in enumerate(entity.tolist()):
        assert sorted(mention[pair == number].tolist()) == mentions[of]


def test_local_weights_are_those_of_the_equation(batch):
    """A constant value in each mention comes out weighted: weights of a pair and head sum to one."""
    layer = LocalAttention(6, 8, heads=2, dropout=0.4).eval()
    query, nodes = torch.randn(batch["entity"].num_nodes, 6), random_initial_nodes(batch, 8)
    attention = layer.head
    pair, mention, weights = layer.weights(query, nodes.sentence, *edges_of(batch))[0]
    value = attention.value(nodes.mention).unflatten(-1, (2, 4))
    heads = torch.zeros(batch.pair_index.size(1), 2, 4).index_add(
        0, pair, weights[..., None] * value[mention]
    )
    expected = layer.head_norm(attention.out(heads.flatten(1)))
    close(local(layer, query, nodes, batch)[0], expected)
    close(torch.zeros(len(heads), 2).index_add(0, pair, weights), torch.ones(len(heads), 2))


def test_local_attention_drops_out_in_training_only(batch):
    layer = LocalAttention(6, 8, heads=2, dropout=0.5)
    query, nodes = torch.randn(batch["entity"].num_nodes, 6), random_initial_nodes(batch, 8)
    for one, other in zip(local(layer, query, nodes, batch), local(layer, query, nodes, batch), strict=True):
        assert not torch.equal(one, other)
    layer.eval()
    for one, other in zip(local(layer, query, nodes, batch), local(layer, query, nodes, batch), strict=True):
        assert torch.equal(one, other)


def test_dropout_is_drawn_for_each_pair(batch):
    """Pairs with the same entity, which has one mention, lose other parts of it."""
    layer = LocalAttention(6, 64, heads=4, dropout=0.5)
    query, nodes = torch.randn(batch["entity"].num_nodes, 6), random_initial_nodes(batch, 64)
    counts = torch.bincount(batch["mention", "refers_to", "entity"].edge_index[1])
    head = batch.pair_index[0]
    single = next(int(e) for e in head if counts[e] == 1 and (head == e).sum() > 2)
    rows = local(layer, query, nodes, batch)[0][head == single]
    assert len(rows.unique(dim=0)) == len(rows)
    layer.eval()
    close(*(local(layer, query, nodes, batch)[0][head == single][:2]))


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="8 channels do not split into 3 heads"):
        MentionAttention(6, 8, heads=3, dropout=0.0)


def test_no_local_layer_adds_nothing(batch):
    layer = NoLocal(6, 8)
    query = torch.randn(batch["entity"].num_nodes, 6)
    for side in local(layer, query, random_initial_nodes(batch, 8), batch):
        assert side.shape == (batch.pair_index.size(1), 0)
    assert layer.out_channels == 0


# Eq. 6, distances


def bin_by_hand(delta, half):
    """Bins as the docstring lists them: 0, 1, 2..3, 4..7 and on; -1, -2..-3, -4..-7 and on."""
    upward = [range(0, 1), *(range(2**power, 2 ** (power + 1)) for power in range(half - 1))]
    downward = [range(2**power, 2 ** (power + 1)) for power in range(half)]
    if delta >= 0:
        return half + next((k for k, bounds in enumerate(upward) if delta in bounds), half - 1)
    return half - 1 - next((k for k, bounds in enumerate(downward) if -delta in bounds), half - 1)


@pytest.mark.parametrize("num_bins", [2, 4, 6, 20])
def test_every_distance_is_in_its_bin(num_bins):
    deltas = torch.arange(-2000, 2001)
    layer = DistanceEmbedding(channels=1, num_bins=num_bins, zero_is_fixed=False)
    bins = layer.bins(deltas).tolist()
    assert bins == [bin_by_hand(delta, num_bins // 2) for delta in deltas.tolist()]
    assert set(bins) == set(range(num_bins))
    assert bins == sorted(bins)
    assert layer.bins(torch.tensor([-(10**9), 10**9])).tolist() == [0, num_bins - 1]


def test_bins_of_opposite_distances_lie_opposite():
    layer = DistanceEmbedding(channels=1, num_bins=20, zero_is_fixed=False)
    deltas = torch.arange(1, 2001)
    both = layer.bins(deltas) + layer.bins(-deltas)
    assert both[deltas < 512].eq(20).all()
    assert both[deltas >= 512].eq(19).all()  # the outermost bins, 19 and 0


def test_bins_are_those_of_the_released_code_as_far_as_it_goes():
    """C.4 of our notes: 10 plus the signed bin of the absolute distance."""
    layer = DistanceEmbedding(channels=1, num_bins=20, zero_is_fixed=False)
    released = {0: 0, **{d: 1 + power for power in range(9) for d in range(2**power, 2 ** (power + 1))}}
    for delta in range(-511, 512):
        sign = (delta > 0) - (delta < 0)
        assert int(layer.bins(torch.tensor([delta]))) == 10 + sign * released[abs(delta)]


@pytest.mark.parametrize("fixed", [False, True])
def test_distance_zero_has_the_zero_vector_where_asked(fixed):
    layer = DistanceEmbedding(channels=3, num_bins=20, zero_is_fixed=fixed)
    out = layer(torch.arange(-1000, 1000))
    assert torch.equal(out, layer.features(torch.arange(-1000, 1000)).dense())
    close(out, layer.table.weight[layer.bins(torch.arange(-1000, 1000))])
    zero = (out == 0).all(-1)
    assert zero.sum() == fixed
    assert zero[1000] == fixed
    out.square().sum().backward()
    still = (layer.table.weight.grad == 0).all(-1).nonzero().flatten().tolist()
    assert still == ([10] if fixed else [])


@pytest.mark.parametrize("num_bins", [0, -2, 7])
def test_odd_numbers_of_bins_are_refused(num_bins):
    with pytest.raises(ValueError, match=f"not {num_bins}"):
        DistanceEmbedding(channels=1, num_bins=num_bins, zero_is_fixed=False)


# Features of pairs


def random_pairs(num_pairs, widths=(3, 0, 2, 1)):
    """Features of pairs in parts of the given widths: shared rows and rows of their own by turns."""
    parts = []
    for number, width in enumerate(widths):
        if number % 2:
            parts.append(torch.randn(num_pairs, width, requires_grad=True))
        else:
            rows = torch.randn(4, width, requires_grad=True)
            parts.append(SharedFeatures(rows, torch.randint(4, (num_pairs,))))
    return PairFeatures(tuple(parts))


def rows_of(features):
    return [part if isinstance(part, torch.Tensor) else part.x for part in features.parts if _width(part)]


def _width(part):
    return part.size(1) if isinstance(part, torch.Tensor) else part.channels


def gradients(out, inputs):
    return torch.autograd.grad(out.square().sum(), inputs)


@pytest.mark.parametrize("widths", [(3, 0, 2, 1), (6,), (0, 6), (2, 1, 0, 3)])
@pytest.mark.parametrize("num_pairs", [0, 1, 9])
def test_a_linear_map_of_features_is_that_of_the_dense_ones(num_pairs, widths):
    features = random_pairs(num_pairs, widths)
    weight = torch.randn(5, 6, requires_grad=True)
    mapped, whole = features.linear(weight), features.dense() @ weight.t()
    assert mapped.shape == (num_pairs, 5)
    assert features.channels == 6
    close(mapped, whole)
    inputs = [*rows_of(features), weight]
    for one, other in zip(gradients(mapped, inputs), gradients(whole, inputs), strict=True):
        close(one, other)


@pytest.mark.parametrize("widths", [(3, 0, 2, 1), (6,), (0, 6), (2, 1, 0, 3)])
@pytest.mark.parametrize("num_pairs", [0, 1, 9])
def test_products_of_pairs_are_those_of_the_dense_features(num_pairs, widths):
    features = random_pairs(num_pairs, widths)
    weight = torch.randn(6, 6, requires_grad=True)
    product, whole = features.bilinear(weight), features.dense() @ weight @ features.dense().t()
    assert product.shape == (num_pairs, num_pairs)
    close(product, whole)
    inputs = [*rows_of(features), weight]
    for one, other in zip(gradients(product, inputs), gradients(whole, inputs), strict=True):
        close(one, other)


def test_features_are_split_by_documents():
    rows, num_rows = torch.randn(9, 3), [4, 0, 3, 2]
    index = torch.tensor([0, 3, 1, 6, 4, 8, 7, 7])
    features = PairFeatures((SharedFeatures(rows, index, num_rows), torch.randn(8, 2)))
    groups = [DocumentGroup(2, 3), DocumentGroup(1, 2), DocumentGroup(1, 3)]
    parts = features.split(groups)
    assert [len(part.parts[0].x) for part in parts] == [4, 3, 2]
    close(torch.cat([part.dense() for part in parts]), features.dense())


# Eq. 7


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("documents", [[0, 0, 0, 0], [0, 0, 2, 2, 2, 5], [3], [1, 1, 1, 2]])
@pytest.mark.parametrize("large", [2, 2048])
def test_context_attention_is_eq_7(diagonal, scaled, documents, shared, large, monkeypatch):
    monkeypatch.setattr("glre_pyg.nn.context.MAX_DENSE_PAIRS", large)
    monkeypatch.setattr("glre_pyg.nn.context.MAX_SHARED_PAIRS", min(large, 128))
    layer = ContextAttention(6, diagonal=diagonal, scaled=scaled)
    features, document = random_pairs(len(documents)), torch.tensor(documents)
    relation = features.dense()
    weight = layer.weight.diag() if diagonal else layer.weight
    map_ = torch.randn(4, 6)
    out = layer(features, document) if shared else layer(relation, document)
    if shared:
        close(out.linear(map_), layer(relation, document) @ map_.t())
        out = out.dense()
    for r, mine in enumerate(documents):
        others = [i for i, of in enumerate(documents) if of == mine]
        logits = [
            (relation[i] @ weight @ relation[r]).item() / (math.sqrt(6) if scaled else 1) for i in others
        ]
        powers = [math.exp(logit) for logit in logits]
        expected = sum(power / sum(powers) * relation[i] for power, i in zip(powers, others, strict=True))
        close(out[r], expected)
        theta = layer.weights(relation, document, rows=torch.tensor([r]))[0]
        close(theta[others], torch.tensor(powers) / sum(powers))
        assert theta.count_nonzero() == len(others)
    assert layer.out_channels == out.size(1) == 6


@pytest.mark.parametrize("large", [2, 2048])
@pytest.mark.parametrize("diagonal", [False, True])
def test_context_attention_has_the_gradients_of_eq_7(diagonal, large, monkeypatch):
    monkeypatch.setattr("glre_pyg.nn.context.MAX_DENSE_PAIRS", large)
    monkeypatch.setattr("glre_pyg.nn.context.MAX_SHARED_PAIRS", min(large, 128))
    layer = ContextAttention(3, diagonal=diagonal, scaled=False).double()
    document = torch.tensor([0, 0, 2, 2, 2, 5])
    relation = torch.randn(6, 3, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: layer(x, document), (relation,))


@pytest.mark.parametrize("limit", [0, 1, 7, 128])
def test_documents_that_share_a_product_do_not_mix(batch, limit, monkeypatch):
    monkeypatch.setattr("glre_pyg.nn.context.MAX_SHARED_PAIRS", limit)
    layer = ContextAttention(6, diagonal=False, scaled=True)
    relation, document = torch.randn(batch.pair_index.size(1), 6), documents_of_pairs(batch)
    out = layer(relation, document)
    for number in set(document.tolist()):
        mine = document == number
        close(out[mine], layer(relation[mine], torch.zeros_like(document[mine])))
    assert layer(relation[:0], document[:0]).shape == (0, 6)


def test_context_weights_begin_as_in_the_released_code():
    bound = 1064**-0.5
    diagonal = ContextAttention(1064, diagonal=True, scaled=False).weight
    full = ContextAttention(1064, diagonal=False, scaled=False).weight
    assert (diagonal.shape, full.shape) == ((1064,), (1064, 1064))
    assert bound <= diagonal.min() < 0.1
    assert 0.9 < diagonal.max() <= 1
    assert full.abs().max() <= bound
    assert full.abs().max() > 0.99 * bound


def test_no_context_layer_adds_nothing():
    layer = NoContext(6)
    assert layer(random_pairs(5), torch.zeros(5)).shape == (5, 0)
    assert layer.out_channels == 0


# Eq. 8


@pytest.mark.parametrize("num_hidden", [0, 1, 2])
def test_classifier_is_a_feed_forward_network(num_hidden):
    layer = Classifier(6, 3, hidden_channels=5, num_hidden=num_hidden, dropout=0.5)
    linear = [module for module in layer.modules() if isinstance(module, nn.Linear)]
    assert len(linear) == num_hidden + 1
    features = random_pairs(9)
    out = features.dense()
    for hidden in linear[:-1]:
        out = (out @ hidden.weight.T + hidden.bias).clamp(min=0)
    out = out @ linear[-1].weight.T + linear[-1].bias
    assert not torch.equal(layer(features), layer(features))
    layer.eval()
    close(layer(features), out)
    close(layer(features.dense()), out)
    assert out.shape == (9, 3)


# The encoder without BERT


def test_bilstm_reads_each_document_alone():
    documents = [*odd_documents(), *random_documents(3)]
    tokenizer = vocabulary(documents)
    layer = BiLSTM(
        tokenizer,
        base=lambda tokenizer: WordEmbedding(tokenizer, channels=6, trainable=True),
        hidden_channels=5,
        num_layers=2,
        dropout=0.5,
    ).eval()
    graphs = [tokenizer(LABELS.graph(each)) for each in documents]
    together = layer(Batch.from_data_list(graphs))
    assert together.shape == (sum(len(each.words) for each in documents), layer.out_channels)
    close(together, torch.cat([layer(Batch.from_data_list([graph])) for graph in graphs]))
    close(together, torch.cat([layer(graph) for graph in graphs]))
    offset = 0
    for graph in graphs:
        words = layer.base.table(graph.input_ids)
        if len(words):
            close(together[offset : offset + len(words)], nn.LSTM.forward(layer.lstm, words[None])[0][0])
        offset += len(words)
    assert layer(Batch.from_data_list([graphs[5], graphs[5]])).shape == (0, 10)
    layer.train()
    assert not torch.equal(layer(graphs[0]), layer(graphs[0]))


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_lstm_reads_padded_sequences_as_packed_ones(bidirectional, num_layers):
    lstm = LSTM(4, hidden_channels=3, num_layers=num_layers, bidirectional=bidirectional)
    lengths = np.array([5, 1, 40, 3, 39, 12])
    words = torch.randn(lengths.sum(), 4, requires_grad=True)
    packed, padded = lstm._packed(words, lengths), lstm._padded(words, lengths)
    close(padded, packed)
    weights = torch.randn_like(packed)
    inputs = [words, *lstm.parameters()]
    for mine, torchs in zip(
        torch.autograd.grad(padded, inputs, weights),
        torch.autograd.grad(packed, inputs, weights),
        strict=True,
    ):
        close(mine, torchs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_lstm_below_an_encoder_in_half_precision(dtype):
    lstm = LSTM(4, hidden_channels=3)
    words = torch.randn(6, 4).to(dtype)
    with torch.autocast("cpu", dtype):
        close(lstm(words, [4, 2]), lstm(words.float(), [4, 2]))


@pytest.mark.parametrize("trainable", [False, True])
def test_word_embedding_begins_with_the_vectors_of_the_file(trainable):
    table = np.arange(6, dtype=np.float32).reshape(2, 3)
    tokenizer = WordTokenizer(
        ["rash", "velorin", "ostamide"], lowercase=True, vectors=WordVectors(["rash", "velorin"], table)
    )
    layer = WordEmbedding(tokenizer, channels=100, trainable=trainable)
    assert layer.out_channels == 3
    close(layer.table.weight[1:3].detach(), torch.from_numpy(table).double())
    assert layer.table.weight.shape == (4, 3)
    assert layer.table.weight.requires_grad == trainable
    graph = tokenizer(LABELS.graph(odd_documents()[3]))
    assert graph.input_ids.tolist() == [2, 0, 1, 0]
    close(layer(graph), layer.table.weight[graph.input_ids])
