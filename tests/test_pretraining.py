"""Pretraining of an encoder on texts without labels, which train then takes as its encoder."""

import json
from dataclasses import replace

import pytest
import torch
from transformers import AutoModel

from checkpoints import FAMILIES, TEXT, checkpoint
from commands import run
from glre_pyg.data.tokenizer import SubwordTokenizer
from glre_pyg.formats.jsonl import read_jsonl
from glre_pyg.formats.spacy_docs import write_spacy
from glre_pyg.training.pretraining import Pretraining, pretrain
from glre_pyg.utils.exceptions import InputError

TEXTS = [f"{first} {second}" for first in TEXT for second in TEXT]
SETTINGS = Pretraining(epochs=20, batch_size=4, lr=1e-2, mask_rate=0.15, held_out=0.1, seed=0, precision="no")


def tokenizer_of(folder):
    return SubwordTokenizer.build([], name=str(folder), max_length=64, overlap=8)


@pytest.mark.parametrize("family", sorted({*FAMILIES} - {"xlnet"}))
def test_an_encoder_learns_its_texts(family, tmp_path):
    tokenizer = tokenizer_of(checkpoint(family, tmp_path / "base"))
    before, after = pretrain(TEXTS, tokenizer, SETTINGS, tmp_path / "adapted")
    assert after < 0.8 * before
    old, new = (AutoModel.from_pretrained(tmp_path / name).state_dict() for name in ("base", "adapted"))
    assert old.keys() == new.keys()
    assert not all(torch.equal(old[name], new[name]) for name in old)
    again = tokenizer_of(tmp_path / "adapted")
    assert again.tokenizer.get_vocab() == tokenizer.tokenizer.get_vocab()


def test_perplexities_are_of_the_same_masks(tmp_path):
    tokenizer = tokenizer_of(checkpoint("bert_uncased", tmp_path / "base"))
    settings = replace(SETTINGS, epochs=1, lr=1e-30)
    before, after = pretrain(TEXTS, tokenizer, settings, tmp_path / "adapted")
    assert after == pytest.approx(before, rel=1e-6)


def test_the_same_seed_gives_the_same_weights(tmp_path):
    tokenizer = tokenizer_of(checkpoint("bert_uncased", tmp_path / "base"))
    results = [pretrain(TEXTS, tokenizer, SETTINGS, tmp_path / name) for name in "ab"]
    assert results[0] == results[1]
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in "ab"]
    assert files[0] == files[1]


def test_long_texts_are_windows_and_repeated_ones_count_once(tmp_path):
    tokenizer = tokenizer_of(checkpoint("bert_uncased", tmp_path / "base"))
    with pytest.raises(InputError, match=r"^input: 1 different texts are too few to train on$"):
        pretrain(TEXTS[:1] * 5, tokenizer, SETTINGS, tmp_path / "adapted")
    pretrain([" ".join(TEXTS), TEXTS[0]], tokenizer, SETTINGS, tmp_path / "adapted")


def test_a_model_without_masked_language_modelling(tmp_path):
    tokenizer = tokenizer_of(checkpoint("xlnet", tmp_path / "base"))
    with pytest.raises(InputError, match=r"^encoder: no masked language model: "):
        pretrain(TEXTS, tokenizer, SETTINGS, tmp_path / "adapted")


def test_command_reads_files_of_several_formats_and_train_takes_the_folder(tmp_path):
    checkpoint("bert_uncased", tmp_path / "base")
    (tmp_path / "texts").mkdir()
    for number, text in enumerate(TEXTS[:8]):
        (tmp_path / "texts" / f"{number}.txt").write_text(text)
    records = [json.dumps({"id": str(number), "text": text}) for number, text in enumerate(TEXTS[8:])]
    (tmp_path / "more.jsonl").write_text("\n".join(records[1:]))
    (tmp_path / "first.jsonl").write_text(records[0])
    write_spacy(read_jsonl(tmp_path / "first.jsonl"), tmp_path / "first.spacy")
    printed, _ = run(
        "pretrain",
        "input=[texts,more.jsonl,first.spacy]",
        "output=adapted",
        "encoder=hf",
        "encoder.tokenizer.name=base",
        "encoder.tokenizer.max_length=64",
        "encoder.tokenizer.overlap=8",
        "epochs=1",
        cwd=tmp_path,
    )
    assert printed.startswith("adapted: perplexity of masked tokens in texts held out: ")
    assert AutoModel.from_pretrained(tmp_path / "adapted").config.model_type == "bert"
