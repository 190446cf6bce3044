"""Files of strangers, where no other test has them: encoders with code, what the sources call, and SECURITY.md."""

import ast
import json
import pickle
import re
import sys
import types
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from checkpoints import checkpoint
from documents import two_sentences
from glre_pyg.data.document import Document
from glre_pyg.data.tokenizer import SubwordTokenizer
from glre_pyg.nn.transformer import build_transformer
from glre_pyg.utils.cache import Cache
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.exceptions import InputError
from local_server import sha256

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
    tokenizer = SubwordTokenizer.build([], name=str(folder), max_length=32, overlap=4)
    tokenizer.source = source if source is None else str(source)
    return build_transformer(tokenizer, dropout=None, attention_dropout=None)


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


# Caches and spaCy


@pytest.mark.parametrize("kind", ["zip", "old", "bare"])
def test_a_file_that_another_has_put_into_the_cache_is_data(kind, tmp_path):
    """Names in the cache can be guessed, so whoever may write there can put a file there."""
    pickled(tmp_path / "bomb", kind, Bomb(tmp_path / "exploded"))
    content = (tmp_path / "bomb").read_bytes()
    planted = tmp_path / f"cache/documents/key-{sha256(content)}.jsonl"
    planted.parent.mkdir(parents=True)
    planted.write_bytes(content)
    with suppress(Exception):  # it holds no documents
        Cache(tmp_path / "cache").records("documents", "key", Document, list)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "content",
    [
        *({name: b"x"} for name in ("/evil", "../evil", "a/../../evil", "", ".", "a/..")),
        {"a": b"x", "a/b": b"x"},
        {"a": "text"},
        {1: [b"x"]},
        [b"x"],
        b"x",
    ],
    ids=str,
)
def test_bytes_of_a_pipeline_are_the_files_of_a_model(content, tmp_path, monkeypatch):
    pytest.importorskip("spacy")
    import srsly

    from glre_pyg.extraction.spacy_component import make

    monkeypatch.setattr(
        "glre_pyg.extraction.spacy_component._is_restored", lambda: True
    )  # as in from_bytes()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    options = {"threshold": None, "types": None, "batch_size": None, "memory": None}
    component = make(None, "glre", "me/model", reasons=False, device="cpu", **options)
    with pytest.raises(InputError, match=r"not (a file|the files) of a model"):
        component.from_bytes(srsly.msgpack_dumps(content))
    assert list(tmp_path.iterdir()) == []
    assert not Path("/evil").exists()


# What a run's config names


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "conf/dataset").glob("*.yaml")))
def test_predicting_reads_no_file_of_a_corpus(name, tmp_path, monkeypatch):
    """The corpus of a run says how documents are prepared; its files are for training and scoring."""
    monkeypatch.setenv("GLRE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("GLRE_DATA", str(tmp_path / "gone"))
    with initialize_config_dir(config_dir(), version_base="1.3"):
        config = compose("stats", overrides=[f"dataset={name}"]).dataset
    for key in {"root", "train", "dev", "test"} & {*config}:
        config[key] = str(tmp_path / "gone" / key)
    blind = replace(two_sentences(), facts=())
    opened = []
    recording = [True]
    sys.addaudithook(lambda event, of: recording and event == "open" and opened.append(str(of[0])))
    try:
        assert len(list(instantiate(config).prepare([blind]))) == 1
    finally:
        recording.clear()
    assert [path for path in opened if path.startswith(str(tmp_path))] == []
    assert list(tmp_path.iterdir()) == []


# What the sources call

RUNS_CODE = {
    *("pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"),
    *("subprocess", "pty", "runpy", "code", "codeop", "ctypes", "multiprocessing"),
}
CALLS = re.compile(
    r"(builtins\.)?(eval|exec|compile|__import__)|torch\.hub\.load|yaml\.(load|full_load|load_all)"
    r"|(.*\.)?(system|popen|execv\w*|spawn\w*|posix_spawn\w*|startfile|read_pickle|unsafe_load)"
)


def in_sources(kind):
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, kind):
                yield f"{path.name}:{node.lineno}", node


def test_sources_import_nothing_that_unpickles_or_starts_programs():
    imported = {
        (place, name)
        for place, node in in_sources(ast.Import | ast.ImportFrom)
        for name in (
            [each.name for each in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        )
    }
    assert len(imported) > 500
    assert [each for each in imported if each[1].partition(".")[0] in RUNS_CODE] == []


def test_sources_call_nothing_that_unpickles_or_runs_text():
    calls = [(place, ast.unparse(node.func)) for place, node in in_sources(ast.Call)]
    assert len(calls) > 1_000
    assert [each for each in calls if CALLS.fullmatch(each[1])] == []
    loads = [node for _, node in in_sources(ast.Call) if ast.unparse(node.func) == "torch.load"]
    assert [
        {each.arg: ast.unparse(each.value) for each in node.keywords}["weights_only"] for node in loads
    ] == ["True"]


def test_sources_allow_no_code_of_models():
    """Whoever loads a model of transformers says so each time; no call asks for more than is safe."""
    loads = 0
    for place, node in in_sources(ast.Call):
        given = {each.arg: ast.unparse(each.value) for each in node.keywords}
        name = ast.unparse(node.func)
        if name.startswith("Auto") and name.endswith(("from_pretrained", "from_config")):
            loads += 1
            assert given.get("trust_remote_code") == "False", place
        assert given.get("trust_remote_code", "False") == "False", place
        assert given.get("weights_only", "True") == "True", place
        assert given.get("allow_pickle", "False") == "False", place
        assert "shell" not in given, place
    assert loads == 7


def test_scripts_of_the_page_make_no_html_of_text():
    for path in (ROOT / "src/glre_pyg/formats/page_assets").glob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|\bFunction\(", text
        )


# SECURITY.md


def guarantees():
    """The rows of the table: a guarantee, and its tests."""
    lines = (ROOT / "SECURITY.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("|")]
    assert rows[0] == ["guarantee", "tests"]
    return rows[2:]


@pytest.mark.parametrize("row", guarantees(), ids=lambda row: row[0][:40])
def test_each_guarantee_has_tests_that_exist(row):
    _, tests = row
    named = re.findall(r"`(tests/test_\w+\.py)(?:::(test_\w+))?`", tests)
    assert named
    assert len(named) == tests.count("`") // 2
    for path, name in named:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        known = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert not name or name in known, f"{path} has no {name}"
        assert any(each.startswith("test_") for each in known)


def test_there_is_no_switch_for_code_of_models():
    assert "trust_remote_code" not in "".join(path.read_text() for path in (ROOT / "conf").rglob("*.yaml"))
