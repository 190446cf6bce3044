"""Loading of Hugging Face transformers: with dropout rates, without unused modules, and quietly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from textwrap import shorten

import torch
from huggingface_hub.utils import enable_progress_bars
from transformers import AutoModel, PretrainedConfig, PreTrainedModel
from transformers.utils import logging

from glre_pyg.data.tokenizer import SubwordTokenizer
from glre_pyg.utils.exceptions import InputError, as_input_errors


def build_transformer(
    tokenizer: SubwordTokenizer, *, dropout: float | None, attention_dropout: float | None
) -> PreTrainedModel:
    """Build the model of a tokenizer in float32, with pretrained weights if the tokenizer names them.

    Args:
        tokenizer: Tokenizer with the model's configuration.
        dropout: Dropout rate of the hidden states; None for that of the configuration.
        attention_dropout: Dropout rate of the attention weights, likewise.

    Raises:
        InputError: If weights are missing or cannot be read, or the model lacks a dropout rate that is given.
    """
    settings = _settings(tokenizer.config, _DROPOUTS, dropout)
    settings |= _settings(tokenizer.config, _ATTENTION_DROPOUTS, attention_dropout)
    if tokenizer.source is None:
        tokenizer.config.update(settings)
        with as_input_errors("encoder.tokenizer.config"):
            transformer = AutoModel.from_config(
                tokenizer.config, dtype=torch.float32, trust_remote_code=False
            )
    else:
        transformer = _load(tokenizer.source, tokenizer.config, settings)
    for name in _UNUSED & set(dir(transformer)):
        setattr(transformer, name, None)
    return transformer


def checkpoint_gradients(transformer: PreTrainedModel) -> None:
    """Enable gradient checkpointing: activations are recomputed in the backward pass instead of stored.

    Raises:
        InputError: If the model does not support it.
    """
    # The newer of two names; the older one warns if both exist.
    enable = getattr(
        transformer, "activation_checkpointing_enable", transformer.gradient_checkpointing_enable
    )
    try:
        enable({"use_reentrant": False})
    except ValueError:
        kind = transformer.config.model_type
        raise InputError(f"encoder: a model of type {kind} has no gradient checkpointing") from None
    if getattr(transformer.config, "use_cache", False):
        transformer.config.use_cache = False  # not needed in an encoder, and causes a warning
    transformer.disable_input_require_grads()  # only needed by reentrant checkpointing


def _settings(config: PretrainedConfig, names: set[str], value: float | None) -> dict[str, float]:
    if value is None:
        return {}
    known = names & set(vars(config))
    if not known:
        raise InputError(f"encoder: no such dropout is known in a model of type {config.model_type}")
    return dict.fromkeys(known, float(value))  # huggingface_hub may refuse a whole number


def _load(source: str, config: PretrainedConfig, settings: dict[str, float]) -> PreTrainedModel:
    config = deepcopy(config)
    config.update(settings)
    _check_size(source, config)
    try:
        with quiet_transformers():
            model, report = AutoModel.from_pretrained(
                source,
                config=config,
                dtype=torch.float32,
                output_loading_info=True,
                trust_remote_code=False,
                weights_only=True,
            )
    except OSError as error:
        raise InputError(f"encoder: no weights in '{source}': {str(error).splitlines()[0]}") from error
    except Exception as error:  # files can be wrong in any way
        kind = type(error).__name__
        why = "a pickle of more than tensors" if kind == "UnpicklingError" else f"{kind}: {error}"
        raise InputError(f"encoder: the weights in '{source}' cannot be read: {shorten(why, 300)}") from error
    missing = sorted(name for name in report["missing_keys"] if name.split(".")[0] not in _UNUSED)
    if missing:
        raise InputError(f"encoder: '{source}' has no {missing[0]} and lacks {len(missing)} weights in all")
    return model


def _check_size(source: str, config: PretrainedConfig) -> None:
    """Refuse a large model with more parameters than its weights have bytes, before it takes memory."""
    size = sum(file.stat().st_size for file in Path(source).glob("*") if file.suffix in _OF_WEIGHTS)
    if size:  # not a name on the hub
        if config.num_hidden_layers > _MAX_LAYERS:
            raise InputError(f"{source}/config.json: more than {_MAX_LAYERS} layers")
        with as_input_errors(f"{source}/config.json"), torch.device("meta"):
            count = AutoModel.from_config(config, trust_remote_code=False).num_parameters()
        if count > max(size, _MAX_UNCHECKED):
            raise InputError(f"{source}/config.json: {count:,} parameters, in {size:,} bytes of weights")


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Suppress transformers' progress bar and its report of unexpected weights."""
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    if bars:
        enable_progress_bars()  # those of downloads, which the line above disables as well
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


# Names in BERT and most of its variants come first, then those in XLNet, DistilBERT and ModernBERT.
_DROPOUTS = {"hidden_dropout_prob", "dropout", "embedding_dropout", "mlp_dropout"}
_ATTENTION_DROPOUTS = {"attention_probs_dropout_prob", "attention_dropout"}
_MAX_LAYERS, _MAX_UNCHECKED = 1000, 10_000_000
_OF_WEIGHTS = (".safetensors", ".bin")
_UNUSED = {"pooler", "mask_emb"}
"""Modules and parameters without influence on the hidden states; the remaining ones all get gradients."""
