import json
import zipfile
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf

from commands import run
from documents import document
from glre_pyg.data.document import Fact
from glre_pyg.datasets.wikidata import PROPERTIES
from glre_pyg.formats.docred_json import write_docred
from glre_pyg.formats.submission import (
    check_submission,
    submission_rows,
    write_submission,
)
from glre_pyg.submit import submit
from glre_pyg.utils.exceptions import InputError

FIRST = document(
    ["Velorin Bridge is in Lumafia .", "Ada Querine built it in 1907 ."],
    [(4, 5, "LOC", "0"), (0, 2, "MISC", "1"), (6, 8, "PER", "2"), (11, 12, "TIME", "3")],
    name="Velorin Bridge",
)
SECOND = document(["Ostam is in Lumafia ."], [(0, 1, "LOC", "0"), (3, 4, "LOC", "1")], name="Ostam")
DOCUMENTS = [FIRST, SECOND]
PREDICTED = [
    replace(FIRST, facts=(Fact("1", "P17", "0", ("0.9",), (0,)), Fact("1", "P571", "3", ("0.8",)))),
    replace(SECOND, facts=(Fact("0", "P17", "1", ("0.7",)),)),
]
ROWS = [
    {"title": "Velorin Bridge", "h_idx": 1, "t_idx": 0, "r": "P17", "evidence": [0]},
    {"title": "Velorin Bridge", "h_idx": 1, "t_idx": 3, "r": "P571", "evidence": []},
    {"title": "Ostam", "h_idx": 0, "t_idx": 1, "r": "P17", "evidence": []},
]


def test_rows_of_predictions_are_a_right_submission():
    assert submission_rows(PREDICTED) == ROWS
    check_submission(ROWS, DOCUMENTS, PROPERTIES)
    check_submission([], DOCUMENTS, PROPERTIES)


def test_the_96_relations_are_allowed():
    assert len(PROPERTIES) == 96
    rows = [ROWS[2] | {"r": relation} for relation in PROPERTIES]
    check_submission(rows, DOCUMENTS, PROPERTIES)


def changed(key, value):
    rows = deepcopy(ROWS)
    if value is ...:
        del rows[1][key]
    else:
        rows[1][key] = value
    return rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({}, "not a JSON list"),
        (None, "not a JSON list"),
        ([ROWS[0], []], "row 1: expected `object`, got `array`"),
        (changed("score", 0.5), "row 1: unknown field 'score'"),
        (changed("title", ...), "row 1: title: missing"),
        (changed("title", 1), "row 1: title: expected `str`, got `int`"),
        (changed("title", "ostam"), "row 1: title: there is no document 'ostam'"),
        (changed("h_idx", ...), "row 1: h_idx: missing"),
        (changed("h_idx", "1"), "row 1: h_idx: expected `int`, got `str`"),
        (changed("h_idx", 1.0), "row 1: h_idx: expected `int`, got `float`"),
        (changed("h_idx", True), "row 1: h_idx: expected `int`, got `bool`"),
        (changed("h_idx", 4), "row 1: h_idx: 4 is not one of 4 entities of 'Velorin Bridge'"),
        (changed("h_idx", -1), "row 1: h_idx: -1 is not one of 4 entities of 'Velorin Bridge'"),
        (changed("t_idx", ...), "row 1: t_idx: missing"),
        (changed("t_idx", None), "row 1: t_idx: expected `int`, got `null`"),
        (changed("t_idx", 4), "row 1: t_idx: 4 is not one of 4 entities of 'Velorin Bridge'"),
        (changed("t_idx", 1), "row 1: t_idx: 1 is the head too"),
        (changed("r", ...), "row 1: r: missing"),
        (changed("r", 17), "row 1: r: expected `str`, got `int`"),
        (changed("r", "country"), "row 1: r: 'country' is not one of 96 relations"),
        (changed("r", "Na"), "row 1: r: 'Na' is not one of 96 relations"),
        (changed("evidence", ...), "row 1: evidence: missing"),
        (changed("evidence", 0), "row 1: evidence: expected `array`, got `int`"),
        (changed("evidence", ["0"]), "row 1: evidence[0]: expected `int`, got `str`"),
        (changed("evidence", [1, 2]), "row 1: evidence[1]: 2 is not one of 2 sentences of 'Velorin Bridge'"),
        (changed("evidence", [-1]), "row 1: evidence[0]: -1 is not one of 2 sentences of 'Velorin Bridge'"),
        ([*ROWS, ROWS[1]], "row 3: the fact of row 1 again"),
        ([*ROWS, ROWS[1] | {"evidence": [1]}], "row 3: the fact of row 1 again"),
    ],
)
def test_each_rule(rows, message):
    with pytest.raises(InputError) as caught:
        check_submission(rows, DOCUMENTS, PROPERTIES)
    assert str(caught.value) == f"result.json: {message}"


def test_documents_have_to_have_titles_of_their_own_and_places():
    with pytest.raises(InputError, match=r"^Ostam: two documents have this title$"):
        check_submission([], [SECOND, FIRST, replace(SECOND)], PROPERTIES)
    named = document(["Ostam is in Lumafia ."], [(0, 1, "LOC", "0"), (3, 4, "LOC", "Q1")], name="Ostam")
    with pytest.raises(InputError, match=r"^Ostam: entity 'Q1' has no place in a vertexSet$"):
        submission_rows([named])


def test_the_zip_file_holds_the_rows_alone_and_is_the_same_each_time(tmp_path):
    write_submission(ROWS, tmp_path / "one.zip")
    write_submission(iter(ROWS), tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as file:
        assert file.namelist() == ["result.json"]
        assert file.testzip() is None
        (entry,) = file.infolist()
        assert (entry.date_time, entry.create_system) == ((1980, 1, 1, 0, 0, 0), 3)
        assert json.loads(file.read("result.json")) == ROWS
    assert read_submission(tmp_path / "one.zip") == ROWS
    assert {path.name for path in tmp_path.iterdir()} == {"one.zip", "two.zip"}


def read_submission(path):
    with zipfile.ZipFile(path) as file:
        return json.loads(file.read("result.json"))


class Corpus:
    """A corpus with two test documents."""

    def documents(self, split):
        assert split == "test"
        return DOCUMENTS

    def read(self, path, *, on_error=None):
        assert path == Path("other.json")
        return iter([SECOND])

    def prepare(self, documents):
        return documents


@pytest.fixture
def settings(monkeypatch, tmp_path):
    """A run that finds what it is told to, and the command's settings for it."""
    dataset = {"_target_": f"{__name__}.Corpus"}
    loaded = SimpleNamespace(config=OmegaConf.create({"dataset": dataset}), threshold=0.25)
    found = {each.id: each for each in PREDICTED}

    class Extractor:
        def __init__(self, run):
            assert run is loaded

        def stream(self, documents, *, chunk):
            assert chunk == 2
            return (found[each.id] for each in documents)

    monkeypatch.setattr("glre_pyg.extraction.scoring.resolve_folder", Path)
    monkeypatch.setattr("glre_pyg.runs.ensemble.load", lambda folder, **options: loaded)
    monkeypatch.setattr("glre_pyg.extraction.extractor.RelationExtractor", Extractor)
    values = {"run": "run", "output": str(tmp_path / "result.zip"), "input": None, "chunk": 2, "strict": True}
    return SimpleNamespace(
        config=OmegaConf.create(
            values | {"device": "cpu", "memory": None, "cache": False, "compile": None, "precision": "fp32"}
        ),
        found=found,
    )


def test_the_test_split_is_submitted(settings, capsys):
    submit(settings.config)
    assert read_submission(settings.config.output) == ROWS
    assert capsys.readouterr().out == f"{settings.config.output}: 3 facts in 2 documents\n"


def test_a_file_is_submitted(settings):
    settings.config.input = "other.json"
    submit(settings.config)
    assert read_submission(settings.config.output) == ROWS[2:]


def test_what_breaks_a_rule_is_not_written(settings):
    settings.found["Ostam"] = replace(SECOND, facts=(Fact("0", "CID", "1"),))
    with pytest.raises(InputError, match=r"^result\.json: row 2: r: 'CID' is not one of 96 relations$"):
        submit(settings.config)
    assert not Path(settings.config.output).exists()


def test_a_missing_folder_is_told_before_the_run_is_loaded(settings, monkeypatch):
    monkeypatch.setattr("glre_pyg.runs.ensemble.load", lambda folder, **options: pytest.fail("it was loaded"))
    settings.config.output = "nowhere/result.zip"
    with pytest.raises(InputError, match=r"^nowhere/result\.zip: cannot be written, its folder is missing$"):
        submit(settings.config)


@pytest.mark.slow
def test_the_command_submits_a_trained_run(tmp_path):
    true = (Fact("1", "P17", "0"), Fact("2", "P571", "3"))
    labelled = [replace(FIRST, id=f"{number}", facts=true) for number in range(4)]
    write_docred(labelled, tmp_path / "train.json")
    write_docred(DOCUMENTS, tmp_path / "test.json")
    files = ["dataset.train=train.json", "dataset.dev=train.json", "dataset.test=test.json"]
    small = ["encoder=tiny", "training.epochs=2", "model.nodes.hidden_channels=16", "hydra.run.dir=run"]

    run("train", "dataset=docred_json", *files, *small, cwd=tmp_path)
    out, _ = run("submit", "run=run", "output=result.zip", cwd=tmp_path)
    rows = read_submission(tmp_path / "result.zip")
    check_submission(rows, DOCUMENTS, PROPERTIES)
    assert out == f"result.zip: {len(rows)} {'fact' if len(rows) == 1 else 'facts'} in 2 documents\n"
