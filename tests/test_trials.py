"""The trials that are commands of their own, in ``tests/trials``."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import commands

TRIALS = Path(__file__).parent / "trials"


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, TRIALS / f"{name}.py", *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("leak", "grown"), [(0, 1.0), (100, 1.3)])
def test_growth_of_memory_is_seen(leak, grown, monkeypatch):
    """A leak of so many bytes a step on top of 1,000,000."""
    monkeypatch.syspath_prepend(TRIALS)
    from memory import Watch

    watch = Watch(200, 4000, read=lambda: 1_000_000 + leak * watch.step)
    for _ in range(4025):
        watch()
    early, late = 1_000_000 + leak * 200, 1_000_000 + leak * 4000
    assert watch.growth() == pytest.approx((late / early, late / early), rel=1e-4)
    assert watch.growth()[0] == pytest.approx(grown, abs=0.1)
    assert len(watch.seen) == 100


@pytest.mark.trial
def test_training_takes_no_more_memory_after_2000_steps():
    done = run("memory", "--steps", "2000")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.fullmatch(r"step 200: .* MiB \(median .*\), step 2000: .* times as much .*\n", done.stdout)


@pytest.mark.slow
def test_two_processes_do_what_one_does(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(TRIALS)
    import processes

    (tmp_path / "train.py").write_text("from glre_pyg.train import main\nmain()\n")

    def run_command(folder, count, command, *options):
        if count == 1:
            return commands.run(command, *options, cwd=folder)[0]
        return commands.run_two(folder / f"{command}.py", *options, cwd=folder)[0]

    monkeypatch.setattr(processes, "run", run_command)
    monkeypatch.setattr(processes, "OPTIONS", [*processes.OPTIONS])
    failures = processes.Failures()
    processes.prepare(tmp_path)
    processes.compare_training(tmp_path, [1, 2], failures)
    assert not failures
    lines = capsys.readouterr().out.splitlines()
    assert [line[:3] for line in lines if line[:3] in ("yes", "NO ")] == ["yes"] * 7


@pytest.mark.trial
def test_processes_caches_and_sweeps():
    done = run("processes")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.trial
def test_hostile_models():
    done = run("hostile", "models", "--count", "300")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.trial
@pytest.mark.parametrize(("trial", "count"), [("writers", 9), ("disks", 24), ("files", 40)])
def test_hostile_places(trial, count):
    if trial == "disks" and (os.geteuid() != 0 or not shutil.which("mount")):
        pytest.skip("a small disk can be mounted by root alone")
    done = run("hostile", trial, "--count", f"{count}")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.trial
@pytest.mark.parametrize(("trial", "count"), [("settings", 40), ("signals", 5), ("ranks", 4)])
def test_hostile_everyday(trial, count):
    done = run("hostile", trial, "--count", f"{count}")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.trial
def test_hostile_caches():
    done = run("hostile", "caches", "--count", "300")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.trial
def test_kills():
    done = run("kills", "--kills", "20")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 of 20 kills survived" in done.stdout


@pytest.mark.trial
def test_full_disks():
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("a small disk can be mounted by root alone")
    done = run("kills", "--kills", "0", "--disks", "6")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 of 6 full disks" in done.stdout


@pytest.mark.trial
def test_a_long_stream():
    done = run("stream", "--documents", "20000", "--kills", "3")
    assert done.returncode == 0, done.stdout + done.stderr


def test_exponent_of_time_is_a_slope(monkeypatch):
    monkeypatch.syspath_prepend(TRIALS)
    from times import exponent

    assert exponent([1, 2, 4, 8], [0.5, 2, 8, 32]) == pytest.approx(2)


@pytest.mark.trial
def test_times_grow_with_size():
    done = run("times")
    assert done.returncode == 0, done.stdout + done.stderr
