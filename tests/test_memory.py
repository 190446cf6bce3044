"""Estimates of memory; results do not depend on the memory there is."""

import random
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir

from commands import run_scripts
from documents import (
    LABELS,
    batch_of,
    glre,
    odd_documents,
    random_documents,
    subwords,
    transformer,
    vocabulary,
)
from glre_pyg.data.batch import BatchSizes, batches_by_length, collate, sizes_of
from glre_pyg.data.document import Document, Mention, Sentence
from glre_pyg.runs.memory import (
    GIB,
    available_bytes,
    check_memory,
    document_bytes,
    optimizer_bytes,
    seconds_per_epoch,
)
from glre_pyg.runs.prediction import predict
from glre_pyg.training.experiment import train
from glre_pyg.utils.cli import config_dir
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


def graphs_of(documents, tokenizer, labels=LABELS):
    return [tokenizer(labels.graph(document)) for document in documents]


def training_bytes(model, graphs, *, batch_size=1, available=GIB):
    return check_memory(model, graphs, batch_size=batch_size, available=available, training=True)


def test_training_needs_its_largest_batch_and_the_optimizer(tokenizer):
    model, graphs = glre(tokenizer), graphs_of(DOCUMENTS, tokenizer)
    largest = sorted(document_bytes(model, [graph], training=True)[0] for graph in graphs)[-4:]
    assert training_bytes(model, graphs, batch_size=4) == optimizer_bytes(model) + sum(largest)


@pytest.mark.parametrize("training", [False, True])
def test_a_document_that_is_too_large_is_named_before_anything_is_computed(tokenizer, training):
    model = glre(tokenizer)
    graphs = graphs_of([DOCUMENTS[0], large_document(3000, 40, 1)], tokenizer)
    what = "train on" if training else "predict"
    available = optimizer_bytes(model) + 10**6
    with pytest.raises(
        InputError, match=rf"^large: [\d,]+ subword tokens and 1,560 pairs need about .* to {what}"
    ):
        check_memory(model, graphs, batch_size=1, available=available, training=training)


def test_a_batch_that_is_too_large_is_said(tokenizer):
    model = glre(tokenizer)
    graphs = graphs_of([large_document(400, 8, 2, name=f"d{number}") for number in range(8)], tokenizer)
    available = optimizer_bytes(model) + 3 * document_bytes(model, [graphs[0]], training=True)[0]
    with pytest.raises(
        InputError, match=r"^a batch of 8 documents like d0 needs .*smaller training.batch_size"
    ):
        training_bytes(model, graphs, batch_size=8, available=available)
    assert training_bytes(model, graphs, batch_size=2, available=available) <= available


@pytest.mark.parametrize("batch_size", [1, 3, 100])
@pytest.mark.parametrize("limits", [{}, {"max_tokens": 500}, {"max_pairs": 70}])
def test_batches_follow_from_sizes_alone(tokenizer, batch_size, limits):
    words = (40, 400, 60, 80, 200, 300, 45, 55)
    documents = [large_document(count, 6, 2, name=str(count)) for count in words]
    graphs = graphs_of([*documents, *DOCUMENTS], tokenizer)
    batches = list(batches_by_length(graphs, batch_size, **limits))
    assert sorted(index for batch in batches for index in batch) == list(range(len(graphs)))
    for batch in batches:
        assert 1 <= len(batch) <= batch_size
        if len(batch) > 1:
            tokens = sum(len(graphs[index].input_ids) for index in batch)
            pairs = sum(graphs[index].pair_index.size(1) for index in batch)
            assert tokens <= limits.get("max_tokens", tokens)
            assert pairs <= limits.get("max_pairs", pairs)
    lengths = [len(graphs[index].input_ids) for batch in batches for index in batch]
    assert lengths == sorted(lengths, reverse=True)
    if not limits and batch_size == 100:
        assert [len(batch) for batch in batches] == [len(graphs)]


def test_a_run_does_not_depend_on_the_memory_there_is(tmp_path):
    """With dropout, masking and a document with many pairs; see the config for the values."""
    runs = []
    for gib in (4.0, 2.0):
        with initialize_config_dir(config_dir(), version_base="1.3"):
            small = ["encoder=tiny", "training.epochs=1", "mask_rate=0.1", f"memory={gib}", "cache=false"]
            config = compose("train", overrides=["dataset.sizes={train: 8, dev: 6, test: 2}", *small])
        train(config, tmp_path / str(gib))
        runs.append((tmp_path / str(gib) / "model.safetensors").read_bytes())
    assert runs[0] == runs[1]


@pytest.mark.parametrize("context_layer", ["attention", "none"])
def test_how_context_is_computed_changes_neither_loss_nor_gradients(context_layer, monkeypatch):
    """Not with dropout either: whether attention runs in blocks draws no random numbers."""
    words = vocabulary(DOCUMENTS)
    torch.manual_seed(0)
    model = glre(words, context_layer=context_layer, dropout=0.4).double()
    batch = batch_of(DOCUMENTS, words)
    results = []
    for large in (2048, 5, 0):
        monkeypatch.setattr("glre_pyg.nn.context.MAX_DENSE_PAIRS", large)
        monkeypatch.setattr("glre_pyg.nn.context.MAX_SHARED_PAIRS", min(large, 128))
        torch.manual_seed(1)
        loss = model.loss(model(batch), batch.pair_label)
        gradients = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
        results.append([loss.detach(), *(each for each in gradients if each is not None)])
    for other in results[1:]:
        for one, two in zip(results[0], other, strict=True):
            torch.testing.assert_close(one, two, atol=1e-10, rtol=1e-10)


def test_documents_without_pairs_or_words_fit(tokenizer):
    model, graphs = glre(tokenizer), graphs_of(odd_documents(), tokenizer)
    assert training_bytes(model, graphs, batch_size=2) > 0
    assert check_memory(model, [], batch_size=2, available=GIB, training=False) == 0


def test_features_that_are_there_need_no_encoder(tokenizer):
    model, [graph] = glre(tokenizer), graphs_of([large_document(400, 2, 2)], tokenizer)
    before = document_bytes(model, [graph], training=True)[0]
    graph.features = torch.zeros(400, 16)
    assert document_bytes(model, [graph], training=True)[0] < before / 2


def test_checkpointed_gradients_need_less():
    document = large_document(2000, 2, 2)
    tokenizer = subwords([document], num_hidden_layers=4)
    [graph] = graphs_of([document], tokenizer)
    needs = []
    for checkpointing in (False, True):
        model = glre(tokenizer, encoder=partial(transformer(), gradient_checkpointing=checkpointing))
        needs.append(document_bytes(model, [graph], training=True)[0])
    assert needs[1] < needs[0]


def test_a_batch_carries_its_sizes(tokenizer):
    graphs = graphs_of([large_document(400, 5, 3), *DOCUMENTS], tokenizer)
    batch = collate(graphs)
    assert batch.sizes == BatchSizes.from_batch(batch) == sizes_of(batch)
    sizes = batch.sizes
    assert sizes.windows == [n for graph in graphs for n in torch.bincount(graph.window_index).tolist()]
    assert sizes.pairs == [graph.pair_index.size(1) for graph in graphs]
    assert sizes.entities == [graph["entity"].num_nodes for graph in graphs]
    assert sizes_of(graphs[0]).head_mentions == sizes_of(graphs[0]).tail_mentions == 20 * 3
    words = sum(end - start for graph in graphs for start, end in graph["mention"].span.tolist())
    assert sizes.mention_words == words


def test_memory_that_may_be_used():
    assert available_bytes(None, "cpu") > 0
    assert available_bytes(10_000, "cpu") < 10_000 * GIB
    with pytest.raises(InputError, match=r"^memory: 0.001 GiB are not enough, .* are allocated already"):
        available_bytes(0.001, "cpu")


@pytest.mark.parametrize("gib", ["abc", True, [1]])
def test_memory_is_a_number(gib):
    with pytest.raises(InputError, match=r"^memory: .* is not a number of GiB$"):
        available_bytes(gib, "cpu")


def test_an_error_leaves_the_model_as_it_was(tokenizer):
    model, graphs = glre(tokenizer).train(), graphs_of([large_document(3000, 40, 1)], tokenizer)
    with pytest.raises(InputError):
        predict(model, graphs, batch_size=1, memory=10**6)
    assert model.training


def test_timing_an_epoch_leaves_everything_as_it_was(tokenizer):
    model, graphs = glre(tokenizer, dropout=0.3).eval(), graphs_of(DOCUMENTS, tokenizer)
    before = torch.get_rng_state()
    weights = {name: each.clone() for name, each in model.state_dict().items()}
    assert seconds_per_epoch(model, graphs, batch_size=4, device="cpu", autocast=nullcontext) > 0
    assert not model.training
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(each, weights[name]) for name, each in model.state_dict().items())


# The peak of this process alone, as the kernel has it: getrusage's begins with that of the process that started it.
# Libraries allocate once, more on some processors than on others: for the warm-up, not for the document.
PEAK = """
import sys
sys.path[:0] = [{tests!r}]
from test_memory import estimate_and_run
before, run, estimate = estimate_and_run(training={training})
run()
[peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")]
print(int(peak) * 1024 - before, estimate)
"""


def estimate_and_run(training):
    """Bytes that a warm process has, a function that runs on a large document, and bytes it should need."""
    import psutil

    document, small = large_document(6000, 70, 3), large_document(200, 3, 2)
    tokenizer = subwords([document], hidden_size=128, intermediate_size=512)
    model = glre(tokenizer).train(training)
    batch = batch_of([document], tokenizer)
    needed = document_bytes(model, [batch[0]], training=training)[0]

    def run(batch=batch):
        with torch.set_grad_enabled(training):
            logits = model(batch)
            if training:
                model.loss(logits, batch.pair_label).backward()

    run(batch_of([small], tokenizer))
    return psutil.Process().memory_info().rss, run, needed


@pytest.mark.slow
@pytest.mark.parametrize("training", [False, True])
def test_the_estimate_is_near_what_is_taken(training, tmp_path):
    (tmp_path / "peak.py").write_text(PEAK.format(tests=str(Path(__file__).parent), training=training))
    out, _ = run_scripts(tmp_path / "peak.py", cwd=tmp_path, environments=[{}], codes=[0])
    taken, estimate = map(int, out.split())
    assert taken / 1.5 < estimate < 2 * taken
