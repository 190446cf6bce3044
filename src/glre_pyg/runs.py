"""A run: from a config to a trained model, and the directory that holds all of it.

A run directory has ``config.yaml`` (resolved), ``labels.json`` (the label map), ``encoder/`` (the pieces),
``model.safetensors``, ``scores.json``, ``predictions_dev.jsonl``, ``predictions_test.jsonl``,
``log.jsonl``, TensorBoard's files, ``environment.json`` and ``checkpoint/``. It can be loaded on any machine.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import torch_geometric
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from hydra.utils import get_method, instantiate
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import load_model
from torch import nn
from torch.optim import Optimizer

from glre_pyg.datasets import Corpus
from glre_pyg.document import Document, InputError
from glre_pyg.evaluation.scores import ScoredPairs, Scores
from glre_pyg.graph import DocumentGraph, Labels
from glre_pyg.inference import encode_once, predict, score_pairs
from glre_pyg.models.base import RelationModel
from glre_pyg.pieces import Pieces
from glre_pyg.training import WEIGHTS, Settings, fit, parameter_groups


@dataclass(frozen=True)
class Run:
    """A trained model with all it takes to use it.

    Args:
        model: The model, with its best weights.
        pieces: What makes its input.
        labels: What its output means.
        threshold: The threshold chosen on dev.
        config: The resolved config.
    """

    model: RelationModel
    pieces: Pieces
    labels: Labels
    threshold: float
    config: DictConfig

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def graphs(self, documents: Sequence[Document]) -> list[DocumentGraph]:
        """Graphs for prediction: the documents' facts are not in them."""
        return [self.pieces(self.labels.blind_graph(document)) for document in documents]

    def score(
        self, corpus: Corpus, documents: Sequence[Document], *, progress: str | None = None
    ) -> ScoredPairs:
        """What the model says of all candidate pairs, beside what is true."""
        graphs = self.graphs(documents)
        size = self.config.eval_batch_size
        found = predict(self.model, graphs, batch_size=size, device=self.device, progress=progress)
        return score_pairs(documents, graphs, found, self.labels.relations, corpus.ignored)


def train(config: DictConfig, folder: Path) -> Run:
    """Train as a config says, score dev and test, and leave a run directory.

    Args:
        config: Composed from ``conf/train.yaml``.
        folder: Run directory.

    Raises:
        InputError: If a file of the corpus, the encoder or the run to go on with cannot be read.
    """
    settings: Settings = instantiate(config.training)
    if settings.resume:
        return _train(_resumed(settings.resume), Path(settings.resume))
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(config, folder / "config.yaml", resolve=True)
    return _train(config, folder)


def _resumed(place: str) -> DictConfig:
    config = _config(Path(place))
    config.training.resume = place
    return config


def _train(config: DictConfig, folder: Path) -> Run:
    set_seed(config.seed)
    corpus: Corpus = instantiate(config.dataset)
    settings: Settings = instantiate(config.training)
    print(f"run directory: {folder}")
    train_documents, dev_documents = corpus.documents("train"), corpus.documents("dev")
    words = (document.word_texts() for document in train_documents)
    pieces: Pieces = instantiate(config.encoder.pieces)(words)
    labels = corpus.labels
    model: RelationModel = instantiate(config.model)(pieces, len(labels.relations))
    _write(folder, pieces, labels)

    graphs = [pieces(labels.graph(document, corpus.ignored(document))) for document in train_documents]
    dev_graphs = [pieces(labels.blind_graph(document)) for document in dev_documents]
    if not torch_geometric.typing.WITH_TORCH_SCATTER:
        print("torch-scatter is not installed: torch's own kernels are used, to the same results")
    print(_summary(config, corpus, model, graphs, dev_graphs), flush=True)
    accelerator = _accelerator(settings, folder)
    model.to(accelerator.device)
    encode_once(model, [*graphs, *dev_graphs], batch_size=config.eval_batch_size, device=accelerator.device)

    def evaluate(model: RelationModel) -> tuple[Scores, float]:
        found = predict(
            model,
            dev_graphs,
            batch_size=config.eval_batch_size,
            device=accelerator.device,
            autocast=accelerator.autocast,
            progress="dev",
        )
        pairs = score_pairs(dev_documents, dev_graphs, found, labels.relations, corpus.ignored)
        threshold = pairs.best_threshold(filtered=True)
        return pairs.score(threshold, filtered=True), threshold

    progress = fit(
        model,
        graphs,
        evaluate,
        settings=settings,
        optimizer=partial(_optimizer, config.optimizer),
        folder=folder,
        accelerator=accelerator,
    )
    found = Run(model, pieces, labels, progress.threshold, config)
    if not accelerator.is_main_process:
        return found
    return _finish(found, corpus, dev_documents, folder, progress.best_epoch)


def _optimizer(options: DictConfig, model: nn.Module) -> Optimizer:
    groups = parameter_groups(model, lr=options.lr, weight_decay=options.weight_decay, groups=options.groups)
    optimizer: Optimizer = instantiate(options.factory)(groups)
    return optimizer


def _accelerator(settings: Settings, folder: Path) -> Accelerator:
    AcceleratorState._reset_state()  # a sweep may change the precision from job to job in one process
    return Accelerator(
        mixed_precision=settings.precision,
        gradient_accumulation_steps=settings.accumulation,
        log_with="tensorboard",
        project_dir=folder,
    )


def _finish(
    run: Run, corpus: Corpus, dev_documents: Sequence[Document], folder: Path, best_epoch: int
) -> Run:
    """Choose the threshold on dev, with the model as it will be loaded; score dev, and test once."""
    dev = run.score(corpus, dev_documents, progress="dev")
    run = replace(run, threshold=dev.best_threshold(filtered=True))
    test = run.score(corpus, corpus.documents("test"), progress="test")
    print(f"best epoch on dev: {best_epoch}, threshold {run.threshold:.3f}")
    summary: dict[str, object] = {
        "protocol": corpus.protocol,
        "threshold": run.threshold,
        "threshold_from": "dev",
        "best_epoch": best_epoch,
    }
    for split, pairs in (("dev", dev), ("test", test)):
        summary[split] = report(pairs, run.threshold, f"{corpus.name} {split}", corpus.protocol)
        write_predictions(pairs, folder / f"predictions_{split}.jsonl")
    (folder / "scores.json").write_text(json.dumps(summary, indent=2) + "\n")
    print(f"run directory: {folder}")
    return run


def report(pairs: ScoredPairs, threshold: float, name: str, protocol: str) -> dict[str, dict[str, float]]:
    """Print the two lines of an evaluation, with the protocol's filter and without; give them as numbers."""
    out = {}
    for title, filtered in ((f"protocol {protocol}", True), ("every candidate pair", False)):
        scores = pairs.score(threshold, filtered=filtered)
        print(
            f"{name:12s} {title:24s} P {scores.precision:.4f}  R {scores.recall:.4f}  F1 {scores.f1:.4f}"
            f"  ({scores.true_positives} right of {scores.predicted} predicted, {scores.gold} true)",
            flush=True,
        )
        out["filtered" if filtered else "unfiltered"] = asdict(scores)
    return out


def write_predictions(pairs: ScoredPairs, path: Path) -> None:
    """Write every candidate pair with its probabilities as JSON lines."""
    rows = zip(pairs.documents, pairs.heads, pairs.tails, pairs.probability, pairs.ignored, strict=True)
    with path.open("w", encoding="utf-8") as file:
        for document, head, tail, probability, ignored in rows:
            values = dict(zip(pairs.relations, np.round(probability.astype(float), 6).tolist(), strict=True))
            row = {"document": document, "head": head, "tail": tail, "probability": values}
            file.write(json.dumps(row | {"ignored": bool(ignored)}) + "\n")


def load(folder: Path, *, device: str | torch.device = "cpu") -> Run:
    """Load a run from its directory.

    Raises:
        InputError: If the directory lacks one of its files.
    """
    config = _config(folder)
    for name in (WEIGHTS, "labels.json", "scores.json", "encoder"):
        if not (folder / name).exists():
            raise InputError(f"{folder}: not a finished run, there is no {name}")
    saved = json.loads((folder / "labels.json").read_text())
    pairs = saved["pair_types"]
    labels = Labels(tuple(saved["relations"]), tuple(saved["types"]), pairs and tuple(map(tuple, pairs)))
    kind, _, _ = config.encoder.pieces._target_.rpartition(".")  # the class whose method built them
    pieces: Pieces = get_method(f"{kind}.load")(folder / "encoder")
    model: RelationModel = instantiate(config.model)(pieces, len(labels.relations))
    load_model(model, folder / WEIGHTS)
    threshold = json.loads((folder / "scores.json").read_text())["threshold"]
    return Run(model.to(device).eval(), pieces, labels, threshold, config)


def _config(folder: Path) -> DictConfig:
    if not (folder / "config.yaml").is_file():
        raise InputError(f"{folder}: not a run directory, there is no config.yaml")
    config = OmegaConf.load(folder / "config.yaml")
    assert isinstance(config, DictConfig)
    return config


def _write(folder: Path, pieces: Pieces, labels: Labels) -> None:
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


def _summary(
    config: DictConfig,
    corpus: Corpus,
    model: nn.Module,
    train_graphs: Sequence[DocumentGraph],
    dev_graphs: Sequence[DocumentGraph],
) -> str:
    pieces = sum(len(graph.input_ids) for graph in train_graphs)
    pairs = sum(graph.pair_index.size(1) for graph in train_graphs)
    parameters = [p for p in model.parameters() if p.requires_grad]
    return (
        f"{corpus.name}: {len(train_graphs)} documents to train on ({pieces:,} pieces, {pairs:,} pairs), "
        f"{len(dev_graphs)} for dev; encoder {config.encoder.name}, "
        f"{sum(p.numel() for p in parameters):,} trainable parameters"
    )


def best_device() -> torch.device:
    """The device that Accelerate would train on."""
    return Accelerator().device
