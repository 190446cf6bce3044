"""The training loop: what one step does, when it stops, and that a resumed run is an uninterrupted one."""

import json
import math
from collections import Counter
from functools import cache, partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from safetensors.torch import load_file
from torch import nn
from torch_geometric.loader import DataLoader

import glre_pyg.training.loop
import glre_pyg.utils.files
from documents import LABELS, document, glre, random_documents, subwords, transformer
from glre_pyg.evaluation.scores import Scores
from glre_pyg.evaluation.selection import Evaluation
from glre_pyg.nn.rgcn import RGCNLayer
from glre_pyg.training import epochs
from glre_pyg.training.checkpoint import Checkpoint
from glre_pyg.training.epochs import TrainingError
from glre_pyg.training.loop import CHECKPOINT, LOG, WEIGHTS, TrainingSettings, fit, parameter_groups
from glre_pyg.training.sampler import LengthSampler, shard_batch
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.interrupts import Interrupted

DOCUMENTS = random_documents(7)
SETTINGS = {
    "epochs": 4,
    "batch_size": 2,
    "accumulation": 1,
    "warmup": 0.2,
    "decay": True,
    "max_norm": 1.0,
    "patience": None,
    "first_evaluation": 1,
    "ema": None,
    "precision": "no",
    "seed": 3,
    "resume": None,
}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
    yield
    forget()


def forget():
    """Forget Accelerate's state, as a new process would have none."""
    PartialState._reset_state()
    AcceleratorState._reset_state()
    GradientState._reset_state()


def scores(f1):
    return Scores(precision=f1, recall=f1, f1=f1, true_positives=1, predicted=1, gold=1)


class Dev:
    """Scores an epoch with the next of some numbers; keeps the weights and the epochs it saw."""

    def __init__(self, numbers):
        self.numbers = list(numbers)
        self.seen, self.epochs = [], []

    def __call__(self, model, epoch):
        self.epochs.append(epoch)
        self.seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return Evaluation(scores(self.numbers[len(self.seen) - 1]), 0.1 * len(self.seen))


def train(folder, model, graphs, evaluate, *, optimizer=None, last_epoch=None, **options):
    """Run ``fit`` as ``glre_pyg.runs.run`` does."""
    settings = TrainingSettings(**SETTINGS | options)
    folder.mkdir(exist_ok=True)
    forget()
    accelerator = Accelerator(cpu=True, log_with="tensorboard", project_dir=folder)
    optimizer = optimizer or (lambda model: torch.optim.AdamW(model.parameters(), lr=5e-3))
    return fit(
        model,
        graphs,
        evaluate,
        settings=settings,
        optimizer=optimizer,
        folder=folder,
        accelerator=accelerator,
        last_epoch=last_epoch,
    )


@cache
def pieces_of(documents):
    """Learnt once for all tests."""
    return subwords(documents)


def model_and_graphs(*, seed=0, dropout=0.2, documents=DOCUMENTS):
    tokenizer = pieces_of(tuple(documents))
    torch.manual_seed(seed)
    return glre(tokenizer, dropout=dropout), [tokenizer(LABELS.graph(each)) for each in documents]


def log_of(folder):
    rows = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    assert all(row.pop("seconds") >= 0 for row in rows)
    assert all(row.pop("documents_per_second") > 0 for row in rows)
    return rows


def same(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


# Parameter groups


def rates(model, **options):
    """Learning rate and decay of each parameter by name; none in two groups."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    out = {}
    for group in parameter_groups(model, **options):
        for parameter in group["params"]:
            assert names[id(parameter)] not in out
            out[names[id(parameter)]] = group["lr"], group["weight_decay"]
    return out


def test_parameter_groups():
    model, _ = model_and_graphs()
    found = rates(
        model, lr=1.0, weight_decay=0.1, groups={r"\.transformer\.": 0.25, "encoder|classifier": 0.5}
    )
    assert found.keys() == dict(model.named_parameters()).keys()
    for name, (rate, decay) in found.items():
        inside, head = ".transformer." in name, name.startswith("classifier")
        assert rate == (0.25 if inside else 0.5 if head else 1.0)
        plain = name.endswith("bias") or "norm" in name.lower()
        assert decay == (0.0 if plain else 0.1), name
    assert {0.25, 0.5, 1.0} == {rate for rate, _ in found.values()}


def test_biases_that_are_matrices_have_no_weight_decay():
    layer = RGCNLayer(2, 3, norm="relation", message_bias=True)
    found = rates(layer, lr=1.0, weight_decay=0.1, groups={})
    assert layer.bias.ndim == 2
    assert {name: decay > 0 for name, (_, decay) in found.items()} == {
        name: not name.endswith("bias") for name in found
    }


def test_first_pattern_that_matches_decides():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    found = rates(model, lr=1.0, weight_decay=0.0, groups={"weight": 2.0, "^1": 3.0})
    assert found == {"0.weight": (2, 0), "0.bias": (1, 0), "1.weight": (2, 0), "1.bias": (3, 0)}


def test_a_module_may_have_a_learning_rate_of_its_own():
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), nn.Linear(2, 2))
    model[0].lr, model[0][1].lr = 2.0, 3.0
    found = rates(model, lr=1.0, weight_decay=0.0, groups={"bias": 4.0})
    assert {name: rate for name, (rate, _) in found.items() if name.endswith("weight")} == {
        "0.0.weight": 2,
        "0.1.weight": 3,
        "1.weight": 1,
    }
    assert {rate for name, (rate, _) in found.items() if name.endswith("bias")} == {4}


def test_a_pattern_may_match_nothing_in_a_model_without_an_encoder():
    model = nn.Sequential(nn.Linear(2, 2))
    assert rates(model, lr=1.0, weight_decay=0.0, groups={r"\.transformer\.": 4.0})
    model.encoder = nn.Linear(2, 2)
    with pytest.raises(InputError, match=r"no parameter of the model matches"):
        rates(model, lr=1.0, weight_decay=0.0, groups={r"\.transformer\.": 4.0})


def test_frozen_parameters_are_in_no_group():
    model = glre(subwords(DOCUMENTS), encoder=transformer(trainable=False))
    found = rates(model, lr=1.0, weight_decay=0.1, groups={})
    assert found
    assert not [name for name in found if name.startswith("encoder")]


# Order of the documents


@pytest.mark.parametrize(
    ("count", "batch_size", "group"), [(20, 4, 2), (19, 4, 16), (3, 4, 16), (1, 1, 1), (37, 5, 3)]
)
def test_each_document_comes_once_an_epoch(count, batch_size, group):
    sampler = LengthSampler(list(range(count)), batch_size, seed=0, group=group)
    for sampler.epoch in range(5):
        batches = list(sampler)
        assert len(batches) == len(sampler) == -(-count // batch_size)
        assert sorted(index for batch in batches for index in batch) == list(range(count))
        assert all(len(batch) == batch_size for batch in batches[:-1])


def test_order_depends_on_seed_and_epoch_only():
    def order(seed, epoch, lengths=tuple(range(50))):
        sampler = LengthSampler(lengths, 4, seed=seed)
        sampler.epoch = epoch
        torch.rand(3)
        return list(sampler)

    torch.manual_seed(1)
    first = order(0, 3)
    torch.manual_seed(2)
    assert order(0, 3) == first
    everything = {str(order(seed, epoch)) for seed in range(4) for epoch in range(4)}
    assert len(everything) == 16
    assert first != sorted(first)


def test_documents_of_like_length_come_together():
    torch.manual_seed(0)
    lengths = torch.randint(10, 500, (320,)).tolist()
    spread, random = [], []
    for batch in LengthSampler(lengths, 8, seed=0, group=16):
        of = [lengths[index] for index in batch]
        spread.append(max(of) - min(of))
        random.append(
            max(lengths[8 * len(random) : 8 * len(random) + 8]) - min(lengths[8 * len(random) :][:8])
        )
    assert sum(spread) < sum(random) / 5


def test_batches_do_not_come_by_length():
    means = [sum(batch) / len(batch) for batch in LengthSampler(list(range(128)), 8, seed=0)]
    ups = sum(one < other for one, other in pairwise(means))
    assert 3 < ups < 12


@pytest.mark.parametrize("count", [16, 17, 19, 21, 3, 1])
@pytest.mark.parametrize("processes", [1, 2, 3, 5])
def test_processes_share_each_batch_out(count, processes):
    """Every document counts in one process, and each process has something to do in every step."""
    sampler = LengthSampler(list(range(count)), 4, seed=0, group=2)
    for sampler.epoch in range(10):
        seen = Counter()
        for batch in sampler:
            shards = [shard_batch(batch, process, processes) for process in range(processes)]
            assert all(shard.documents for shard in shards)
            assert [index for shard in shards if shard.in_loss for index in shard.documents] == batch
            sizes = [len(shard.documents) * shard.in_loss for shard in shards]
            assert max(sizes) - min(sizes) <= 1
            seen.update(batch)
        assert seen == dict.fromkeys(range(count), 1)


# Schedule, steps and gradients


class Recorder(torch.optim.SGD):
    """SGD that writes down the learning rates of its steps."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.rates = []

    def step(self, closure=None):
        self.rates.append([group["lr"] for group in self.param_groups])
        return super().step(closure)


def recorded_rates(folder, **options):
    made = []

    def optimizer(model):
        encoder = list(model.encoder.parameters())
        others = [p for name, p in model.named_parameters() if not name.startswith("encoder.")]
        made.append(Recorder([{"params": encoder, "lr": 0.2}, {"params": others, "lr": 1.0}]))
        return made[0]

    model, graphs = model_and_graphs()
    progress = train(folder, model, graphs, Dev([0.5] * 9), optimizer=optimizer, **options)
    assert progress.step == len(made[0].rates)
    return torch.tensor(made[0].rates)


def test_rate_rises_and_falls_to_zero(tmp_path):
    found = recorded_rates(tmp_path, epochs=5, warmup=0.25)  # 4 batches an epoch, 20 steps, 5 of warm-up
    expected = [(step + 1) / 6 if step < 5 else (20 - step) / 15 for step in range(20)]
    torch.testing.assert_close(found, torch.tensor([[0.2 * rate, rate] for rate in expected]))
    assert expected.index(1.0) == 5
    assert expected == [*sorted(expected[:6]), *sorted(expected[6:], reverse=True)]


def test_rate_without_warmup_and_decay(tmp_path):
    assert recorded_rates(tmp_path, epochs=2, warmup=0.0, decay=False)[:, 1].eq(1).all()


def test_rate_falls_to_zero_over_accumulated_steps(tmp_path):
    found = recorded_rates(tmp_path, epochs=3, warmup=0.0, accumulation=3)[
        :, 1
    ]  # 4 batches, so 2 steps an epoch
    torch.testing.assert_close(found, torch.tensor([6, 5, 4, 3, 2, 1]) / 6)


@pytest.mark.parametrize("max_norm", [None, 0.05])
def test_accumulation_is_a_larger_batch(tmp_path, max_norm):
    documents, found = random_documents(8, entities=(1, 6)), []
    assert len({len(each.entities) for each in documents}) > 2  # of one pair as much as of another
    for batch_size, accumulation in ((8, 1), (2, 4), (1, 8)):
        model, graphs = model_and_graphs(dropout=0.0, documents=documents)
        progress = train(
            tmp_path / f"{batch_size}",
            model,
            graphs,
            Dev([0.1, 0.2, 0.3]),
            optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.5),
            epochs=3,
            batch_size=batch_size,
            accumulation=accumulation,
            max_norm=max_norm,
        )
        assert progress.step == 3
        found.append(model.state_dict())
    start = model_and_graphs(dropout=0.0, documents=documents)[0].state_dict()
    assert any((found[0][name] - start[name]).abs().max() > 1e-3 for name in start)
    for other in found[1:]:
        for name in start:
            torch.testing.assert_close(found[0][name], other[name], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("max_norm", [0.01, None])
def test_gradients_are_clipped_as_a_whole(tmp_path, max_norm):
    model, graphs = model_and_graphs()
    before = nn.utils.parameters_to_vector(model.parameters()).detach()
    train(
        tmp_path,
        model,
        graphs,
        Dev([0.5]),
        optimizer=partial(_sgd, lr=1.0),
        epochs=1,
        batch_size=7,
        warmup=0.0,
        max_norm=max_norm,
    )
    moved = float((nn.utils.parameters_to_vector(model.parameters()).detach() - before).norm())
    assert moved == pytest.approx(max_norm, rel=1e-3) if max_norm else moved > 0.02


def _sgd(model, *, lr):
    return torch.optim.SGD(model.parameters(), lr=lr)


def test_one_step_is_the_gradient_of_the_loss(tmp_path):
    model, graphs = model_and_graphs(dropout=0.0)
    twin, _ = model_and_graphs(dropout=0.0)
    train(
        tmp_path,
        model,
        graphs,
        Dev([0.5]),
        optimizer=partial(_sgd, lr=0.5),
        epochs=1,
        batch_size=7,
        max_norm=None,
        warmup=0.0,
    )
    [batch] = DataLoader(graphs, batch_size=7)
    loss = twin.loss(twin(batch), batch.pair_label)
    loss.backward()
    for (name, parameter), after in zip(twin.named_parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(after, parameter - 0.5 * parameter.grad, msg=name)
    assert log_of(tmp_path)[0]["loss"] == pytest.approx(loss.item())


# Stopping, and the best weights


@pytest.mark.parametrize(
    ("f1", "patience", "epochs", "best"),
    [
        ([0.1, 0.3, 0.2, 0.1, 0.9, 0.9], 2, 4, 2),
        ([0.1, 0.3, 0.3, 0.3, 0.9, 0.9], 2, 4, 2),  # as good is not better
        ([0.1, 0.3, 0.2, 0.4, 0.2, 0.2], 2, 6, 4),
        ([0.1, 0.3, 0.2, 0.1, 0.2, 0.2], None, 6, 2),
        ([0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 3, 4, 1),
    ],
)
def test_best_weights_are_kept_and_early_stopping(tmp_path, f1, patience, epochs, best):
    model, graphs = model_and_graphs()
    dev = Dev(f1)
    progress = train(tmp_path, model, graphs, dev, epochs=6, patience=patience)
    assert progress.epoch == len(dev.seen) == len(log_of(tmp_path)) == epochs
    assert (progress.best_epoch, progress.best_f1) == (best, f1[best - 1])
    assert dev.epochs == [row["epoch"] for row in log_of(tmp_path)]
    assert [row["threshold"] for row in log_of(tmp_path)] == pytest.approx([0.1 * n for n in dev.epochs])
    assert same(model.state_dict(), dev.seen[best - 1])
    saved = load_file(tmp_path / WEIGHTS)
    assert saved
    assert all(torch.equal(value, dev.seen[best - 1][name]) for name, value in saved.items())
    others = [seen for number, seen in enumerate(dev.seen, 1) if number != best]
    assert not any(same(model.state_dict(), seen) for seen in others)


def test_first_evaluation(tmp_path):
    model, graphs = model_and_graphs()
    dev = Dev([0.5, 0.1])
    progress = train(tmp_path, model, graphs, dev, epochs=4, first_evaluation=3, patience=1)
    assert progress.best_epoch == 3
    rows = log_of(tmp_path)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert [row.get("dev_f1") for row in rows] == [None, None, 0.5, 0.1]
    assert [row["step"] for row in rows] == [4, 8, 12, 16]


def test_without_any_evaluation_the_last_weights_stay(tmp_path):
    model, graphs = model_and_graphs()
    progress = train(tmp_path, model, graphs, Dev([]), epochs=2, first_evaluation=5)
    assert (progress.epoch, progress.best_epoch) == (2, 0)
    assert not (tmp_path / WEIGHTS).exists()


def test_without_dev_documents_the_last_weights_are_kept(tmp_path):
    model, graphs = model_and_graphs()
    progress = train(tmp_path, model, graphs, None, epochs=2)
    assert (progress.epoch, progress.best_epoch) == (2, 2)
    assert all(
        torch.equal(value, model.state_dict()[name]) for name, value in load_file(tmp_path / WEIGHTS).items()
    )
    assert [row.keys() for row in log_of(tmp_path)] == [{"epoch", "step", "loss"}] * 2


def test_thresholds_by_relation_are_not_logged(tmp_path):
    model, graphs = model_and_graphs()
    train(
        tmp_path, model, graphs, lambda model, epoch: Evaluation(scores(0.5), np.array([0.1, 0.2])), epochs=1
    )
    [row] = log_of(tmp_path)
    assert row["dev_f1"] == 0.5
    assert "threshold" not in row


def test_stopping_at_an_epoch_is_the_beginning_of_the_whole_run(tmp_path):
    """The learning rate falls as it does over all epochs."""
    whole, graphs = model_and_graphs()
    dev = Dev([0.1, 0.2, 0.3, 0.4])
    train(tmp_path / "whole", whole, graphs, dev)
    part, graphs = model_and_graphs()
    progress = train(tmp_path / "part", part, graphs, None, last_epoch=2)
    assert progress.epoch == 2
    assert same(part.state_dict(), dev.seen[1])


def test_loss_falls(tmp_path):
    model, graphs = model_and_graphs(dropout=0.0)
    train(tmp_path, model, graphs, Dev([0.1] * 10), epochs=10)
    losses = [row["loss"] for row in log_of(tmp_path)]
    assert losses[-1] < 0.8 * losses[0]


def test_documents_without_pairs_do_no_harm(tmp_path):
    documents = [*DOCUMENTS[:3], *(document([f"nothing {n}"], name=f"{n}") for n in range(5))]
    model, graphs = model_and_graphs(documents=documents)
    train(tmp_path, model, graphs, Dev([0.1, 0.2]), epochs=2)
    assert all(value.isfinite().all() for value in model.state_dict().values())


# Resuming


class Stopped(Exception):
    """What a run dies of."""


def saved_weights(folder):
    """The weights in a checkpoint."""
    return torch.load(folder / CHECKPOINT, weights_only=True)["parts"]["model"]


F1 = [0.2, 0.4, 0.6, 0.5]


@pytest.fixture(scope="module", params=[1, 3])
def uninterrupted(request, tmp_path_factory):
    """A run of four epochs with dropout: its settings, weights, progress and log."""
    folder = tmp_path_factory.mktemp("whole")
    model, graphs = model_and_graphs()
    options = {"accumulation": request.param}
    progress = train(folder, model, graphs, Dev(F1), **options)
    last = saved_weights(folder)
    return options, model.state_dict(), last, progress, log_of(folder)


def stop_in(monkeypatch, place, name, call):
    """Let a function fail the given time it is called."""
    function, calls = getattr(place, name), []

    def failing(*args):
        calls.append(args)
        if len(calls) == call:
            raise Stopped
        return function(*args)

    monkeypatch.setattr(place, name, failing)


@pytest.mark.parametrize("where", ["evaluate", "_save_weights", "_report", "save", "write", "step", "before"])
def test_resumed_run_ends_as_an_uninterrupted_one(tmp_path, monkeypatch, uninterrupted, where):
    options, weights, last, progress, log = uninterrupted
    model, graphs = model_and_graphs()
    epoch, dev = 3, Dev(F1)
    with monkeypatch.context() as patch:
        if where == "evaluate":
            dev = Dev(F1[:2])  # no score for the third epoch
            kind = IndexError
        elif where == "step":
            kind, steps = Stopped, log[1]["step"] + 1
            patch.setattr(torch.optim.AdamW, "step", _fails_after(torch.optim.AdamW.step, steps))
        elif where == "before":
            kind, epoch = Stopped, 1  # before the first checkpoint
            stop_in(patch, Checkpoint, "save", 1)
        elif where == "write":
            kind = Stopped
            stop_in(patch, torch, "save", 3)
        else:
            kind = Stopped
            stop_in(patch, Checkpoint if where == "save" else glre_pyg.training.loop, where, 3)
        with pytest.raises(kind):
            train(tmp_path, model, graphs, dev, **options)
    lines = len((tmp_path / LOG).read_text().splitlines())
    assert lines == epoch - 1 + (where in ("save", "write", "before"))

    other, graphs = model_and_graphs(seed=0 if where == "before" else 99)  # as a new process has it
    if where != "before":
        torch.manual_seed(1234)
    resumed = train(tmp_path, other, graphs, Dev(F1[epoch - 1 :]), resume=str(tmp_path), **options)
    assert same(other.state_dict(), weights)
    assert same(saved_weights(tmp_path), last)
    rows = log_of(tmp_path)
    for row, expected in zip(rows, log, strict=True):
        expected = expected | {"threshold": row["threshold"]}  # the scripted one counts calls
        assert row == expected
    assert (resumed.epoch, resumed.step, resumed.best_epoch, resumed.best_f1) == (
        progress.epoch,
        progress.step,
        progress.best_epoch,
        progress.best_f1,
    )
    left = {path.name for path in tmp_path.iterdir() if path.name.startswith(CHECKPOINT)}
    assert left == {CHECKPOINT}


def _fails_after(function, allowed):
    calls = []

    def failing(self, *args, **options):
        calls.append(args)
        if len(calls) > allowed:
            raise Stopped
        return function(self, *args, **options)

    return failing


def test_resuming_a_finished_run_trains_no_more(tmp_path):
    model, graphs = model_and_graphs()
    train(tmp_path, model, graphs, Dev(F1))
    log, weights = log_of(tmp_path), model.state_dict()
    other, _ = model_and_graphs(seed=99)
    progress = train(tmp_path, other, graphs, Dev([]), resume=str(tmp_path))
    assert (progress.epoch, progress.best_epoch) == (4, 3)
    assert same(other.state_dict(), weights)
    assert log_of(tmp_path) == log


def test_resumed_run_keeps_its_patience(tmp_path):
    model, graphs = model_and_graphs()
    with pytest.raises(IndexError):
        train(tmp_path, model, graphs, Dev([0.5, 0.1]), epochs=9, patience=3)
    other, _ = model_and_graphs(seed=99)
    progress = train(tmp_path, other, graphs, Dev([0.1] * 7), epochs=9, patience=3, resume=str(tmp_path))
    assert (progress.epoch, progress.best_epoch) == (4, 1)


# Numbers that are none


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_loss_that_is_not_finite_ends_training(tmp_path, epoch):
    """The line names the step, its documents and the checkpoint, which is that of the epoch before."""
    model, graphs = model_and_graphs()
    forward, calls = model.loss.pair_losses, []

    def pair_losses(logits, labels):
        calls.append(labels)
        return forward(logits, labels) * (torch.nan if len(calls) == 4 * (epoch - 1) + 2 else 1)

    model.loss.pair_losses = pair_losses
    line = rf"epoch {epoch}, step {4 * epoch - 2}: the loss is nan, documents random \d, random \d; "
    left = f"{tmp_path / CHECKPOINT} is that after epoch 1" if epoch == 2 else "there is no checkpoint"
    with pytest.raises(TrainingError, match=f"^{line}{left}$"):
        train(tmp_path, model, graphs, Dev(F1))
    assert len(calls) == 4 * epoch
    assert (tmp_path / CHECKPOINT).exists() == (epoch == 2)
    if epoch == 2:
        weights = saved_weights(tmp_path).values()
        assert all(weight.isfinite().all() for weight in weights)


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    """The last step of an epoch may break them without a loss that tells."""
    model, graphs = model_and_graphs()
    step, calls = torch.optim.SGD.step, []

    class Breaking(torch.optim.SGD):
        def step(self, closure=None):
            calls.append(step(self))
            if len(calls) == 8:
                self.param_groups[0]["params"][0].data.fill_(torch.inf)

    with pytest.raises(TrainingError, match=r"^epoch 2, step 8: encoder\S* is no longer finite, doc"):
        train(tmp_path, model, graphs, Dev(F1), optimizer=lambda of: Breaking(of.parameters(), lr=0.1))
    assert len(log_of(tmp_path)) == 1


# Moving average


def test_what_is_scored_and_kept_is_the_average_of_the_weights(tmp_path):
    decay, plain, averaged = 0.6, Dev([0.1] * 4), Dev([0.1, 0.2, 0.3, 0.4])
    for name, dev, ema in (("plain", plain, None), ("averaged", averaged, decay)):
        model, graphs = model_and_graphs()
        train(tmp_path / name, model, graphs, dev, batch_size=len(graphs), ema=ema)
    name = "nodes.linear.weight"
    expected = plain.seen[0][name]
    for step, weights in enumerate(plain.seen):  # one step an epoch
        expected = decay * expected + (1 - decay) * weights[name]
        torch.testing.assert_close(averaged.seen[step][name], expected)
    assert not torch.equal(averaged.seen[-1][name], plain.seen[-1][name])
    assert same(averaged.seen[-1], model.state_dict())


def test_resumed_run_keeps_its_average(tmp_path):
    whole, graphs = model_and_graphs()
    train(tmp_path / "whole", whole, graphs, Dev([0.1, 0.2, 0.3, 0.4]), ema=0.8)

    class Stop(Exception):
        pass

    def stops():
        raise Stop

    numbers = Dev([0.1, 0.2])
    model, graphs = model_and_graphs()
    with pytest.raises(Stop):
        train(
            tmp_path / "cut",
            model,
            graphs,
            lambda model, epoch: numbers(model, epoch) if len(numbers.seen) < 2 else stops(),
            ema=0.8,
        )
    resumed, graphs = model_and_graphs(seed=1)
    train(tmp_path / "cut", resumed, graphs, Dev([0.3, 0.4]), ema=0.8, resume=str(tmp_path / "cut"))
    assert same(whole.state_dict(), resumed.state_dict())


# Signals


@pytest.mark.parametrize("step", [1, 4, 5, 7])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_run_that_a_signal_ends_within_an_epoch_goes_on_exactly(tmp_path, monkeypatch, step, accumulation):
    """Also at the last step of an epoch; seven documents are four batches of two."""
    whole, graphs = model_and_graphs()
    train(tmp_path / "whole", whole, graphs, Dev([0.1, 0.2, 0.3, 0.4]), accumulation=accumulation)

    steps = iter(range(1, 1000))
    monkeypatch.setattr(epochs, "is_interrupted", lambda: next(steps) == step)
    model, graphs = model_and_graphs()
    options = {"accumulation": accumulation}
    with pytest.raises(Interrupted) as caught:
        train(tmp_path / "ended", model, graphs, Dev([0.1, 0.2, 0.3, 0.4]), **options)
    done = (step - 1) // count(graphs, accumulation)
    place = tmp_path / "ended" / CHECKPOINT
    assert caught.value.__notes__ == [f"{place} is that after epoch {done}, step {step}"]
    monkeypatch.undo()
    model, graphs = model_and_graphs(seed=1)
    dev = Dev([0.1, 0.2, 0.3, 0.4][done:])
    train(tmp_path / "ended", model, graphs, dev, resume=str(tmp_path / "ended"), **options)
    assert same(whole.state_dict(), model.state_dict())
    logs = [log_of(tmp_path / name) for name in ("whole", "ended")]
    for log in logs:
        for row in log:
            row.pop("threshold")  # counts the calls
    assert logs[0] == logs[1]


def count(graphs, accumulation):
    """Number of steps of an epoch."""
    return math.ceil(math.ceil(len(graphs) / SETTINGS["batch_size"]) / accumulation)


def test_checkpoints_within_an_epoch_change_nothing(tmp_path):
    """Every step has one."""
    results = []
    for minutes in (None, 1e-9):
        model, graphs = model_and_graphs()
        train(tmp_path / str(minutes), model, graphs, Dev([0.1, 0.2, 0.3, 0.4]), checkpoint_minutes=minutes)
        results.append(model.state_dict())
    assert same(*results)
