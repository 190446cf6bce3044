"""Blocks change nothing but memory, memory is known beforehand, and too little of it is said beforehand."""

import random
import subprocess
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest
import torch

from documents import (
    LABELS,
    ONE_WAY,
    batch_of,
    glre,
    odd_documents,
    random_documents,
    subwords,
    transformer,
    vocabulary,
)
from glre_pyg.data.document import Document, Mention, Sentence
from glre_pyg.runs import memory as cost
from glre_pyg.runs.memory import GIB, Sizes, fit_prediction, fit_training, free, of_documents, of_learning
from glre_pyg.runs.prediction import predict
from glre_pyg.utils.exceptions import InputError

DOCUMENTS = [*odd_documents(), *random_documents(6)]


@pytest.fixture(scope="module")
def tokenizer():
    return subwords(DOCUMENTS)


def large_document(words, entities, mentions, name="large"):
    """A document of words of five letters, with sentences of 20 words."""
    draw = random.Random(0)
    places = draw.sample(range(words), entities * mentions)
    return Document(
        id=name,
        text=" ".join(["alpha"] * words),
        words=tuple((6 * word, 6 * word + 5) for word in range(words)),
        sentences=tuple(Sentence(start, min(start + 20, words)) for start in range(0, words, 20)),
        mentions=tuple(
            Mention(6 * word, 6 * word + 5, "Chemical", (f"D{number // mentions}",))
            for number, word in enumerate(places)
        ),
    )


@pytest.mark.parametrize("labels", [LABELS, ONE_WAY])
@pytest.mark.parametrize("local_layer", ["attention", "none"])
@pytest.mark.parametrize("context_layer", ["attention", "none"])
@pytest.mark.parametrize("blocks", [(1, 1), (3, 7), (7, None), (None, 50), (10**6, 10**6)])
def test_blocks_have_the_logits_and_gradients_of_the_whole(labels, local_layer, context_layer, blocks):
    words = vocabulary(DOCUMENTS)
    model = glre(words, local_layer=local_layer, context_layer=context_layer).double()
    batch = batch_of(DOCUMENTS, words, labels=labels)
    results = []
    for size in ((None, None), blocks):
        model.set_blocks(*size)
        logits = model(batch)
        gradients = torch.autograd.grad(logits.square().sum(), list(model.parameters()), allow_unused=True)
        with torch.no_grad():
            results.append([logits, model(batch), *(each for each in gradients if each is not None)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, atol=1e-11, rtol=1e-11)


def of_document(model, sizes, *, training):
    [need] = of_documents(model, [sizes], training=training)
    return need


def graphs_of(documents, tokenizer, labels=LABELS):
    return [tokenizer(labels.graph(document)) for document in documents]


def test_there_are_no_blocks_where_there_is_memory(tokenizer):
    model, graphs = glre(tokenizer), graphs_of(DOCUMENTS, tokenizer)
    needed = fit_training(model, graphs, batch_size=4, memory=GIB)
    assert model.blocks == (None, None)
    parts = [of_document(model, Sizes.of(graph), training=True) for graph in graphs]
    assert needed == of_learning(model) + sum(sorted(part.at_once for part in parts)[-4:])


def test_blocks_follow_from_memory(tokenizer, monkeypatch):
    monkeypatch.setattr(cost, "LEAST", 1000)
    model, graphs = glre(tokenizer), graphs_of([large_document(400, 30, 2)], tokenizer)
    need = of_document(model, Sizes.of(graphs[0]), training=True)
    sizes = []
    for share in (0.4, 0.2, 0.1):
        room = need.kept + int(share * (need.pairs + need.cells))
        needed = fit_training(model, graphs, batch_size=1, memory=of_learning(model) + room)
        assert needed <= of_learning(model) + room
        sizes.append(model.blocks)
    (most_pairs, most_cells), (pairs, cells), (least_pairs, least_cells) = sizes
    assert 0 < least_pairs < pairs < most_pairs < 30 * 29
    assert 0 < least_cells < cells < most_cells < (30 * 29) ** 2


def test_blocks_are_for_the_document_with_most_pairs_too(tokenizer):
    """The document that needs most in small blocks is not the one that needs most at once."""
    model = glre(tokenizer)
    graphs = graphs_of([large_document(9000, 2, 2, name="long"), large_document(300, 60, 1)], tokenizer)
    long, dense = (of_document(model, Sizes.of(graph), training=True) for graph in graphs)
    assert long.in_blocks > dense.in_blocks
    assert long.at_once < dense.at_once
    needed = fit_training(model, graphs, batch_size=1, memory=of_learning(model) + dense.at_once - 1)
    assert needed < of_learning(model) + dense.at_once
    assert model.blocks != (None, None)


@pytest.mark.parametrize("fit", [fit_training, fit_prediction])
def test_a_document_that_is_too_large_is_named_before_anything_is_computed(tokenizer, fit):
    model = glre(tokenizer)
    graphs = graphs_of([DOCUMENTS[0], large_document(3000, 40, 1)], tokenizer)
    what = "train on" if fit is fit_training else "predict"
    with pytest.raises(InputError, match=rf"^large: [\d,]+ pieces and 1,560 pairs need about .* to {what}"):
        fit(model, graphs, batch_size=1, memory=of_learning(model) + 10**6)


def test_a_batch_that_is_too_large_is_said(tokenizer, monkeypatch):
    monkeypatch.setattr(cost, "LEAST", 1000)
    model = glre(tokenizer)
    graphs = graphs_of([large_document(400, 8, 2, name=f"d{number}") for number in range(8)], tokenizer)
    need = of_document(model, Sizes.of(graphs[0]), training=True).in_blocks
    memory = of_learning(model) + 3 * need
    with pytest.raises(
        InputError, match=r"^a batch of 8 documents like d0 needs .*smaller training.batch_size"
    ):
        fit_training(model, graphs, batch_size=8, memory=memory)
    assert fit_training(model, graphs, batch_size=2, memory=memory) <= memory


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_prediction_is_cut_into_batches_that_fit(tokenizer, batch_size, monkeypatch):
    monkeypatch.setattr(cost, "LEAST", 1000)
    model = glre(tokenizer)
    documents = [
        large_document(words, 6, 2, name=str(words)) for words in (40, 400, 60, 80, 200, 300, 45, 55)
    ]
    graphs = graphs_of([*documents, *DOCUMENTS], tokenizer)
    needs = [of_document(model, Sizes.of(graph), training=False) for graph in graphs]
    memory = max(need.in_blocks for need in needs) + 1000
    batches = fit_prediction(model, graphs, batch_size=batch_size, memory=memory)
    assert sorted(index for batch in batches for index in batch) == list(range(len(graphs)))
    for batch in batches:
        assert 1 <= len(batch) <= batch_size
        assert sum(needs[index].kept for index in batch) <= memory
    lengths = [len(graphs[index].input_ids) for batch in batches for index in batch]
    assert lengths == sorted(lengths, reverse=True)
    whole = fit_prediction(model, graphs, batch_size=100, memory=GIB)
    assert [len(batch) for batch in whole] == [len(graphs)]


def test_documents_without_pairs_or_words_fit(tokenizer):
    model, graphs = glre(tokenizer), graphs_of(odd_documents(), tokenizer)
    assert fit_training(model, graphs, batch_size=2, memory=GIB) > 0
    assert fit_prediction(model, [], batch_size=2, memory=GIB) == []


def test_features_that_are_there_need_no_encoder(tokenizer):
    model, [graph] = glre(tokenizer), graphs_of([large_document(400, 2, 2)], tokenizer)
    before = of_document(model, Sizes.of(graph), training=True).kept
    graph.features = torch.zeros(400, 16)
    assert of_document(model, Sizes.of(graph), training=True).kept < before / 2


def test_checkpointed_gradients_need_less():
    document = large_document(2000, 2, 2)
    tokenizer = subwords([document], num_hidden_layers=4)
    [graph] = graphs_of([document], tokenizer)
    needs = []
    for checkpointing in (False, True):
        model = glre(tokenizer, encoder=partial(transformer(), gradient_checkpointing=checkpointing))
        needs.append(of_document(model, Sizes.of(graph), training=True).kept)
    assert needs[1] < needs[0]


def test_sizes_are_those_of_the_document(tokenizer):
    [graph] = graphs_of([large_document(400, 5, 3)], tokenizer)
    sizes = Sizes.of(graph)
    windows = int(graph.window_index.max()) + 1
    assert sizes.tokens == len(graph.input_ids) + 2 * windows
    assert (sizes.words, sizes.pairs, sizes.cells) == (400, 20, 400)
    assert sizes.incidences == 20 * 6
    assert sizes.edges == sum(store.edge_index.size(1) for store in graph.edge_stores)


def test_memory_that_may_be_used():
    assert free(None, "cpu") > 0
    assert free(10_000, "cpu") < 10_000 * GIB
    with pytest.raises(InputError, match=r"^memory: 0.001 GiB are not enough, .* are taken already"):
        free(0.001, "cpu")


@pytest.mark.parametrize("gib", ["abc", True, [1]])
def test_memory_is_a_number(gib):
    with pytest.raises(InputError, match=r"^memory: .* is not a number of GiB$"):
        free(gib, "cpu")


def test_an_error_leaves_the_model_as_it_was(tokenizer):
    model, graphs = glre(tokenizer).train(), graphs_of([large_document(3000, 40, 1)], tokenizer)
    model.set_blocks(5, 6)
    with pytest.raises(InputError):
        predict(model, graphs, batch_size=1, memory=10**6)
    assert model.training
    assert model.blocks == (5, 6)


def test_timing_an_epoch_leaves_everything_as_it_was(tokenizer):
    model, graphs = glre(tokenizer, dropout=0.3).eval(), graphs_of(DOCUMENTS, tokenizer)
    before = torch.get_rng_state()
    weights = {name: each.clone() for name, each in model.state_dict().items()}
    assert cost.seconds_of_epoch(model, graphs, batch_size=4, device="cpu", autocast=nullcontext) > 0
    assert not model.training
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(each, weights[name]) for name, each in model.state_dict().items())


# What the kernel says of this process alone: getrusage's peak begins with that of the process that started it.
PEAK = """
import sys
import torch
sys.path[:0] = [{tests!r}]
from test_cost import estimate_and_run
before, run, estimate = estimate_and_run(training={training})
run()
[peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")]
print(int(peak) * 1024 - before, estimate)
"""


def estimate_and_run(training):
    """Bytes that the process has, what works on a large document in blocks, and bytes it should take."""
    import psutil

    document = large_document(6000, 70, 3)
    tokenizer = subwords([document], hidden_size=128, intermediate_size=512)
    model = glre(tokenizer).train(training)
    batch = batch_of([document], tokenizer)
    memory = 450 * 2**20
    if training:
        needed = fit_training(model, [batch[0]], batch_size=1, memory=memory) - of_learning(model)
    else:
        fit_prediction(model, [batch[0]], batch_size=1, memory=memory)
        need = of_document(model, Sizes.of(batch[0]), training=False)
        needed = need.kept + min(need.pairs, memory // 2) + min(need.cells, memory // 2)

    def run():
        with torch.set_grad_enabled(training):
            logits = model(batch)
            if training:
                model.loss(logits, batch.pair_label).backward()

    return psutil.Process().memory_info().rss, run, needed


@pytest.mark.slow
@pytest.mark.parametrize("training", [False, True])
def test_the_estimate_is_near_what_is_taken(training):
    code = PEAK.format(tests=str(Path(__file__).parent), training=training)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    taken, estimate = map(int, done.stdout.split())
    assert taken < 1.3 * estimate
    assert estimate < 4 * taken
