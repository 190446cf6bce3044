"""``strict=false``: a document with an error is named, counted and left out, and the work goes on."""

import json
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir

from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.evaluate import evaluate
from glre_pyg.formats.conversion import Converted, convert
from glre_pyg.formats.detection import read_documents, write_documents
from glre_pyg.stats import stats
from glre_pyg.training import experiment
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.exceptions import InputError

SIZES = {"train": 6, "dev": 4, "test": 5}
OPTIONS = [
    *("dataset=jsonl", "encoder=tiny", "training.epochs=1", "model.nodes.hidden_channels=16", "cache=cache"),
    *(f"dataset.{split}={split}.jsonl" for split in SIZES),
    "dataset.relations=[CID]",
]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Three files, of which that of test has a line that is no document, and one with a mention in no text."""
    monkeypatch.chdir(tmp_path)
    for split, size in SIZES.items():
        write_documents(SyntheticCorpus().generate(split, size), tmp_path / f"{split}.jsonl")
    lines = (tmp_path / "test.jsonl").read_text().splitlines()
    outside = {
        "id": "x",
        "text": "rash",
        "mentions": [{"start": 0, "end": 9, "type": "Disease", "ids": ["D"]}],
    }
    lines[1:1] = ["{", json.dumps(outside)]
    (tmp_path / "test.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


BAD = [
    "error: test.jsonl:2: ?: not JSON: Expecting property name enclosed in double quotes: line 2 column 1 (char 2)",
    "error: test.jsonl:3: x: mentions[0]: 0 to 9 is not inside 0 to 4",
]


def settings(command, *overrides):
    with initialize_config_dir(config_dir(), version_base="1.3"):
        return compose(command, list(overrides))


def test_strict_is_the_default(here):
    with pytest.raises(InputError, match=r"^test.jsonl:2: "):
        experiment.train(settings("train", *OPTIONS), here / "run")


def test_training_and_evaluation_say_what_they_leave_out(here, capsys):
    run = experiment.train(settings("train", *OPTIONS, "strict=false"), here / "run")
    said = capsys.readouterr()
    assert said.err.splitlines() == BAD
    assert "test.jsonl: 2 documents with an error are left out, 5 are read" in said.out.splitlines()
    assert "; skipped: 2 of test" in said.out
    scores = json.loads((here / "run/scores.json").read_text())
    assert scores["protocol"]["skipped"] == {"test": 2}

    for again in range(2):  # not out of the cache, where nothing would be said
        for file in ([], ["dataset.test=test.jsonl"]):
            found = evaluate(settings("evaluate", "run=run", "strict=false", "cache=cache", *file))
            assert found == scores["test"]
            assert capsys.readouterr().err.splitlines() == BAD, again
    with pytest.raises(InputError, match=r"^test.jsonl:2: "):
        evaluate(settings("evaluate", "run=run", "cache=cache"))
    assert run.labels.relations == ("CID",)


def test_runs_that_left_out_others_are_of_another_protocol(here):
    from glre_pyg.reporting.run_report import Report
    from glre_pyg.reporting.tables import Layout

    experiment.train(settings("train", *OPTIONS, "strict=false"), here / "runs/a")
    lines = (here / "test.jsonl").read_text().splitlines()
    (here / "test.jsonl").write_text("\n".join(line for line in lines if line != "{") + "\n")
    experiment.train(settings("train", *OPTIONS, "strict=false", "seed=1"), here / "runs/b")
    plain = yaml.safe_load(Path(config_dir(), "table/plain.yaml").read_text())
    with pytest.raises(InputError, match="protocol"):
        Report.of([str(here / "runs")], Layout.of(plain), "test")


def test_stats_count_the_others(here, capsys):
    rows = stats(settings("stats", *OPTIONS[-5:], "dataset=jsonl", "strict=false", "cache=cache"))
    assert {split: row["documents"] for split, row in rows.items()} == SIZES
    assert capsys.readouterr().err.splitlines() == BAD


@pytest.mark.parametrize("target", ["out.jsonl", "out.pubtator", "out.json"])
@pytest.mark.parametrize("lossy", [False, True])
def test_conversion_writes_the_others(here, target, lossy):
    told = []
    expected = [document.id for document in SyntheticCorpus().generate("test", 5)]
    if target == "out.json" and not lossy:
        with pytest.raises(InputError, match="lossy=true"):
            convert(here / "test.jsonl", here / target, on_error=told.append)
        return
    written = convert(here / "test.jsonl", here / target, lossy=lossy, on_error=told.append)
    assert [f"error: {error}" for error in told] == BAD
    assert [document.id for document in read_documents(here / target)] == expected
    assert written.documents == 5


def test_conversion_leaves_out_what_a_form_cannot_hold(here):
    documents = list(SyntheticCorpus().generate("test", 3))
    lines = [json.dumps({"id": "a|b", "text": "no mention", "mentions": []})]
    write_documents(documents, here / "good.jsonl")
    good = (here / "good.jsonl").read_text().splitlines()
    (here / "in.jsonl").write_text("\n".join([good[0], *lines, *good[1:]]) + "\n")
    told = []
    written = convert(here / "in.jsonl", here / "out.pubtator", on_error=told.append)
    assert [str(error)[:4] for error in told] == ["a|b:"]
    mentions = sum(len(document.mentions) for document in documents)
    assert written == Converted(3, mentions, sum(len(document.facts) for document in documents))
    assert list(read_documents(here / "out.pubtator")) == documents
