"""A model and a layer of another package: one Python file and a YAML file each, trained, evaluated and loaded.

A run that this user has trained on this machine loads as it is; a run that comes from elsewhere needs GLRE_TRUST.
"""

import shutil
import stat
import sys
from importlib import invalidate_caches
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from glre_pyg.evaluate import evaluate
from glre_pyg.runs.directory import CHECKSUMS, CONFIG
from glre_pyg.runs.hub import from_pretrained
from glre_pyg.runs.loading import load
from glre_pyg.runs.trust import SIGNATURE, is_signed
from glre_pyg.training.experiment import train
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.exceptions import InputError

PACKAGE = "foreignre"
CODE = '''
import torch
from torch import nn
from torch_geometric.utils import scatter

from glre_pyg import RelationModel


class PairClassifier(RelationModel):
    """Mean word vector of each entity, and a bilinear layer over the pair."""

    def __init__(self, tokenizer, num_relations, *, encoder, channels, loss):
        super().__init__(loss(num_relations))
        self.encoder = encoder(tokenizer)
        self.project = nn.Linear(self.encoder.out_channels, channels)
        self.score = nn.Bilinear(channels, channels, self.loss.num_logits)

    def forward(self, batch):
        words = self.project(self.encoder(batch))  # [W, channels]
        first = words[batch["mention"].span[:, 0].clamp(max=max(len(words) - 1, 0))]  # [M, channels]
        mention, entity = batch["mention", "refers_to", "entity"].edge_index
        entities = scatter(first[mention], entity, dim=0, dim_size=batch["entity"].num_nodes, reduce="mean")
        head, tail = batch.pair_index
        return self.score(entities[head], entities[tail])


class MeanOfMentions(nn.Module):
    """A global layer: an entity is its own node and the mean of its mentions, projected to any width."""

    def __init__(self, in_channels, *, out_channels):
        super().__init__()
        self.out_channels = out_channels
        self.linear = nn.Linear(2 * in_channels, out_channels)

    def forward(self, x, edge_index):
        mention, entity = edge_index["mention", "refers_to", "entity"]
        mean = scatter(x["mention"][mention], entity, dim=0, dim_size=len(x["entity"]), reduce="mean")
        return self.linear(torch.cat([x["entity"], mean], dim=1))
'''
MODEL = f"""
_target_: {PACKAGE}.models.PairClassifier
_partial_: true
encoder: ${{encoder.module}}
channels: 8
loss: ${{thresholds.loss}}
"""
LAYER = f"""
_target_: {PACKAGE}.models.MeanOfMentions
_partial_: true
out_channels: 12
"""
SMALL = [
    *("dataset=synthetic", "dataset.sizes={train: 6, dev: 4, test: 4}", "encoder=tiny", "training.epochs=1"),
    *("training.batch_size=4", "cache=false"),
]
CHOICES = {
    "model": ["model=pairs"],
    "layer": ["layer/global=mean_of_mentions", "model.nodes.hidden_channels=8"],
}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A package with a model and a layer, and their configs; it can be imported."""
    root = tmp_path_factory.mktemp("elsewhere")
    files = {
        "__init__.py": "",
        "models.py": CODE,
        "conf/__init__.py": "",
        "conf/model/pairs.yaml": MODEL,
        "conf/layer/global/mean_of_mentions.yaml": LAYER,
    }
    for name, text in files.items():
        path = root / PACKAGE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    sys.path.insert(0, str(root))
    invalidate_caches()
    yield root / PACKAGE
    sys.path.remove(str(root))
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


@pytest.fixture(scope="module", params=CHOICES)
def run(request, package, tmp_path_factory):
    """Folder of a run that was trained here, and the name of the class in its config."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    search = f"hydra.searchpath=[pkg://{PACKAGE}.conf]"
    with initialize_config_dir(config_dir(), version_base="1.3"):
        config = compose("train", overrides=[search, *CHOICES[request.param], *SMALL])
    train(config, folder)
    return folder, {"model": "PairClassifier", "layer": "MeanOfMentions"}[request.param]


def copy_of(folder, target):
    shutil.copytree(folder, target)
    return target


def evaluated(folder):
    with initialize_config_dir(config_dir(), version_base="1.3"):
        return evaluate(compose("evaluate", overrides=[f"run={folder}", "cache=false", "device=cpu"]))


def test_ones_own_run_needs_no_trust(run, monkeypatch):
    monkeypatch.delenv("GLRE_TRUST", raising=False)
    folder, name = run
    assert f"{PACKAGE}.models.{name}" in (folder / CONFIG).read_text()
    scores = load(folder).scores["test"]
    assert evaluated(folder)["filtered"] == scores["filtered"]


def test_a_run_from_elsewhere_needs_trust(run, tmp_path, monkeypatch):
    monkeypatch.delenv("GLRE_TRUST", raising=False)
    folder, name = run
    copy = copy_of(folder, tmp_path / "copy")
    assert load(copy).scores  # it was trained here all the same
    (copy / SIGNATURE).unlink()
    with pytest.raises(InputError) as caught:
        load(copy)
    line = str(caught.value)
    assert f"'{PACKAGE}.models.{name}' is not a part of glre_pyg or torch" in line
    assert line.endswith(f"if you trust the package, set GLRE_TRUST={PACKAGE}")
    monkeypatch.setenv("GLRE_TRUST", PACKAGE)
    assert evaluated(copy)["filtered"] == load(folder).scores["test"]["filtered"]


@pytest.fixture
def own(run, tmp_path, monkeypatch):
    monkeypatch.delenv("GLRE_TRUST", raising=False)
    return copy_of(run[0], tmp_path / "copy")


def refused(folder):
    with pytest.raises(InputError, match="GLRE_TRUST="):
        load(folder)
    return True


def test_another_config_has_another_signature(own):
    (own / CHECKSUMS).unlink()
    text = (own / CONFIG).read_text()
    (own / CONFIG).write_text(text.replace("cases: 0", "cases: 1"))
    assert refused(own)
    for content in (b"", b"0" * 64, "ü".encode()):
        (own / CONFIG).write_text(text)
        (own / SIGNATURE).write_bytes(content)
        assert refused(own)


def test_another_key_has_another_signature(own, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    assert refused(own)  # there is no key
    assert not (tmp_path / "other").exists()
    (tmp_path / "other/glre_pyg").mkdir(parents=True)
    (tmp_path / "other/glre_pyg/key").write_bytes(b"0" * 32)
    assert refused(own)


def test_a_cache_brings_no_key(own, tmp_path, monkeypatch):
    """It may be shared, or come from somebody else, with the key that they have signed with."""
    monkeypatch.setenv("GLRE_CACHE", str(tmp_path / "cache"))
    shutil.copytree(Path(key().parent), tmp_path / "cache/glre_pyg")
    shutil.copy(key(), tmp_path / "cache/key")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "empty"))
    assert refused(own)


def key():
    from glre_pyg.runs.trust import _key_path

    return _key_path()


def test_only_the_user_can_read_the_key(run):
    assert stat.S_IMODE(key().stat().st_mode) == 0o600
    assert len(key().read_bytes()) == 32
    assert [path.name for path in key().parent.iterdir()] == ["key"]
    assert key().read_bytes() not in b"".join(
        path.read_bytes() for path in run[0].rglob("*") if path.is_file()
    )


def test_without_a_place_for_the_key_a_run_is_not_signed(tmp_path, monkeypatch):
    from glre_pyg.runs.directory import write_config

    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    write_config(tmp_path, OmegaConf.create({"a": 1}))
    assert not is_signed(tmp_path / CONFIG)
    assert not (tmp_path / SIGNATURE).exists()


def test_what_is_never_allowed_stays_so_in_ones_own_run(tmp_path):
    from glre_pyg.runs.directory import read_config, write_config

    write_config(tmp_path, OmegaConf.create({"encoder": {"trust_remote_code": True}}))
    assert is_signed(tmp_path / CONFIG)
    with pytest.raises(InputError, match="code that comes with a model is never run"):
        read_config(tmp_path)


def test_a_run_that_was_loaded_is_not_signed_when_it_is_saved(run, tmp_path, monkeypatch):
    from glre_pyg import save_pretrained

    monkeypatch.delenv("GLRE_TRUST", raising=False)
    save_pretrained(from_pretrained(run[0]), tmp_path / "saved")
    assert not (tmp_path / "saved" / SIGNATURE).exists()
    assert refused(tmp_path / "saved")
