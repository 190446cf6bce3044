"""The commands as their users run them, on real files."""

import json
import runpy
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file

from commands import run, run_process, run_scripts
from glre_pyg.__main__ import COMMANDS
from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.formats.detection import read_documents, write_documents
from glre_pyg.formats.pubtator import read_pubtator

TIMES = ("seconds", "documents_per_second")
TINY = [
    "encoder=tiny",
    "dataset.sizes.train=24",
    "dataset.sizes.dev=8",
    "dataset.sizes.test=8",
    "training.epochs=3",
    "model.nodes.hidden_channels=16",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands")
    out, _ = run("train", *TINY, "hydra.run.dir=first", cwd=folder)
    (folder / "train.out").write_text(out)
    shutil.copytree(folder / "first", folder / "unfinished")
    for name in ("scores.json", "checksums.json"):
        (folder / "unfinished" / name).unlink()
    return folder


def test_training_prints_what_a_person_wants_to_see(folder):
    out = (folder / "train.out").read_text()
    lines = out.splitlines()
    assert sum(line.startswith("epoch ") and "loss" in line and "dev P" in line for line in lines) == 3
    assert [line.split()[1] for line in lines if line.startswith("synthetic ")] == [
        *["dev", "dev", "dev", "test", "test", "test", "dev:"],
    ]
    assert "every candidate pair" in out
    assert "protocol: synthetic (generator " in out
    assert lines[-2] == f"run directory: {folder / 'first'}"
    assert lines[-1].endswith(f" run={folder / 'first'} input=FILE output=relations.html")


def test_a_run_has_the_name_of_its_model(folder):
    assert yaml.safe_load((folder / "first/config.yaml").read_text())["name"] == "glre"


@pytest.mark.slow
def test_a_sweep_over_models_has_a_row_for_each(folder):
    out, _ = run("train", "-m", *TINY[:-2], "training.epochs=1", "model=yao_cnn,gain", cwd=folder)
    rows = [line.split("|")[1].strip() for line in out.splitlines() if line.startswith("| ")]
    assert rows[2:] == ["yao_cnn", "gain"]


def test_a_run_directory_holds_everything(folder):
    names = {path.name for path in (folder / "first").iterdir()}
    assert names >= {
        "config.yaml",
        "labels.json",
        "encoder",
        "model.safetensors",
        "scores.json",
        "predictions_dev.jsonl",
        "predictions_test.jsonl",
        "log.jsonl",
        "costs.json",
        "environment.json",
    }
    log = [json.loads(line) for line in (folder / "first/log.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in log] == [1, 2, 3]
    assert list((folder / "first").rglob("events.out.tfevents*"))
    costs = json.loads((folder / "first/costs.json").read_text())
    assert costs["training_documents_per_second"] == sorted(e["documents_per_second"] for e in log)[1]
    assert costs["prediction_documents_per_second"] > 0
    assert 0 < costs["million_parameters"] < 1
    assert 0.1 < costs["peak_memory_gib"] < 8


def test_the_best_epoch_is_that_of_the_highest_dev_f1(folder):
    log = [json.loads(line) for line in (folder / "first/log.jsonl").read_text().splitlines()]
    scores = json.loads((folder / "first/scores.json").read_text())
    best = max(log, key=lambda entry: entry["dev_f1"])
    assert scores["best_epoch"] == best["epoch"]
    assert scores["threshold"] == best["threshold"]
    assert scores["dev"]["filtered"]["f1"] == pytest.approx(best["dev_f1"])


@pytest.mark.parametrize("split", ["dev", "test"])
def test_evaluate_repeats_the_scores_of_training(folder, split):
    out, _ = run("evaluate", "run=first", f"split={split}", "output=pairs.jsonl", cwd=folder)
    expected = [
        line
        for line in (folder / "train.out").read_text().splitlines()
        if line.startswith(f"synthetic {split} ")
    ]
    assert out.splitlines() == expected
    assert not list(folder.glob("*.log"))
    assert (folder / "pairs.jsonl").read_text() == (folder / f"first/predictions_{split}.jsonl").read_text()


def test_evaluate_scores_a_file(folder):
    write_documents(SyntheticCorpus().generate("other", 5), folder / "other.pubtator")
    out, _ = run("evaluate", "run=first", "dataset.test=other.pubtator", cwd=folder)
    gold = sum(len(set(document.facts)) for document in read_pubtator(folder / "other.pubtator"))
    assert f"{gold} facts)" in out


@pytest.mark.parametrize("format", ["pubtator", "jsonl"])
def test_predict_keeps_documents_and_probabilities(folder, format):
    documents = list(SyntheticCorpus().generate("new", 6))
    write_documents(documents, folder / f"in.{format}")
    run(
        "predict",
        "run=first",
        f"input=in.{format}",
        f"output=out.{format}",
        "threshold=0",
        "chunk=4",
        cwd=folder,
    )
    found = list(read_documents(folder / f"out.{format}"))
    assert [(d.id, d.text, d.mentions) for d in found] == [(d.id, d.text, d.mentions) for d in documents]
    for document in found:
        types = [entity.type for entity in document.entities]
        assert len(document.facts) == types.count("Chemical") * types.count("Disease")
        assert all(0 < float(fact.extra[0]) < 1 for fact in document.facts)


def test_no_label_of_a_file_reaches_the_model(folder):
    documents = list(SyntheticCorpus().generate("labelled", 6))
    assert any(document.facts for document in documents)
    write_documents(documents, folder / "with.pubtator")
    write_documents([replace(document, facts=()) for document in documents], folder / "without.pubtator")
    for name in ("with", "without"):
        run(
            "predict",
            "run=first",
            f"input={name}.pubtator",
            f"output={name}_out.pubtator",
            "threshold=0",
            cwd=folder,
        )
    assert (folder / "with_out.pubtator").read_text() == (folder / "without_out.pubtator").read_text()


KILLED = """
import os, signal
from glre_pyg.train import main
from glre_pyg.training.epochs import EpochTrainer

step = EpochTrainer._step

def killed(self, batches):
    if self.progress.epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batches)

EpochTrainer._step = killed
main()
"""


def test_a_killed_and_resumed_run_ends_as_an_undisturbed_one(folder):
    (folder / "killed.py").write_text(KILLED)
    arguments = [*TINY, "hydra.run.dir=killed"]
    run_scripts(folder / "killed.py", *arguments, cwd=folder, environments=[{}], codes=[-signal.SIGKILL])
    assert (folder / "killed/checkpoint.pt").exists()
    assert not (folder / "killed/scores.json").exists()

    run("train", "training.resume=killed", cwd=folder)
    whole, resumed = (load_file(folder / name / "model.safetensors") for name in ("first", "killed"))
    assert whole.keys() == resumed.keys()
    assert all((whole[name] == resumed[name]).all() for name in whole)
    logs = [
        [
            {key: value for key, value in json.loads(line).items() if key not in TIMES}
            for line in (folder / name / "log.jsonl").read_text().splitlines()
        ]
        for name in ("first", "killed")
    ]
    assert logs[0] == logs[1]
    for name in ("scores.json", "predictions_test.jsonl"):
        assert (folder / "first" / name).read_text() == (folder / "killed" / name).read_text()


def test_everything_works_without_torch_scatter(folder, tmp_path):
    (tmp_path / "torch_scatter.py").write_text("raise ImportError('hidden')")
    out, _ = run_process("train", *TINY, "hydra.run.dir=bare", cwd=folder, PYTHONPATH=str(tmp_path))
    assert sum("torch-scatter" in line for line in out.splitlines()) == 1
    scores = [json.loads((folder / name / "scores.json").read_text()) for name in ("first", "bare")]
    assert scores[1]["test"]["filtered"]["f1"] == pytest.approx(scores[0]["test"]["filtered"]["f1"], abs=0.1)
    log = [
        json.loads((folder / name / "log.jsonl").read_text().splitlines()[0]) for name in ("first", "bare")
    ]
    assert log[1]["loss"] == pytest.approx(log[0]["loss"], rel=1e-4)


def test_a_sweep_makes_one_run_a_job(folder):
    run("train", "-m", *TINY, "training.epochs=1", "seed=0,1", "hydra.sweep.dir=sweep", cwd=folder)
    runs = [json.loads((folder / f"sweep/{job}/scores.json").read_text()) for job in (0, 1)]
    assert runs[0] != runs[1]


def test_the_benchmark_of_predict_runs(folder, monkeypatch, capsys):
    write_documents(SyntheticCorpus().generate("measured", 6), folder / "measured.pubtator")
    arguments = ["run=first", "input=measured.pubtator", "output=measured.jsonl", "device=cpu"]
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["predict.py", *arguments])
    runpy.run_path(str(Path(__file__).parents[1] / "benchmarks/predict.py"), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert [line[:3] for line in lines[:5]] == ["1: ", "2: ", "3: ", "4: ", "5: "]
    assert lines[-1].startswith("pysbd: median ")
    assert len(list(read_documents(folder / "measured.jsonl"))) == 6


@pytest.mark.parametrize("command", ["train", "evaluate", "predict", "stats"])
def test_help_is_a_page(command, tmp_path):
    out, _ = run(command, "--help", cwd=tmp_path)
    assert f"python -m glre_pyg.{command}" in out
    assert "$CONFIG" not in out
    assert "$APP" not in out
    assert "Powered by Hydra" not in out
    assert max(map(len, out.splitlines())) <= 300


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("evaluate", ["run=nowhere"], "nowhere: no such folder, and not the name of a model on the hub"),
        ("evaluate", ["run=first", "split=all"], "split: 'all' is not one of train, dev, test"),
        ("predict", ["run=first", "input=bad.pubtator"], "output: is required: output=..."),
        ("predict", ["run=first", "input=no.pubtator", "output=o.pubtator"], "no.pubtator: no such file"),
        (
            "predict",
            ["run=first", "input=bad.pubtator", "output=o.pubtator"],
            "bad.pubtator:3: 7: mention 'asprin'",
        ),
        (
            "predict",
            ["run=first", "input=bad.pubtator", "output=o.pubtator", "chunk=0"],
            "chunk: '0' is not a whole number from 1",
        ),
        ("evaluate", ["run=first", "memory=abc"], "memory: 'abc' is not a positive number or null"),
        ("evaluate", ["run=first", "memory=0.01"], "memory: 0.01 GiB are not enough"),
        ("evaluate", ["run=first", "cache=7"], "cache: '7' is not a folder or false or null"),
        ("train", ["dataset.sizes.train=0"], "synthetic: there is no document to train on"),
        (
            "train",
            ["dataset=cdr", "dataset.root=nowhere"],
            "nowhere/CDR_TrainingSet.PubTator.txt: there is no such file; get it",
        ),
        ("train", ["dataset=cdr", "dataset.protocol=odd"], "dataset.protocol: 'odd' is not one of"),
        ("train", ["encoder=hf", "encoder.tokenizer.name=nowhere"], "encoder: no model 'nowhere'"),
        ("train", ["training.resume=nowhere"], "nowhere: not a run directory"),
        (
            "evaluate",
            ["run=unfinished"],
            "unfinished: not a finished run, there is no scores.json: python -m glre_pyg.train "
            "training.resume=unfinished finishes it",
        ),
        (
            "stats",
            ["dataset=cdr", "dataset.root=nowhere"],
            "nowhere/CDR_TrainingSet.PubTator.txt: there is no such file; get it",
        ),
    ],
)
def test_wrong_input_ends_in_one_line(folder, command, arguments, message):
    (folder / "bad.pubtator").write_text("7|t|Aspirin\n7|a|It helps.\n7\t0\t7\tasprin\tChemical\tD1\n")
    _, err = run(command, *arguments, cwd=folder, code=2)
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert lines[0].startswith(f"error: {message}")
    assert "Traceback" not in err


def test_the_commands_are_listed_and_run_by_name(tmp_path):
    code = [sys.executable, "-m", "glre_pyg"]
    out = subprocess.run(code, cwd=tmp_path, text=True, capture_output=True, check=True).stdout
    listed = {line.split()[0]: line.split(maxsplit=1)[1] for line in out.splitlines()[2:]}
    assert tuple(listed) == COMMANDS
    assert all(line.endswith(".") for line in listed.values())
    out, _ = run("__main__", "stats", "output=counts.json", cwd=tmp_path)
    assert out.startswith("synthetic, protocol ")
    assert [path.name for path in tmp_path.iterdir()] == ["counts.json"]
    _, err = run("__main__", "statistics", cwd=tmp_path, code=2)
    assert err == f"error: 'statistics' is not one of {', '.join(COMMANDS)}; did you mean stats?\n"


def test_the_task_of_a_command_can_be_sent_to_other_processes(monkeypatch):
    """As the launcher of joblib does, with cloudpickle, which takes what is in ``__main__`` by value."""
    cloudpickle = pytest.importorskip("cloudpickle")
    tasks = []

    def no_hydra(**options):
        return lambda task: lambda: tasks.append(task)

    monkeypatch.setattr("hydra.main", no_hydra)
    monkeypatch.setattr(sys, "argv", ["train", "seed=1"])
    runpy.run_module("glre_pyg.train", run_name="__main__")
    assert cloudpickle.dumps(tasks[0])
