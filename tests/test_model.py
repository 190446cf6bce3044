"""GLRE: invariances, gradients, windows, and that it learns; ``test_models.py`` tests all models."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from safetensors.torch import load_model, save_model
from torch_geometric.data import Batch
from torch_geometric.utils import scatter

from documents import (
    LABELS,
    batch_of,
    by_name,
    document,
    empty,
    glre,
    no_entity,
    no_pair,
    odd_documents,
    random_document,
    random_documents,
    relabelled,
    subwords,
    transformer,
    two_sentences,
    vocabulary,
)
from glre_pyg.data.graph import documents_of_pairs
from glre_pyg.nn.encoder import _groups
from glre_pyg.runs.prediction import encode_once, predict, score_pairs

LAYERS = list(product(["rgcn", "none"], ["attention", "none"], ["attention", "none"]))
every_combination = pytest.mark.parametrize(("global_layer", "local_layer", "context_layer"), LAYERS)
both_encoders = pytest.mark.parametrize("learn", [subwords, vocabulary], ids=["tiny", "bilstm"])
DOCUMENTS = [*odd_documents(), *random_documents(6)]


def close(one, other, tolerance=2e-6):
    torch.testing.assert_close(one, other, atol=tolerance, rtol=0)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def by_document(logits, batch):
    """Logits of each document of a batch."""
    document = documents_of_pairs(batch)
    return [logits[document == number] for number in range(batch.num_graphs)]


# Invariances


@both_encoders
@pytest.mark.parametrize("layers", [LAYERS[0], LAYERS[-1]], ids="-".join)
def test_relabelling_entities_and_mentions_permutes_the_logits(learn, layers):
    tokenizer = learn(DOCUMENTS)
    model = glre(tokenizer, global_layer=layers[0], local_layer=layers[1], context_layer=layers[2]).eval()
    for each in DOCUMENTS[5:]:
        graph = tokenizer(LABELS.graph(each))
        entity, mention = (torch.randperm(graph[name].num_nodes) for name in ("entity", "mention"))
        other = relabelled(graph, entity, mention)
        assert other.validate(raise_on_error=True)
        expected, found = by_name(model(graph), graph), by_name(model(other), other)
        assert found.keys() == expected.keys()
        for pair, row in expected.items():
            close(found[pair], row)


@both_encoders
def test_a_batch_of_documents_is_the_documents(learn):
    tokenizer = learn(DOCUMENTS)
    model = glre(tokenizer).eval()
    batch = batch_of(DOCUMENTS, tokenizer)
    logits = model(batch)
    assert logits.shape == (batch.pair_index.size(1), 2)
    for each, rows in zip(DOCUMENTS, by_document(logits, batch), strict=True):
        graph = tokenizer(LABELS.graph(each))
        close(model(Batch.from_data_list([graph])), rows)
        close(model(graph), rows)


@both_encoders
@pytest.mark.parametrize(
    "companions",
    [
        [empty()],
        [no_pair(), no_entity()],
        [random_document("long", sentences=(9, 9), words=(12, 12), entities=(9, 9))],
        random_documents(7)[3:],
    ],
    ids=["empty", "without pairs", "long", "several"],
)
def test_logits_do_not_depend_on_the_company(learn, companions):
    tokenizer = learn([*DOCUMENTS, *companions])
    model = glre(tokenizer).eval()
    for each in (two_sentences(), random_document(1)):
        alone = model(batch_of([each], tokenizer))
        for documents in ([each, *companions], [*companions, each], [companions[0], each, *companions]):
            batch = batch_of(documents, tokenizer)
            close(by_document(model(batch), batch)[documents.index(each)], alone)


@both_encoders
def test_logits_do_not_depend_on_facts(learn):
    tokenizer = learn(DOCUMENTS)
    model = glre(tokenizer).eval()
    logits = model(batch_of(DOCUMENTS, tokenizer))
    without = [replace(each, facts=()) for each in DOCUMENTS]
    assert any(each.facts for each in DOCUMENTS)
    assert torch.equal(model(batch_of(without, tokenizer)), logits)
    assert torch.equal(
        model(Batch.from_data_list([tokenizer(LABELS.blind_graph(each)) for each in DOCUMENTS])), logits
    )
    ignored = [tokenizer(LABELS.graph(each)) for each in DOCUMENTS]
    for graph in ignored:
        graph.pair_label.fill_(-1)
    assert torch.equal(model(Batch.from_data_list(ignored)), logits)


def test_logits_depend_on_everything_else():
    """Without this the tests above would hold of a constant."""
    tokenizer = subwords(DOCUMENTS)
    model, graph = glre(tokenizer).eval(), tokenizer(LABELS.graph(two_sentences()))
    logits = model(graph)
    changes = {
        "input_ids": graph.input_ids.flip(0),
        "pair_distance": graph.pair_distance + 100,
        "pair_index": graph.pair_index.flip(1),
    }
    for name, value in changes.items():
        other = graph.clone()
        other[name] = value
        assert (model(other) - logits).abs().max() > 1e-4, name
    for key in graph.edge_types:
        if key != ("mention", "refers_to", "entity") and key != ("mention", "in", "sentence"):
            other = graph.clone()
            other[key].edge_index = other[key].edge_index[:, :0]
            assert (model(other) - logits).abs().max() > 1e-5, key


# Gradients


@every_combination
@both_encoders
@pytest.mark.parametrize("query", ["global", "initial"])
def test_every_parameter_gets_a_gradient(learn, query, global_layer, local_layer, context_layer):
    documents = random_documents(6)
    tokenizer = learn(documents)
    model = glre(
        tokenizer,
        global_layer=global_layer,
        local_layer=local_layer,
        context_layer=context_layer,
        query=query,
    )
    batch = batch_of(documents, tokenizer)
    model.loss(model(batch), batch.pair_label).backward()
    without = {name for name, p in model.named_parameters() if p.grad is None or p.grad.abs().max() < 1e-8}
    # The softmax cancels what is added to every logit, so a bias of the keys can learn nothing.
    keys = {name for name, _ in model.named_parameters() if name.endswith("key.bias")}
    assert without <= keys
    assert all(p.grad.isfinite().all() for p in model.parameters())
    kinds = model.nodes.node_type.weight.grad.abs().sum(-1) > 1e-8
    assert kinds.tolist() == [global_layer == "rgcn", True, global_layer == "rgcn"]


@every_combination
def test_the_bilinear_map_of_both_entities(global_layer, local_layer, context_layer):
    layers = {"global_layer": global_layer, "local_layer": local_layer, "context_layer": context_layer}
    model = glre(subwords(DOCUMENTS), bilinear=True, **layers).eval()
    batch, seen = batch_of(DOCUMENTS, subwords(DOCUMENTS)), {}
    model.global_layer.register_forward_hook(lambda *parts: seen.update(entity=parts[2]))
    logits, bilinear = model(batch), model.bilinear
    model.bilinear = None
    without = model(batch)
    for pair, (head, tail) in enumerate(batch.pair_index.t().tolist()):
        sides = [
            torch.cat([seen["entity"][entity], model.distance(sign * batch.pair_distance[pair])])
            for entity, sign in ((head, 1), (tail, -1))
        ]
        expected = torch.einsum("i,rij,j->r", sides[0], bilinear.weight, sides[1]) + bilinear.bias
        close(logits[pair] - without[pair], expected)


def test_frozen_transformer_gets_no_gradient_and_no_dropout():
    tokenizer = subwords(DOCUMENTS, hidden_dropout_prob=0.5)
    model = glre(tokenizer, encoder=transformer(trainable=False, dropout=0.5))
    batch = batch_of(DOCUMENTS, tokenizer)
    assert torch.equal(model.encoder(batch), model.encoder(batch))
    model.loss(model(batch), batch.pair_label).backward()
    assert all(p.grad is None and not p.requires_grad for p in model.encoder.parameters())
    trained = glre(tokenizer, encoder=transformer(dropout=0.5))
    assert not torch.equal(trained.encoder(batch), trained.encoder(batch))


def test_dropout_is_off_in_evaluation():
    tokenizer = subwords(DOCUMENTS)
    model, batch = glre(tokenizer, dropout=0.5), batch_of(DOCUMENTS, tokenizer)
    assert not torch.equal(model(batch), model(batch))
    model.eval()
    assert torch.equal(model(batch), model(batch))


@every_combination
@both_encoders
@pytest.mark.parametrize(
    "documents",
    [[no_pair(), no_entity(), empty()], [no_pair()], [no_entity()], [empty()], [empty(), empty()]],
)
def test_batch_without_any_pair(learn, documents, global_layer, local_layer, context_layer):
    tokenizer = learn(DOCUMENTS)
    model = glre(tokenizer, global_layer=global_layer, local_layer=local_layer, context_layer=context_layer)
    batch = batch_of(documents, tokenizer)
    logits = model(batch)
    assert logits.shape == (0, 2)
    loss = model.loss(logits, batch.pair_label)
    assert loss == 0
    loss.backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(gradient.eq(0).all() for gradient in gradients)
    close(model(tokenizer(LABELS.graph(documents[0]))), logits)


# Learning


@pytest.mark.parametrize(("learn", "na_column"), [(subwords, False), (subwords, True), (vocabulary, False)])
def test_four_documents_are_memorised(learn, na_column):
    documents = random_documents(4, entities=(3, 4), composites=0.0)
    tokenizer = learn(documents)
    model = glre(tokenizer, na_column=na_column)
    batch = batch_of(documents, tokenizer)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(400):
        optimizer.zero_grad()
        loss = model.loss(model(batch), batch.pair_label)
        if loss < 0.01:
            break
        loss.backward()
        optimizer.step()
    assert loss < 0.01
    graphs = [tokenizer(LABELS.blind_graph(each)) for each in documents]
    found = predict(model, graphs, batch_size=3)
    pairs = score_pairs(documents, graphs, found, LABELS)
    assert pairs.score(0.5, filtered=True).f1 == 1
    assert 0 < pairs.gold() < len(pairs.heads)


# Windows


def long_document():
    return random_document("long", sentences=(6, 6), words=(8, 12), entities=(6, 6))


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_each_word_is_the_mean_over_the_windows_it_is_in(pooling):
    long = long_document()
    tokenizer = subwords([long], max_length=16, overlap=4, vocab_size=75)
    encoder = transformer(pooling=pooling)(tokenizer).eval()
    graph = tokenizer(LABELS.graph(long))
    assert graph.window_index.max() >= 4
    assert sorted(set(graph.word_index.tolist())) == list(range(len(long.words)))
    assert len(set(zip(graph.window_index.tolist(), graph.word_index.tolist(), strict=True))) < len(
        graph.word_index
    )
    cls, sep = tokenizer.tokenizer.cls_token_id, tokenizer.tokenizer.sep_token_id
    vectors = [[] for _ in long.words]
    for window in range(int(graph.window_index.max()) + 1):
        inside = graph.window_index == window
        ids = torch.tensor([[cls, *graph.input_ids[inside].tolist(), sep]])
        assert ids.size(1) <= 16
        hidden = encoder.transformer(input_ids=ids).last_hidden_state[0, 1:-1]
        words = graph.word_index[inside]
        for word in words.unique().tolist():
            mine = hidden[words == word]
            vectors[word].append((len(mine), mine.mean(0) if pooling == "mean" else mine[0]))
    whole = [number for number, of in enumerate(vectors) if len({tokenizer for tokenizer, _ in of}) == 1]
    assert len(whole) > 50  # a window this small may begin inside a word
    assert max(len(vectors[word]) for word in whole) > 1
    expected = torch.stack(
        [sum(vector for _, vector in vectors[word]) / len(vectors[word]) for word in whole]
    )
    close(encoder(graph)[whole], expected)
    batch = batch_of([no_pair(), long, empty(), two_sentences()], tokenizer)
    start = len(no_pair().words)
    close(encoder(batch)[start : start + len(long.words)][whole], expected)


def test_word_longer_than_a_window_keeps_all_its_pieces():
    long = document(["the xyxyxyxyxyxyxyxyxyxyxyxyxyxy rash", "followed"])
    tokenizer = subwords(DOCUMENTS, max_length=12, overlap=3)
    encoder = transformer(pooling="mean")(tokenizer).eval()
    tokenizer.tokenizer.backend_tokenizer.model.max_input_chars_per_word = 100
    graph = tokenizer(LABELS.graph(long))
    inside = graph.word_index == 1
    assert graph.window_index[inside].unique().numel() > 1
    padding, inputs, cell = encoder._layout(graph)
    hidden = torch.cat([encoder._run(group).flatten(0, 1) for group in _groups(inputs, padding)])
    assert torch.isfinite(hidden).all()
    close(encoder(graph)[1], hidden[cell[inside]].mean(0))


def test_short_document_is_encoded_at_once():
    each = two_sentences()
    tokenizer = subwords(DOCUMENTS)
    encoder = transformer(pooling="mean")(tokenizer).eval()
    graph = tokenizer(LABELS.graph(each))
    tokens = tokenizer.tokenizer(graph.words, is_split_into_words=True, return_tensors="pt")
    hidden = encoder.transformer(**tokens).last_hidden_state[0, 1:-1]
    expected = scatter(hidden, torch.tensor(tokens.word_ids()[1:-1]), reduce="mean")
    close(encoder(graph), expected)


def test_word_that_the_tokenizer_drops_keeps_its_place():
    odd = document(["velorin \u0007 caused \u200b rash ."], [(0, 1, "Chemical", "V"), (4, 5, "Disease", "R")])
    tokenizer = subwords([*DOCUMENTS, odd])
    graph = tokenizer(LABELS.graph(odd))
    assert sorted(set(graph.word_index.tolist())) == list(range(6))
    unknown = tokenizer.tokenizer.unk_token_id
    dropped = [w for w in range(6) if graph.input_ids[graph.word_index == w].tolist() == [unknown]]
    assert dropped == [1, 3]
    assert glre(tokenizer).encoder(graph).shape == (6, 16)


def test_windows_do_not_leak_into_the_model():
    long = long_document()
    tokenizer = subwords([long], max_length=16, overlap=5, vocab_size=150)
    model = glre(tokenizer).eval()
    alone = model(batch_of([long], tokenizer))
    batch = batch_of([two_sentences(), long], tokenizer)
    close(by_document(model(batch), batch)[1], alone)


# Other ways to run


@every_combination
def test_half_precision_is_close_to_full(global_layer, local_layer, context_layer):
    tokenizer = subwords(DOCUMENTS)
    model = glre(tokenizer, global_layer=global_layer, local_layer=local_layer, context_layer=context_layer)
    batch = batch_of(DOCUMENTS, tokenizer)
    full = model(batch)
    with torch.autocast("cpu", torch.bfloat16):
        half = model(batch)
    close(half.float(), full, tolerance=0.03)
    loss = model.loss(half, batch.pair_label)
    assert loss.dtype == torch.float
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@both_encoders
@every_combination
def test_weights_survive_safetensors(tmp_path, learn, global_layer, local_layer, context_layer):
    tokenizer = learn(DOCUMENTS)
    layers = {"global_layer": global_layer, "local_layer": local_layer, "context_layer": context_layer}
    batch, one, other = (
        batch_of(DOCUMENTS, tokenizer),
        glre(tokenizer, **layers).eval(),
        glre(tokenizer, **layers).eval(),
    )
    expected = one(batch)
    assert not torch.equal(other(batch), expected)
    save_model(one, str(tmp_path / "model.safetensors"))
    load_model(other, tmp_path / "model.safetensors")
    assert torch.equal(other(batch), expected)


def test_query_asks_with_entities_before_or_after_convolution():
    """What the R-GCN does changes the local representations of one model and not of the other."""
    tokenizer = subwords(DOCUMENTS)
    batch = batch_of(DOCUMENTS, tokenizer)
    for query, changes in (("global", True), ("initial", False)):
        model, seen = glre(tokenizer, query=query).eval(), []
        model.local_layer.register_forward_hook(lambda module, given, out, seen=seen: seen.append(out[0]))
        model(batch)
        with torch.no_grad():
            model.global_layer.layers[1].root.weight.mul_(2)
        model(batch)
        assert torch.equal(*seen) is not changes


def test_both_distances_of_a_pair_count():
    """Eq. 6: the head's side has the distance to the tail, the tail's side the opposite one."""
    tokenizer = subwords(DOCUMENTS)
    model, seen = glre(tokenizer).eval(), []
    model.context_layer.register_forward_hook(lambda module, given, out: seen.append(given[0]))
    batch = batch_of(DOCUMENTS, tokenizer)
    model(batch)
    relation = seen[0].dense().unflatten(-1, (2, -1))  # [P, 2, 36]
    close(relation[:, 0, -4:], model.distance(batch.pair_distance))
    close(relation[:, 1, -4:], model.distance(-batch.pair_distance))
    index = {tuple(pair): row for row, pair in enumerate(batch.pair_index.t().tolist())}
    opposite = torch.tensor([index[tail, head] for head, tail in index])
    for part in (
        slice(0, 16),
        slice(32, 36),
    ):  # global entity and distance: the opposite pair has them swapped
        close(relation[opposite][..., part], relation.flip(1)[..., part])


def test_predictions_come_in_the_order_of_the_graphs():
    tokenizer = subwords(DOCUMENTS)
    model = glre(tokenizer, na_column=True, dropout=0.5)
    graphs = [tokenizer(LABELS.blind_graph(each)) for each in DOCUMENTS]
    found = predict(model, graphs, batch_size=5)
    assert model.training
    model.eval()
    for graph, probabilities in zip(graphs, found, strict=True):
        assert probabilities.shape == (graph.pair_index.size(1), 2)
        expected = 1 / (1 + np.exp(-model(graph).detach().numpy()[:, :2]))
        np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    assert predict(model, [], batch_size=5) == []


def test_features_of_a_frozen_encoder_stand_for_it():
    tokenizer = subwords(DOCUMENTS, hidden_dropout_prob=0.5)
    model = glre(tokenizer, encoder=transformer(trainable=False, dropout=None))
    graphs = [tokenizer(LABELS.graph(each)) for each in DOCUMENTS]
    expected = model(Batch.from_data_list(graphs))
    encode_once(model, graphs, batch_size=5, device="cpu")
    assert [graph.features.shape for graph in graphs] == [(len(each.words), 16) for each in DOCUMENTS]
    model.encoder.transformer = None  # it is not needed any more
    batch = Batch.from_data_list(graphs)
    close(model(batch), expected)
    for given in (batch, graphs[0]):
        model.loss(model(given), given.pair_label).backward()
        assert model.nodes.linear.weight.grad.abs().max() > 0


def test_a_trainable_encoder_is_not_cached():
    tokenizer = subwords(DOCUMENTS)
    graph = tokenizer(LABELS.graph(two_sentences()))
    encode_once(glre(tokenizer), [graph], batch_size=1, device="cpu")
    assert "features" not in graph
