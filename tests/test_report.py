"""Tables of runs: hand-computed numbers on run directories written here, with nothing trained."""

import csv
import json
import os
import re
import subprocess
import sys
from copy import deepcopy
from dataclasses import asdict, replace
from io import StringIO
from pathlib import Path
from struct import unpack
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from markdown_it import MarkdownIt
from omegaconf import OmegaConf

from commands import run
from glre_pyg.evaluation.breakdown import all_scores
from glre_pyg.evaluation.predictions import write_predictions
from glre_pyg.evaluation.protocol import Protocol
from glre_pyg.evaluation.scores import ScoredPairs, Scores
from glre_pyg.evaluation.significance import PairedTest
from glre_pyg.reporting.run_comparison import compare_runs
from glre_pyg.reporting.run_records import find_runs
from glre_pyg.reporting.run_report import FIELDS, Report
from glre_pyg.reporting.sweep_report import SweepReport
from glre_pyg.reporting.tables import RULE, Difference, Layout
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.table import unquoted
from test_table import is_formula

TABLES = sorted(path.stem for path in Path(config_dir(), "table").glob("*.yaml"))
PROTOCOL = Protocol(
    corpus="cdr",
    pairs="eog",
    files={"train": "1" * 64, "dev": "2" * 64, "test": "3" * 64},
    dev="its file",
    ignored=None,
    setting="train",
    threshold="one for all relations, from dev",
)
CONFIG = {
    "seed": 0,
    "name": None,
    "setting": "train",
    "fixed_by": None,
    "dataset": {"_target_": "glre_pyg.datasets.CDR", "root": None, "train": None, "protocol": "eog"},
    "encoder": {"name": "minilm", "lr": 1e-4},
    "layer": {"local": {"_target_": "glre_pyg.nn.local.LocalAttention", "heads": 4}},
    "model": {
        "_target_": "glre_pyg.models.glre.GLRE",
        "local_layer": {"_target_": "glre_pyg.nn.local.LocalAttention", "heads": 4},
    },
    "optimizer": {"lr": 1e-3},
    "training": {"epochs": 8, "seed": 0, "resume": None},
}
NO_LOCAL = {
    "layer.local": {"_target_": "glre_pyg.nn.local.NoLocal"},
    "model.local_layer": {"_target_": "x.NoLocal"},
}
TABLE4 = ("glre", "without_bert", "without_global", "without_local", "without_context")


def row(f1: float, gold: int = 100) -> dict:
    """Scores with P and R a tenth of F1's percent apart."""
    return asdict(Scores(f1 + 0.1, f1 - 0.1, f1, 1, 1, gold))


def scores(f1: float) -> dict:
    bins = {name: row(f1 - number / 20) for number, name in enumerate(("0", "1", "2", ">=3"))}
    mentions = {name: row(f1 + number / 20) for number, name in enumerate(("[1,2)", "[2,3)", "[3,4)", ">=4"))}
    return {
        "filtered": row(f1),
        "unfiltered": row(f1 - 0.02),
        "by_sentence": {"intra": row(f1 + 0.03), "inter": row(f1 - 0.2)},
        "by_distance": bins,
        "by_mentions": mentions,
        "by_relation": {"CID": row(f1)},
        "interval": [f1 - 0.03, f1 + 0.03],
    }


def write_run(
    folder: Path, f1: float | None, *, seed: int = 0, protocol: object = PROTOCOL, **changes
) -> Path:
    """A run directory as training leaves it; `f1` None is one that has not ended. `__` in a key is a dot."""
    config = OmegaConf.create(deepcopy(CONFIG))
    for key, value in {"seed": seed, "training.seed": seed, **changes}.items():
        OmegaConf.update(config, key.replace("__", "."), value, merge=False, force_add=True)
    folder.mkdir(parents=True)
    OmegaConf.save(config, folder / "config.yaml")
    labels = {"relations": ["CID"], "types": ["Chemical", "Disease"], "pair_types": None, "directed": True}
    (folder / "labels.json").write_text(json.dumps(labels))
    if f1 is not None:
        found = {"protocol": protocol, "threshold": 0.3, "best_epoch": 2}
        found |= {"dev": scores(f1 + 0.05), "test": scores(f1)}
        found["protocol"] = asdict(protocol) if isinstance(protocol, Protocol) else protocol
        (folder / "scores.json").write_text(json.dumps(found))
    return folder


def layout(name: str = "plain", **changes) -> Layout:
    return Layout.of(yaml.safe_load(Path(config_dir(), f"table/{name}.yaml").read_text()) | changes)


def report(folder: Path, table: str = "plain", split: str = "test") -> Report:
    return Report.of([str(folder)], layout(table), split)


def cells(text: str) -> list[dict[str, str]]:
    """Rows of the only Markdown table of a text; the first column is called ""."""
    lines = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("|")]
    header, _, *body = [[cell.strip() for cell in line] for line in lines]
    return [dict(zip(header, line, strict=True)) for line in body]


# Rows


def test_mean_and_sample_deviation_are_those_computed_by_hand(tmp_path):
    for seed, f1 in enumerate((0.60, 0.62, 0.67)):
        write_run(tmp_path / str(seed), f1, seed=seed)
    (found,) = report(tmp_path).sections[0].rows
    # 60, 62, 67: mean 63; squares of deviations 9 + 1 + 16 = 26, by n - 1 = 2 gives 13.
    assert found.ours["F1"].mean == pytest.approx(63)
    assert found.ours["F1"].deviation == pytest.approx(13**0.5)
    assert found.ours["F1"].count == 3
    assert found.ours["P"].mean == pytest.approx(73)
    assert found.ours["inter F1"].mean == pytest.approx(43)
    (line,) = cells(report(tmp_path).markdown())
    assert line["F1"] == "63.00 ± 3.61"
    assert line["runs"] == "3"


def test_one_run_has_no_deviation(tmp_path):
    write_run(tmp_path / "a", 0.6)
    (line,) = cells(report(tmp_path).markdown())
    assert line["F1"] == "60.00 ± -"
    assert line[""] == "GLRE"


def test_dev_is_reported_where_it_is_asked_for(tmp_path):
    write_run(tmp_path / "a", 0.6)
    found = report(tmp_path, split="dev").markdown()
    assert cells(found)[0]["F1"] == "65.00 ± -"
    assert "percent on dev" in found
    with pytest.raises(InputError, match="split: 'train'"):
        report(tmp_path, split="train")


def test_columns_that_no_run_has_are_left_out(tmp_path):
    write_run(tmp_path / "a", 0.6)
    (line,) = cells(report(tmp_path).markdown())
    assert list(line) == ["", "runs", "P", "R", "F1", "F1 unfiltered", "intra F1", "inter F1"]


def test_seeds_and_places_make_no_row_of_their_own(tmp_path):
    write_run(tmp_path / "a", 0.6, seed=0)
    places = {"dataset__root": "/data", "training__resume": "a", "encoder__module__max_tokens": 512}
    write_run(tmp_path / "b", 0.7, seed=1, fixed_by="runs/other", **places)
    write_run(tmp_path / "c", 0.8, seed=2, fixed_by="runs/another")
    rows = report(tmp_path).sections[0].rows
    assert sorted(len(each.group.records) for each in rows) == [1, 2]  # fixed by nothing, and by a run


def test_anything_else_makes_a_row_that_is_named_after_it(tmp_path):
    write_run(tmp_path / "a", 0.6)
    write_run(tmp_path / "b", 0.7, **NO_LOCAL)
    assert [each.title for each in report(tmp_path).sections[0].rows] == [
        "layer.local=LocalAttention",
        "layer.local=none",
    ]
    write_run(tmp_path / "c", 0.7, encoder={"name": "bilstm", "lr": 1e-3, "hidden": 5})
    write_run(tmp_path / "d", 0.7, layer__local__heads=8)
    titles = [each.title for each in report(tmp_path).sections[0].rows]
    assert titles == ["GLRE", "layer.local=none", "encoder.name=bilstm", "layer.local.heads=8"]


def test_rows_are_named_after_every_setting_that_differs(tmp_path):
    for number, (rate, epochs) in enumerate([(1e-3, 8), (1e-4, 16), (1e-5, 24)]):
        write_run(tmp_path / f"{number}", 0.6, optimizer__lr=rate, training__epochs=epochs)
    assert [each[""] for each in cells(report(tmp_path).markdown())] == [
        "optimizer.lr=0.001, training.epochs=8",
        "optimizer.lr=0.0001, training.epochs=16",
        "optimizer.lr=1e-05, training.epochs=24",
    ]


def test_settings_that_follow_from_another_are_not_named(tmp_path):
    for number, name in enumerate(["minilm", "biobert", "scibert"]):
        encoder = {"name": name, "lr": 10.0**-number, "layers": number}
        write_run(tmp_path / name, 0.6, encoder=encoder, optimizer__groups=10.0**-number)
    assert {each[""] for each in cells(report(tmp_path).markdown())} == {
        f"encoder.name={name}" for name in ("minilm", "biobert", "scibert")
    }


def test_a_number_is_a_name(tmp_path):
    write_run(tmp_path / "a", 0.6, name=2020)
    assert [each.title for each in report(tmp_path).sections[0].rows] == ["2020"]


def test_rows_are_named_as_their_runs_are(tmp_path):
    write_run(tmp_path / "a", 0.6, name="full")
    write_run(tmp_path / "b", 0.7, name="local", **NO_LOCAL)
    write_run(tmp_path / "c", 0.7, name="local", optimizer__lr=0.5, **NO_LOCAL)
    titles = [each.title for each in report(tmp_path).sections[0].rows]
    assert titles == ["full", "local, optimizer.lr=0.001", "local, optimizer.lr=0.5"]


def test_a_run_that_is_there_twice_counts_once_and_is_named(tmp_path):
    first, again = write_run(tmp_path / "a", 0.6), write_run(tmp_path / "b", 0.8)
    found = report(tmp_path)
    (only,) = found.sections[0].rows
    assert (only.ours["F1"].mean, only.ours["F1"].count) == (pytest.approx(60), 1)
    assert found.notes == [f"{again} has the config and the seed of {first} and is not counted again"]


# Finding runs


def test_runs_are_found_by_folder_and_pattern_and_once(tmp_path):
    for name in ("sweep/2", "sweep/10", "sweep/1", "other/x"):
        write_run(tmp_path / name, 0.6)
    write_run(tmp_path / "sweep/1/fold_0", 0.1)  # below a run are none
    write_run(tmp_path / ".hidden/run", 0.1)
    expected = [tmp_path / "sweep" / name for name in ("1", "2", "10")]
    assert find_runs([str(tmp_path / "sweep")]) == expected
    assert find_runs([f"{tmp_path}/sweep/*", str(tmp_path / "sweep/1")]) == expected
    assert len(find_runs([str(tmp_path)])) == 4
    for nothing in (f"{tmp_path}/none*", str(tmp_path / ".hidden/run/no")):
        with pytest.raises(InputError, match="no run directory"):
            find_runs([str(tmp_path / "other"), nothing])


def test_unfinished_runs_are_named_and_left_out(tmp_path):
    write_run(tmp_path / "a", 0.6)
    unfinished = [write_run(tmp_path / name, None, seed=1) for name in ("b", "c")]
    found = report(tmp_path)
    assert found.notes == [f"left out, unfinished: {unfinished[0]}, {unfinished[1]}"]
    assert f"- {found.notes[0]}\n" in found.markdown()
    with pytest.raises(InputError, match="none of 1 runs is finished"):
        report(tmp_path / "b")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("scores.json", "{", r"a/scores.json: "),
        ("scores.json", "[]", r"a/scores.json: not a JSON object"),
        ("labels.json", "{}", r"a/labels.json: relations: missing"),
        ("config.yaml", "a: [", r"a/config.yaml: "),
        ("config.yaml", "- a", r"a/config.yaml: not a mapping"),
        ("config.yaml", "a: &a [1]\nb: [*a, *a]", r"a/config.yaml:2: '\*a': a saved config has no aliases"),
        ("config.yaml", "a: !!python/name:os.system", r"a/config.yaml: not YAML"),
        ("scores.json", "[" * 100_000, r"a/scores.json: "),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, file, text, message):
    (write_run(tmp_path / "a", 0.6) / file).write_text(text)
    with pytest.raises(InputError, match=message) as error:
        report(tmp_path)
    assert "\n" not in str(error.value)


def changed(path, place, value):
    """Change what stands at a place of a JSON or YAML file."""
    read, written = (yaml.safe_load, yaml.safe_dump) if path.suffix == ".yaml" else (json.loads, json.dumps)
    content = found = read(path.read_text())
    *above, last = place.split("/")
    for key in above:
        found = found[key]
    found[last] = value
    path.write_text(written(content))


@pytest.mark.parametrize(
    ("file", "place", "message"),
    [
        ("scores.json", "test/filtered/f1", "test/filtered/f1: '.*' is not between 0 and 1"),
        ("scores.json", "protocol/corpus", "protocol.corpus: expected `str`, got"),
        ("scores.json", "protocol/files", "protocol.files: expected `object`, got"),
        (
            "scores.json",
            "protocol/ignored",
            "protocol.ignored: expected `str | null`, got".replace("|", r"\|"),
        ),
        ("labels.json", "relations", r"relations(\[0\])?: expected"),
        ("config.yaml", "seed", "seed: expected .*int"),
        ("config.yaml", "training/seed", "training.seed: expected .*int"),
        ("config.yaml", "encoder", "encoder: expected .*object"),
        ("config.yaml", "training", "training: expected .*object"),
    ],
)
@pytest.mark.parametrize("value", [[1], 1.5])
def test_what_is_of_another_kind_is_named(file, place, message, value, tmp_path):
    changed(write_run(tmp_path / "a", 0.6) / file, place, value)
    with pytest.raises(InputError, match=f"a/{file}: {message}") as error:
        report(tmp_path)
    assert "\n" not in str(error.value)


def test_a_report_asks_for_nothing_of_its_surroundings(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "of the surroundings")
    write_run(tmp_path / "a", 0.6)
    path = tmp_path / "a/config.yaml"
    path.write_text(path.read_text().replace("name: null", "name: ${oc.env:SECRET}", 1))
    written = report(tmp_path)
    assert "${oc.env:SECRET}" in written.csv()
    assert "of the surroundings" not in written.csv() + written.markdown()


# Protocols


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("corpus", "biored"),
        ("pairs", "unfiltered"),
        ("files", {"test": "4" * 64}),
        ("dev", "100 documents of the training file"),
        ("ignored", "5" * 64),
        ("setting", "train+dev"),
        ("threshold", "one for each relation, from dev"),
    ],
)
def test_two_protocols_are_refused(tmp_path, field, value):
    write_run(tmp_path / "a", 0.6)
    write_run(tmp_path / "b", 0.6, seed=1)
    write_run(tmp_path / "c", 0.6, seed=2, protocol=Protocol(**{**asdict(PROTOCOL), field: value}))
    with pytest.raises(InputError) as error:
        report(tmp_path)
    assert str(error.value) == f"{tmp_path}/a and {tmp_path}/c: protocols differ in {field}"


@pytest.mark.parametrize(
    ("old", "message"),
    [
        ("eog", "protocol: expected `object`, got `str`"),
        (None, "protocol: expected `object`, got `null`"),
        ({"corpus": "cdr"}, "protocol.pairs: missing"),
        (asdict(PROTOCOL) | {"encoder": "x"}, "protocol.encoder: unknown field"),
    ],
)
def test_a_run_that_does_not_know_its_protocol_is_refused(tmp_path, old, message):
    write_run(tmp_path / "a", 0.6, protocol=old)
    with pytest.raises(InputError, match=f"a/scores.json: {message}"):
        report(tmp_path)


def test_the_protocol_stands_at_the_top(tmp_path):
    write_run(tmp_path / "a", 0.6)
    lines = report(tmp_path).markdown().splitlines()
    assert lines[2] == f"Protocol: {PROTOCOL}."
    assert lines[4] == "Encoder: minilm."
    assert not any(line.startswith("The paper's figures") for line in lines)  # there are none in this table


# The paper's tables


def table4(folder: Path, f1s: dict[str, tuple[float, ...]]) -> None:
    for name, values in f1s.items():
        for seed, f1 in enumerate(values):
            changes = {"layer__local__heads": TABLE4.index(name)}
            write_run(folder / f"{name}_{seed}", f1, seed=seed, name=f"table4_{name}", **changes)


def test_ablations_stand_beside_the_papers(tmp_path):
    table4(
        tmp_path,
        {
            "glre": (0.60, 0.62, 0.64),  # mean 62, s² 4
            "without_bert": (0.50, 0.51),  # 50.5, clearly below
            "without_global": (0.60, 0.61, 0.62),  # 61, s² 1: difference 1, error sqrt(4/3 + 1/3) = 1.29
            "without_local": (0.70, 0.71, 0.70),  # clearly above
            "without_context": (0.40,),  # one run decides nothing
        },
    )
    found = report(tmp_path, "table4_cdr")
    by_name = {line[""]: line for line in cells(found.markdown())}
    assert by_name["GLRE"]["F1 paper"] == "68.5"
    assert by_name["GLRE"]["F1 ours"] == "62.00 ± 2.00"
    assert by_name["GLRE"]["paper's finding"] == "-"
    expected = {
        "w/o BERT": ("-0.5", "-11.50", "holds"),
        "w/o entity global rep.": ("-2.3", "-1.00", "not decided"),
        "w/o entity local rep.": ("-4.0", "+8.33", "does not hold"),
        "w/o context rel. rep.": ("-1.4", "-22.00", "not decided"),
    }
    columns = ("Δ F1 paper", "Δ F1 ours", "paper's finding")
    assert {name: tuple(by_name[name][column] for column in columns) for name in expected} == expected
    assert found.sections[0].rows[2].difference.error == pytest.approx((5 / 3) ** 0.5)
    assert RULE in found.markdown()


def test_the_encoders_are_told_with_their_rows(tmp_path):
    write_run(tmp_path / "a", 0.6, name="table4_glre")
    write_run(tmp_path / "b", 0.6, name="table4_without_bert", encoder__name="bilstm")
    assert "\nEncoder: minilm (GLRE); bilstm (w/o BERT).\n" in report(tmp_path, "table4_cdr").markdown()


def test_a_finding_needs_twice_the_standard_error():
    assert Difference(-1.0, -2.0, 1.0).finding == "not decided"
    assert Difference(-1.0, -2.01, 1.0).finding == "holds"
    assert Difference(+1.0, -2.01, 1.0).finding == "does not hold"
    assert Difference(-1.0, -2.01, None).finding == "not decided"
    assert Difference(None, -2.01, 1.0).finding == "-"
    assert Difference(-1.0, None, None).finding == "-"


def test_what_was_not_run_is_the_papers_alone(tmp_path):
    table4(tmp_path, {"glre": (0.6,)})
    lines = {line[""]: line for line in cells(report(tmp_path, "table4_cdr").markdown())}
    assert lines["w/o BERT"] == {
        "": "w/o BERT", "runs": "paper only", "P paper": "69.6", "P ours": "-", "R paper": "66.5", "R ours": "-",
        "F1 paper": "68.0", "F1 ours": "-", "Δ F1 paper": "-0.5", "Δ F1 ours": "-", "paper's finding": "-",
    }  # fmt: skip


def test_runs_of_no_row_and_of_another_corpus_are_left_out_by_name(tmp_path):
    table4(tmp_path, {"glre": (0.6,)})
    write_run(tmp_path / "x", 0.6, name="mine", protocol=Protocol(**{**asdict(PROTOCOL), "pairs": "bran"}))
    write_run(
        tmp_path / "y", 0.6, name="table4_glre", protocol=Protocol(**{**asdict(PROTOCOL), "corpus": "docred"})
    )
    assert report(tmp_path, "table4_cdr").notes == [
        f"left out, with a name that is no row of the table: {tmp_path}/x",
        f"left out, of another corpus than cdr: {tmp_path}/y",
    ]
    with pytest.raises(InputError, match="none belongs in the table 'Table 3, DocRED'"):
        report(tmp_path / "x", "table3")


def test_two_configs_of_one_row_are_refused(tmp_path):
    write_run(tmp_path / "a", 0.6, name="table4_glre")
    write_run(tmp_path / "b", 0.9, name="table4_glre", optimizer__lr=0.5)
    with pytest.raises(InputError, match=r"/a and .*/b: both belong to the row 'GLRE', .*optimizer.lr=0.5"):
        report(tmp_path, "table4_cdr")


def test_a_row_takes_runs_of_another_name_only_where_it_has_none_of_its_own(tmp_path):
    write_run(tmp_path / "a", 0.6, name="table2_glre")
    assert cells(report(tmp_path, "table4_cdr").markdown())[0]["F1 ours"] == "60.00 ± -"
    write_run(tmp_path / "b", 0.7, name="table4_glre", optimizer__lr=0.5)
    assert cells(report(tmp_path, "table4_cdr").markdown())[0]["F1 ours"] == "70.00 ± -"


def test_train_and_train_dev_are_two_tables_with_a_protocol_each(tmp_path):
    both = Protocol(
        **{**asdict(PROTOCOL), "setting": "train+dev", "threshold": "one, from 5-fold cross-validation"}
    )
    write_run(tmp_path / "a", 0.6, name="table2_glre")
    write_run(tmp_path / "b", 0.7, name="table2_glre", setting="train+dev", fixed_by="a", protocol=both)
    found = report(tmp_path, "table2")
    assert [each.protocol for each in found.sections] == [PROTOCOL, both]
    alone, together = (each.rows[-1] for each in found.sections)
    assert (alone.paper["F1"], alone.ours["F1"].mean) == (68.5, pytest.approx(60))
    assert (together.paper["F1"], together.ours["F1"].mean) == (72.5, pytest.approx(70))
    text = found.markdown()
    assert f"Protocol: {PROTOCOL}." in text
    assert f"Protocol: {both}." in text
    assert "| Gu et al. (2017) " in text
    write_run(tmp_path / "c", 0.7, seed=1, name="table2_glre", setting="train+dev",
              protocol=Protocol(**{**asdict(both), "pairs": "bran"}))  # fmt: skip
    with pytest.raises(InputError, match="differ in pairs"):
        report(tmp_path, "table2")


PAPER = {
    "table2": [
        [52.3, 72.0, 60.6, 58.1, 74.6, 65.3],
        [64.9, 49.3, 56.0, 55.6, 68.4, 61.3],
        [55.7, 68.1, 61.3],
        [57.0, 68.6, 62.3],
        [55.6, 68.4, 61.3],
        [55.6, 70.8, 62.1, 63.3, 67.1, 65.1],
        [45.2, 68.1, 54.3, 56.2, 68.0, 61.5],
        [62.7, 66.3, 64.5, 61.5, 73.6, 67.0],
        [61.9, 68.7, 65.1, 66.0, 68.3, 67.1],
        [65.1, 72.2, 68.5, 70.5, 74.5, 72.5],
    ],
    "table3": [
        [49.9, 52.1, 52.5, 54.6], [40.3, 42.3], [47.7, 50.1], [48.8, 51.1], [48.4, 50.7],
        [49.1, 50.9, 48.3, 50.4], [53.1, 55.4, 54.5, 56.5], [53.7, 55.6], [55.4, 57.4, 56.7, 58.9],
    ],
    "table4_cdr": [
        [65.1, 72.2, 68.5], [69.6, 66.5, 68.0], [67.0, 65.4, 66.2], [60.9, 68.5, 64.5], [60.5, 75.1, 67.1],
    ],
    "table4_docred": [[55.4, 57.4], [51.6, 53.6], [54.7, 56.6], [54.6, 56.4], [54.6, 56.8]],
    "table5_cdr": [[65.1, 72.2, 68.5], [65.3, 72.3, 68.6], [66.1, 70.5, 68.2], [57.5, 80.6, 67.1]],
    "table5_docred": [[55.4, 57.4], [56.8, 58.9], [56.8, 59.0], [56.3, 58.3]],
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_the_papers_figures_are_there_and_agree_with_each_other(name):
    table = layout(name)
    assert [[each for each in row.paper if each is not None] for row in table.rows] == PAPER.get(
        name, [[]] * len(table.rows)
    )
    titles = list(table.columns)
    for each in table.rows:
        for setting in range(len(table.settings)):
            figures = dict(zip(titles, table.paper(each, setting), strict=True))
            if figures.get("P"):  # rounded, and one row of the paper is 0.19 off
                p, r, f1 = figures["P"], figures["R"], figures["F1"]
                assert f1 == pytest.approx(2 * p * r / (p + r), abs=0.2)


def test_a_row_of_ones_own_can_be_added_to_a_table_and_has_to_fit():
    rows = yaml.safe_load(Path(config_dir(), "table/table4_cdr.yaml").read_text())["rows"]
    assert layout("table4_cdr", rows={**rows, "mine": {}}).row("mine").paper == (None, None, None)
    with pytest.raises(InputError, match=r"table.rows.mine.paper: 1 figure for 3 columns"):
        layout("table4_cdr", rows={**rows, "mine": {"paper": [1.0]}})
    with pytest.raises(InputError, match=r"table\.reference: 'nothing'"):
        layout("table4_cdr", reference="nothing")


def test_figure_3_is_a_table_too_and_bins_without_facts_are_empty(tmp_path):
    folder = write_run(tmp_path / "a", 0.6, name="table2_glre")
    found = json.loads((folder / "scores.json").read_text())
    found["test"]["by_distance"]["2"] = row(0.0, gold=0)
    (folder / "scores.json").write_text(json.dumps(found))
    (line,) = cells(report(tmp_path, "figure3").markdown())
    assert list(line.values())[1:] == ["1", "60.00 ± -", "55.00 ± -", "45.00 ± -", "60.00 ± -"]
    assert "2" not in line


def test_the_bench_tests_each_row_against_glre_and_leaves_out_rows_without_runs(tmp_path):
    for name, right in {"glre": [*range(30)], "atlop": [*range(10)], "eog": [*range(29)]}.items():
        for seed in (0, 1):
            folder = write_run(tmp_path / f"{name}{seed}", 0.6, name=name, seed=seed)
            predictions(folder, right[seed:])
            costs = {
                "million_parameters": 22.7,
                "peak_memory_gib": 1.5,
                "training_documents_per_second": 1234.5,
            }
            (folder / "costs.json").write_text(json.dumps(costs))
    glre, eog, atlop = cells(report(tmp_path, "bench").markdown())
    assert [row[""][:5] for row in (glre, eog, atlop)] == ["GLRE", "Chris", "Zhou "]
    # Of 40, GLRE found 30 and 29, EoG 29 and 28, ATLOP 10 and 9; F1 of 30 is 60/70, of 29 58/69, ...
    assert glre["F1"] == "84.89 ± 1.17"
    assert glre["Δ F1"] == glre["p"] == glre["differs"] == "-"
    assert (atlop["Δ F1"], atlop["differs"]) == ("-46.52", "yes")
    assert (eog["Δ F1"], eog["differs"]) == ("-1.68", "no")
    assert glre["million parameters"] == "22.7"
    assert (glre["lr"], glre["encoder lr"]) == ("0.001", "0.0001")
    assert glre["documents/s in training"] == "1,234"
    assert "documents/s in prediction" not in glre
    lines = csv.DictReader(StringIO(report(tmp_path, "bench").csv()))
    (line,) = [line for line in lines if line["row"].startswith("Zhou") and line["score"] == "F1"]
    assert float(line["p_value"]) == pytest.approx(2 * 2 / 5001)  # the smaller of two, so twice
    assert float(line["low"]) < float(line["mean"]) < float(line["high"])
    (tmp_path / "glre0/costs.json").write_text('{"million_parameters": "many"}')
    with pytest.raises(InputError, match="glre0: costs/million_parameters: 'many' is not a number"):
        report(tmp_path, "bench")


def test_the_bench_without_glre_has_no_tests(tmp_path):
    predictions(write_run(tmp_path / "a", 0.6, name="atlop"), [1, 2])
    (row,) = cells(report(tmp_path, "bench").markdown())
    assert (row["Δ F1"], row["p"]) == ("-", "-")


@pytest.mark.parametrize(("table", "corpus"), [("table2", "cdr"), ("table3", "docred")])
def test_runs_of_the_bench_stand_beside_the_papers_figures(table, corpus, tmp_path):
    write_run(tmp_path / "a", 0.6, name="wang_two_step", protocol=replace(PROTOCOL, corpus=corpus))
    rows = [row for row in report(tmp_path, table).sections[0].rows if row.group]
    assert [(row.title, row.ours["F1"].mean) for row in rows] == [("Wang et al. (2019)", pytest.approx(60))]


@pytest.mark.parametrize("name", ["table2", "table3"])
def test_rows_of_the_bench_have_their_place_in_the_papers_tables(name):
    bench = {row.names[0] for row in layout("bench").rows}
    others = {other for row in layout(name).rows for other in row.names if not other.startswith("table")}
    assert len(others & bench) == len(layout(name).rows)


# Files


def test_csv_parses_back(tmp_path):
    table4(tmp_path, {"glre": (0.60, 0.62), "without_local": (0.5, 0.52)})
    found = report(tmp_path, "table4_cdr")
    lines = list(csv.DictReader(StringIO(found.csv())))
    assert set(lines[0]) == set(FIELDS)
    (line,) = [each for each in lines if each["row"] == "w/o entity local rep." and each["score"] == "F1"]
    assert (line["setting"], line["runs"], line["seeds"], line["paper"]) == ("train", "2", "0 1", "64.5")
    assert float(line["mean"]) == pytest.approx(51)
    assert float(line["deviation"]) == pytest.approx(2**0.5)
    assert float(line["difference"]) == pytest.approx(-10)
    assert float(line["paper_difference"]) == -4.0
    assert line["finding"] == "holds"
    (alone,) = [each for each in lines if each["row"] == "w/o BERT" and each["score"] == "P"]
    assert (alone["runs"], alone["paper"], alone["mean"], alone["deviation"]) == ("0", "69.6", "", "")


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", " ="])
def test_no_cell_of_a_report_is_a_formula(first, tmp_path):
    name = f"{first}HYPERLINK(1);=1"
    write_run(tmp_path / "a", 0.6, name=name, seed=name, protocol=replace(PROTOCOL, setting=name))
    for line in csv.DictReader(StringIO(report(tmp_path).csv())):
        assert not [of for of in (line["setting"], line["row"], line["seeds"]) if is_formula(of)]
        assert unquoted(line["row"]) == name


HOSTILE = "</text><script>x()</script> ![a](http://x/y) [b](javascript:x) `c` | $\\\\frac{$ \x1b[2J _d_ \n# e & <!--"


def test_names_of_runs_stay_text_in_a_report(tmp_path):
    pytest.importorskip("matplotlib")
    setting = replace(PROTOCOL, setting=HOSTILE, corpus=HOSTILE, pairs=HOSTILE)
    for folder, name in (("a", HOSTILE), ("b", "_" + HOSTILE)):
        encoder = {"name": name, "lr": 1}
        write_run(tmp_path / "runs" / folder, 0.6, name=name, protocol=setting, encoder=encoder)
    report(tmp_path / "runs").write(tmp_path / "report")
    text = (tmp_path / "report/report.md").read_text()
    assert "\x1b" not in text
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    report(write_run(tmp_path / "plain/a", 0.6).parent).write(tmp_path / "plain/report")
    expected = (tmp_path / "plain/report/report.md").read_text()
    usual = MarkdownIt("commonmark", {"html": True}).enable("table").render(expected)
    assert {*re.findall(r"<(/?\w+)", html)} <= {*re.findall(r"<(/?\w+)", usual)}
    assert [*re.findall(r'(?:src|href)="([^"]*)"', html)] == ["f1.png", "distance.png", "mentions.png"]
    for name in ("f1", "distance", "mentions"):
        drawing = (tmp_path / f"report/{name}.svg").read_text()
        ElementTree.fromstring(drawing)
        assert "<script" not in drawing


@pytest.mark.parametrize("count", [1, 2, 5])
def test_plots_exist_and_are_not_empty(tmp_path, count):
    pytest.importorskip("matplotlib")
    table4(tmp_path / "runs", dict.fromkeys(TABLE4[:count], (0.6, 0.65)))
    text = report(tmp_path / "runs", "table4_cdr").write(tmp_path / "report")
    written = (tmp_path / "report/report.md").read_text()
    assert written.startswith(text)
    assert "![" not in text  # it is printed
    for name in ("f1", "distance", "mentions"):
        image = (tmp_path / f"report/{name}.png").read_bytes()
        assert image[:8] == b"\x89PNG\r\n\x1a\n"
        width, height = unpack(">II", image[16:24])
        assert width > 600
        assert height > 200
        assert f"![{name}]({name}.png)" in written
        drawing = ElementTree.parse(tmp_path / f"report/{name}.svg")
        assert len(list(drawing.iter())) > 50


def test_without_matplotlib_there_are_tables_and_a_line(tmp_path, monkeypatch, capsys):
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    write_run(tmp_path / "runs/a", 0.6)
    report(tmp_path / "runs").write(tmp_path / "report")
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == ["report.csv", "report.md"]
    assert "plots need matplotlib" in capsys.readouterr().out


# Commands and sweeps


def test_the_command_prints_what_it_writes_and_needs_no_torch(tmp_path):
    table4(tmp_path / "runs", {"glre": (0.60, 0.62), "without_local": (0.5, 0.52)})
    out, _ = run("report", "runs=runs", "table=table4_cdr", "output=report", cwd=tmp_path)
    assert (tmp_path / "report/report.md").read_text().startswith(out.strip())
    plain, _ = run("report", "runs=[runs/glre_0,'runs/*_1']", cwd=tmp_path)
    assert [line["runs"] for line in cells(plain)] == ["2", "1"]
    modules = "glre_pyg.reporting.run_report, glre_pyg.reporting.sweep_report"
    code = f"import sys, {modules}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report", "runs"]


def test_the_command_ends_with_one_line_where_runs_do_not_go_together(tmp_path):
    write_run(tmp_path / "a", 0.6)
    write_run(tmp_path / "b", 0.6, protocol=Protocol(**{**asdict(PROTOCOL), "pairs": "bran"}))
    _, err = run("report", "runs=.", cwd=tmp_path, code=2)
    assert err == "error: a and b: protocols differ in pairs\n"
    assert run("report", cwd=tmp_path, code=2)[1].startswith("error: runs: is required")


def predictions(run: Path, right: list[int], *, documents: int = 40) -> None:
    """Two pairs a document, one of them a fact; found in the documents of these numbers."""
    rows = 2 * documents
    fact = np.arange(rows) % 2 == 0
    found = fact & np.isin(np.arange(rows) // 2, right)
    pairs = ScoredPairs(
        documents=[f"d{number // 2}" for number in range(rows)],
        heads=["C1"] * rows,
        tails=[f"D{number % 2}" for number in range(rows)],
        relations=("CID",),
        probability=np.where(found, 0.9, 0.1)[:, None].astype(np.float32),
        is_fact=fact[:, None],
        other_facts=np.zeros(rows, dtype=int),
        ignored=np.zeros(rows, dtype=bool),
        known=np.zeros((rows, 1), dtype=bool),
        distance=np.zeros(rows, dtype=int),
        mentions=np.ones(rows),
    )
    write_predictions(pairs, run / "predictions_test.jsonl")
    found_scores = json.loads((run / "scores.json").read_text())
    found_scores["test"] = all_scores(pairs, 0.3)
    (run / "scores.json").write_text(json.dumps(found_scores))


def test_compare_prints_both_the_difference_and_how_sure_it_is(tmp_path):
    predictions(write_run(tmp_path / "a", 0.6), list(range(30)))
    predictions(write_run(tmp_path / "b", 0.6, seed=1), list(range(10)))
    out, _ = run("compare", "runs=[a,b]", cwd=tmp_path)
    protocol, _, first, second, difference = out.splitlines()
    assert protocol == f"protocol: {PROTOCOL}"
    # 30 of 40 found, nothing wrong: F1 60 / 70; 10 of 40: 20 / 50.
    assert first.split()[:2] == ["a", "85.71"]
    assert second.split()[:2] == ["b", "40.00"]
    assert difference.split()[:2] == ["difference", "+45.71"]
    p = float(difference.partition("p = ")[2].split()[0])
    assert 0 < p < 0.01
    for line in (first, second, difference):
        low, high = (float(end) for end in line.partition("[")[2].partition("]")[0].split(", "))
        assert low < float(line.split()[1]) < high


@pytest.mark.parametrize(("p_value", "low", "disagree"), [(0.03, -0.1, 1), (0.07, 0.1, 1), (0.07, -0.1, 0)])
def test_compare_says_why_p_and_the_interval_disagree(tmp_path, monkeypatch, capsys, p_value, low, disagree):
    for seed, name in enumerate("ab"):
        predictions(write_run(tmp_path / name, 0.6, seed=seed), [1, 2])
    found = PairedTest(0.2, p_value, (low, 0.4), 40)
    monkeypatch.setattr("glre_pyg.reporting.run_comparison.compare", lambda *_, **__: found)
    compare_runs([str(tmp_path / "a"), str(tmp_path / "b")])
    assert capsys.readouterr().out.count("p and the interval disagree") == disagree


@pytest.mark.parametrize(
    "names",
    [
        ("my run (1)", "my run (2)"),
        ("a[1]", "b [2]"),
        ("a, b", "c"),
        ("007", "1e3"),
        ("seed=0", "seed=1"),
        ("Müller's", "100% {x}"),
        ("[a]", "[b]"),
    ],
)
def test_runs_may_have_any_names(names, tmp_path):
    for number, name in enumerate(names):
        predictions(write_run(tmp_path / name, 0.6, seed=number), [1])
    out, _ = run("compare", f"runs=[{names[0]},{names[1]}]", cwd=tmp_path)
    assert [line.partition("  ")[0] for line in out.splitlines()[2:4]] == list(names)
    out, _ = run("report", f"runs=[{names[0]},{names[1]}]", "output=out [1]", cwd=tmp_path)
    assert [each["runs"] for each in cells(out)] == ["2"]
    for name in names:
        out, _ = run("report", f"runs={name}", cwd=tmp_path)
        assert [each["runs"] for each in cells(out)] == ["1"]
    (tmp_path / "all [1]").mkdir()
    (tmp_path / names[0]).rename(tmp_path / "all [1]" / names[0])
    assert len(find_runs(f"{tmp_path}/all [1]/*")) == 1


def test_compare_refuses_what_it_cannot_compare(tmp_path):
    predictions(write_run(tmp_path / "a", 0.6), [1])
    write_run(tmp_path / "b", 0.6, protocol=Protocol(**{**asdict(PROTOCOL), "pairs": "bran"}))
    write_run(tmp_path / "c", 0.6)
    _, err = run("compare", "runs=[a,b]", cwd=tmp_path, code=2)
    assert err == "error: a and b: protocols differ in pairs\n"
    with pytest.raises(InputError, match=r"c/predictions_test.jsonl: no such file"):
        compare_runs([str(tmp_path / "a"), str(tmp_path / "c")])
    with pytest.raises(InputError, match="runs: 3 runs, but two are compared: "):
        compare_runs([str(tmp_path)])
    threshold = json.loads((tmp_path / "c/scores.json").read_text()) | {"threshold": {"other": 0.3}}
    (tmp_path / "c/scores.json").write_text(json.dumps(threshold))
    predictions(tmp_path / "c", [1])
    with pytest.raises(InputError, match=r"c/scores.json: threshold: there is none for the relation 'CID'"):
        compare_runs([str(tmp_path / "a"), str(tmp_path / "c")])


APP = """
import hydra
@hydra.main(version_base="1.3", config_path=None)
def main(config):
    pass
main()
"""


def test_a_sweep_ends_with_its_report(tmp_path):
    for seed in (0, 1):
        write_run(tmp_path / f"sweep/{seed}", 0.6 + seed / 10, seed=seed)
    (tmp_path / "app.py").write_text(APP)
    callback = "+hydra.callbacks.report._target_=glre_pyg.reporting.sweep_report.SweepReport"
    arguments = ["app.py", "-m", "+seed=0,1", callback, "hydra.output_subdir=null", "hydra.sweep.dir=sweep"]
    warnings = {
        **os.environ,
        "PYTHONWARNINGS": "error::UserWarning",
    }  # Hydra makes them of a callback's errors
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, text=True, capture_output=True, env=warnings, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "report: sweep/report.md"
    (line,) = cells((tmp_path / "sweep/report.md").read_text())
    assert line["F1"] == "65.00 ± 7.07"


def test_a_sweep_that_allows_no_report_ends_with_a_line(tmp_path, capsys):
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}})
    SweepReport().on_multirun_end(config)
    assert capsys.readouterr().out.startswith(f"no report: runs: {tmp_path}: no run directory")
    write_run(tmp_path / "a", 0.6)
    write_run(tmp_path / "b", 0.6, protocol=Protocol(**{**asdict(PROTOCOL), "pairs": "bran"}))
    SweepReport().on_multirun_end(config)
    assert capsys.readouterr().out.endswith("protocols differ in pairs\n")
    config = OmegaConf.create({"hydra": {"runtime": {"output_dir": str(tmp_path)}}, "report": "nothing"})
    SweepReport().on_run_end(config)
    assert "table/nothing.yaml" in capsys.readouterr().out


def test_a_run_of_a_table_ends_with_its_report(tmp_path, capsys):
    folder = write_run(tmp_path / "run", 0.6)
    config = OmegaConf.create({"hydra": {"runtime": {"output_dir": str(folder)}}, "report": None})
    SweepReport().on_run_end(config)
    assert not (folder / "report.md").exists()
    config.report = "plain"
    SweepReport().on_run_end(config)
    assert "# Runs" in (folder / "report.md").read_text()


def test_a_sweep_without_test_labels_reports_dev(tmp_path, capsys):
    folder = write_run(tmp_path / "0", 0.6)
    found = json.loads((folder / "scores.json").read_text())
    del found["test"]
    (folder / "scores.json").write_text(json.dumps(found))
    SweepReport().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}}}))
    assert "percent on dev" in capsys.readouterr().out
    with pytest.raises(
        InputError, match="none belongs in the table 'Runs'; left out, without scores of test"
    ):
        report(tmp_path)
