"""A run: a trained model, and the directory that holds all that it takes to use it.

A run directory has ``config.yaml`` (resolved), ``labels.json`` (the label map), ``encoder/`` (the pieces),
``model.safetensors``, ``scores.json``, ``known_facts.json`` (where there is an Ign F1),
``predictions_dev.jsonl``, ``predictions_test.jsonl``, ``log.jsonl``, TensorBoard's files,
``environment.json`` and ``checkpoint/``; with cross-validation ``fold_0/`` and so on. It can be loaded on any
machine.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from hydra.utils import get_method, instantiate
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import load_model

from glre_pyg.cache import Cache
from glre_pyg.cost import free
from glre_pyg.document import Document, InputError
from glre_pyg.evaluation.breakdown import all_scores
from glre_pyg.evaluation.known import NamedFacts, read_named_facts
from glre_pyg.evaluation.scores import ScoredPairs, Threshold
from glre_pyg.evaluation.thresholds import read_threshold
from glre_pyg.features import FeatureStore
from glre_pyg.graph import DocumentGraph, Labels
from glre_pyg.inference import encode_once, predict, score_pairs
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.encoder import compile_with
from glre_pyg.pieces import Pieces
from glre_pyg.training import WEIGHTS

SCORES = "scores.json"
KNOWN = "known_facts.json"
EVERY_PAIR = "every candidate pair"


@dataclass(frozen=True)
class Run:
    """A trained model with all it takes to use it.

    Args:
        model: The model, with its best weights.
        pieces: What makes its input.
        labels: What its output means.
        threshold: Probability above which a relation is predicted: one, or one for each of them.
        config: The resolved config.
        known: Facts that Ign F1 leaves out, if the corpus has such a score.
        store: Where the word vectors of a frozen encoder are kept; None for nowhere.
        memory: Bytes that predictions may use; None for no limit.
    """

    model: RelationModel
    pieces: Pieces
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
        graphs = [self.pieces(self.labels.blind_graph(document)) for document in documents]
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

        Args:
            documents: Documents with their facts.
            graphs: Their graphs, if they are there already.
            progress: Name of a progress bar; None shows none.
        """
        if graphs is None:
            graphs = self.graphs(documents, add=True)
        else:
            self.encode(graphs, add=True)
        found = self.predict(graphs, progress=progress)
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
        print(
            f"{name:12s} {title:24s} P {of.precision:.4f}  R {of.recall:.4f}  F1 {of.f1:.4f}"
            f"  ({of.true_positives} right of {of.predicted} predicted, {of.gold} true)",
            flush=True,
        )
    scores = all_scores(pairs, threshold)
    low, high = scores["interval"]
    print(f"{name:12s} F1 is between {low:.4f} and {high:.4f} (95 %, bootstrap over documents)", flush=True)
    return scores


def load(
    folder: Path,
    *,
    device: str | torch.device = "cpu",
    cache: Cache | None = None,
    memory: float | None = None,
    compile: str | None = None,
) -> Run:
    """Load a run from its directory.

    Args:
        folder: The directory.
        device: Where the model is to be.
        cache: Where the word vectors of a frozen encoder are kept; None for nowhere.
        memory: GiB that may be used; None for most of what is free.
        compile: What compiles the encoder, whatever did in training; None does not compile.

    Raises:
        InputError: If the directory lacks one of its files, or there is no memory.
    """
    config = read_config(folder)
    for name in (WEIGHTS, "labels.json", SCORES, "encoder"):
        if not (folder / name).exists():
            raise InputError(f"{folder}: not a finished run, there is no {name}")
    saved = json.loads((folder / "labels.json").read_text())
    pairs = saved["pair_types"]
    labels = Labels(
        relations=tuple(saved["relations"]),
        types=tuple(saved["types"]),
        pair_types=pairs and tuple(map(tuple, pairs)),
        directed=saved.get("directed", True),
    )
    kind, _, _ = config.encoder.pieces._target_.rpartition(".")  # the class whose method built them
    pieces: Pieces = get_method(f"{kind}.load")(folder / "encoder")
    model: RelationModel = instantiate(config.model)(pieces, len(labels.relations))
    compile_with(model, compile)
    load_model(model, folder / WEIGHTS)
    threshold = read_threshold(read_scores(folder).get("threshold"), labels.relations, folder / SCORES)
    known = read_named_facts(folder / KNOWN) if (folder / KNOWN).exists() else None
    store = None if cache is None else FeatureStore(cache)
    model = model.to(device).eval()
    return Run(model, pieces, labels, threshold, config, known, store, free(memory, device))


def read_config(folder: Path) -> DictConfig:
    """The config of a run."""
    if not (folder / "config.yaml").is_file():
        raise InputError(f"{folder}: not a run directory, there is no config.yaml")
    config = OmegaConf.load(folder / "config.yaml")
    assert isinstance(config, DictConfig)
    return config


def read_scores(folder: Path) -> dict[str, Any]:
    """What a run has in ``scores.json``."""
    if not (folder / SCORES).is_file():
        raise InputError(f"{folder}: not a finished run, there is no {SCORES}")
    scores: dict[str, Any] = json.loads((folder / SCORES).read_text())
    return scores


def write_parts(folder: Path, pieces: Pieces, labels: Labels) -> None:
    """Write what is known before training: pieces, label map, environment."""
    (folder / "encoder").mkdir(exist_ok=True)
    pieces.save(folder / "encoder")
    (folder / "labels.json").write_text(json.dumps(asdict(labels), indent=2) + "\n")
    packages = ("torch", "torch-geometric", "transformers", "accelerate", "hydra-core", "numpy")
    environment = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        **{package: version(package) for package in packages},
    }
    (folder / "environment.json").write_text(json.dumps(environment, indent=2) + "\n")


def best_device() -> torch.device:
    """The device that Accelerate would train on."""
    return Accelerator().device
