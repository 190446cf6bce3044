"""From a run directory, or the folder of a saved model, to a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
from hydra.utils import get_method, instantiate
from omegaconf import DictConfig, OmegaConf

from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.evaluation.known_facts import read_named_facts
from glre_pyg.evaluation.thresholds import read_threshold
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.encoder import compile_with
from glre_pyg.runs.checksums import verify
from glre_pyg.runs.directory import (
    CONFIG,
    ENCODER,
    ENVIRONMENT,
    KNOWN,
    LABELS,
    SCORES,
    WEIGHTS,
    read_config,
    read_labels,
    read_scores,
)
from glre_pyg.runs.encoder_cache import FeatureStore
from glre_pyg.runs.memory import available_bytes
from glre_pyg.runs.run import Run
from glre_pyg.runs.weights import check_weights, load_weights
from glre_pyg.utils.cache import Cache
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import read_json
from glre_pyg.utils.signatures import check_argument


def load(
    folder: Path,
    *,
    device: str | torch.device = "cpu",
    cache: Cache | None = None,
    memory: float | None = None,
    compile: str | None = None,
) -> Run:
    """Load a run from its directory, or a saved model from its folder.

    Weights are read as safetensors, nothing is unpickled, and the config of somebody else's run may name only
    the classes that models of this project consist of; see :mod:`glre_pyg.runs.trust`.

    Args:
        folder: The directory.
        device: Device of the model.
        cache: Cache for the word vectors of a frozen encoder; None for no cache.
        memory: GiB that may be used; None for most of the free memory.
        compile: Backend that compiles the encoder, whatever training used; None does not compile.

    Raises:
        InputError: If a file is missing, malformed or not the one that was saved, if the config names what it
            may not, or if there is not enough memory.
    """
    verify(folder)
    config = read_config(folder)
    plain: Any = OmegaConf.to_container(config)
    try:
        check_argument(plain["model"], Callable[..., RelationModel], "model")
    except InputError as error:
        raise InputError(f"{folder / CONFIG}: {error}") from None
    for name in (WEIGHTS, LABELS, SCORES, ENCODER):
        if not (folder / name).exists():
            raise InputError(f"{folder}: not a finished run, there is no {name}")
    labels, scores = read_labels(folder / LABELS), read_scores(folder)
    threshold = read_threshold(scores.get("threshold"), labels.relations, folder / SCORES)
    with _one_line(folder / ENCODER):
        build: Any = get_method(config.encoder.tokenizer._target_)  # a class method of the tokenizer
        tokenizer: Tokenizer = build.__self__.load(folder / ENCODER)
    return Run(
        model=_load_model(folder, config, tokenizer, len(labels.relations), compile).to(device),
        tokenizer=tokenizer,
        labels=labels,
        threshold=threshold,
        config=config,
        known=read_named_facts(folder / KNOWN) if (folder / KNOWN).exists() else None,
        store=None if cache is None else FeatureStore(cache),
        memory=available_bytes(memory, device),
        scores=scores,
        environment=read_json(folder / ENVIRONMENT) if (folder / ENVIRONMENT).exists() else {},
    )


def _load_model(
    folder: Path, config: DictConfig, tokenizer: Tokenizer, num_relations: int, compile: str | None
) -> RelationModel:
    def make_model() -> RelationModel:
        with _one_line(f"{folder / CONFIG}: model"):
            model: RelationModel = instantiate(config.model)(tokenizer, num_relations)
        return model

    check_weights(make_model, folder / WEIGHTS)
    model = make_model()
    compile_with(model, compile)
    load_weights(model, folder / WEIGHTS)
    return model.eval()


@contextmanager
def _one_line(place: object) -> Iterator[None]:
    """Raise every error as one line that names the place."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    except OSError as error:
        raise InputError(f"{error.filename or place}: {error.strerror or error}") from error
    except Exception as error:  # files can be wrong in any way; tokenizers raises no narrower class
        reason = shorten(f"{type(error).__name__}: {error}", 300)
        raise InputError(f"{place}: {reason}") from error
