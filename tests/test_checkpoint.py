"""Checkpoints: whole or not there, of this run alone, and no more than tensors and plain values."""

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from commands import small_files
from glre_pyg.runs.directory import WEIGHTS
from glre_pyg.training.checkpoint import CHECKPOINT, Checkpoint
from glre_pyg.training.loop import Progress
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import WriteError

RUN = {"seed": 3, "documents": "7"}


class Half:
    """Something with a state of its own."""

    def __init__(self):
        self.state = {"steps": [1, 2], "moments": {0: torch.ones(2), 1: None}, "name": "x", "rate": 0.1}

    def state_dict(self):
        return self.state

    def load_state_dict(self, state):
        self.state = state


def parts_of(model):
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (step + 1))
    return {"optimizer": optimizer, "schedule": schedule, "half": Half()}


def step(model, parts):
    loss = nn.functional.dropout(model(torch.randn(4, 3)), 0.5).square().sum()
    loss.backward()
    parts["optimizer"].step()
    parts["optimizer"].zero_grad()
    parts["schedule"].step()
    return loss.item()


@pytest.fixture
def saved(tmp_path):
    """A folder with a checkpoint after three steps, and the losses of the three that follow."""
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    parts = parts_of(model)
    for _ in range(3):
        step(model, parts)
    (tmp_path / WEIGHTS).write_bytes(b"best")
    Checkpoint(tmp_path, model, parts, RUN).save()
    return tmp_path, [step(model, parts) for _ in range(3)]


def restored(folder, run=RUN, model=None):
    torch.manual_seed(99)
    model = model or nn.Linear(3, 2)
    parts = parts_of(model)
    found = Checkpoint(folder, model, parts, run).restore()
    return found, model, parts


def test_what_follows_is_what_would_have_followed(saved):
    folder, losses = saved
    (folder / WEIGHTS).write_bytes(b"better, but of an epoch that is forgotten")
    found, model, parts = restored(folder)
    assert found
    assert [step(model, parts) for _ in range(3)] == losses
    assert str(parts["half"].state) == str(Half().state)
    assert (folder / WEIGHTS).read_bytes() == b"best"


def test_where_there_is_none_nothing_is_restored(tmp_path):
    assert restored(tmp_path)[0] is False


def test_a_process_that_was_killed_while_writing_leaves_the_last_checkpoint(saved):
    folder, losses = saved
    (folder / ".0123abcd.part").mkdir()
    (folder / ".0123abcd.part" / CHECKPOINT).write_bytes(b"half")
    _, model, parts = restored(folder)
    assert [step(model, parts) for _ in range(3)] == losses
    Checkpoint(folder, model, parts, RUN).save()
    assert {path.name for path in folder.iterdir()} == {CHECKPOINT, WEIGHTS}


def test_a_damaged_checkpoint_is_refused(saved):
    """A flipped bit anywhere is refused, or changes nothing: names and dates in the archive's table, padding."""
    folder, losses = saved
    path = folder / CHECKPOINT
    whole, lines = path.read_bytes(), []
    positions = [0, *range(100, len(whole), len(whole) // 100)]
    for place in positions:
        content = bytearray(whole)
        content[place] ^= 1
        path.write_bytes(content)
        try:
            _, model, parts = restored(folder)
        except InputError as error:
            lines.append(str(error))
        else:
            assert [step(model, parts) for _ in range(3)] == losses
            assert (folder / WEIGHTS).read_bytes() == b"best"
    assert len(lines) > len(positions) / 2
    assert all(line.startswith(f"{path}: is damaged, or not a checkpoint: ") for line in lines)


@pytest.mark.parametrize("length", [0, 1, 0.5, -1])
def test_a_truncated_checkpoint_is_refused(saved, length):
    folder, _ = saved
    path = folder / CHECKPOINT
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * length) if isinstance(length, float) else length])
    with pytest.raises(InputError, match=rf"^{path}: is damaged, or not a checkpoint: "):
        restored(folder)


@pytest.mark.parametrize(("name", "value"), [("seed", 4), ("documents", "8")])
def test_a_checkpoint_of_another_run_is_refused(saved, name, value):
    folder, _ = saved
    line = rf"^{folder / CHECKPOINT}: is of another run: {name} was {RUN[name]}, and is {value}$"
    with pytest.raises(InputError, match=line):
        restored(folder, RUN | {name: value})


def test_weights_of_another_model_are_refused(saved):
    folder, _ = saved
    with pytest.raises(
        InputError, match=rf"^{folder / CHECKPOINT}: is not of this run: RuntimeError: .*size"
    ):
        restored(folder, model=nn.Linear(5, 2))


def test_other_parts_are_refused(saved):
    folder, _ = saved
    model = nn.Linear(3, 2)
    with pytest.raises(InputError, match=r"is not of this run: KeyError: 'scaler'$"):
        Checkpoint(folder, model, {"scaler": Half()}, RUN).restore()


def test_a_checkpoint_of_an_earlier_version_is_refused(saved):
    folder, _ = saved
    torch.save({"format": 1}, folder / CHECKPOINT)
    with pytest.raises(InputError, match=r"not a checkpoint of this version: start a new run$"):
        restored(folder)
    (folder / CHECKPOINT).unlink()
    (folder / "checkpoint").mkdir()
    with pytest.raises(InputError, match=r"checkpoint: written by an earlier version: start a new run$"):
        restored(folder)


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_is_called_while_a_checkpoint_is_read(saved, tmp_path):
    folder, _ = saved
    for content in (
        Bomb(tmp_path / "exploded"),
        {"format": 2, "run": RUN, "parts": Bomb(tmp_path / "exploded")},
    ):
        torch.save(content, folder / CHECKPOINT)
        with pytest.raises(InputError, match="is damaged, or not a checkpoint: Weights only load failed"):
            restored(folder)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "content", [3, {}, {"format": 2}, {"format": 2, "run": 3}, {"format": 2, "run": RUN}]
)
def test_a_state_that_is_no_state_is_one_line(saved, content):
    folder, _ = saved
    if content == {"format": 2, "run": RUN}:
        content["run"] = dict(RUN)
    torch.save(content, folder / CHECKPOINT)
    with pytest.raises(InputError, match=rf"^{folder / CHECKPOINT}: (not a checkpoint|is not of this run)"):
        restored(folder)


def test_averages_of_another_shape_and_weights_that_are_no_bytes_are_one_line(saved):
    folder, _ = saved
    for place in ("optimizer", "best"):
        content = torch.load(folder / CHECKPOINT, weights_only=True)
        if place == "best":
            content["best"] = "best"
        else:
            content["parts"]["optimizer"]["state"][0]["exp_avg"] = torch.zeros(1)
        (folder / "copy").mkdir(exist_ok=True)
        torch.save(content, folder / "copy" / CHECKPOINT)
        with pytest.raises(InputError, match="is not of this run"):
            restored(folder / "copy")


@pytest.mark.parametrize("value", [-1, "x", None, float("nan"), 10**30])
def test_progress_that_is_none_is_one_line(tmp_path, value):
    model = nn.Linear(3, 2)
    Checkpoint(tmp_path, model, {"progress": Progress()}, RUN).save()
    content = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    content["parts"]["progress"]["log_bytes"] = value
    torch.save(content, tmp_path / CHECKPOINT)
    with pytest.raises(InputError, match="is not of this run"):
        Checkpoint(tmp_path, model, {"progress": Progress()}, RUN).restore()


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / CHECKPOINT)
    with pytest.raises(InputError, match="not a regular file"):
        restored(tmp_path)


def test_a_full_disk_leaves_the_last_checkpoint(saved):
    folder, losses = saved
    line = rf"^{folder / CHECKPOINT}: cannot be written: File too large"
    with small_files(20_000), pytest.raises(WriteError, match=line):
        Checkpoint(folder, nn.Linear(100, 100), {}, RUN).save()
    assert {path.name for path in folder.iterdir()} == {CHECKPOINT, WEIGHTS}
    _, model, parts = restored(folder)
    assert [step(model, parts) for _ in range(3)] == losses
