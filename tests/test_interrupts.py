"""SIGINT, SIGTERM and SIGHUP end a command with one line and 128 plus their number; a run goes on exactly."""

import os
import signal
import sys

import pytest

import glre_pyg.__main__
import glre_pyg.stats
from commands import run
from glre_pyg.training.checkpoint import CHECKPOINT
from glre_pyg.training.epochs import EpochTrainer
from glre_pyg.utils.interrupts import Interrupted, deferred_interrupts, is_interrupted, raise_interrupts

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
TINY = [
    *("encoder=tiny", "dataset.sizes={train: 10, dev: 4, test: 4}", "model.nodes.hidden_channels=16"),
    *("training.epochs=3", "training.batch_size=2", "cache=false"),
]


@pytest.mark.parametrize("number", SIGNALS)
def test_a_command_ends_with_one_line(number, tmp_path, monkeypatch):
    monkeypatch.setattr(glre_pyg.stats, "stats", lambda config: os.kill(os.getpid(), number))
    before = signal.getsignal(number)
    _, err = run("stats", cwd=tmp_path, code=SIGNALS[number])
    assert err == f"interrupted by {number.name}: run the same command again\n"
    assert signal.getsignal(number) == before
    assert not list(tmp_path.iterdir())


def test_a_signal_while_a_command_is_imported_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["glre", "stats"])
    monkeypatch.setattr(glre_pyg.__main__, "import_module", lambda _: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(SystemExit) as end:
        glre_pyg.__main__.main()
    assert end.value.code == 130
    assert capsys.readouterr().err == "interrupted by SIGINT: run the same command again\n"


def test_signals_are_deferred_and_the_second_is_ignored():
    def work():
        with deferred_interrupts():
            assert not is_interrupted()
            os.kill(os.getpid(), signal.SIGTERM)
            assert is_interrupted()
            os.kill(os.getpid(), signal.SIGHUP)

    with raise_interrupts(), pytest.raises(Interrupted) as caught:
        work()
    assert caught.value.signal is signal.SIGTERM
    with deferred_interrupts():  # of work that comes after it
        assert not is_interrupted()


def test_a_scheduler_may_end_training(tmp_path, monkeypatch):
    """The line names the checkpoint and the setting that goes on; the weights are those of a whole run."""
    step = EpochTrainer._step

    def interrupted(self, batches):
        if self.progress.step == 7:  # in the second epoch
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, batches)

    with monkeypatch.context() as patch:
        patch.setattr(EpochTrainer, "_step", interrupted)
        _, err = run("train", *TINY, "hydra.run.dir=run", cwd=tmp_path, code=143)
    [line] = [line for line in err.splitlines() if line.startswith("interrupted")]
    folder = tmp_path / "run"
    assert line.startswith(f"interrupted by SIGTERM: {folder / CHECKPOINT} is that after epoch ")
    assert line.endswith(f"; training.resume={folder} resumes it")
    assert "Traceback" not in err
    run("train", "training.resume=run", cwd=tmp_path)
    run("train", *TINY, "hydra.run.dir=whole", cwd=tmp_path)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "whole")]
    assert weights[0] == weights[1]
