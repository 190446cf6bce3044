"""A run: a trained model, and the directory that holds all that it takes to use it.

A run directory has ``config.yaml`` (resolved), ``labels.json`` (the label map), ``encoder/`` (the pieces),
``model.safetensors``, ``scores.json``, ``known_facts.json`` (where there is an Ign F1),
``environment.json``, and ``checksums.json`` of these; a saved model has them and a ``README.md``. Besides,
a run has ``predictions_dev.jsonl``, ``predictions_test.jsonl``, ``log.jsonl``, TensorBoard's files and
``checkpoint/``; with cross-validation ``fold_0/`` and so on. Both can be loaded on any machine.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from hydra.utils import get_method, instantiate
from omegaconf import DictConfig, OmegaConf
from safetensors import SafetensorError
from safetensors.torch import load_model

from glre_pyg.utils import distributed
from glre_pyg.utils.cache import Cache
from glre_pyg.runs.checksums import CHECKSUMS, used_files, verify, write_checksums
from glre_pyg.runs.memory import free
from glre_pyg.data.document import Document
from glre_pyg.utils.exceptions import InputError, printable
from glre_pyg.runs.environment import made_with
from glre_pyg.evaluation.breakdown import all_scores
from glre_pyg.evaluation.known_facts import NamedFacts, read_named_facts
from glre_pyg.evaluation.scores import ScoredPairs, Threshold
from glre_pyg.evaluation.thresholds import read_threshold
from glre_pyg.runs.encoder_cache import FeatureStore
from glre_pyg.utils.files import read_json, atomic_folder, write_json
from glre_pyg.data.graph import DocumentGraph, Labels
from glre_pyg.runs.prediction import encode_once, predict, score_pairs
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.encoder import compile_with
from glre_pyg.runs.artifacts import (
    CONFIG,
    ENCODER,
    ENVIRONMENT,
    KNOWN,
    LABELS,
    SCORES,
    WEIGHTS,
    Parts,
    read_labels,
)
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.runs.plain_yaml import load_config
from glre_pyg.runs.trust import check_config
from glre_pyg.runs.weights import check_size

EVERY_PAIR = "every candidate pair"


@dataclass(frozen=True)
class Run:
    """A trained model with all it takes to use it.

    Args:
        model: The model, with its best weights.
        tokenizer: What makes its input.
        labels: What its output means.
        threshold: Probability above which a relation is predicted: one, or one for each of them.
        config: The resolved config.
        known: Facts that Ign F1 leaves out, if the corpus has such a score.
        store: Where the word vectors of a frozen encoder are kept; None for nowhere.
        memory: Bytes that predictions may use; None for no limit.
    """

    model: RelationModel
    tokenizer: Tokenizer
    labels: Labels
    threshold: Threshold
    config: DictConfig
    known: NamedFacts | None
    store: FeatureStore | None = None
    memory: int | None = None

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def graphs(self, documents: Sequence[Document], *, add: bool = False) -> list[DocumentGraph]:
        """Graphs for prediction: the documents' facts are not in them.

        Args:
            documents: The documents.
            add: Whether word vectors that the store has not yet are added to it.
        """
        graphs = [self.tokenizer(self.labels.blind_graph(document)) for document in documents]
        self.encode(graphs, add=add)
        return graphs

    def encode(self, graphs: Sequence[DocumentGraph], *, add: bool) -> None:
        """Give graphs the word vectors of a frozen encoder, if there is a store; see :meth:`graphs`."""
        if self.store is not None:
            size = self.config.eval_batch_size
            encode_once(self.model, graphs, batch_size=size, device=self.device, store=self.store, add=add)

    def predict(self, graphs: Sequence[DocumentGraph], *, progress: str | None = None) -> list[np.ndarray]:
        """Probabilities [P, R] of the candidate pairs of each of :meth:`graphs`.

        Args:
            graphs: The graphs.
            progress: Name of a progress bar; None shows none.

        Raises:
            InputError: If a document needs more memory than may be used.
        """
        return predict(
            self.model,
            graphs,
            batch_size=self.config.eval_batch_size,
            device=self.device,
            progress=progress,
            memory=self.memory,
        )

    def score(
        self,
        documents: Sequence[Document],
        *,
        graphs: Sequence[DocumentGraph] | None = None,
        progress: str | None = None,
    ) -> ScoredPairs:
        """What the model says of all candidate pairs, beside what is true.

        Several processes share the documents out; all take part, and have all pairs.

        Args:
            documents: Documents with their facts.
            graphs: Their graphs, if they are there already.
            progress: Name of a progress bar; None shows none.
        """
        if graphs is None:
            graphs = [self.tokenizer(self.labels.blind_graph(document)) for document in documents]
        mine = distributed.shard(graphs)
        self.encode(mine, add=True)
        found = distributed.all_gather(self.predict(mine, progress=progress))
        return score_pairs(documents, graphs, found, self.labels, self.known)


def report(pairs: ScoredPairs, threshold: Threshold, name: str, protocol: str) -> dict[str, Any]:
    """Print the lines of an evaluation; give all scores as numbers."""
    lines = [(protocol, pairs.score(threshold, filtered=True))]
    if pairs.ignored.any():
        lines.append((EVERY_PAIR, pairs.score(threshold, filtered=False)))
    if pairs.known.any():
        lines.append(("Ign F1", pairs.ign_score(threshold, filtered=True)))
    if len(pairs.relations) > 1:
        lines.append(("any relation", pairs.pair_score(threshold, filtered=True)))
    for title, of in lines:
        line = (
            f"{name:12s} {title:24s} P {of.precision:.4f}  R {of.recall:.4f}  F1 {of.f1:.4f}"
            f"  ({of.true_positives} right of {of.predicted} predicted, {of.gold} true)"
        )
        print(printable(line), flush=True)
    scores = all_scores(pairs, threshold)
    low, high = scores["interval"]
    line = f"{name:12s} F1 is between {low:.4f} and {high:.4f} (95 %, bootstrap over documents)"
    print(printable(line), flush=True)
    return scores


def load(
    folder: Path,
    *,
    device: str | torch.device = "cpu",
    cache: Cache | None = None,
    memory: float | None = None,
    compile: str | None = None,
    trusted: Collection[str] = (),
) -> Run:
    """Load a run from its directory, or a saved model from its folder.

    Weights are read as safetensors, nothing is unpickled, and the config may name only what models of this
    project are made of; see :mod:`glre_pyg.runs.trust`.

    Args:
        folder: The directory.
        device: Where the model is to be.
        cache: Where the word vectors of a frozen encoder are kept; None for nowhere.
        memory: GiB that may be used; None for most of what is free.
        compile: What compiles the encoder, whatever did in training; None does not compile.
        trusted: Packages, besides this one, whose layers and models the config may name.

    Raises:
        InputError: If a file is missing or malformed, or is not the one that was saved, if the config names
            what it may not, or if there is no memory.
    """
    verify(folder)
    config = read_config(folder, trusted=trusted)
    for name in (WEIGHTS, LABELS, SCORES, ENCODER):
        if not (folder / name).exists():
            raise InputError(f"{folder}: not a finished run, there is no {name}")
    labels, scores = read_labels(folder / LABELS), read_scores(folder)
    threshold = read_threshold(scores.get("threshold"), labels.relations, folder / SCORES)
    known = read_named_facts(folder / KNOWN) if (folder / KNOWN).exists() else None
    environment = read_json(folder / ENVIRONMENT) if (folder / ENVIRONMENT).exists() else {}
    with _one_line(folder / ENCODER):
        build: Any = get_method(config.encoder.tokenizer._target_)  # a method of their class
        tokenizer: Tokenizer = build.__self__.load(folder / ENCODER)

    def make() -> RelationModel:
        found: RelationModel = instantiate(config.model)(tokenizer, len(labels.relations))
        return found

    check_size(make, folder / WEIGHTS)
    with _one_line(f"{folder / CONFIG}: model"):
        model = make()
        compile_with(model, compile)
    _load_weights(model, folder / WEIGHTS)
    model.parts = Parts(
        tokenizer=tokenizer,
        labels=labels,
        config=deepcopy(config),  # that of a run may be changed by who has it
        scores=scores,
        environment=environment,
        known=known,
    )
    store = None if cache is None else FeatureStore(cache)
    model = model.to(device).eval()
    return Run(model, tokenizer, labels, threshold, config, known, store, free(memory, device))


@contextmanager
def _one_line(place: object) -> Iterator[None]:
    """Say of anything that goes wrong where it did, in one line."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    except OSError as error:
        raise InputError(f"{error.filename or place}: {error.strerror or error}") from error
    except Exception as error:  # files can be wrong in any way; tokenizers raises no narrower class
        reason = shorten(f"{type(error).__name__}: {error}", 300)
        raise InputError(f"{place}: {reason}") from error


def _load_weights(model: RelationModel, path: Path) -> None:
    try:
        load_model(model, path)
    except SafetensorError as error:
        raise InputError(f"{path}: not a whole file of safetensors: {error}") from error
    except RuntimeError as error:  # torch lists what does not fit, a line each
        first = shorten(" ".join(str(error).splitlines()[1:]) or str(error), 200)
        raise InputError(f"{path}: not the weights of the model in {CONFIG}: {first}") from error


def read_config(folder: Path, *, trusted: Collection[str] = ()) -> DictConfig:
    """The config of a run.

    Args:
        folder: The run directory.
        trusted: See :func:`load`.

    Raises:
        InputError: If there is none, it lacks what every run has, or it names what it may not.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise InputError(f"{folder}: not a run directory, there is no {CONFIG}")
    config = load_config(path)
    check_config(config, path, trusted=trusted)
    for name in ("model._target_", "dataset._target_", "encoder.tokenizer._target_", "eval_batch_size"):
        if OmegaConf.select(config, name) is None:
            raise InputError(f"{path}: {name}: is missing")
    if not isinstance(config.eval_batch_size, int) or config.eval_batch_size < 1:
        raise InputError(f"{path}: eval_batch_size: not a number of documents")
    return config


def read_scores(folder: Path) -> dict[str, Any]:
    """What a run has in ``scores.json``.

    Raises:
        InputError: If it is missing or malformed.
    """
    if not (folder / SCORES).is_file():
        raise InputError(f"{folder}: not a finished run, there is no {SCORES}")
    return read_json(folder / SCORES)


def write_parts(folder: Path, tokenizer: Tokenizer, labels: Labels, data: Mapping[str, str]) -> None:
    """Write what is known before training: pieces, label map, environment.

    Args:
        folder: The run directory.
        tokenizer: The pieces.
        labels: The label map.
        data: See :func:`~glre_pyg.runs.environment.made_with`.
    """
    (folder / CHECKSUMS).unlink(missing_ok=True)  # of files that are about to change, where a run is resumed
    with atomic_folder(folder / ENCODER) as place:
        tokenizer.save(place)
    write_json(asdict(labels), folder / LABELS)
    write_json(made_with(data), folder / ENVIRONMENT)


def is_begun(folder: Path) -> bool:
    """Whether there is a run in a directory, finished or not."""
    return (folder / CONFIG).is_file()


def is_finished(folder: Path) -> bool:
    """Whether a run has come to its end."""
    return is_begun(folder) and (folder / CHECKSUMS).is_file()


def finish(run: Run, folder: Path) -> None:
    """Write the checksums of a complete run directory, and give its model all it takes to be saved."""
    write_checksums(folder, used_files(folder))
    config = OmegaConf.create(OmegaConf.to_container(run.config, resolve=True))
    assert isinstance(config, DictConfig)
    run.model.parts = Parts(
        tokenizer=run.tokenizer,
        labels=run.labels,
        config=config,
        scores=read_scores(folder),
        environment=read_json(folder / ENVIRONMENT),
        known=run.known,
    )


def best_device() -> torch.device:
    """The device that Accelerate would train on."""
    distributed.state()  # before Accelerate looks for processes itself, which it does on GPUs alone
    return Accelerator().device
