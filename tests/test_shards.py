"""Folders of files that several workers predict, and what is merged of them."""

import gzip
import json
import re
from dataclasses import replace

import pytest
from hydra import compose, initialize_config_dir

from commands import run as command
from documents import random_documents, untrained_run
from glre_pyg.extraction import shards
from glre_pyg.extraction.merging import check_parts
from glre_pyg.extraction.shards import extract_files, inputs_and_outputs, read_summary
from glre_pyg.formats.csv_facts import HEADER
from glre_pyg.formats.jsonl import read_jsonl, write_jsonl
from glre_pyg.predict import Settings
from glre_pyg.runs.run import Run
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import exclusive
from glre_pyg.utils.ranges import part_of
from glre_pyg.utils.settings import check_settings

DOCUMENTS = [replace(each, id=f"d{number}") for number, each in enumerate(random_documents(14))]


@pytest.fixture(scope="module")
def run():
    return untrained_run(DOCUMENTS, threshold=0.4)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Seven files of two documents."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for number in range(7):
        write_jsonl(DOCUMENTS[2 * number : 2 * number + 2], tmp_path / f"in/f{number}.jsonl")
    return tmp_path


def settings(*overrides):
    with initialize_config_dir(config_dir(), version_base="1.3"):
        config = compose("predict", ["run=run", "input=in", "output=out", *overrides])
    check_settings(config, Settings)
    return config


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_shards_together_are_all_files_and_equal_one_output(run, here, capsys):
    assert extract_files(run, settings("shard=1/3")) == 0
    assert "out: 3 of 7 files: 3 written; " in capsys.readouterr().out
    assert sorted(files_of(here / "out")) == ["f0.jsonl", "f3.jsonl", "f6.jsonl"]
    for shard in ("2/3", "3/3"):
        extract_files(run, settings(f"shard={shard}"))
    one = settings("output=one", f"input={here}/in/f?.jsonl")
    extract_files(run, one)
    assert files_of(here / "one") == files_of(here / "out")
    found = [document for path in sorted((here / "out").glob("f*")) for document in read_jsonl(path)]
    assert [document.id for document in found] == [document.id for document in DOCUMENTS]


def test_finished_files_are_left_as_they_are(run, here, capsys):
    extract_files(run, settings())
    before = {path: path.stat().st_mtime_ns for path in (here / "out").rglob("*")}
    capsys.readouterr()
    extract_files(run, settings())
    assert "7 of 7 files: 7 finished before; " in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (here / "out").rglob("*")} == before
    write_jsonl(DOCUMENTS[:1], here / "in/f0.jsonl")
    (here / "out/f1.jsonl").write_text("damaged")
    (here / "out/f2.jsonl").unlink()
    (here / "out/.summaries/f3.jsonl.json").write_text("{")
    extract_files(run, settings())
    assert "7 of 7 files: 4 written, 3 finished before; " in capsys.readouterr().out
    assert len([*read_jsonl(here / "out/f0.jsonl")]) == 1
    extract_files(run, settings("threshold=0.9"))
    assert "7 of 7 files: 7 written; " in capsys.readouterr().out


def test_a_file_that_another_worker_writes_is_left_to_it(run, here, capsys):
    (here / "out").mkdir()
    with exclusive(here / "out/f2.jsonl"):
        extract_files(run, settings())
    assert "6 written, 1 being written by another process; " in capsys.readouterr().out
    with pytest.raises(InputError, match=r"out: 1 of 7 inputs are missing: f2\.jsonl"):
        check_parts(here / "out", [f"f{number}.jsonl" for number in range(7)])
    extract_files(run, settings())
    assert "1 written" in capsys.readouterr().out


def test_an_interrupted_file_goes_on_where_it_was(run, here, monkeypatch):
    extract_files(run, settings("output=whole", "chunk=1"))
    predict, calls = Run.predict, []

    def interrupted(self, graphs, **options):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return predict(self, graphs, **options)

    monkeypatch.setattr(Run, "predict", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract_files(run, settings("chunk=1"))
    assert (here / "out/f1.jsonl.part").exists()
    monkeypatch.setattr(Run, "predict", predict)
    extract_files(run, settings("chunk=1"))
    assert files_of(here / "out") == files_of(here / "whole")
    assert read_summary(here / "out/.summaries/f1.jsonl.json").ids == ["d2", "d3"]


def test_files_with_errors_are_counted_and_those_that_cannot_be_read_tried_again(run, here, capsys):
    (here / "in/f0.jsonl").write_text("{")
    with (here / "in/f1.jsonl").open("a") as file:
        file.write("[]\n")
    assert extract_files(run, settings()) == 2
    assert "; 2 errors" in capsys.readouterr().out
    assert read_summary(here / "out/.summaries/f0.jsonl.json").sha256 is None
    assert extract_files(run, settings()) == 2
    out, err = capsys.readouterr()
    assert "1 written, 6 finished before; " in out
    assert "f1.jsonl: had 1 error when it was predicted; resume=false predicts it again" in err
    with pytest.raises(InputError, match=r"out: 1 of its inputs could not be read: f0\.jsonl"):
        check_parts(here / "out")
    assert extract_files(run, settings("resume=false")) == 2
    assert "7 of 7 files: 7 written; " in capsys.readouterr().out


def test_an_input_without_documents_has_no_output(run, here, capsys):
    extract_files(run, settings())
    (here / "in/f0.jsonl").write_text("\n")
    extract_files(run, settings())
    assert not (here / "out/f0.jsonl").exists()
    capsys.readouterr()


def test_an_output_of_another_input_is_not_replaced(run, here):
    extract_files(run, settings("input=in/f0.jsonl"))
    before = (here / "out/f0.jsonl").read_bytes()
    (here / "in/f0.txt").write_text((here / "in/f0.jsonl").read_text())
    with pytest.raises(
        InputError, match=r"f0\.jsonl: was made of f0\.jsonl, not of f0\.txt: write somewhere"
    ):
        extract_files(run, settings("input=in/f0.txt", "format=jsonl"))
    assert (here / "out/f0.jsonl").read_bytes() == before


def test_a_file_that_cannot_be_opened_does_not_end_the_others(run, here, monkeypatch, capsys):
    resume_key = shards.resume_key

    def failing(run, config, key):
        if config.input.endswith("f0.jsonl"):
            raise PermissionError(13, "Permission denied", config.input)
        return resume_key(run, config, key)

    monkeypatch.setattr(shards, "resume_key", failing)
    assert extract_files(run, settings()) == 1
    out, err = capsys.readouterr()
    assert "7 of 7 files: 1 that cannot be read, 6 written; " in out
    assert err.startswith("error: in/f0.jsonl: Permission denied\n")
    with pytest.raises(PermissionError):
        extract_files(run, settings("strict=true"))


def test_outputs_are_no_inputs(run, here):
    (here / "in/out").mkdir()
    write_jsonl(DOCUMENTS[:1], here / "in/out/x.jsonl")
    with pytest.raises(InputError, match=r"x\.jsonl: lies in the folder of the outputs"):
        extract_files(run, settings("input=in/**", "output=in/out"))


def test_folders_and_packed_files_keep_their_places(run, here):
    (here / "in/more").mkdir()
    with gzip.open(here / "in/more/f0.jsonl.gz", "wt") as file:
        file.write((here / "in/f0.jsonl").read_text())
    extract_files(run, settings("recursive=true", "extension=.csv.gz"))
    assert (here / "out/more/f0.csv.gz").is_file()
    assert gzip.decompress((here / "out/f0.csv.gz").read_bytes()).decode().startswith(HEADER)
    assert (here / "out/.summaries/more/f0.csv.gz.json").is_file()


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "a/b", "1/0", "-1/3", "1/3/5"])
def test_what_is_no_shard(shard):
    with pytest.raises(ValueError, match="is not a shard"):
        part_of(shard)
    with pytest.raises(InputError, match=rf"shard: '?{shard}'? is not a shard such as 3/64"):
        settings(f"shard={shard}")


def test_two_inputs_with_the_same_output(here):
    (here / "in/f0.pubtator").write_text("1|t|x\n")
    with pytest.raises(InputError, match=r"f0\.\w+ and .*f0\.\w+ would both be written to out/f0\.jsonl"):
        inputs_and_outputs(settings())
    with pytest.raises(InputError, match=r"input: in/\*\.xml: there is no file to read"):
        inputs_and_outputs(settings("input=in/*.xml"))


@pytest.fixture(scope="module")
def saved(run, tmp_path_factory):
    """A model on the disk, for commands."""
    folder = tmp_path_factory.mktemp("saved")
    command(
        *(
            "train",
            "encoder=tiny",
            "training.epochs=1",
            "model.nodes.hidden_channels=16",
            "hydra.run.dir=run",
        ),
        *(f"dataset.sizes.{split}=8" for split in ("train", "dev", "test")),
        cwd=folder,
    )
    return folder / "run"


def test_the_commands(saved, here):
    predict = ["predict", f"run={saved}", "input=in", "output=out", "mentions.types={Gene: Chemical}"]
    command(*predict, "shard=1/2", cwd=here)
    merge = ["merge", "folder=out", "input=in"]
    _, err = command(*merge, "output=all.jsonl", cwd=here, code=2)
    assert re.fullmatch(r"error: out: 3 of 7 inputs are missing: f1.jsonl, f3.jsonl, f5.jsonl\n", err)
    command(*predict, "shard=2/2", cwd=here)
    out, _ = command(*merge, "output=all.jsonl", cwd=here)
    assert re.fullmatch(r"all.jsonl: \d+ facts? in 14 documents of 7 files\n", out)
    command("predict", f"run={saved}", "input=in", "output=one.jsonl", predict[-1], cwd=here)
    merged, one = ([*read_jsonl(here / name)] for name in ("all.jsonl", "one.jsonl"))
    assert [each.id for each in merged] == [each.id for each in one] == [each.id for each in DOCUMENTS]
    for several, together in zip(merged, one, strict=True):
        probabilities = [
            {(fact.head, fact.relation, fact.tail): fact.probability for fact in each.facts}
            for each in (several, together)
        ]
        assert probabilities[0] == pytest.approx(probabilities[1], abs=1e-5)
    out, _ = command("merge", "folder=out", cwd=here)
    assert out.endswith("in 14 documents of 7 files; input=FOLDER checks that no file is missing\n")
    for wrong, line in {
        ("output=all.csv",): "out/f0.jsonl: has another format than all.csv",
        ("output=all.html",): "all.html: only .jsonl, .csv, .nt, .data and .pubtator can be merged",
        ("folder=in",): "in: no .summaries of finished files",
        ("folder=",): "folder: is empty",
        ("output=out/all.jsonl",): "out/all.jsonl: is the input, or lies in its folder: write somewhere else",
    }.items():
        _, err = command(*merge, *wrong, cwd=here, code=2)
        assert err == f"error: {line}\n"
    for wrong, line in {
        (
            "output=one.jsonl",
            "shard=1/2",
        ): "shard: one.jsonl is one file, and a folder is needed: output=FOLDER",
        ("output=in/out",): "in/out/name.jsonl: is the input, or lies in its folder: write somewhere else",
        ("extension=.docx",): "extension: '.docx' is not that of a file that is written",
        ("extension=.brat",): "extension: '.brat' is not that of a file that is written",
        ("extension=/../x.jsonl",): "extension: '/../x.jsonl' is not an extension such as .jsonl",
        ("output=",): "output: is empty",
    }.items():
        _, err = command(*predict[:3], *wrong, *predict[3:-1], *wrong, cwd=here, code=2)
        assert err.startswith(f"error: {line}")


def test_what_is_there_twice_or_of_another_model_is_not_merged(run, here):
    extract_files(run, settings("extension=.csv"))
    parts = check_parts(here / "out")
    path = here / "out/.summaries/f5.csv.json"
    whole = json.loads(path.read_text())
    for change, message in (
        ({"ids": ["d10", "d0"]}, r"out: d0: this document is in f0\.csv and f5\.csv"),
        ({"settings": "other"}, r"f5\.csv: is of another model or other settings than f0\.csv"),
        ({"sha256": "0" * 64}, r"f5\.csv: is not the file that was written"),
        ({"input": "g5.jsonl"}, r"out: 1 of 7 inputs are missing: f5\.jsonl"),
        ({"facts": -1}, r"f5\.csv\.json: facts"),
    ):
        path.write_text(json.dumps(whole | change))
        with pytest.raises(InputError, match=message):
            check_parts(here / "out", [summary.input for _, summary in parts])
    path.write_text(json.dumps(whole))
    assert check_parts(here / "out") == parts
    (here / "in/f6.jsonl").unlink()
    with pytest.raises(InputError, match=r"out: 1 of its files are of other inputs: f6\.jsonl"):
        check_parts(here / "out", [f"f{number}.jsonl" for number in range(6)])


def test_headers_are_merged_once(saved, here):
    command("predict", f"run={saved}", "input=in", "output=out", "extension=.csv", "threshold=0", cwd=here)
    command("merge", "folder=out", "output=all.csv.gz", cwd=here)
    text = gzip.decompress((here / "all.csv.gz").read_bytes()).decode()
    parts = [path.read_bytes().decode() for path in sorted((here / "out").glob("*.csv"))]
    assert text == HEADER + "".join(part.removeprefix(HEADER) for part in parts)
    assert text.count(HEADER) == 1
