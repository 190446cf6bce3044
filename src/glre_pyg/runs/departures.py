"""Where the config of a model says that it is not the paper's (README, "Departures from the paper")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from omegaconf import DictConfig, OmegaConf

from glre_pyg.utils.markdown import escape
from glre_pyg.runs.artifacts import values_at, without_places


def departures(config: DictConfig) -> list[str]:
    """What a config names that the paper does not have, a sentence in Markdown for each.

    Departures that no setting names, and all models have, are in the README of the project.
    """
    plain: Any = OmegaConf.to_container(without_places(config))
    return [
        text.format(escape(str(value)))
        for place, differs, text in _KNOWN
        for value in values_at(plain, place)
        if differs(value)
    ]


def _is(*values: object) -> Callable[[object], bool]:
    return lambda value: value in values


def _left_out(value: object) -> bool:
    return str(value).rpartition(".")[2].startswith("No")


_KNOWN: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    (
        "model.global_layer._target_",
        _left_out,
        "No entity global representations (Eq. 2): the layer is left out.",
    ),
    (
        "model.local_layer._target_",
        _left_out,
        "No entity local representations (Eqs. 3-5): the layer is left out.",
    ),
    ("model.context_layer._target_", _left_out, "No context relation representations (Eq. 7): left out."),
    (
        "model.query",
        _is("initial"),
        "Local attention asks with entities before graph convolution, not after it.",
    ),
    (
        "encoder.tokenizer.overlap",
        lambda value: True,
        "Long documents are encoded in windows that overlap by {} pieces at least, and averaged; the paper "
        'has "short paragraphs".',
    ),
    (
        "encoder.name",
        lambda value: value not in ("biobert", "bert_base"),
        "The encoder is {}; the paper has BioBERT on CDR and BERT on DocRED.",
    ),
    ("model.encoder.trainable", _is(False), "The encoder was not trained."),
    ("model.encoder.frozen", bool, "Parameters of the encoder that match {} were not trained."),
    ("model.encoder.mask_rate", bool, "Training hid a share of {} of the pieces behind the mask token."),
    (
        "model.global_layer.norm",
        _is("node"),
        "One normaliser for all edge types in the graph convolution (Eq. 2).",
    ),
    ("model.global_layer.message_bias", _is(True), "Messages of the graph convolution (Eq. 2) have biases."),
    ("model.global_layer.self_loops", _is(True), "The graph convolution (Eq. 2) has self-loops."),
    ("model.context_layer.diagonal", _is(True), "The matrix of context attention (Eq. 7) is diagonal."),
    (
        "model.context_layer.scaled",
        _is(True),
        "Logits of context attention (Eq. 7) are divided by the root of their width.",
    ),
    ("model.distance.zero_is_fixed", _is(True), "The embedding of distance 0 is not trained."),
    (
        "model.loss.reduction",
        _is("mean"),
        "The loss (Eq. 9) is the mean over relations; the paper has their sum.",
    ),
    ("model.loss.na_column", _is(True), "One more logit is trained to say that there is no relation."),
    (
        "model.loss.na_keep",
        lambda value: value < 1,
        "Each step trained on a share of {} of the pairs without a relation.",
    ),
    (
        "model.loss._target_",
        _is("glre_pyg.nn.loss.AdaptiveThreshold"),
        "The threshold of each pair is learnt as one more class (Zhou et al., AAAI 2021).",
    ),
    (
        "thresholds.choose._target_",
        _is("glre_pyg.evaluation.thresholds.threshold_by_relation"),
        "Each relation has a threshold of its own.",
    ),
    (
        "optimizer.factory._target_",
        lambda value: value != "torch.optim.Adam",
        "The optimizer is {}, not Adam.",
    ),
    ("optimizer.factory.amsgrad", _is(True), "The optimizer is AMSGrad."),
    ("training.ema", bool, "The weights are a moving average of those of training, with a decay of {}."),
    ("start", bool, "Training began with the weights of another model, {}."),
)
"""Place in the config, whether its value is a departure, and what to say of the value."""
