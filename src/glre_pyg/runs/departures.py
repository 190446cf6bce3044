"""Settings in which a run of GLRE departs from the paper (``docs/departures.md``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig

from glre_pyg.runs.directory import lookup
from glre_pyg.utils.markdown import escape


def departures(config: DictConfig) -> list[str]:
    """Return a sentence in Markdown for each departure from the paper that a config sets.

    Departures that all models share, and no setting names, are listed in ``docs/departures.md``.

    Args:
        config: A resolved config.
    """
    values = ((lookup(config, place), departs, text) for place, departs, text in _DEPARTURES)
    return [text.format(escape(str(value))) for value, departs, text in values if departs(value)]


def _equals(expected: object) -> Callable[[object], bool]:
    return lambda value: value == expected


def _differs(*paper: object) -> Callable[[object], bool]:
    return lambda value: value is not None and value not in paper


def _is_ablated(value: object) -> bool:
    return str(value).rpartition(".")[2].startswith("No")


_DEPARTURES: tuple[tuple[str, Callable[[Any], object], str], ...] = (
    ("model.global_layer._target_", _is_ablated, "Without entity global representations (Eq. 2)."),
    ("model.local_layer._target_", _is_ablated, "Without entity local representations (Eqs. 3-5)."),
    ("model.context_layer._target_", _is_ablated, "Without context relation representations (Eq. 7)."),
    (
        "model.query",
        _equals("initial"),
        "The queries of local attention are entities before graph convolution.",
    ),
    (
        "encoder.tokenizer.overlap",
        _differs(),
        "Long documents are encoded in windows that overlap by at least {} tokens, and averaged; the paper "
        'has "short paragraphs".',
    ),
    (
        "encoder.name",
        _differs("biobert", "bert_base"),
        "The encoder is {}; the paper has BioBERT on CDR and BERT on DocRED.",
    ),
    ("model.encoder.trainable", _equals(False), "The encoder was not trained."),
    ("model.encoder.frozen", bool, "Parameters of the encoder that match {} were not trained."),
    ("model.encoder.mask_rate", bool, "In training, a share of {} of the tokens was masked."),
    ("model.global_layer.norm", _equals("node"), "Graph convolution (Eq. 2) normalizes over all edge types."),
    ("model.global_layer.message_bias", bool, "Messages of the graph convolution (Eq. 2) have biases."),
    ("model.global_layer.self_loops", bool, "The graph convolution (Eq. 2) has self-loops."),
    ("model.context_layer.diagonal", bool, "The matrix of context attention (Eq. 7) is diagonal."),
    (
        "model.context_layer.scaled",
        bool,
        "Logits of context attention (Eq. 7) are divided by the square root of their width.",
    ),
    ("model.distance.zero_is_fixed", bool, "The embedding of distance 0 is not trained."),
    (
        "model.loss.reduction",
        _equals("mean"),
        "The loss (Eq. 9) is the mean over relations; the paper has the sum.",
    ),
    ("model.loss.na_column", bool, "An additional logit is trained for pairs without a relation."),
    (
        "model.loss.na_keep",
        _differs(1),
        "Each step trained on a share of {} of the pairs without a relation.",
    ),
    (
        "model.loss._target_",
        _equals("glre_pyg.nn.loss.AdaptiveThreshold"),
        "The threshold of each pair is learned as an additional class (Zhou et al., AAAI 2021).",
    ),
    (
        "thresholds.choose._target_",
        _equals("glre_pyg.evaluation.thresholds.threshold_by_relation"),
        "Each relation has its own threshold.",
    ),
    ("optimizer.factory._target_", _differs("torch.optim.Adam"), "The optimizer is {}, not Adam."),
    ("optimizer.factory.amsgrad", bool, "The optimizer is AMSGrad."),
    ("training.ema", bool, "The weights are an exponential moving average with a decay of {}."),
    ("start", bool, "Training started from the weights of another model, {}."),
)
"""Place in the config, whether its value departs from the paper, and the sentence."""
