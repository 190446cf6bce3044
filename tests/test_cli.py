"""Outputs of commands: what is read is never written over, by whatever name."""

import errno
import os
import stat
import threading

import pytest
from omegaconf import OmegaConf
from tensorboard.summary.writer.record_writer import RecordWriter

from commands import run
from documents import random_documents
from glre_pyg.formats.jsonl import write_jsonl
from glre_pyg.utils.cli import output_path
from glre_pyg.utils.exceptions import InputError


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A corpus, a dictionary, a run and an input folder."""
    monkeypatch.chdir(tmp_path)
    for folder in ("run/encoder", "input", "out"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("dev.jsonl", "names.tsv", "run/config.yaml", "run/labels.json", "input/a.jsonl"):
        (tmp_path / name).write_text(name)
    os.link("dev.jsonl", "hard.jsonl")
    os.symlink("dev.jsonl", "soft.jsonl")
    os.symlink("run", "other")
    return tmp_path


def config(output, **more):
    settings = {"run": "run", "input": "input", "mentions": {"file": "names.tsv"}, "split": "out"}
    return OmegaConf.create(
        {"output": output, "dataset": {"dev": "dev.jsonl"}, "list": ["x" * 5000], **settings, **more}
    )


@pytest.mark.parametrize(
    "output",
    [
        *(
            "dev.jsonl",
            "hard.jsonl",
            "soft.jsonl",
            "out/../dev.jsonl",
            "names.tsv",
            "input/a.jsonl",
            "input/new.jsonl",
        ),
        *("run/labels.json", "run/new.json", "run/encoder/new.json", "other/labels.json", "other/new.json"),
    ],
)
def test_what_is_read_is_not_written_over(here, output):
    with pytest.raises(
        InputError, match=rf"^{output}: (is the input, or lies in its folder|lies in the folder of a run)"
    ):
        output_path(config(output))


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_what_a_link_in_a_folder_of_inputs_leads_to_is_not_written_over(here, link):
    (here / "corpus.jsonl").write_text("read through the folder")
    (here / "input/sub").mkdir()
    link(here / "corpus.jsonl", here / "input/sub/linked.jsonl")
    with pytest.raises(InputError, match=r"^corpus.jsonl: is the input"):
        output_path(config("corpus.jsonl"))


def test_the_part_of_an_output_is_not_its_input(here):
    (here / "a.jsonl.part").write_text("of an earlier command")
    with pytest.raises(InputError, match="is the input"):
        output_path(config("a.jsonl", input="a.jsonl.part"))


def test_no_part_of_another_run_is_written_over(here):
    with pytest.raises(InputError, match="lies in the folder of a run"):
        output_path(config("run/scores.json", run="OWNER/NAME"))


@pytest.mark.parametrize("output", ["new.jsonl", "out/new.jsonl", "run2.jsonl"])
def test_other_places_are_written(here, output):
    assert str(output_path(config(output))) == output


def test_a_folder_is_made_where_that_is_asked_for(here):
    assert output_path(config("a/b"), file="report.md", make_folder=True).parent.is_dir()
    with pytest.raises(InputError, match=r"^a/c/x.md: cannot be written, its folder is missing$"):
        output_path(config("a/c/x.md"))
    with pytest.raises(InputError, match=r"^dev.jsonl/x/y: cannot be written: Not a directory$"):
        output_path(config("dev.jsonl/x/y"), make_folder=True)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "loop"])
def test_what_is_not_a_regular_file_stays_what_it_is(here, kind):
    place = here / "out.jsonl"
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to({"device": "/dev/null", "loop": "out.jsonl"}[kind])
    before = place.lstat()
    write_jsonl(random_documents(2), here / "in.jsonl")
    _, error = run("convert", "input=in.jsonl", "output=out.jsonl", cwd=here, code=2)
    assert error.startswith("error: out.jsonl: cannot be written: ")
    assert error.count("\n") == 1
    assert os.path.samestat(place.lstat(), before)


def test_links_and_modes_are_kept_and_new_files_follow_the_umask(here):
    write_jsonl(random_documents(2), here / "in.jsonl")
    (here / "private.jsonl").write_text("old")
    (here / "private.jsonl").chmod(0o600)
    (here / "link.jsonl").symlink_to("out/../private.jsonl")
    (here / "dangling.jsonl").symlink_to("out/new.jsonl")
    before = os.umask(0o027)
    try:
        for name in ("link", "dangling", "fresh"):
            run("convert", "input=in.jsonl", f"output={name}.jsonl", cwd=here)
    finally:
        os.umask(before)
    expected = (here / "in.jsonl").read_bytes()
    for name, mode in (("private.jsonl", 0o600), ("out/new.jsonl", 0o640), ("fresh.jsonl", 0o640)):
        assert (here / name).read_bytes() == expected
        assert stat.S_IMODE((here / name).lstat().st_mode) == mode
    assert (here / "link.jsonl").is_symlink()
    assert (here / "dangling.jsonl").is_symlink()


@pytest.mark.parametrize("command", ["convert", "stats"])
def test_commands_keep_what_they_read(here, command):
    write_jsonl(random_documents(2), here / "in.jsonl")
    before = (here / "in.jsonl").read_bytes()
    corpus = ["dataset=pubtator", "dataset.relations=[R]", "dataset.types=[A]", "dataset.test=in.jsonl"]
    given = ["input=in.jsonl"] if command == "convert" else corpus
    _, error = run(command, *given, "output=out/../in.jsonl", cwd=here, code=2)
    assert "is the input" in error
    assert (here / "in.jsonl").read_bytes() == before


def test_a_disk_that_does_not_take_the_training_curves_is_one_line(tmp_path, monkeypatch):
    """TensorBoard writes them in a thread of its own."""
    said = []
    monkeypatch.setattr(threading, "excepthook", said.append)
    monkeypatch.setattr(RecordWriter, "write", lambda *_: (_ for _ in ()).throw(OSError(errno.EIO, "failed")))
    settings = [
        "dataset.sizes={train: 4, dev: 3, test: 3}",
        "encoder=tiny",
        "training.epochs=1",
        "cache=false",
    ]
    _, error = run("train", *settings, "hydra.run.dir=run", cwd=tmp_path, code=2)
    [line] = error.splitlines()
    assert line == f"error: {tmp_path / 'run'}: cannot be written: failed; there is no checkpoint"
    assert said == []
