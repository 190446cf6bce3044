"""Predictions in half precision: what they change, who may choose them, and what is said about it."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import spacy
import torch
from omegaconf import OmegaConf

from documents import LABELS, glre, random_documents, subwords
from glre_pyg import ExtractBatch, RelationExtractor, from_pretrained
from glre_pyg.extraction.pipeline import settings_key
from glre_pyg.runs import numeric_precision
from glre_pyg.runs.numeric_precision import MAX_LOSS, Bf16Check, chosen_precision
from glre_pyg.runs.run import Run
from glre_pyg.utils import exceptions
from glre_pyg.utils.exceptions import InputError

DOCUMENTS = random_documents(6)
CPU = torch.device("cpu")
PASSED = asdict(Bf16Check(0.6, 0.6 + MAX_LOSS / 2, 3, 100))
FAILED = asdict(Bf16Check(0.6, 0.6 + 2 * MAX_LOSS, 9, 100))


@pytest.fixture(scope="module")
def run() -> Run:
    torch.manual_seed(0)
    tokenizer = subwords(DOCUMENTS)
    config = OmegaConf.create({"eval_batch_size": 4})
    return Run(glre(tokenizer).eval(), tokenizer, LABELS, 0.5, config, None)


@pytest.fixture(autouse=True)
def every_note():
    """Notes are printed once in a process, and here in each test."""
    exceptions.note.cache_clear()


def with_bf16(monkeypatch, has):
    monkeypatch.setattr(numeric_precision, "has_bf16", lambda device: has)


def test_half_precision_is_near(run):
    graphs = run.graphs(DOCUMENTS)
    plain, half = (np.concatenate(run.in_precision(name).predict(graphs)) for name in ("fp32", "bf16"))
    assert half.dtype == np.float32
    assert 0 < np.abs(half - plain).max() < 0.02


def test_denormals_are_flushed_while_a_model_computes(run):
    seen = []
    hook = run.model.register_forward_hook(lambda *_: seen.append(float(torch.tensor(1e-40) * 1)))
    run.predict(run.graphs(DOCUMENTS[:1]))
    hook.remove()
    assert seen == [0.0]
    assert float(torch.tensor(1e-40) * 1) > 0
    torch.set_flush_denormal(True)  # the choice of the program around it
    try:
        run.predict(run.graphs(DOCUMENTS[:1]))
        assert float(torch.tensor(1e-40) * 1) == 0
    finally:
        torch.set_flush_denormal(False)


def test_fp32_is_what_it_was(run, capsys):
    graphs = run.graphs(DOCUMENTS)
    with torch.inference_mode():
        [expected] = run.model.probabilities(run.model(graphs[0])).numpy()[None]
    [found] = run.in_precision("fp32").predict(graphs[:1])
    assert np.array_equal(found, expected)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("has", "scores", "expected", "line"),
    [
        (
            True,
            {"bf16": PASSED},
            "bf16",
            "precision: bf16; on dev, F1 0.6000 in bf16 and 0.6010 in fp32; 3 of 100",
        ),
        (True, {"bf16": FAILED}, "fp32", "precision: fp32, as on dev, F1 0.6000 in bf16 and 0.6040 in fp32"),
        (True, {}, "fp32", "precision: fp32, as the run has no F1 in bf16"),
        (False, {"bf16": PASSED}, "fp32", "precision: fp32, as this processor has no instructions for bf16"),
    ],
)
def test_auto_needs_instructions_and_a_check(has, scores, expected, line, monkeypatch, capsys):
    with_bf16(monkeypatch, has)
    assert chosen_precision("auto", scores, CPU) == expected
    assert line in capsys.readouterr().err


def test_what_is_chosen_is_said(run, capsys):
    assert run.in_precision("bf16").precision == "bf16"
    assert capsys.readouterr().err == "note: precision: bf16\n"


@pytest.mark.parametrize(
    ("setting", "scores", "line"),
    [
        ("half", {}, "precision: 'half' is not one of auto, fp32, bf16, fp16"),
        ("fp16", {}, "precision: fp16 needs a GPU; a CPU has bf16"),
        ("auto", {"bf16": {**PASSED, "f1": "high"}}, "bf16.f1: expected `float`, got `str`"),
    ],
)
def test_wrong_settings_are_one_line(setting, scores, line):
    with pytest.raises(InputError) as caught:
        chosen_precision(setting, scores, CPU)
    assert str(caught.value) == line


def test_the_check_compares_dev_in_both_precisions(run, monkeypatch):
    pairs = run.score(DOCUMENTS)
    with_bf16(monkeypatch, True)
    monkeypatch.setattr("glre_pyg.runs.run.has_bf16", lambda device: True)
    threshold = float(np.median(pairs.probability))
    found = replace(run, threshold=threshold).bf16_check(DOCUMENTS, pairs)["bf16"]
    half = run.in_precision("bf16").score(DOCUMENTS)
    assert found["f1"] == half.score(threshold, filtered=True).f1
    assert found["f1_fp32"] == pairs.score(threshold, filtered=True).f1
    assert found["changed"] == (half.predicted(threshold) != pairs.predicted(threshold)).sum()
    assert found["decisions"] == np.count_nonzero(pairs.probability)
    monkeypatch.setattr("glre_pyg.runs.run.has_bf16", lambda device: False)
    assert run.bf16_check(DOCUMENTS, pairs) == {}


def test_a_command_in_another_precision_does_not_resume(run):
    config = OmegaConf.create({"mentions": {}, "precision": "auto"})
    keys = [settings_key(replace(run, precision=name), config) for name in ("fp32", "bf16")]
    assert keys[0] != keys[1]


def test_a_saved_model_is_loaded_in_a_precision(monkeypatch):
    with_bf16(monkeypatch, True)
    assert from_pretrained("cdr").precision == "fp32"
    assert RelationExtractor.from_pretrained("cdr", precision="auto").run.precision == "bf16"
    assert from_pretrained(["cdr", "cdr"], precision="bf16").precision == "bf16"
    assert ExtractBatch("cdr", precision="bf16").extractor.run.precision == "bf16"
    component = spacy.blank("en").add_pipe("glre", config={"model": "cdr", "precision": "bf16"})
    assert component.extractor.run.precision == "bf16"
    with pytest.raises(InputError, match=r"^precision: 'half' is not one of"):
        from_pretrained("cdr", precision="half")
