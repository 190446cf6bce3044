"""From a run directory, or the folder of a saved model, to a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_method, instantiate
from omegaconf import DictConfig, OmegaConf

from glre_pyg.data.annotations import Annotations
from glre_pyg.data.document import Document, Mention, Sentence
from glre_pyg.data.labels import Labels
from glre_pyg.data.ontology import Ontology
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.evaluation.calibration import read_calibration
from glre_pyg.evaluation.known_facts import read_named_facts
from glre_pyg.evaluation.thresholds import read_threshold
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.encoder import compile_with
from glre_pyg.runs.checksums import file_states, verify
from glre_pyg.runs.directory import (
    CONFIG,
    ENCODER,
    ENVIRONMENT,
    KNOWN,
    LABELS,
    ONTOLOGY,
    SCORES,
    WEIGHTS,
    read_config,
    read_labels,
    read_scores,
    unfinished,
)
from glre_pyg.runs.encoder_cache import FeatureStore
from glre_pyg.runs.low_rank import is_compressed, load_compressed
from glre_pyg.runs.memory import available_bytes
from glre_pyg.runs.run import Run
from glre_pyg.runs.saved_tokenizer import check_tokenizer
from glre_pyg.runs.trust import is_signed
from glre_pyg.runs.weights import check_weights, load_weights, read_header
from glre_pyg.utils.cache import Cache
from glre_pyg.utils.exceptions import InputError, as_input_errors, note
from glre_pyg.utils.files import read_json
from glre_pyg.utils.json_fields import check_text, walk
from glre_pyg.utils.settings import check_config


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
        InputError: If a file is missing, malformed, not the one that was saved, or replaced while it is read,
            if the config names what it may not, or if there is not enough memory.
    """
    before = file_states(folder)
    verify(folder)
    config = read_config(folder)
    model = _checked_model_config(folder, config)
    labels, scores = _read_labels(folder / LABELS), read_scores(folder)
    threshold = read_threshold(scores.get("threshold"), labels.relations, folder / SCORES)
    with as_input_errors(folder / SCORES):
        calibration = read_calibration(scores)
    environment = read_json(folder / ENVIRONMENT) if (folder / ENVIRONMENT).exists() else {}
    is_own = is_signed(folder / CONFIG)
    tokenizer = _load_tokenizer(folder / ENCODER, config.encoder.tokenizer._target_, is_own=is_own)
    run = Run(
        model=_load_model(folder, model, tokenizer, len(labels.relations)).to(device),
        tokenizer=tokenizer,
        labels=labels,
        threshold=threshold,
        config=config,
        known=read_named_facts(folder / KNOWN) if (folder / KNOWN).exists() else None,
        store=None if cache is None else FeatureStore(cache),
        memory=available_bytes(memory, device),
        scores=scores,
        environment=environment,
        annotations=_annotations(folder, model, environment.get("parser"), is_own=is_own),
        calibration=calibration,
    )
    if not is_own:
        _try_prediction(run, folder)
    compile_with(run.model, compile)
    if file_states(folder) != before:
        raise InputError(f"{folder}: its files were replaced while they were read: load it again")
    return run


def _checked_model_config(folder: Path, config: DictConfig) -> dict[str, Any]:
    """Return the config of a run's model, after checks of the config and of the files beside it."""
    plain: Any = OmegaConf.to_container(config)
    model: dict[str, Any] = plain["model"]
    for _, _, node in walk(model):
        if isinstance(node, dict) and isinstance(node.get("frozen"), str):
            node["frozen"] = None  # a regular expression for training, which may take for ever
    with as_input_errors(folder / CONFIG):
        check_config(model, Callable[[Tokenizer, int], RelationModel], "model")
        check_config(plain["dataset"], object, "dataset")
    for name in (WEIGHTS, LABELS, SCORES, ENCODER):
        if not (folder / name).exists():
            raise unfinished(folder, name)
    return model


def _load_tokenizer(folder: Path, target: str, *, is_own: bool) -> Tokenizer:
    if not is_own and (folder / "tokenizer.json").exists():
        check_tokenizer(folder / "tokenizer.json")
    with as_input_errors(folder):
        build: Any = get_method(target)  # a class method of the tokenizer
        tokenizer: Tokenizer = build.__self__.load(folder)
    return tokenizer


def _annotations(folder: Path, model: dict[str, Any], parser: object, *, is_own: bool) -> Annotations:
    ontology = Ontology.read(folder / ONTOLOGY) if model.get("ontology") else None
    with as_input_errors(folder / CONFIG):
        # A folder that somebody else names may run code.
        annotations = Annotations.of_model(model, ontology=ontology, folders=is_own)
    if annotations.pipeline and annotations.pipeline != parser:
        note(f"{folder}: was trained with parses of {parser}, and these are of {annotations.pipeline}")
    return annotations


def _read_labels(path: Path) -> Labels:
    """Read the labels of a run, and check that its graphs can have them."""
    labels = read_labels(path)
    with as_input_errors(path):
        _check_labels(labels)
    return labels


def _try_prediction(run: Run, folder: Path) -> None:
    """Predict an invented document, as the layers of somebody else's config may not fit together."""
    with as_input_errors(folder):
        bare = replace(run, store=None)
        bare.predict(bare.graphs([_probe(run.labels)]))


def _check_labels(labels: Labels) -> None:
    for field, names in (("relations", labels.relations), ("types", labels.types)):
        if not names or len({*names}) < len(names):
            raise InputError(f"{field}: empty, or a name is there twice")
        check_text("".join(names), field)
    if labels.pair_types == ():
        raise InputError("pair_types: empty")


def _probe(labels: Labels) -> Document:
    """Return a document of two entities, in words of which one is in no vocabulary, to try a run with."""
    head, tail = labels.pair_types[0] if labels.pair_types else (labels.types[0], labels.types[-1])
    words = ((0, 1), (2, 3), (4, 5))
    mentions = (Mention(0, 1, head, ("1",)), Mention(4, 5, tail, ("2",)))
    return Document("probe", "a \u0378 b", words, (Sentence(0, 3),), mentions)


def _load_model(
    folder: Path, config: dict[str, Any], tokenizer: Tokenizer, num_relations: int
) -> RelationModel:
    def make_model() -> RelationModel:
        with as_input_errors(f"{folder / CONFIG}: model"):
            model: RelationModel = instantiate(config)(tokenizer, num_relations)
        return model

    path = folder / WEIGHTS
    header, metadata = read_header(path)
    if is_compressed(metadata):
        return load_compressed(make_model, path, tokenizer).eval()
    check_weights(make_model, path, header)
    model = make_model()
    load_weights(model, path)
    return model.eval()
