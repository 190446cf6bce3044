"""Masked language modelling of a pretrained encoder on texts without labels (Devlin et al., NAACL 2019)."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from math import exp
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import torch
from transformers import (
    AutoModelForMaskedLM,
    DataCollatorForLanguageModeling,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainingArguments,
    set_seed,
)

from glre_pyg.data.tokenizer import SubwordTokenizer
from glre_pyg.nn.transformer import quiet_transformers
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.ranges import PositiveFloat, PositiveInt, PositiveShare, Seed, Share

Window = dict[str, list[int]]


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """Settings of pretraining.

    Args:
        epochs: Number of epochs.
        batch_size: Windows in a batch.
        lr: Highest learning rate, reached after a tenth of the steps; it falls linearly to 0.
        mask_rate: Share of tokens to predict, of which 80 % are masked, 10 % replaced by others.
        held_out: Share of texts that are not trained on, but measure the perplexity.
        seed: Seed of the split, of masks, and of the order of windows.
        precision: ``"no"`` for fp32, or ``"bf16"``.
    """

    epochs: PositiveInt
    batch_size: PositiveInt
    lr: PositiveFloat
    mask_rate: PositiveShare
    held_out: Share
    seed: Seed
    precision: Literal["no", "bf16"]


def pretrain(
    texts: Iterable[str], tokenizer: SubwordTokenizer, settings: Pretraining, output: Path
) -> tuple[float, float]:
    """Train an encoder to predict masked tokens, and save it with its tokenizer as a Hugging Face folder.

    Args:
        texts: The texts.
        tokenizer: Tokenizer of the encoder, with the source of its weights and the length of windows.
        settings: The settings.
        output: Folder for weights, configuration and tokenizer.

    Returns:
        Perplexity of masked tokens in the texts held out, before and after.

    Raises:
        InputError: If the tokenizer has no mask token, the model no masked language modelling, or there are
            fewer than two texts.
    """
    if tokenizer.mask_id is None or tokenizer.source is None:
        raise InputError("encoder: pretraining needs pretrained weights, and a tokenizer with a mask token")
    set_seed(settings.seed)
    train, held_out = _split([*dict.fromkeys(texts)], tokenizer, settings)
    model = _language_model(tokenizer)
    collator = partial(
        DataCollatorForLanguageModeling,
        tokenizer.tokenizer,
        mlm_probability=settings.mask_rate,
        seed=settings.seed,
    )
    with TemporaryDirectory() as folder:
        trainer = Trainer(model, _arguments(settings, folder), collator(), train, held_out)
        trainer.remove_callback(PrinterCallback)
        before = _perplexity(trainer)
        trainer.train()
        trainer.data_collator = collator()  # which masks the same tokens as before
        after = _perplexity(trainer)
    with quiet_transformers():
        model.base_model.save_pretrained(output)
    tokenizer.tokenizer.save_pretrained(output)
    return before, after


def _split(
    texts: list[str], tokenizer: SubwordTokenizer, settings: Pretraining
) -> tuple[list[Window], list[Window]]:
    """Return windows of the texts to train on and of those held out."""
    count = max(1, round(settings.held_out * len(texts)))
    if len(texts) <= count:
        raise InputError(f"input: {len(texts)} different texts are too few to train on")
    order = torch.randperm(len(texts)).tolist()
    parts = (order[count:], order[:count])
    train, held_out = (
        _windows(tokenizer.tokenizer, [texts[number] for number in part], tokenizer.max_length)
        for part in parts
    )
    return train, held_out


def _windows(tokenizer: PreTrainedTokenizerBase, texts: list[str], length: int) -> list[Window]:
    encoded = tokenizer(
        texts,
        max_length=length,
        truncation=True,
        return_overflowing_tokens=True,
        return_special_tokens_mask=True,
    )
    names = ("input_ids", "special_tokens_mask")
    return [dict(zip(names, row, strict=True)) for row in zip(*map(encoded.get, names), strict=True)]


def _language_model(tokenizer: SubwordTokenizer) -> PreTrainedModel:
    try:
        with quiet_transformers():
            return AutoModelForMaskedLM.from_pretrained(
                tokenizer.source, dtype=torch.float32, trust_remote_code=False, weights_only=True
            )
    except (OSError, ValueError) as error:
        raise InputError(f"encoder: no masked language model: {str(error).splitlines()[0]}") from error


def _arguments(settings: Pretraining, folder: str) -> TrainingArguments:
    return TrainingArguments(
        output_dir=folder,
        per_device_train_batch_size=settings.batch_size,
        per_device_eval_batch_size=settings.batch_size,
        num_train_epochs=settings.epochs,
        learning_rate=settings.lr,
        warmup_steps=0.1,  # a share, if less than 1
        weight_decay=0.01,
        bf16=settings.precision == "bf16",
        use_cpu=not torch.cuda.is_available(),
        train_sampling_strategy="group_by_length",
        save_strategy="no",
        report_to="none",
        logging_strategy="no",
        disable_tqdm=not sys.stderr.isatty(),
        seed=settings.seed,
    )


def _perplexity(trainer: Trainer) -> float:
    return exp(min(trainer.evaluate()["eval_loss"], 100.0))
