"""Files that actors of Ray predict, and the programs of docs/clusters.md; tests/trials/ray_actors.py kills more."""

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir

from commands import run as command
from documents import random_documents
from glre_pyg import ExtractBatch, from_pretrained
from glre_pyg.extraction import ray_actors
from glre_pyg.extraction.ray_actors import FileExtractor, FileResult, _number_of_actors, _outcomes
from glre_pyg.extraction.shards import Outcome, extract_files, inputs_and_outputs
from glre_pyg.formats.jsonl import write_jsonl
from glre_pyg.formats.parquet import write_parquet
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.interrupts import Interrupted, raise_interrupts

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [replace(each, id=f"d{number}", facts=()) for number, each in enumerate(random_documents(6))]


def node(alive=True, **resources):
    return {"Alive": alive, "Resources": resources}


@pytest.mark.parametrize(
    ("nodes", "gpus", "actors"),
    [
        ([node(CPU=4.0)], 0, 3),
        ([node(CPU=4.0), node(CPU=8.0), node(CPU=16.0, alive=False), node(memory=1.0)], 0, 10),
        ([node(CPU=8.0, GPU=1.0), node(CPU=8.0)], 0.25, 4),
        ([node(CPU=3.0, GPU=1.0)], 0.25, 2),
        ([node(CPU=16.0, GPU=2.0)], 0.4, 4),  # five do not share two GPUs
    ],
)
def test_there_are_as_many_actors_as_there_is_room_for(nodes, gpus, actors):
    assert _number_of_actors(nodes, SimpleNamespace(actors=None, gpus=gpus)) == actors
    assert _number_of_actors(nodes, SimpleNamespace(actors=1, gpus=gpus)) == 1
    wanted = SimpleNamespace(actors=actors + 1, gpus=gpus)
    with pytest.raises(
        InputError, match=rf"actors: Ray has room for {actors}, not for {actors + 1}: each takes"
    ):
        _number_of_actors(nodes, wanted)


def test_no_room_at_all():
    with pytest.raises(
        InputError, match=r"actors: Ray has room for 0: each takes a CPU and 0\.5 of a GPU, and"
    ):
        _number_of_actors([node(CPU=8.0)], SimpleNamespace(actors=None, gpus=0.5))


class Died(Exception):
    """What Ray raises for an actor."""


class FakeRay(SimpleNamespace):
    """Actors that do their work when they are waited for, and die with some files."""

    exceptions = SimpleNamespace(RayActorError=Died, OutOfMemoryError=Died)

    def actor(self):
        return SimpleNamespace(
            extract=SimpleNamespace(remote=lambda name, *_: (len(self.given), self.note(name)))
        )

    def note(self, name):
        self.given.append(name)
        return name

    def wait(self, working, timeout):
        return working[-1:], working[:-1]

    def get(self, task):
        if task[1] in self.deadly:
            raise Died
        failure = "f3: is wrong" if task[1] in self.wrong else None
        return FileResult(Outcome("written", 2, 1, 0), f"{task[1]} is done\n", "", failure)


def test_every_file_is_given_to_one_actor_and_a_deadly_one_does_not_end_the_others(capsys):
    files = [(f"f{number}", Path(f"f{number}"), Path(f"o{number}")) for number in range(5)]
    ray = FakeRay(given=[], deadly={"f2"}, wrong=())
    found = list(_outcomes(ray, (ray.actor() for _ in range(2)), files))
    assert sorted(ray.given) == [name for name, *_ in files]
    assert sorted(found) == [Outcome("given up", errors=1), *[Outcome("written", 2, 1)] * 4]
    out, err = capsys.readouterr()
    assert sorted(out.split("\n")) == ["", *(f"f{number} is done" for number in (0, 1, 3, 4))]
    assert err == "error: f2: its actor died 4 times; if it was its memory, memory=GIB limits it\n"
    ray = FakeRay(given=[], deadly=(), wrong={"f3"})
    with pytest.raises(InputError, match="f3: is wrong"):
        list(_outcomes(ray, (ray.actor() for _ in range(9)), files))


def test_a_signal_is_not_left_to_ray():
    def wait(working, timeout):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except KeyboardInterrupt:
            raise RuntimeError("Ray's own error") from None
        return [], working

    ray = FakeRay(given=[], wait=wait)
    with raise_interrupts(), pytest.raises(Interrupted):
        list(_outcomes(ray, [ray.actor()], [("f0", Path("f0"), Path("o0"))]))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model on the disk."""
    folder = tmp_path_factory.mktemp("saved")
    sizes = [f"dataset.sizes.{split}=8" for split in ("train", "dev", "test")]
    narrow = ["encoder=tiny", "training.epochs=1", "model.nodes.hidden_channels=16"]
    command("train", *narrow, *sizes, "hydra.run.dir=run", cwd=folder)
    return folder / "run"


@pytest.fixture
def here(tmp_path):
    """Three files of two documents."""
    (tmp_path / "in").mkdir()
    for number in range(3):
        write_jsonl(DOCUMENTS[number::3], tmp_path / f"in/f{number}.jsonl")
    return tmp_path


def test_wrong_settings_and_a_missing_ray(saved, here, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    predict = ["predict", f"run={saved}", "input=in"]
    for wrong, line in {
        ("output=out", "actors=2"): "actors: is for engine=ray",
        ("output=out", "gpus=0.5"): "gpus: is for engine=ray",
        (
            "output=x.jsonl",
            "engine=ray",
        ): "engine: x.jsonl is one file, and a folder is needed: output=FOLDER",
        ("output=out", "engine=spark"): "engine: 'spark' is not ray or null",
        ("output=out", "engine=ray", "gpus=2"): "gpus: '2' is not a number from 0 to 1",
        (
            "output=out",
            "engine=ray",
        ): "engine: import of ray halted; None in sys.modules: pip install 'glre_pyg[ray]'",
    }.items():
        _, err = command(*predict, *wrong, cwd=here, code=2)
        assert err.splitlines()[-1] == f"error: {line}"


def test_what_an_actor_does_with_a_file(saved, here, monkeypatch, capsys):
    monkeypatch.chdir(here)
    with initialize_config_dir(config_dir(), version_base="1.3"):
        config = compose("predict", [f"run={saved}", "input=in", "output=out", "engine=ray"])
    [(_, *paths), *_] = inputs_and_outputs(config)
    result = FileExtractor(config, str(here)).extract("f0.jsonl", *paths)
    assert (result.outcome.state, result.outcome.documents, result.failure) == ("written", 2, None)
    assert result.out.startswith("out/f0.jsonl: ")
    assert capsys.readouterr().out == ""
    assert extract_files(from_pretrained(saved), config) == 0
    assert "3 of 3 files: 1 finished before, 2 written; " in capsys.readouterr().out
    result = FileExtractor(config, str(here / "nowhere")).extract("f0.jsonl", *paths)
    assert result.failure == f"{here}/nowhere: No such file or directory"


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.slow
def test_actors_write_what_shards_write_and_finish_what_they_began(saved, here, monkeypatch):
    ray = pytest.importorskip("ray")

    class Dying:
        """Dies with one file once, and with another always."""

        def __init__(self, config, folder):
            from glre_pyg.extraction.ray_actors import FileExtractor  # here, it is replaced

            self.extractor = FileExtractor(config, folder)

        def extract(self, name, file, output):
            os.chdir(self.extractor.folder)
            if name == "f1.jsonl" or (name == "f2.jsonl" and not (output.parent / "died").exists()):
                (output.parent / "died").touch()
                os._exit(1)
            return self.extractor.extract(name, file, output)

    monkeypatch.setenv("RAY_worker_niceness", "0")
    predict = ["predict", f"run={saved}", "input=in"]
    command(*predict, "output=one", cwd=here)
    ray.init("local", num_cpus=3, include_dashboard=False, logging_level="error")
    try:
        with_ray = [*predict, "output=out", "engine=ray"]
        _, err = command(*with_ray, "run=nowhere", cwd=here, code=2)
        assert re.fullmatch(r"error: .*nowhere.*\n", err)
        monkeypatch.setattr(ray_actors, "FileExtractor", Dying)
        out, err = command(*with_ray, cwd=here, code=2)
        assert "error: in/f1.jsonl: its actor died 4 times; " in err
        assert re.search(r"out: 3 of 3 files: .*1 given up.* in 4 documents; 1 error\n", out)
        monkeypatch.setattr(ray_actors, "FileExtractor", FileExtractor)
        out, _ = command(*with_ray, "actors=1", cwd=here)
        assert re.search(r"out: 3 of 3 files: .*2 finished before.* in 6 documents\n", out)
    finally:
        ray.shutdown()
    assert files_of(here / "out").keys() - {"died"} == files_of(here / "one").keys()
    out, _ = command("merge", "folder=out", "input=in", cwd=here)
    assert "in 6 documents of 3 files" in out
    out, _ = command(*predict, "output=out", cwd=here)
    assert "3 of 3 files: 3 finished before" in out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "package"),
    [("ray_batches", "ray"), ("ray_files", "ray"), ("spark_program", "pyspark"), ("dask_program", "dask")],
)
def test_the_programs_of_the_page(name, package, tmp_path):
    pytest.importorskip(package)
    parquet = pytest.importorskip("pyarrow.parquet")
    if package == "pyspark" and not shutil.which("java"):
        pytest.skip("Spark needs Java")
    page = (ROOT / "docs/clusters.md").read_text(encoding="utf-8")
    program = re.search(rf":caption: {name}\.py\n(.*?)```", page, re.DOTALL)[1]
    (tmp_path / "program.py").write_text(program)
    (tmp_path / "abstracts").mkdir()
    for number in range(3):
        write_parquet(DOCUMENTS[number::3], tmp_path / f"abstracts/{number}.parquet")
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "RAY_worker_niceness": "0"}
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = facts_of(parquet.read_table(tmp_path / "facts"))
    expected = facts_of(ExtractBatch("cdr")(parquet.read_table(tmp_path / "abstracts")))
    assert found.keys() == expected.keys() == {document.id for document in DOCUMENTS}
    assert all(found[name] == pytest.approx(facts, abs=1e-4) for name, facts in expected.items())
    assert any(expected.values())


def facts_of(table):
    """Probabilities of the facts of each row, none of which has an error."""
    rows = table.to_pylist()
    assert len({row["id"] for row in rows}) == len(rows)
    assert all(row["error"] is None for row in rows)
    return {
        row["id"]: {
            (fact["head"], fact["relation"], fact["tail"]): fact["probability"] for fact in row["facts"]
        }
        for row in rows
    }
