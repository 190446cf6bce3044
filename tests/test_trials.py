"""The trials that are commands of their own, in ``tests/trials``."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

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
