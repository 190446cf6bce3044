"""Models that come and go: what is saved, what is refused, and the hub in between."""

import base64
import copy
import hashlib
import io
import itertools
import json
import os
import re
import resource
import socket
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
import yaml
from huggingface_hub import ModelCard, constants
from hydra import compose, initialize_config_dir
from markdown_it import MarkdownIt
from omegaconf import OmegaConf
from safetensors.torch import load_file as load_safetensors
from safetensors.torch import save_file

import glre_pyg.runs.loading
from checkpoints import FAMILIES, checkpoint
from commands import run as command
from documents import LABELS, random_documents
from glre_pyg import GLRE, from_pretrained, push_to_hub, save_pretrained
from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.evaluation.breakdown import print_scores
from glre_pyg.extraction.scoring import make_corpus
from glre_pyg.formats.jsonl import write_jsonl
from glre_pyg.runs.checksums import verify
from glre_pyg.runs.directory import CHECKSUMS, without_local_paths
from glre_pyg.runs.hub import resolve_folder
from glre_pyg.runs.legacy import upgrade
from glre_pyg.runs.loading import load
from glre_pyg.runs.model_card import model_card
from glre_pyg.runs.prediction import score_pairs
from glre_pyg.runs.saved_tokenizer import check_tokenizer
from glre_pyg.runs.trust import check_config
from glre_pyg.training.experiment import train
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.exceptions import InputError
from hub_server import Repository, serve_hub

SIZES = {"train": 4, "dev": 3, "test": 3}
SMALL = ["encoder=tiny", "training.epochs=1", "model.nodes.hidden_channels=8", "training.batch_size=4"]
SAVED = {
    *("model.safetensors", "config.yaml", "labels.json", "scores.json", "environment.json", CHECKSUMS),
    *("README.md", "encoder/pieces.json", "encoder/config.json", "encoder/tokenizer.json"),
    "encoder/tokenizer_config.json",
}
TOKEN = "of the token"


def safetensors(header, *, length=None, data=""):
    """A file of safetensors with any header, as text."""
    text = header if isinstance(header, str) else json.dumps(header)
    size = (len(text) if length is None else length).to_bytes(8, "little")
    return size.decode("latin-1") + text + data


HUGE = {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]}
HEADERS = (
    safetensors({"a": HUGE}),
    safetensors({"a": HUGE | {"data_offsets": [0, 4]}}, data="\0" * 4),
    safetensors({"a": HUGE | {"shape": [1 << 40, 1 << 40], "data_offsets": [0, 4]}}, data="\0" * 4),
    safetensors({"a": HUGE | {"shape": [-1], "data_offsets": [4, 0]}}, data="\0" * 4),
    safetensors({}, length=(1 << 62)),
    safetensors("{" * 10_000),
)


class Sibling(GLRE):
    """A model of somebody's own."""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run in its directory, and the directory."""
    folder = tmp_path_factory.mktemp("trained")
    for split, size in SIZES.items():
        write_jsonl(SyntheticCorpus().generate(split, size), folder / f"{split}.jsonl")
    files = [f"dataset.{split}={folder}/{split}.jsonl" for split in SIZES]
    with initialize_config_dir(config_dir(), version_base="1.3"):
        config = compose("train", overrides=[*SMALL, "dataset=jsonl", *files, "cache=false"])
    return train(config, folder / "run"), folder / "run"


@pytest.fixture(scope="module")
def loaded(run):
    return from_pretrained(run[1])


@pytest.fixture(scope="module")
def original(loaded, tmp_path_factory):
    """A saved model that no test changes."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    save_pretrained(loaded, folder)
    return folder


@pytest.fixture
def saved(original, tmp_path):
    """A saved model that is a test's own."""
    return copy_of(original, tmp_path / "model")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with serve_hub(monkeypatch, tmp_path / "hub") as server:
        yield server


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def copy_of(folder, target):
    for name, content in contents(folder).items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(content)
    return target


def probabilities(run):
    documents = list(SyntheticCorpus().generate("test", 3))
    return np.concatenate(run.predict(run.graphs(documents)))


def same_weights(first, second):
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(value.equal(theirs[name]) for name, value in ours.items())


def same_model(first, second):
    """Whether two folders hold the same; safetensors writes its notes on shared tensors in any order."""
    ours, theirs = contents(first), contents(second)
    for files in (ours, theirs):
        files.pop("model.safetensors"), files.pop(CHECKSUMS)
    return ours == theirs and same_weights(load(first).model, load(second).model)


def refusal(call, *arguments, **options):
    """The line in which something is refused."""
    with pytest.raises(InputError) as caught:
        call(*arguments, **options)
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    return line


def changed(folder, name, change):
    """Change a YAML or JSON file of a saved model that has no checksums."""
    (folder / CHECKSUMS).unlink(missing_ok=True)
    read = yaml.safe_load if name.endswith("yaml") else json.loads
    content = read((folder / name).read_text())
    change(content)
    (folder / name).write_text(yaml.safe_dump(content) if name.endswith("yaml") else json.dumps(content))


# What is saved


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("device", ["cuda", "cuda:1", "foo", "", "hpu", "meta", 0, torch.device("cuda")])
def test_a_device_that_is_not_there_is_one_line(device, tmp_path):
    line = refusal(from_pretrained, "somebody/model", device=device)
    assert line.startswith(f"device: '{device}' is not a device that can be used here: ")
    if isinstance(device, str):
        _, err = command(
            "predict", "run=x", "input=y", "output=z.csv", f"device={device}", cwd=tmp_path, code=2
        )
        assert err == f"error: {line}\n"


def test_a_saved_model_is_the_run(run, original):
    before, after = load(run[1]), load(original)
    assert same_weights(before.model, after.model)
    assert np.array_equal(probabilities(before), probabilities(after))
    assert (before.labels, before.threshold) == (after.labels, after.threshold)
    assert before.scores == after.scores
    assert before.environment == after.environment


def test_a_saved_model_is_these_files(original):
    assert contents(original).keys() == SAVED
    names = json.loads((original / CHECKSUMS).read_text())
    assert names.keys() == SAVED - {CHECKSUMS, "README.md"}
    for name, digest in names.items():
        assert hashlib.sha256((original / name).read_bytes()).hexdigest() == digest


def test_what_was_trained_can_be_saved_at_once(run, original, tmp_path):
    save_pretrained(run[0], tmp_path / "model")
    assert contents(tmp_path / "model").keys() == SAVED
    assert same_weights(load(tmp_path / "model").model, run[0].model)
    assert load(tmp_path / "model").threshold == load(original).threshold


def test_saving_what_was_saved_changes_nothing(original, tmp_path):
    save_pretrained(from_pretrained(original), tmp_path / "again")
    assert same_model(tmp_path / "again", original)


def test_nothing_says_where_it_was_trained(run, original):
    place = str(run[1].parent)
    assert place in (run[1] / "config.yaml").read_text()
    assert not [name for name, content in contents(original).items() if place.encode() in content]
    assert load(original).config.dataset.train == "train.jsonl"


def test_local_paths_are_left_out():
    config = {
        "cache": "/home/me/cache",
        "dataset": {
            "root": "data",
            "train": "/data/my train.json",
            "dev": "C:\\Data\\dev.json",
            "test": None,
        },
        "encoder": {"name": "hf", "tokenizer": {"name": "owner/model", "vectors": "~/glove.txt"}},
        "start": "../runs/first",
        "frozen": r"word_embeddings|\.layer\.[01]\.",
        "seeds": [1, "/tmp/seed"],
        "name": ".",
    }
    assert without_local_paths(OmegaConf.create(config)) == {
        "cache": None,
        "dataset": {"root": None, "train": "my train.json", "dev": "dev.json", "test": None},
        "encoder": {"name": "hf", "tokenizer": {"name": "owner/model", "vectors": "glove.txt"}},
        "start": "first",
        "frozen": r"word_embeddings|\.layer\.[01]\.",
        "seeds": [1, "seed"],
        "name": ".",
    }


def test_a_run_that_goes_on_has_new_checksums(run, tmp_path):
    folder = copy_of(run[1], tmp_path / "run")
    config = OmegaConf.load(folder / "config.yaml")
    config.training.epochs = 2
    OmegaConf.save(config, folder / "config.yaml")
    assert "config.yaml: is not the file that was saved" in refusal(verify, folder)
    train(OmegaConf.merge(config, {"training": {"resume": str(folder)}}), folder)
    verify(folder)


def test_a_run_that_is_finished_has_checksums(run, tmp_path):
    verify(run[1])
    folder = copy_of(run[1], tmp_path / "run")
    (folder / "scores.json").write_text((folder / "scores.json").read_text() + " ")
    assert "scores.json: is not the file that was saved" in refusal(load, folder)
    (folder / CHECKSUMS).unlink()  # as runs of before have none
    assert same_weights(load(folder).model, run[0].model)


@pytest.mark.parametrize("settings", ["glre_pyg.training.Settings", "glre_pyg.training.loop.Settings"])
@pytest.mark.parametrize("name", ["Subwords", "Vocabulary"])
def test_a_config_of_before_the_packages_is_upgraded(name, settings):
    tokenizer = {"_target_": f"glre_pyg.pieces.{name}.build", "_partial_": True}
    before = {
        "dataset": {"corpus": {"_target_": "glre_pyg.corpora.synthetic.SyntheticCorpus"}},
        "encoder": {"name": "tiny", "pieces": tokenizer},
        "training": {"_target_": settings, "groups": [{"_target_": "torch.nn.Linear"}]},
        "piecesmeal": "glre_pyg.pieces.Subwords",
    }
    after = upgrade(OmegaConf.create(before))
    new = {"Subwords": "tokenizer.SubwordTokenizer", "Vocabulary": "word_tokenizer.WordTokenizer"}[name]
    assert after == {
        "dataset": {"corpus": {"_target_": "glre_pyg.datasets.generator.SyntheticCorpus"}},
        "encoder": {
            "name": "tiny",
            "tokenizer": {"_target_": f"glre_pyg.data.{new}.build", "_partial_": True},
        },
        "training": {
            "_target_": "glre_pyg.training.loop.TrainingSettings",
            "groups": [{"_target_": "torch.nn.Linear"}],
        },
        "piecesmeal": "glre_pyg.pieces.Subwords",
    }
    check_config(after, Path("config.yaml"))


def test_a_run_of_before_the_packages_is_the_same_run(saved, original):
    def change(config):
        tokenizer = config["encoder"].pop("tokenizer")
        tokenizer["_target_"] = "glre_pyg.pieces.Subwords.train"
        config["encoder"]["pieces"] = tokenizer
        config["training"]["_target_"] = "glre_pyg.training.Settings"

    changed(saved, "config.yaml", change)
    assert same_weights(load(saved).model, load(original).model)
    assert load(saved).config == load(original).config


def test_known_facts_and_thresholds_by_relation_are_kept(original, tmp_path):
    (original_copy := copy_of(original, tmp_path / "first"))
    (original_copy / CHECKSUMS).unlink()
    facts = [["Aspirin", "asthma", "CID"]]
    (original_copy / "known_facts.json").write_text(json.dumps(facts))
    relations = load(original_copy).labels.relations
    changed(
        original_copy, "scores.json", lambda scores: scores.update(threshold=dict.fromkeys(relations, 0.25))
    )
    save_pretrained(from_pretrained(original_copy), tmp_path / "second")
    again = load(tmp_path / "second")
    assert again.known.facts == {tuple(facts[0])}
    assert again.threshold.tolist() == [0.25] * len(relations)
    assert "known_facts.json" in json.loads((tmp_path / "second" / CHECKSUMS).read_text())


def test_a_card_is_not_overwritten(loaded, tmp_path, capsys):
    (tmp_path / "README.md").write_text("mine")
    save_pretrained(loaded, tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"
    assert "README.md: is kept" in capsys.readouterr().out


def dying_at(stop):
    """``os.replace`` that ends the process before the call of this number."""
    move, calls = os.replace, itertools.count()

    def replace(source, target):
        if next(calls) == stop:
            raise KeyboardInterrupt
        move(source, target)

    return replace


def test_a_model_that_is_replaced_while_it_is_loaded_is_no_mixture(loaded, tmp_path, monkeypatch):
    labels = replace(loaded.labels, relations=tuple(f"new {name}" for name in loaded.labels.relations))
    save_pretrained(loaded, tmp_path)
    read = glre_pyg.runs.loading.read_labels

    def read_and_replace(path):
        found = read(path)
        save_pretrained(replace(loaded, labels=labels), tmp_path)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(glre_pyg.runs.loading, "read_labels", read_and_replace)
        with pytest.raises(InputError, match=r"were replaced while they were read: load it again$"):
            from_pretrained(tmp_path)
    assert from_pretrained(tmp_path).labels == labels


def test_a_kill_mixes_no_two_models(loaded, tmp_path, monkeypatch):
    """Saving over another model is stopped before each of the files that it renames."""
    relations = tuple(f"new {name}" for name in loaded.labels.relations)
    labels = replace(loaded.labels, relations=relations)
    other = replace(loaded, model=copy.deepcopy(loaded.model), labels=labels)
    with torch.no_grad():
        for weights in other.model.parameters():
            weights.zero_()
    seen = []
    for stop in range(100):
        folder = tmp_path / f"{stop}"
        save_pretrained(loaded, folder)
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", dying_at(stop))
            try:
                save_pretrained(other, folder)
            except KeyboardInterrupt:
                pass
            else:
                break
        try:
            found = from_pretrained(folder)
        except InputError:
            seen.append("refused")
        else:
            expected = next(run for run in (loaded, other) if run.labels == found.labels)
            assert same_weights(found.model, expected.model)
            seen.append("old" if expected is loaded else "new")
        save_pretrained(other, folder)  # and the next one is whole
        verify(folder)
        assert json.loads((folder / "labels.json").read_text())["relations"] == list(relations)
        assert contents(folder).keys() == SAVED
    assert {*seen} >= {"old", "refused"}


def test_a_model_is_not_saved_over_a_run(loaded, run):
    assert "has a run in it" in refusal(save_pretrained, loaded, run[1])


SLOW = {"type": "Split", "pattern": {"Regex": "(a|a)*$"}, "behavior": "Isolated", "invert": False}
DOUBLE = {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
START = {"SpecialToken": {"id": "[CLS]", "type_id": 0}}
CHARSMAP = base64.b64encode(bytes(4) + b"short\0" + b"x" * 100 + b"\0").decode()


def template(pieces, ids):
    return {
        "type": "TemplateProcessing",
        "single": [*[START] * pieces, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [],
        "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": ids, "tokens": ["a"] * len(ids)}},
    }


@pytest.mark.parametrize(
    ("part", "value", "problem"),
    [
        (
            "pre_tokenizer",
            SLOW,
            "pre_tokenizer.pattern.Regex: '(a|a)*$' is not a regular expression of a known",
        ),
        (
            "normalizer",
            {"type": "Replace", "pattern": {"Regex": "(.*)x"}, "content": ""},
            "normalizer.pattern.Regex: '(.*)x' is not",
        ),
        (
            "decoder",
            {"type": "Replace", "pattern": {"Regex": "((a{999}){999}){999}"}, "content": ""},
            "is not a",
        ),
        ("normalizer", {"type": "Sequence", "normalizers": [DOUBLE] * 9}, "replaces a text by a longer one"),
        ("normalizer", {"type": "Prepend", "prepend": "xx"}, "adds more than a character to each word"),
        ("normalizer", {"type": "Precompiled", "precompiled_charsmap": CHARSMAP}, "by a long text"),
        ("normalizer", {"type": "Sequence", "normalizers": [{"type": "NFC"}] * 17}, "normalizers: 17 values"),
        (
            "pre_tokenizer",
            {"type": "Sequence", "pretokenizers": [BYTES] * 16},
            "pre_tokenizer: ByteLevel is there more than once",
        ),
        ("post_processor", template(1, [0] * 17), "post_processor.special_tokens.[CLS].ids: 17 values"),
        ("post_processor", template(16, [0]), "post_processor.single: 17 values"),
        (
            "post_processor",
            {"type": "Sequence", "processors": [template(1, [0])] * 9},
            "TemplateProcessing is there more than once",
        ),
        ("model", {"max_input_chars_per_word": 10**9}, "model.max_input_chars_per_word: '1000000000' is not"),
        (
            "model",
            {"continuing_subword_prefix": "#" * 10**5},
            "model.continuing_subword_prefix: a text of 100000",
        ),
        ("model", {"vocab": {"a" * 1001: 0}}, "model.vocab: a token of more than 1000 characters"),
        ("model", {"vocab": [["a" * 1001, 0.0]]}, "model.vocab: a token of more than 1000 characters"),
        ("model", None, "model: missing"),
    ],
)
def test_a_tokenizer_takes_no_more_time_or_memory_than_its_text(saved, part, value, problem):
    def change(content):
        content[part] = content[part] | value if isinstance(value, dict) and part == "model" else value

    changed(saved, "encoder/tokenizer.json", change)
    line = refusal(from_pretrained, saved)
    assert line.startswith(f"{saved / 'encoder/tokenizer.json'}: ")
    assert problem in line


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_tokenizers_of_known_encoders_are_accepted(family, tmp_path):
    check_tokenizer(checkpoint(family, tmp_path) / "tokenizer.json")


def test_regular_expressions_of_ones_own_are_accepted(run, tmp_path):
    folder = copy_of(run[1], tmp_path / "run")
    words = {"type": "Split", "pattern": {"Regex": "[a-z]+"}, "behavior": "Isolated", "invert": False}
    changed(folder, "encoder/tokenizer.json", lambda content: content.update(pre_tokenizer=words))
    assert from_pretrained(folder).tokenizer.prefix


@pytest.mark.parametrize("name", sorted(SAVED - {"README.md"}))
def test_no_pipe_in_a_model_is_waited_for(saved, name):
    (saved / name).unlink()
    os.mkfifo(saved / name)
    assert f"{saved / name}: not a regular file" in refusal(from_pretrained, saved)


@pytest.mark.parametrize("name", ["model.safetensors", "labels.json"])
@pytest.mark.parametrize("kind", ["folder", "socket", "loop"])
def test_what_else_stands_for_a_file_is_one_line(saved, kind, name, monkeypatch):
    monkeypatch.chdir(saved)  # the address of a socket is short
    (saved / name).unlink()
    if kind == "folder":
        (saved / name).mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(name)
    else:
        (saved / name).symlink_to(name)
    assert name in refusal(from_pretrained, saved)


def test_files_of_another_tokenizer_are_no_part_of_a_model(loaded, tmp_path):
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "added_tokens.json").write_text("{}")
    assert "encoder/added_tokens.json: is of another tokenizer" in refusal(save_pretrained, loaded, tmp_path)


def test_a_folder_that_cannot_be_written_is_one_line(loaded, tmp_path):
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in refusal(save_pretrained, loaded, tmp_path / "file")


# Models


def test_a_run_without_scores_is_not_saved(loaded, hub, tmp_path):
    unfinished = replace(loaded, scores={})
    for line in (
        refusal(save_pretrained, unfinished, tmp_path / "model"),
        refusal(push_to_hub, unfinished, "me/model", token=TOKEN),
    ):
        assert line.startswith("the run has no scores, so it cannot be saved")
    assert not (tmp_path / "model").exists()
    assert not hub.asked


def test_a_model_of_another_package_needs_its_name(saved, tmp_path, monkeypatch):
    name = f"{__name__}.Sibling"
    changed(saved, "config.yaml", lambda config: config["model"].update(_target_=name))
    line = refusal(from_pretrained, saved)
    assert f"model._target_: '{name}'" in line
    assert line.endswith(f"set GLRE_TRUST={__name__}")
    monkeypatch.setenv("GLRE_TRUST", f"other, {__name__}")
    run = from_pretrained(saved)
    assert type(run.model) is Sibling
    save_pretrained(run, tmp_path / "again")
    assert "# Sibling on" in (tmp_path / "again" / "README.md").read_text()
    assert type(from_pretrained(tmp_path / "again").model) is Sibling
    monkeypatch.delenv("GLRE_TRUST")
    assert f"model._target_: '{name}'" in refusal(from_pretrained, tmp_path / "again")


# What is refused


@pytest.mark.parametrize("name", sorted(SAVED - {CHECKSUMS, "README.md"}))
def test_a_file_that_is_not_what_was_saved_is_named(name, saved):
    whole = (saved / name).read_bytes()
    altered = bytearray(whole)
    altered[len(whole) // 2] ^= 1
    for content in (bytes(altered), whole[: len(whole) // 2], whole + b"\n"):
        (saved / name).write_bytes(content)
        line = refusal(load, saved)
        assert line.startswith(f"{saved / name}: is not the file that was saved (sha256 ")
        assert hashlib.sha256(content).hexdigest() in line
    (saved / name).unlink()
    assert refusal(load, saved).startswith(f"{saved / name}: is missing")


def test_a_file_that_was_not_saved_is_named(saved):
    (saved / "encoder" / "added_tokens.json").write_text('{"aspirin": 5}')
    assert refusal(load, saved).startswith(f"{saved / 'encoder/added_tokens.json'}: was not saved")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"../../etc/passwd": "0"}', "is missing"),
        (b'{"/etc/passwd": "0"}', "is missing"),
        (b'{"config.yaml": ["0"]}', "config.yaml: is not the file that was saved"),
    ],
)
def test_broken_checksums_are_one_line(content, reason, saved):
    (saved / CHECKSUMS).write_bytes(content)
    assert reason in refusal(load, saved)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("config.yaml", "a: [", "config.yaml: not YAML"),
        ("config.yaml", "\x00", "config.yaml: not YAML"),
        ("config.yaml", "!!python/object/apply:os.getcwd []", "config.yaml: not YAML"),
        ("config.yaml", "- 1", "config.yaml: not a mapping"),
        ("config.yaml", "", "config.yaml: model._target_: is missing"),
        ("labels.json", "{", "labels.json: not JSON"),
        ("labels.json", "3", "labels.json: expected `object`"),
        ("labels.json", '{"relations": []}', "labels.json: types: missing"),
        (
            "labels.json",
            '{"relations": "CID", "types": [], "pair_types": null}',
            "labels.json: relations: expected",
        ),
        (
            "labels.json",
            '{"relations": [], "types": [], "pair_types": [["A"]]}',
            "labels.json: pair_types[0]: expected",
        ),
        (
            "labels.json",
            '{"relations": [], "types": ["A"], "pair_types": [["A", "B"]]}',
            "labels.json: pair_types: 'B' is not one of the entity types: A",
        ),
        (
            "labels.json",
            '{"relations": [], "types": [], "pair_types": null, "directed": 2}',
            "labels.json: directed: expected",
        ),
        ("scores.json", '{"threshold": 0.5', "scores.json: not JSON"),
        ("scores.json", "{}", "scores.json: threshold: expected `float`"),
        ("scores.json", '{"threshold": {"other": 0.5}}', "scores.json: threshold: there is none for the"),
        ("known_facts.json", "[[1]]", "known_facts.json: [0]: expected"),
        ("environment.json", "[]", "environment.json: not a JSON object"),
        ("encoder/pieces.json", "{", "encoder/pieces.json: not JSON"),
        ("encoder/pieces.json", "{}", "encoder: pieces.json.max_length: missing"),
        ("encoder/config.json", "{", "encoder: "),
        ("encoder/tokenizer.json", "{", "encoder/tokenizer.json: not JSON"),
        ("model.safetensors", "", "model.safetensors: not a whole file of safetensors"),
        ("model.safetensors", "x" * 4096, "model.safetensors: not a whole file of safetensors"),
        *(
            ("model.safetensors", header, "model.safetensors: not a whole file of safetensors")
            for header in HEADERS
        ),
    ],
)
def test_a_malformed_file_is_one_line(name, content, reason, saved):
    (saved / CHECKSUMS).unlink()
    (saved / name).write_text(content)
    line = refusal(load, saved)
    assert str(saved) in line
    assert reason in line


@pytest.mark.parametrize("name", sorted(SAVED - {CHECKSUMS, "README.md", "environment.json"}))
def test_a_missing_file_is_one_line(name, saved):
    (saved / CHECKSUMS).unlink()
    (saved / name).unlink()
    assert str(saved) in refusal(load, saved)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda config: config.pop("model"), "config.yaml: model._target_: is missing"),
        (lambda config: config.pop("encoder"), "config.yaml: encoder.tokenizer._target_: is missing"),
        (lambda config: config.update(eval_batch_size="many"), "config.yaml: eval_batch_size: not a number"),
        (lambda config: config.update(eval_batch_size=0), "config.yaml: eval_batch_size: not a number"),
        (lambda config: config["model"].pop("query"), "config.yaml: model.query: missing"),
        (
            lambda config: config["model"].update(depth=3),
            "model.depth: is not a setting of glre_pyg.models.glre.GLRE, which has encoder, nodes, ",
        ),
        (
            lambda config: config["model"]["loss"].update(reduction="none"),
            "config.yaml: model.loss.reduction: 'none' is not one of mean, sum",
        ),
        (lambda config: config["model"]["nodes"].update(hidden_channels=12), "not the weights of the model"),
        (
            lambda config: config["encoder"]["tokenizer"].update(
                _target_="glre_pyg.data.word_tokenizer.WordTokenizer.build"
            ),
            "encoder",
        ),
        (lambda config: config["model"].update(_target_="glre_pyg.models.glre.GRLE"), "GRLE"),
    ],
)
def test_a_config_of_something_else_is_one_line(change, reason, saved):
    changed(saved, "config.yaml", change)
    line = refusal(load, saved)
    assert str(saved) in line
    assert reason in line


def test_weights_of_another_shape_name_one(saved):
    (saved / CHECKSUMS).unlink()
    save_file({"classifier.weight": torch.zeros(2)}, saved / "model.safetensors")
    assert f"{saved / 'model.safetensors'}: not the weights of the model in config.yaml: " in refusal(
        load, saved
    )


# Strangers


@contextmanager
def limited_memory(more):
    """Limit the memory that can be allocated from now on, in bytes."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + more, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_is_unpickled(saved, tmp_path):
    (saved / CHECKSUMS).unlink()
    buffer = io.BytesIO()
    torch.save(Bomb(tmp_path / "exploded"), buffer)
    (saved / "model.safetensors").write_bytes(buffer.getvalue())
    (saved / "pytorch_model.bin").write_bytes(buffer.getvalue())
    assert "not a whole file of safetensors" in refusal(load, saved)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "target",
    [
        *("os.system", "builtins.eval", "subprocess.Popen", "pickle.loads", "functools.partial"),
        *("torch.load", "torch.hub.load", "torch.os.system", "torch.nn.functional.relu", "torch.jit.load"),
        *(
            "glre_pyg.runs.trust.os.system",
            "glre_pyg.nn.encoder.re.compile",
            "glre_pyg.data.tokenizer.importlib.import_module",
        ),
        *(
            "glre_pyg.training.experiment.train",
            "glre_pyg.runs.loading.load",
            "glre_pyg.utils.download.fetch",
        ),
        *("glre_pyg.runs.hub.from_pretrained", "glre_pyg.runs.hub.push_to_hub"),
        *("glre_pyg.datasets.official_files.find", "glre_pyg.evaluation.thresholds.Path"),
        *(
            "transformers.pipeline",
            "torch_geometric.nn.Sequential",
            "glre_pygmy.models.Model",
            "glre_pyg",
            "",
        ),
    ],
)
@pytest.mark.parametrize("deep", [False, True])
def test_a_config_calls_nothing_of_others(target, deep, saved, tmp_path):
    def change(config):
        place = (
            config.setdefault("notes", [{"of": [{}]}])[0]["of"][0] if deep else config["model"]["classifier"]
        )
        place["_target_"] = target
        place["command"] = f"touch {tmp_path / 'exploded'}"

    changed(saved, "config.yaml", change)
    line = refusal(load, saved)
    assert f"{'notes.0.of.0' if deep else 'model.classifier'}._target_: " in line
    assert f"'{target}'" in line
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "target",
    ["glre_pyg.data.tokenizer.SubwordTokenizer.build", "glre_pyg.data.word_tokenizer.WordTokenizer.build"],
)
def test_what_reads_files_is_named_where_pieces_are_built_alone(target, saved):
    """It would fetch any model of the hub, or read any file, while a model is made."""
    call = {"_target_": target, "words": [], "name": "me/model", "max_length": 8, "overlap": 0}
    changed(saved, "config.yaml", lambda config: config["model"].update(query=call))
    assert f"model.query._target_: '{target}'" in refusal(load, saved)


@pytest.mark.parametrize("target", ["Path", "pickle.loads", "yaml.safe_load", "refusal", "Bomb", "gone"])
def test_a_trusted_package_gives_what_it_defines_alone(target, saved, monkeypatch):
    changed(
        saved,
        "config.yaml",
        lambda config: config["model"].update(query={"_target_": f"{__name__}.{target}"}),
    )
    assert "model.query._target_: " in refusal(load, saved)
    monkeypatch.setenv("GLRE_TRUST", __name__)
    if target in ("refusal", "Bomb"):  # of this package, which is trusted by name
        assert "model.query._target_: " not in refusal(load, saved)
    else:
        assert "model.query._target_: " in refusal(load, saved)


@pytest.mark.parametrize("target", [{"_target_": "os.system"}, {"a": 1}, ["os.system"], [], 3, None])
def test_a_target_is_a_name(target, saved):
    changed(saved, "config.yaml", lambda config: config["model"].update(query={"_target_": target}))
    assert "model.query._target_: " in refusal(load, saved)


@pytest.mark.parametrize(
    "hidden", ["${place}.system", "${oc.env:HOME}", "a\\${oc.env:HOME}", "${oc.env:${oc.env:A}}"]
)
def test_a_config_asks_for_nothing_of_its_surroundings(hidden, saved):
    changed(saved, "config.yaml", lambda config: config["model"].update(query=[{"of": hidden}], place="os"))
    line = refusal(load, saved)
    assert "model.query.0.of: " in line
    assert "no interpolations" in line
    assert str(Path.home()) not in line.replace(str(saved), "")


ALIASES = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{number}: &a{number} [{','.join([f'*a{number - 1}'] * 9)}]\n" for number in range(1, 12)
)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (ALIASES, "config.yaml:2: '*a0': a saved config has no aliases"),
        ("a: &a {b: *a}", "config.yaml:1: '*a'"),
        ("a: " + "[" * 100_000, "more than 50 levels"),
        ("a: " + "{b: " * 60 + "}" * 60, "more than 50 levels"),
        ("a: " + "x" * (1 << 20), "more than 1,048,576 bytes"),
        ("a: !!python/object/apply:os.system ['exit 1']", "not YAML"),
        ("a: !!python/name:os.system", "not YAML"),
        ("!!python/module:os x: 1", "not YAML"),
    ],
    ids=["aliases", "itself", "lists", "mappings", "size", "call", "name", "module"],
)
def test_a_config_is_no_more_than_its_text(content, reason, saved):
    (saved / CHECKSUMS).unlink()
    (saved / "config.yaml").write_text(content)
    assert reason in refusal(load, saved)


def test_a_config_hides_nothing(saved):
    changed(
        saved, "config.yaml", lambda config: config["encoder"]["tokenizer"].update(trust_remote_code=True)
    )
    assert "encoder.tokenizer.trust_remote_code: code that comes with a model is never run" in refusal(
        load, saved
    )


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("encoder/config.json", {"model_type": "own", "auto_map": {"AutoConfig": "code.Own"}}),
        (
            "encoder/tokenizer_config.json",
            {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["code.Own", "code.Own"]}},
        ),
    ],
)
def test_code_beside_a_tokenizer_is_not_run(name, own, saved, tmp_path):
    changed(saved, name, lambda config: config.update(own))
    (saved / "encoder" / "code.py").write_text(f"open({str(tmp_path / 'exploded')!r}, 'w')\n")
    with suppress(InputError):  # or the tokenizer is one that needs no code
        load(saved)
    assert not (tmp_path / "exploded").exists()


def test_all_of_this_project_may_be_named():
    targets = {
        line.partition("_target_:")[2].strip()
        for group in ("dataset", "encoder", "layer", "model", "optimizer", "thresholds", "training")
        for path in Path(config_dir(), group).rglob("*.yaml")
        for line in path.read_text().splitlines()
        if line.strip().startswith("_target_:")
    }
    assert len(targets) > 25
    for target in targets:
        config = {"encoder": {"tokenizer": {"_target_": target}}}
        check_config(OmegaConf.create(config), Path("config.yaml"))


LINEAR = {"_target_": "torch.nn.Linear", "in_features": 32_000, "out_features": 32_000}


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("config.yaml", lambda config: config["model"]["nodes"].update(hidden_channels=10**6), "not F32 ("),
        ("config.yaml", lambda config: config["model"]["distance"].update(num_bins=10**8), "not F32 ("),
        (
            "config.yaml",
            lambda config: config["model"]["distance"].update(num_bins=10**30),
            "num_bins: '1000000000000000000000000000000' is not a whole number from 1",
        ),
        ("config.yaml", lambda config: config["model"]["classifier"].update(num_hidden=10**9), "more layers"),
        (
            "config.yaml",
            lambda config: config["model"]["global_layer"].update(num_layers=10**9),
            "more layers",
        ),
        (
            "config.yaml",
            lambda config: config["model"].update(note=LINEAR),
            "model.note: is not a setting of ",
        ),
        ("config.yaml", lambda config: config["model"].update(query=LINEAR), "model.query: "),
        (
            "config.yaml",
            lambda config: config["model"]["loss"].update(na_keep=LINEAR),
            "}' is not a number from 0 to 1",
        ),
        ("config.yaml", lambda config: config["model"].update(distance=LINEAR), "is not a DistanceEmbedding"),
        (
            "config.yaml",
            lambda config: config["model"]["distance"].pop("_partial_"),
            "model.distance._partial_: 'false' is not true",
        ),
        (
            "config.yaml",
            lambda config: config["model"].update(loss=LINEAR | {"_partial_": True, "device": "cpu"}),
            "model.loss._target_: 'torch.nn.Linear' is not a RelationLoss",
        ),
        ("encoder/config.json", lambda config: config.update(vocab_size=10**12), "vocab_size: 1000000000000"),
        ("encoder/config.json", lambda config: config.update(vocab_size=10**6), "not F32 ("),
        ("encoder/config.json", lambda config: config.update(intermediate_size=-(10**12)), "is out of range"),
        ("encoder/config.json", lambda config: config.update(layer_norm_eps=float("inf")), "is out of range"),
        ("encoder/config.json", lambda config: config.update(num_hidden_layers=10**6), "more layers"),
        (
            "encoder/config.json",
            lambda config: config.update(num_hidden_layers=1),
            "the model has no encoder.",
        ),
        (
            "labels.json",
            lambda labels: labels.update(relations=[f"r{number}" for number in range(10**5)]),
            "not F32 (100000, 512)",
        ),
    ],
)
def test_a_model_is_no_larger_than_its_weights(name, change, reason, saved):
    changed(saved, name, change)
    with limited_memory(1 << 30):
        assert reason in refusal(load, saved)


def forbid_the_world(monkeypatch):
    """Let nothing connect or start a program."""

    def on_error(*arguments, **options):
        raise AssertionError(arguments)

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for place, name in ((socket.socket, "connect"), (subprocess, "Popen"), (os, "system")):
        monkeypatch.setattr(place, name, on_error)


def test_a_saved_model_asks_nobody_and_starts_nothing(saved, monkeypatch):
    forbid_the_world(monkeypatch)
    changed(saved, "config.yaml", lambda config: config["encoder"]["tokenizer"].update(name="me/elsewhere"))
    before = contents(saved)
    assert probabilities(load(saved)).size
    assert contents(saved) == before


@pytest.mark.parametrize("threshold", [float("nan"), float("inf"), -0.1, 1.5, "0.5", True, None, [0.5]])
def test_a_threshold_is_a_probability(threshold, saved):
    changed(saved, "scores.json", lambda scores: scores.update(threshold=threshold))
    assert refusal(load, saved).startswith(f"{saved / 'scores.json'}: threshold: expected `float`")
    relations = load_file(saved, "labels.json")["relations"]
    by_relation = dict.fromkeys(relations, threshold)
    changed(saved, "scores.json", lambda scores: scores.update(threshold=by_relation))
    assert refusal(load, saved).startswith(f"{saved / 'scores.json'}: threshold")


def load_file(folder, name):
    return json.loads((folder / name).read_text())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e38])
def test_weights_and_probabilities_are_finite(value, saved):
    (saved / CHECKSUMS).unlink()
    weights = load_safetensors(saved / "model.safetensors")
    weights["nodes.linear.weight"][0, 0] = value
    weights["classifier.layers.0.weight"][:] = 1e38 if value == 1e38 else 0
    save_file(weights, saved / "model.safetensors")
    assert "not finite" in refusal(load, saved)


@pytest.mark.parametrize("dtype", ["I32", "F16", "F64"])
def test_weights_of_another_type_are_refused(dtype, saved):
    (saved / CHECKSUMS).unlink()
    weights = load_safetensors(saved / "model.safetensors")
    types = {"I32": torch.int32, "F16": torch.float16, "F64": torch.float64}
    weights["nodes.linear.weight"] = weights["nodes.linear.weight"].to(types[dtype])
    save_file(weights, saved / "model.safetensors")
    assert f"nodes.linear.weight is {dtype} (8, 32), not F32 (8, 32)" in refusal(load, saved)


def test_every_token_has_an_embedding(saved):
    def add(tokenizer):
        tokenizer["model"]["vocab"]["beyond"] = 5000

    changed(saved, "encoder/tokenizer.json", add)
    assert "encoder: the tokenizer has the id 5000, and the model " in refusal(load, saved)


def test_special_tokens_have_an_embedding(saved):
    def move(tokenizer):
        tokenizer["post_processor"]["special_tokens"]["[CLS]"]["ids"] = [5000]

    changed(saved, "encoder/tokenizer.json", move)
    assert "encoder: the tokenizer has the id 5000, and the model " in refusal(load, saved)


@pytest.mark.parametrize(
    "kind", ["dpt", "maskformer", "upernet", "vitpose", "depth_anything", "t5", "timm_backbone"]
)
def test_an_encoder_is_a_text_encoder(kind, saved, monkeypatch):
    forbid_the_world(monkeypatch)
    named = {"model_type": kind, "backbone": "me/evil", "use_pretrained_backbone": True}
    changed(saved, "encoder/config.json", lambda config: config.update(named))
    assert f"encoder: encoder: model_type: '{kind}' is not one of albert, bert, " in refusal(load, saved)


@pytest.mark.parametrize("name", ["encoder/config.json", "encoder/tokenizer_config.json"])
def test_names_of_files_and_repositories_mean_nothing(name, saved, original, monkeypatch):
    forbid_the_world(monkeypatch)
    named = {
        **{
            "_name_or_path": "me/evil",
            "backbone": "me/evil",
            "gguf_file": "/etc/passwd",
            "auto_map": {"AutoModel": "a.B"},
        },
        **{"tokenizer_file": "/etc/passwd", "vocab_file": "/etc/passwd", "tokenizer_class": "me.Evil"},
        **{
            "quantization_config": {"quant_method": "gptq"},
            "_attn_implementation": "me/kernel",
            "use_kernels": True,
        },
        **{"fast_tokenizer_files": ["/etc/passwd"], "processor_class": "Evil", "num_labels": 10**9},
    }
    changed(saved, name, lambda config: config.update(named))
    assert np.array_equal(probabilities(load(saved)), probabilities(load(original)))


@pytest.mark.parametrize(
    "pattern", [r"(\w+\.?)+$!", "(a|a)*" * 50 + "!", "((((a{999}){999}){999}){999})", "((", "x" * 10**5]
)
def test_loading_matches_no_pattern_of_a_config(pattern, saved, original):
    changed(saved, "config.yaml", lambda config: config["model"]["encoder"].update(frozen=pattern))
    assert same_weights(load(saved).model, load(original).model)
    assert load(saved).config.model.encoder.frozen == pattern


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data.update(_target_="glre_pyg.models.glre.GLRE"), "dataset."),
        (lambda data: data.update(train=LINEAR), "}' is not a text or null"),
        (lambda data: data.update(train=["a"]), "dataset.train: '['a']' is not a text or null"),
        (
            lambda data: data.update(relations="CID"),
            "dataset.relations: 'CID' is not a list of a text or null",
        ),
        (
            lambda data: data.update(note=LINEAR),
            "dataset.note: is not a setting of glre_pyg.datasets.Files, which has ",
        ),
        (lambda data: data.update(_partial_=True), "dataset._partial_: 'true' is not false"),
        (
            lambda data: data.update(_args_=["a"]),
            "dataset._args_: is not a setting of glre_pyg.datasets.Files",
        ),
        (lambda data: data.pop("train"), "dataset.train: missing"),
        (lambda data: data.update(notes=[0] * 20_000), "it has more than 10,000 values"),
    ],
)
def test_a_corpus_is_made_of_plain_values(change, reason, saved):
    changed(saved, "config.yaml", lambda config: change(config["dataset"]))
    with limited_memory(1 << 30):
        line = refusal(load, saved)
    assert line.startswith(f"{saved / 'config.yaml'}: ")
    assert reason in line


@pytest.mark.parametrize(
    "target", ["glre_pyg.nn.nodes.NodeEncoder", "glre_pyg.datasets.generator.SyntheticCorpus"]
)
def test_a_corpus_is_one(target):
    with pytest.raises(InputError, match=r"^dataset"):
        make_corpus(OmegaConf.create({"_target_": target}))


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({"types": []}, "types: empty"),
        ({"types": ["A", "A"]}, "types: empty, or a name is there twice"),
        ({"pair_types": []}, "pair_types: empty"),
        ({"pair_types": [["A", "B"]]}, "pair_types: 'A' is not one of the entity types"),
        ({"relations": ["\ud83d"]}, "relations: half of a surrogate pair is in it"),
    ],
)
def test_labels_make_sense(labels, reason, saved):
    changed(saved, "labels.json", lambda saved_labels: saved_labels.update(labels))
    assert f"{saved / 'labels.json'}: " in refusal(load, saved)
    assert reason in refusal(load, saved)


@pytest.mark.parametrize("heads", [0, 3, -1])
def test_a_model_that_does_not_run_is_one_line(heads, saved):
    changed(saved, "encoder/config.json", lambda config: config.update(num_attention_heads=heads))
    assert str(saved) in refusal(load, saved)


def test_scores_of_another_kind_are_one_line_on_the_card(saved, tmp_path):
    changed(saved, "scores.json", lambda scores: scores["test"]["filtered"].update(gold="many"))
    assert str(tmp_path / "again" / "README.md") in refusal(save_pretrained, load(saved), tmp_path / "again")


def test_scores_are_printed_without_orders_to_a_terminal(capsys):
    documents = random_documents(2)
    labels = replace(LABELS, relations=("causes\x1b[2J", "treats"))
    graphs = [labels.blind_graph(each) for each in documents]
    found = [np.full((graph.pair_index.size(1), 2), 0.5, dtype=np.float32) for graph in graphs]
    print_scores(score_pairs(documents, graphs, found, labels), 0.3, "corpus\x1b[2J", "every\nA-\x9b pair")
    printed = capsys.readouterr().out
    assert "corpus\\x1b[2J" in printed
    assert printed.replace("\n", "").isprintable()


# Names


def test_a_folder_is_taken_as_it_is(saved):
    assert resolve_folder(saved) == saved
    assert resolve_folder(str(saved)) == saved


@pytest.mark.parametrize("name", ["", "nothing here", "run", "a/b/c", "a--b/c", "../gone", Path("me/model")])
def test_what_is_neither_folder_nor_name_is_not_asked_for(name, hub):
    assert "no such folder, and not the name of a model on the hub" in refusal(resolve_folder, name)
    assert not hub.asked


def test_a_file_is_not_a_folder(saved):
    assert "is a file" in refusal(resolve_folder, saved / "config.yaml")


def test_offline_is_one_line(hub, monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for options in ({}, {"local_files_only": True}):
        line = refusal(resolve_folder, "me/model", cache_dir=tmp_path, **options)
        assert line.startswith("me/model: no such folder; on the hub: it is not in the cache")
    assert not hub.asked


# The hub


def on_hub(hub, folder, *refs, name="me/model"):
    files = contents(folder)
    repository = hub.repositories.setdefault(name, Repository())
    return repository.commit(files, *(refs or ("main",)))


def fetched(hub):
    """Files whose content was asked for."""
    return {path.split("/", 5)[5] for method, path, _ in hub.asked if method == "GET" and "/resolve/" in path}


def test_a_model_goes_to_the_hub_and_comes_back(hub, loaded, original, tmp_path):
    address = push_to_hub(loaded, "me/model", token=TOKEN, private=True, commit_message="First")
    assert address.startswith(f"{hub.url}/me/model/commit/")
    assert hub.created[0]["name"] == "model"
    assert hub.created[0].get("private") or hub.created[0].get("visibility") == "private"
    assert hub.messages == ["First"]
    there = hub.repositories["me/model"].commits[hub.repositories["me/model"].refs["main"]]
    assert there.keys() == SAVED
    here = contents(original)
    differ = {name for name in SAVED if there[name] != here[name]}
    assert differ <= {"README.md", "model.safetensors", CHECKSUMS}
    assert 'from_pretrained("me/model")' in there["README.md"].decode()
    assert list(hub.large.values()) == [there["model.safetensors"]]  # the rest is inline
    assert {of for method, _, of in hub.asked if method == "POST"} == {f"Bearer {TOKEN}"}

    found = from_pretrained("me/model", cache_dir=tmp_path / "cache")
    assert same_weights(found.model, loaded.model)
    assert fetched(hub) == SAVED - {"README.md"}


def test_only_what_is_needed_is_fetched(hub, saved):
    for name in ("pytorch_model.bin", "encoder/code.py", "model.py", "encoder/vocab.bin", "log.jsonl"):
        (saved / name).write_bytes(b"not needed")
    on_hub(hub, saved)
    folder = resolve_folder("me/model")
    assert contents(folder).keys() == fetched(hub) == SAVED - {"README.md"}


def test_a_revision_is_that_revision(hub, original, saved):
    first = on_hub(hub, original, "main", "v1")
    changed(saved, "scores.json", lambda scores: scores.update(threshold=0.125))
    on_hub(hub, saved)
    for revision, threshold in (
        ("v1", load(original).threshold),
        (None, 0.125),
        (first, load(original).threshold),
    ):
        assert from_pretrained("me/model", revision=revision).threshold == threshold


def test_the_cache_is_enough_when_the_hub_is_gone(hub, original):
    on_hub(hub, original)
    folder = resolve_folder("me/model")
    asked = len(hub.asked)
    assert resolve_folder("me/model", local_files_only=True) == folder
    assert len(hub.asked) == asked
    hub.broken = True
    assert resolve_folder("me/model") == folder


def test_a_token_is_sent(hub, original):
    on_hub(hub, original)
    resolve_folder("me/model", token=TOKEN)
    assert {of for _, _, of in hub.asked} == {f"Bearer {TOKEN}"}
    hub.asked.clear()
    resolve_folder("me/model", token=False, force_download=True)
    assert {of for _, _, of in hub.asked} == {None}
    assert fetched(hub) == SAVED - {"README.md"}


def test_what_the_hub_does_not_give_is_one_line(hub, original, tmp_path, monkeypatch):
    on_hub(hub, original)
    start = "{}: no such folder; on the hub: "
    assert refusal(resolve_folder, "me/gone").startswith(
        start.format("me/gone") + "no such model, or a private one"
    )
    line = refusal(resolve_folder, "me/model", revision="v2")
    assert line == start.format("me/model") + "the model has no revision 'v2'"
    hub.repositories["me/model"].closed = "GatedRepo"
    assert "ask for access on its page" in refusal(resolve_folder, "me/model")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "the hub cannot be reached" in refusal(resolve_folder, "me/other")


def test_a_model_that_is_altered_on_the_way_is_refused(hub, saved):
    weights = bytearray((saved / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (saved / "model.safetensors").write_bytes(weights)
    on_hub(hub, saved)
    assert "model.safetensors: is not the file that was saved" in refusal(from_pretrained, "me/model")


def test_a_repository_of_something_else_is_one_line(hub, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "pytorch_model.bin").write_bytes(b"1")
    on_hub(hub, tmp_path / "other")
    line = refusal(from_pretrained, "me/model")
    assert line == "me/model: no such folder; on the hub: not a model of this library, without config.yaml"


def test_what_the_hub_does_not_take_is_one_line(hub, loaded):
    assert refusal(push_to_hub, loaded, "me/model", token="wrong").startswith("me/model: not pushed: ")
    assert "not pushed" in refusal(push_to_hub, loaded, "not a name", token=TOKEN)


# The card


def head_and_text(card):
    _, head, text = card.content.split("---\n", 2)
    return yaml.safe_load(head), text


def table(text, title):
    """Rows of the table in a section, by their cells."""
    section = text.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_the_card_says_what_the_run_says(run, original):
    card = ModelCard.load(original / "README.md")
    head, text = head_and_text(card)
    scores = json.loads((run[1] / "scores.json").read_text())
    assert head["library_name"] == "glre_pyg"
    assert head["pipeline_tag"] == "text-classification"
    assert {"glre", "relation-extraction"} <= set(head["tags"])
    assert head["datasets"] == [scores["protocol"]["corpus"]]
    assert "license" not in head
    results = {(each.dataset_split, each.metric_name): each.metric_value for each in card.data.eval_results}
    pairs = scores["protocol"]["pairs"]
    for metric in ("f1", "precision", "recall"):
        for place, name in (("filtered", pairs), ("unfiltered", "every candidate pair")):
            assert results["test", f"{metric} ({name})"] == round(scores["test"][place][metric], 4)
    assert {split for split, _ in results} == {"test"}  # dev chose

    rows = {(row[0], row[1]): row[2:] for row in table(text, "Scores")}
    for split in ("dev", "test"):
        of = scores[split]["filtered"]
        low, high = (f"{100 * bound:.1f}" for bound in scores[split]["interval"])
        numbers = [f"{100 * of[name]:.1f}" for name in ("precision", "recall", "f1")]
        assert rows[split, "pairs of the protocol"] == [*numbers, f"{low} to {high}", str(of["gold"])]
        assert (split, "every candidate pair") in rows
    digests = {row[0]: row[2].strip("`") for row in table(text, "Data")}
    assert digests == scores["protocol"]["files"]
    assert 'RelationExtractor.from_pretrained("' in text
    assert "Test was scored once" in text
    assert "The encoder is tiny" in text
    assert "wang-etal-2020-global" in text
    assert f"{scores['threshold']:.6g}" in text


def made(run, change=lambda scores: None, **options):
    """Head and text of the card of a run whose scores a test has changed."""
    scores = copy.deepcopy(dict(run.scores))
    change(scores)
    return head_and_text(model_card(replace(run, scores=scores), **options))


def counts(gold):
    return {"precision": 0.5, "recall": 0.25, "f1": 1 / 3, "true_positives": 1, "predicted": 2, "gold": gold}


def test_several_relations_have_a_table(loaded):
    def several(scores):
        scores["test"]["by_relation"] = {"a|b": counts(4), "c": counts(9)}

    _, text = made(loaded, several)
    assert table(text, "Scores by relation") == [
        ["`c`", "50.0", "25.0", "33.3", "2", "9"],
        ["`a\\|b`", "50.0", "25.0", "33.3", "2", "4"],
    ]
    assert "## Scores by relation" not in made(loaded)[1]


def test_names_of_a_run_stay_text_on_its_card(loaded):
    bad = "</code>`` <img src=x onerror=y> [a](javascript:x) | ![b](c) *d* \x1b[2J\n# e\n---\n| f |"

    def hostile(scores):
        scores["protocol"] |= dict.fromkeys(
            ("corpus", "pairs", "dev", "setting", "threshold", "ignored"), bad
        )
        scores["protocol"]["files"] = {bad: bad}
        scores["test"]["by_relation"] = {bad: counts(4), "c": counts(9)}
        scores["best_epoch"] = bad

    names = dict.fromkeys(("relations", "types"), (bad,)) | {"pair_types": ((bad, bad),)}
    config = OmegaConf.merge(loaded.config, {"encoder": {"name": bad}, "start": bad, "name": bad})
    labels = replace(loaded.labels, **names)
    head, text = made(replace(loaded, labels=labels, environment={bad: bad}, config=config), hostile)
    assert head["datasets"] == [bad]
    assert "\x1b" not in text
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
    tags = {"h1", "h2", "p", "ul", "li", "code", "pre", "table", "thead", "tbody", "tr", "th", "td"}
    assert {*re.findall(r"<(\w+)", html)} <= tags
    assert html.count("<h1>") == 1
    assert html.count("<table>") == 4


def test_ign_of_the_file_it_leaves_out_is_not_shown(loaded):
    def ign(scores):
        scores["protocol"] |= {"ignored": "1", "files": {"train": "1", "dev": "1", "test": "2"}}
        scores["dev"]["ign"] = scores["test"]["ign"] = counts(4)

    shown = [row[0] for row in table(made(loaded, ign)[1], "Scores") if row[1].startswith("Ign")]
    assert shown == ["test"]


def test_a_run_without_test_says_so(loaded):
    head, text = made(loaded, lambda scores: scores.pop("test"))
    assert "There are no scores on test" in text
    assert "Test was scored" not in text
    assert {each["dataset"]["split"] for each in head["model-index"][0]["results"]} == {"dev"}


def test_a_filter_is_told(loaded):
    def filtered(scores):
        scores["test"] = {"filtered": counts(4), "unfiltered": counts(5)}

    assert "leaves pairs out of the score" in made(loaded, filtered)[1]
    equal = {"filtered": counts(4), "unfiltered": counts(4)}
    assert "leaves pairs out" not in made(loaded, lambda scores: scores.update(dev=equal, test=equal))[1]


def test_a_card_cites_the_paper_of_its_model(loaded, monkeypatch):
    for citation, expected in (("A paper. https://example.org", ["A paper. https://example.org"]), ("", [])):
        monkeypatch.setattr(type(loaded.model), "citation", citation)
        _, text = made(loaded)
        assert [part.strip() for part in text.split("## Citation")[1:]] == expected


def test_scores_without_a_protocol_make_a_card(loaded):
    head, text = made(loaded, lambda scores: (scores.clear(), scores.update(threshold=0.5)))
    assert "Scored pairs: unknown" in text
    assert head["datasets"] == ["an unnamed corpus"]


def test_fields_of_the_head_are_the_users(loaded):
    card = model_card(loaded, license="mit", language=["en"], repo_id="me/model")
    head, text = head_and_text(card)
    assert (head["license"], head["language"]) == ("mit", ["en"])
    assert "## License" not in text
    assert 'from_pretrained("me/model")' in text


def test_departures_are_those_of_the_config(loaded):
    def of(**changes):
        dotlist = OmegaConf.from_dotlist([f"{name}={value}" for name, value in changes.items()])
        text = made(replace(loaded, config=OmegaConf.merge(loaded.config, dotlist)))[1]
        section = text.split("## Departures from the paper\n")[1].split("\n## ")[0]
        return [line.removeprefix("- ") for line in section.splitlines() if line.startswith("- ")]

    assert "The optimizer is torch.optim.AdamW, not Adam." in of()
    assert not [
        line for line in of(**{"optimizer.factory._target_": "torch.optim.Adam"}) if "optimizer" in line
    ]
    left_out = of(**{"model.local_layer._target_": "glre_pyg.nn.local.NoLocal"})
    assert [line for line in left_out if line.startswith("Without entity local representations")]
    assert not [line for line in of() if line.startswith("Without entity local")]
    assert [line for line in of(**{"model.loss.reduction": "sum"}) if "mean over relations" in line] == []
    assert "/" not in "".join(line for line in of(start="/home/me/first") if "another model" in line)


def test_random_documents_are_scored_alike_after_a_round_trip(run, original):
    before, after = load(run[1]), load(original)
    documents = [
        each
        for each in random_documents(6)
        if {mention.type for mention in each.mentions} <= set(before.labels.types)
    ]
    for ours, theirs in zip(
        before.predict(before.graphs(documents)), after.predict(after.graphs(documents)), strict=True
    ):
        assert np.array_equal(ours, theirs)
