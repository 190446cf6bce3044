"""What a run was made with."""

import json
import re
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from glre_pyg.runs import environment
from glre_pyg.runs.environment import describe_environment, git_commit
from glre_pyg.training.experiment import train
from glre_pyg.utils.cli import config_dir

SMALL = [
    *("encoder=tiny", "training.epochs=2", "model.nodes.hidden_channels=16", "cache=false"),
    *("dataset.sizes.train=12", "dataset.sizes.dev=6", "dataset.sizes.test=6"),
]


def git(folder, *arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet")
    (folder / "a").mkdir()
    (folder / "a" / "b").write_text("b")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "first")
    return folder


def test_commit(repository, tmp_path):
    """On a branch, packed, on none, in a worktree: as git itself says."""
    head = git(repository, "rev-parse", "HEAD")
    assert re.fullmatch("[0-9a-f]{40}", head)
    assert git_commit(repository / "a") == head
    git(repository, "pack-refs", "--all")
    assert git_commit(repository / "a") == head
    git(repository, "worktree", "add", "--quiet", "-b", "other", tmp_path / "tree")
    (tmp_path / "tree" / "c").write_text("c")
    git(tmp_path / "tree", "add", ".")
    git(tmp_path / "tree", "commit", "--quiet", "--message", "second")
    second = git(tmp_path / "tree", "rev-parse", "HEAD")
    assert git_commit(tmp_path / "tree") == second != head
    git(repository, "checkout", "--quiet", "--detach", head)
    assert git_commit(repository) == head


def test_without_git_there_is_no_commit(tmp_path):
    (tmp_path / "a").mkdir()
    assert git_commit(tmp_path / "a") is None
    (tmp_path / ".git").write_bytes(b"\xff")
    assert git_commit(tmp_path / "a") is None
    (tmp_path / ".git").unlink()
    (tmp_path / ".git").mkdir()
    assert git_commit(tmp_path / "a") is None


def test_what_is_known_of_code_data_and_machine():
    known = describe_environment({"train": "0" * 64})
    assert known["data"] == {"train": "0" * 64}
    assert known["torch"].split("+")[0].count(".") == 2
    assert re.fullmatch("[0-9a-f]{64}", known["code"])
    assert known["cpus"] > 0
    assert known["memory_gib"] > 0
    assert known["processes"] == 1
    assert json.loads(json.dumps(known)) == known
    assert str(Path.home()) not in json.dumps(known)


def test_other_code_is_other_code(tmp_path, monkeypatch):
    (tmp_path / "environment.py").write_text("one")
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "environment.py"))
    one = describe_environment({})["code"]
    (tmp_path / "environment.py").write_text("two")
    assert describe_environment({})["code"] != one


def test_the_same_seed_gives_the_same_run_twice(tmp_path):
    """All files, bit for bit, but the clock's."""
    with initialize_config_dir(config_dir(), version_base="1.3"):
        for name in ("one", "two"):
            train(compose("train", [*SMALL, "seed=3"]), tmp_path / name)
        train(compose("train", [*SMALL, "seed=4"]), tmp_path / "other")
    names = {path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()}
    timed = {
        path for path in names if path.name in ("log.jsonl", "costs.json") or path.parts[0] == "tensorboard"
    }
    same = {
        path
        for path in names - timed
        if (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()
    }
    # Of a checkpoint, what says how long the log is, whose times may have another digit.
    assert names - timed - same <= {Path("checkpoint.pt")}
    assert {path.name for path in same} >= {"model.safetensors", "scores.json", "predictions_test.jsonl"}
    weights = [
        sha256((tmp_path / name / "model.safetensors").read_bytes()).digest() for name in ("one", "other")
    ]
    assert weights[0] != weights[1]
    assert json.loads((tmp_path / "one/environment.json").read_text())["data"].keys() == {"generator"}
