"""Files of strangers, where no other test has them: encoders with code, what the sources call, and SECURITY.md."""

import json
import pickle
import sys
import types
from pathlib import Path

import pytest
import torch

from checkpoints import checkpoint
from glre_pyg.document import InputError
from glre_pyg.nn.pretrained import build_transformer
from glre_pyg.pieces import Subwords

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


# Encoders


def encoder(folder, source=None):
    """The transformer of an encoder's folder: with its weights, or a random one of its configuration."""
    pieces = Subwords.build([], name=str(folder), max_length=32, overlap=4)
    pieces.source = source if source is None else str(source)
    return build_transformer(pieces, dropout=None, attention_dropout=None)


def changed(folder, name, **values):
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(content | values))


def pickled(path, kind, bomb):
    if kind == "bare":
        path.write_bytes(pickle.dumps(bomb))
    else:
        torch.save({"weight": bomb}, path, _use_new_zipfile_serialization=kind == "zip")


@pytest.mark.parametrize("kind", ["zip", "old", "bare"])
@pytest.mark.parametrize("sharded", [False, True])
def test_weights_of_an_encoder_are_tensors_alone(kind, sharded, tmp_path):
    folder = checkpoint("bert_uncased", tmp_path / "encoder", weights=False)
    name = "shard.bin" if sharded else "pytorch_model.bin"
    pickled(folder / name, kind, Bomb(tmp_path / "exploded"))
    if sharded:
        index = {"metadata": {}, "weight_map": {"embeddings.word_embeddings.weight": name}}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="cannot be read: a pickle of more than tensors") as caught:
        encoder(folder, folder)
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "exploded").exists()


def test_a_pickle_of_tensors_is_an_encoder(tmp_path):
    """BioBERT and SciBERT are published so."""
    folder = checkpoint("bert_uncased", tmp_path / "encoder")
    expected = encoder(folder, folder).state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(expected, folder / "pytorch_model.bin")
    found = encoder(folder, folder).state_dict()
    assert found.keys() == expected.keys()
    assert all(found[name].equal(value) for name, value in expected.items())


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\0" * 8 + b"{}"])
def test_broken_weights_of_an_encoder_are_one_line(content, tmp_path):
    folder = checkpoint("bert_uncased", tmp_path / "encoder", weights=False)
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"^encoder: ") as caught:
        encoder(folder, folder)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("weights", [True, False])
def test_code_beside_an_encoder_is_not_run(weights, tmp_path):
    folder = checkpoint("bert_uncased", tmp_path / "encoder")
    places = dict.fromkeys(("AutoConfig", "AutoModel"), "code.Own")
    changed(folder, "config.json", auto_map=places, trust_remote_code=True)
    changed(
        folder, "tokenizer_config.json", tokenizer_class="Own", auto_map={"AutoTokenizer": ["code.Own"] * 2}
    )
    (folder / "code.py").write_text(f"open({str(tmp_path / 'exploded')!r}, 'w')\n")
    encoder(folder, folder if weights else None)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("name", ["me/evil", "kernels-community/evil", "msa|me/evil", "flash_attention_2"])
def test_a_configuration_brings_no_code_of_the_hub(name, weights, tmp_path, monkeypatch):
    """With the package ``kernels`` installed, transformers fetches what the configuration names, and runs it."""
    asked = []
    fake = types.ModuleType("kernels")
    fake.__getattr__ = lambda of: asked.append(of)
    monkeypatch.setitem(sys.modules, "kernels", fake)
    folder = checkpoint("bert_uncased", tmp_path / "encoder")
    changed(folder, "config.json", _attn_implementation=name, attn_implementation=name)
    model = encoder(folder, folder if weights else None)
    assert model.config._attn_implementation in ("eager", "sdpa")
    assert asked == []
