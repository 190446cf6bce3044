"""Averages of runs, and runs with an ontology."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from commands import run
from glre_pyg import RelationExtractor, from_pretrained, save_pretrained
from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.evaluation.calibration import NOT_CALIBRATED, fitted_calibration
from glre_pyg.evaluation.thresholds import one_threshold
from glre_pyg.formats.jsonl import read_jsonl, write_jsonl
from glre_pyg.runs.ensemble import average
from glre_pyg.runs.loading import load
from glre_pyg.utils.exceptions import InputError

TINY = [
    "encoder=tiny",
    "training.epochs=16",
    "training.batch_size=4",
    "optimizer.lr=5e-3",
    "model.nodes.hidden_channels=16",
]
EXTENDED = ["layer.global.is_a=true", "layer.global.documents=true"]
SIZES = {"train": 12, "dev": 50, "test": 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two seeds, two models with an ontology, and a run with other tokens."""
    folder = tmp_path_factory.mktemp("averages")
    documents = {
        split: list(SyntheticCorpus(bridged=0.0).generate(split, size)) for split, size in SIZES.items()
    }
    for split, each in documents.items():
        write_jsonl(each, folder / f"{split}.jsonl")
    ids = sorted({entity.id for each in documents["train"] for entity in each.entities})
    rows = [f"{name}\t{'general' if number % 2 else 'special'}" for number, name in enumerate(ids)]
    (folder / "own.tsv").write_text("\n".join(["id\tparent", "special\tgeneral", *rows, ""]))
    files = [f"dataset.{split}={folder}/{split}.jsonl" for split in SIZES]
    common = ["dataset=jsonl", *files, "dataset.pair_types=[[Chemical,Disease]]", *TINY]
    for name, overrides in {
        "first": ["seed=0"],
        "second": ["seed=1"],
        "own": ["model=glre_plus", f"ontology={folder}/own.tsv"],
        "extended": [*EXTENDED, f"ontology={folder}/own.tsv", "training.epochs=1"],
        "words": ["encoder=bilstm_small"],
    }.items():
        run("train", *common, *overrides, f"hydra.run.dir={name}", cwd=folder)
    (folder / "own.tsv").unlink()  # runs have a copy
    return folder


def probabilities(found, documents):
    return np.concatenate(found.predict(found.graphs(documents)))


def test_probabilities_are_the_mean_of_those_of_the_runs(folder):
    documents = list(read_jsonl(folder / "test.jsonl"))
    names = [folder / name for name in ("first", "second", "own")]
    runs, both = [*map(load, names)], from_pretrained(names)
    each = [probabilities(replace(one, calibration=NOT_CALIBRATED), documents) for one in runs]
    raw = replace(both, calibration=NOT_CALIBRATED)
    np.testing.assert_allclose(probabilities(raw, documents), np.mean(each, axis=0), atol=1e-6)
    dev = [*read_jsonl(folder / "dev.jsonl")]
    scored = raw.score(dev)
    assert both.calibration.slope == pytest.approx(fitted_calibration(scored).slope, rel=1e-3)
    assert both.calibration != NOT_CALIBRATED != runs[0].calibration
    expected = both.calibration.threshold(one_threshold(scored))
    assert both.threshold == pytest.approx(expected, abs=1e-5)
    with pytest.raises(InputError, match="has no scores, so it cannot be saved"):
        save_pretrained(both, folder / "saved both")


def test_commands_take_several_runs(folder):
    runs = f"run=[{folder}/first,{folder}/second]"
    out, _ = run("evaluate", runs, "output=scores.jsonl", cwd=folder)
    assert "jsonl test" in out
    run("predict", runs, "input=test.jsonl", "output=predicted.jsonl", cwd=folder)
    found = [json.loads(line) for line in (folder / "predicted.jsonl").read_text().splitlines()]
    assert len(found) == SIZES["test"]
    run("predict", runs, "input=test.jsonl", "output=page.html", cwd=folder)
    assert "first, second" in (folder / "page.html").read_text(encoding="utf-8")
    [document] = RelationExtractor.from_pretrained([folder / "first", folder / "second"])(
        list(read_jsonl(folder / "test.jsonl"))[:1], threshold=0.0
    )
    assert document.facts


def test_runs_without_predictions_have_the_mean_of_their_thresholds(folder, tmp_path, capsys):
    first, second = (load(folder / name) for name in ("first", "second"))
    save_pretrained(second, tmp_path / "second")
    both = from_pretrained([folder / "first", tmp_path / "second"])
    thresholds = [each.calibration.inverse.threshold(each.threshold) for each in (first, second)]
    assert both.threshold == pytest.approx(np.mean(thresholds))
    assert "the threshold is the mean" in capsys.readouterr().err


def test_an_average_has_the_graphs_of_its_runs(folder):
    documents = list(read_jsonl(folder / "test.jsonl"))
    runs = [replace(each, calibration=NOT_CALIBRATED) for each in map(load, [folder / "extended"] * 2)]
    same = average(runs, [folder / "extended"] * 2)
    np.testing.assert_allclose(probabilities(same, documents), probabilities(runs[0], documents), atol=1e-6)


def test_runs_that_have_no_average(folder, tmp_path):
    with pytest.raises(InputError, match="have different tokens"):
        from_pretrained([folder / "first", folder / "words"])
    _, err = run("predict", "run=[]", "input=test.jsonl", "output=x.jsonl", cwd=folder, code=2)
    assert err == "error: run: give a run, or several as [RUN,RUN]\n"
    runs = [load(folder / name) for name in ("first", "second")]
    runs[1].config.dataset.sentences = "sentencex"
    with pytest.raises(InputError, match="trained with sentences of different splitters"):
        average(runs, [folder / "first", folder / "second"])
    shutil.copytree(folder / "second", tmp_path / "second")
    path = tmp_path / "second/predictions_dev.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(InputError, match="different pairs"):
        from_pretrained([folder / "first", tmp_path / "second"])


def test_a_saved_model_has_its_ontology(folder, tmp_path):
    trained = load(folder / "own")
    assert trained.annotations.ontology.depth["special"] == 2
    save_pretrained(trained, tmp_path / "model")
    documents = list(read_jsonl(folder / "test.jsonl"))
    again = from_pretrained(tmp_path / "model")
    assert again.annotations.ontology == trained.annotations.ontology
    np.testing.assert_array_equal(probabilities(again, documents), probabilities(trained, documents))
    (tmp_path / "model/ontology.tsv").unlink()
    with pytest.raises(InputError, match=r"ontology\.tsv"):
        load(tmp_path / "model")


def test_an_ontology_that_is_not_there(folder):
    _, err = run("train", *TINY, "model=glre_plus", "ontology=nowhere.tsv", cwd=folder, code=2)
    assert err == "error: ontology: 'nowhere.tsv' is neither mesh nor a file\n"


def test_an_ontology_that_the_model_does_not_read(folder):
    _, err = run("train", *TINY, "ontology=mesh", cwd=folder, code=2)
    expected = "the model reads none; model=shallow, model=glre_plus and layer.global.is_a=true do"
    assert err == f"error: ontology: {expected}\n"


def test_an_ontology_in_the_graph_convolution(folder):
    found = load(folder / "extended")
    assert found.annotations.documents
    assert found.annotations.ontology.depth["special"] == 2
    assert probabilities(found, [*read_jsonl(folder / "test.jsonl")]).size
    _, err = run("train", *TINY, *EXTENDED, cwd=folder, code=2)
    assert err == "error: layer.global.is_a: there is no ontology; ontology=mesh has one\n"


def test_a_threshold_by_precision(folder, tmp_path, capsys):
    trained = load(folder / "own")
    rows = json.loads((folder / "own/scores.json").read_text())["by_precision"]
    precision, row = next(iter(rows.items()))
    extractor, documents = RelationExtractor(trained), list(read_jsonl(folder / "test.jsonl"))
    by_name = extractor(documents, threshold=f"precision:{precision}", reasons=False)
    assert f"on dev, precision {row['precision']:.3f}" in capsys.readouterr().err
    assert by_name == extractor(documents, threshold=row["threshold"], reasons=False)
    command = [f"run={folder}/own", f"input={folder}/test.jsonl", "output=found.jsonl"]
    run("predict", *command, f"threshold=precision:{precision}", cwd=tmp_path)
    assert list(read_jsonl(tmp_path / "found.jsonl")) == by_name
    for wrong in ("precision:0.91", "recall:0.9", "much"):
        _, err = run("predict", *command, f"threshold={wrong}", cwd=tmp_path, code=2)
        assert f"threshold: '{wrong}' is not a number from 0 to 1 or precision: with one of 0.5, " in err
    averaged = from_pretrained([folder / "own", folder / "own"])
    precision, row = next(iter(averaged.scores["by_precision"].items()))
    assert averaged.threshold_of(f"precision:{float(precision)}") == row["threshold"]
    trained.scores.pop("by_precision")
    with pytest.raises(InputError, match="the run has no thresholds by precision"):
        trained.threshold_of("precision:0.9")
