"""Checkpoints: whole or not there, of this run alone, and nothing in them is a pickle."""

import json
import resource
import shutil
import signal

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from glre_pyg.runs.artifacts import WEIGHTS
from glre_pyg.training.checkpoint import BEST, CHECKPOINT, STATE, TENSORS, Checkpoint
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


def test_a_checkpoint_that_was_about_to_be_replaced_is_found(saved):
    folder, losses = saved
    (folder / CHECKPOINT).rename(folder / f"{CHECKPOINT}.old")
    (folder / f"{CHECKPOINT}.part").mkdir()
    _, model, parts = restored(folder)
    assert [step(model, parts) for _ in range(3)] == losses


FILES = [WEIGHTS, BEST, STATE, TENSORS]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", [0, -1])
def test_a_flipped_byte_is_named(saved, name, place):
    folder, _ = saved
    path = folder / CHECKPOINT / name
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"^{path}: is not the file that was saved"):
        restored(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_and_one_too_many_are_named(saved, name):
    folder, _ = saved
    (folder / CHECKPOINT / name).rename(folder / CHECKPOINT / "other.bin")
    with pytest.raises(
        InputError, match=rf"^{folder / CHECKPOINT}/(other.bin|{name}): (was not saved|is missing)"
    ):
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


def test_what_accelerate_wrote_is_not_loaded(saved):
    folder, _ = saved
    shutil.rmtree(folder / CHECKPOINT)
    (folder / CHECKPOINT).mkdir()
    torch.save({}, folder / CHECKPOINT / "optimizer.bin")
    with pytest.raises(InputError, match="so not a checkpoint of this version: begin anew"):
        restored(folder)


def test_nothing_is_unpickled(saved, monkeypatch):
    """All files are JSON or safetensors, and reading them calls no unpickler."""
    import pickle

    folder, _ = saved

    def handle_error(*args, **options):
        raise AssertionError("unpickled")

    monkeypatch.setattr(torch, "load", handle_error)
    monkeypatch.setattr(pickle, "Unpickler", handle_error)
    monkeypatch.setattr(pickle, "loads", handle_error)
    assert restored(folder)[0]
    assert json.loads((folder / CHECKPOINT / STATE).read_text())
    assert load_file(folder / CHECKPOINT / TENSORS)
    assert {path.name for path in (folder / CHECKPOINT).iterdir()} == {*FILES, "checksums.json"}


def test_a_state_that_is_no_state_is_one_line(saved):
    """Even where someone has put in the right checksums."""
    from glre_pyg.runs.checksums import CHECKSUMS, write_checksums

    folder, _ = saved
    place = folder / CHECKPOINT
    for content in (
        "{}",
        '{"state": {"map": [["format", 1]]}}',
        '{"state": 3}',
        '{"state": {"map": [], "list": []}}',
    ):
        (place / STATE).write_text(content)
        write_checksums(place, [path.name for path in place.iterdir() if path.name != CHECKSUMS])
        with pytest.raises(InputError, match=rf"^{place}: is not of this run: "):
            restored(folder)


def test_what_cannot_be_kept_is_not_kept_by_half(saved):
    folder, losses = saved
    model = nn.Linear(3, 2)
    half = Half()
    half.state = {"what": object()}
    with pytest.raises(TypeError, match="/parts/half/what: a object cannot be kept"):
        Checkpoint(folder, model, {"half": half}, RUN).save()
    _, model, parts = restored(folder)
    assert [step(model, parts) for _ in range(3)] == losses


@pytest.fixture
def small_files():
    """Files may have 20 kB; what would be longer is an error, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[0][1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before[0])
    signal.signal(signal.SIGXFSZ, before[1])


def test_a_full_disk_leaves_the_last_checkpoint(saved, small_files):
    folder, losses = saved
    with pytest.raises(
        WriteError, match=rf"^{folder / CHECKPOINT}\.part/{WEIGHTS}: cannot be written: .*large"
    ):
        Checkpoint(folder, nn.Linear(100, 100), {}, RUN).save()
    assert {path.name for path in folder.iterdir()} == {CHECKPOINT, WEIGHTS}
    _, model, parts = restored(folder)
    assert [step(model, parts) for _ in range(3)] == losses
