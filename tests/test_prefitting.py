"""What is not trained by gradients: fitted before the loop, once, and kept in checkpoints and weights."""

import json
import sys

import numpy as np
import pytest
from hydra import compose, initialize_config_dir

from documents import pipeline
from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.formats.jsonl import write_jsonl
from glre_pyg.models.panyam_kernel import GraphKernel
from glre_pyg.runs.loading import load
from glre_pyg.training import loop
from glre_pyg.training.experiment import train
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.exceptions import InputError
from test_training import Dev, model_and_graphs, same
from test_training import train as fitted

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for split in ("train", "dev", "test"):
        write_jsonl(SyntheticCorpus().generate(split, 12), folder / f"{split}.jsonl")
    pipeline().to_disk(folder / "pipeline")
    files = [f"dataset.{split}={folder}/{split}.jsonl" for split in ("train", "dev", "test")]
    return [
        *("dataset=jsonl", *files, "dataset.pair_types=[[Chemical,Disease]]", f"parse={folder}/pipeline"),
        *("model=panyam_kernel", "encoder=words", "cache=false"),
        *("training.epochs=5", "training.first_evaluation=2", "training.ema=0.9"),
    ]


def config_of(settings, *overrides):
    with initialize_config_dir(config_dir(), version_base="1.3"):
        return compose("train", [*settings, *overrides])


@pytest.fixture
def prefits(monkeypatch):
    """Grows with each call."""
    calls, prefit = [], GraphKernel.prefit
    monkeypatch.setattr(
        GraphKernel, "prefit", lambda self, graphs: (calls.append(graphs), prefit(self, graphs))
    )
    return calls


def test_a_model_without_gradients_has_one_epoch(settings, tmp_path, prefits, capsys):
    run = train(config_of(settings), tmp_path / "run")
    assert len(prefits) == 1
    [entry] = map(json.loads, (tmp_path / "run/log.jsonl").read_text().splitlines())
    assert entry["epoch"] == 1
    assert entry["documents_per_second"] > 0
    assert "dev_f1" in entry
    assert "loss" not in entry
    costs = json.loads((tmp_path / "run/costs.json").read_text())
    assert costs["million_parameters"] == pytest.approx((2**18 + 1) * len(run.labels.relations) / 1e6)
    out = capsys.readouterr().out
    assert "0 trainable parameters; fitted at once" in out
    assert "fitted what is not trained by gradients: " in out


def test_a_saved_run_needs_no_scikit_learn(settings, tmp_path, monkeypatch):
    run = train(config_of(settings), tmp_path / "run")
    documents = list(SyntheticCorpus().generate("test", 4))
    for name in [name for name in sys.modules if name.partition(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    loaded = load(tmp_path / "run")
    found, expected = (np.concatenate(each.predict(each.graphs(documents))) for each in (loaded, run))
    np.testing.assert_array_equal(found, expected)
    assert found.std() > 0
    with pytest.raises(InputError, match=r"^model: scikit-learn"):
        train(config_of(settings), tmp_path / "other")


@pytest.mark.parametrize("place", ["_save_weights", "load_weights"])
def test_a_run_that_is_resumed_ends_alike(settings, tmp_path, monkeypatch, prefits, place):
    """It is fitted again if there is no checkpoint, and otherwise not."""
    whole = train(config_of(settings), tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(loop, place, lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(config_of(settings), tmp_path / "cut")
    resumed = train(config_of(settings, f"training.resume={tmp_path}/cut"), tmp_path / "cut")
    assert len(prefits) == (3 if place == "_save_weights" else 2)
    assert same(whole.model.state_dict(), resumed.model.state_dict())
    assert whole.scores["dev"] == resumed.scores["dev"]
    assert len((tmp_path / "cut/log.jsonl").read_text().splitlines()) == 1


def test_train_and_dev(settings, tmp_path, prefits):
    run = train(config_of(settings, "setting=train+dev", "fixed_by=3"), tmp_path / "run")
    assert [len(graphs) for graphs in prefits] == [16, 16, 16, 24]
    assert run.scores["best_epoch"] == 1


def test_a_trained_model_is_fitted_before_the_loop_and_not_when_it_is_resumed(tmp_path, monkeypatch):
    model, graphs = model_and_graphs()
    calls = []
    monkeypatch.setattr(type(model), "prefit", lambda self, graphs: calls.append((self, len(graphs))))
    fitted(tmp_path, model, graphs, Dev([0.1] * 4))
    assert calls == [(model, len(graphs))]
    other, graphs = model_and_graphs(seed=1)
    fitted(tmp_path, other, graphs, Dev([]), resume=str(tmp_path))
    assert len(calls) == 1
    assert same(model.state_dict(), other.state_dict())
