"""Section 4.3: preparation of an experiment: corpus, documents, labels, tokenizer and settings."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TypedDict

import torch_geometric
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.optim import Optimizer

from glre_pyg.data.annotations import Annotations
from glre_pyg.data.document import Document
from glre_pyg.data.graph import DocumentGraph
from glre_pyg.data.labels import Labels
from glre_pyg.data.ontology import Ontology
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.datasets import Corpus
from glre_pyg.datasets.hypernyms import MeshTree
from glre_pyg.datasets.official_files import mesh_tree
from glre_pyg.evaluation.calibration import Decision
from glre_pyg.evaluation.corpus_statistics import facts_outside
from glre_pyg.evaluation.known_facts import NamedFacts
from glre_pyg.evaluation.scores import ScoredPairs, Threshold
from glre_pyg.extraction.scoring import make_corpus
from glre_pyg.formats.detection import sources_of
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.loss import RelationLoss
from glre_pyg.reporting.run_groups import flatten
from glre_pyg.runs.directory import write_setup
from glre_pyg.runs.encoder_cache import FeatureStore
from glre_pyg.training.loop import TrainingSettings
from glre_pyg.training.resuming import plain
from glre_pyg.utils import distributed
from glre_pyg.utils.cache import Cache, contents_of
from glre_pyg.utils.console import echo
from glre_pyg.utils.exceptions import InputError, note
from glre_pyg.utils.files import sha256_of
from glre_pyg.utils.settings import check_given, check_settings

TRAIN, TRAIN_DEV = "train", "train+dev"


class EncoderClasses(TypedDict):
    """What ``conf/encoder`` makes."""

    tokenizer: Callable[[Iterable[list[str]]], Tokenizer]
    module: Callable[[Tokenizer], Layer]


class ThresholdClasses(TypedDict):
    """What ``conf/thresholds`` makes."""

    choose: Callable[[ScoredPairs], Threshold]
    loss: Callable[[int], RelationLoss]


class OptimizerClasses(TypedDict):
    """What ``conf/optimizer`` makes."""

    factory: Callable[[list[nn.Parameter]], Optimizer]


class Classes(TypedDict):
    """What the settings of an experiment make."""

    dataset: Corpus
    encoder: EncoderClasses
    thresholds: ThresholdClasses
    optimizer: OptimizerClasses
    training: TrainingSettings
    model: Callable[[Tokenizer, int], RelationModel]


@dataclass(frozen=True)
class HeldOut:
    """Documents for evaluation, and their graphs, which do not contain facts."""

    documents: Sequence[Document]
    graphs: list[DocumentGraph]


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Objects that a config defines.

    Args:
        config: Composed from ``conf/train.yaml``.
        folder: Run directory.
        settings: Settings of the training loop.
        corpus: The corpus.
        files: Checksum of the file of each split, or of the settings of a generator.
        documents: Documents of the splits ``"train"``, ``"dev"`` and ``"test"``; the last is empty if it is
            unlabelled.
        labels: Relations, entity types and candidate pairs.
        tokenizer: Tokenizer of the encoder.
        annotations: What the model asks for beside tokens.
        cache: The cache; None for no cache.
        known: Facts that Ign F1 ignores; None if the corpus has no such score.
        store: Cache of the word vectors of frozen encoders; None for no cache.
        choose_threshold: Selects a threshold on the scored pairs of dev.
    """

    config: DictConfig
    folder: Path
    settings: TrainingSettings
    corpus: Corpus
    files: dict[str, str]
    documents: dict[str, list[Document]]
    labels: Labels
    tokenizer: Tokenizer
    annotations: Annotations
    cache: Cache | None
    known: NamedFacts | None
    store: FeatureStore | None
    choose_threshold: Callable[[ScoredPairs], Threshold]

    def graphs(self, documents: Iterable[Document]) -> list[DocumentGraph]:
        """Return tokenized graphs of documents with their labels."""
        return self.annotations.add(map(self.tokenizer, map(self.labels.graph, documents)), self.cache)

    def decision(self, pairs: ScoredPairs) -> Decision:
        """Fit the calibration, and choose the threshold, on scored pairs of dev."""
        return Decision.on(pairs, self.choose_threshold)

    def held_out(self, documents: Sequence[Document]) -> HeldOut:
        """Return documents with tokenized graphs that do not contain their facts."""
        blind = map(self.tokenizer, map(self.labels.blind_graph, documents))
        return HeldOut(documents, self.annotations.add(blind, self.cache))


def prepare(config: DictConfig, folder: Path) -> Experiment:
    """Read the documents of a config, build the tokenizer, and write the first files of the run directory.

    Raises:
        InputError: If settings contradict each other, a file cannot be read, or a split is not usable.
    """
    _check_settings(config)
    echo(f"run directory: {folder}")
    cache = Cache.from_setting(config.get("cache"))
    corpus = make_corpus(config.dataset)
    corpus.cache, corpus.strict = cache, config.get("strict", True)
    annotations = Annotations.of_model(config.model, ontology=_ontology(config, corpus))
    files = _checksums(corpus, config)
    documents = {split: corpus.documents(split) for split in ("train", "dev")}
    documents["test"] = corpus.documents("test") if corpus.is_labelled("test") else []
    trained_on = documents["train"] if config.setting == TRAIN else documents["train"] + documents["dev"]
    _check_documents(corpus, config.setting, documents, trained_on)
    _check_types(config, len(corpus.labels.types))
    _note_shared(documents)
    for split in documents:
        for line in facts_outside(split, documents[split], corpus.labels):
            echo(line)
    tokenizer: Tokenizer = instantiate(config.encoder.tokenizer)(
        document.word_texts() for document in trained_on
    )
    if distributed.is_main_process():
        write_setup(folder, tokenizer, corpus.labels, files, annotations)
    distributed.barrier()
    if not torch_geometric.typing.WITH_TORCH_SCATTER:
        echo("torch-scatter is not installed: torch's own kernels are used, with the same results")
    return Experiment(
        config=config,
        folder=folder,
        settings=instantiate(config.training),
        corpus=corpus,
        files=files,
        documents=documents,
        labels=corpus.labels,
        tokenizer=tokenizer,
        annotations=annotations,
        cache=cache,
        known=corpus.known(),
        store=None if cache is None else FeatureStore(cache),
        choose_threshold=instantiate(config.thresholds.choose),
    )


def _check_settings(config: DictConfig) -> None:
    check_given(config, nested=True)
    check_settings(config, Classes)
    if config.setting == TRAIN and config.fixed_by:
        raise InputError(f"fixed_by: setting={TRAIN} chooses epoch and threshold on dev")
    readers = [OmegaConf.select(config.model, name) for name in ("shallow", "global_layer.is_a")]
    if config.get("ontology") and not any(readers):
        raise InputError(
            "ontology: the model reads none; model=shallow, model=glre_plus and layer.global.is_a=true do"
        )
    if readers[1] and not config.model.get("ontology"):
        raise InputError("layer.global.is_a: there is no ontology; ontology=mesh has one")
    if config.start and isinstance(config.fixed_by, int):
        raise InputError("start: the run to begin with may have been trained on the held-out folds")
    first, last = config.training.first_evaluation, config.training.epochs
    if first > last:
        raise InputError(f"training.first_evaluation: {first} is after the last epoch, {last}")


def _check_types(config: DictConfig, count: int) -> None:
    """Check that all embeddings of entity types are enough for a corpus."""
    for name, size in flatten(plain(config)).items():
        if name.endswith(".max_types") and isinstance(size, int) and size < count:
            raise InputError(f"{name}: {size}, but the corpus has {count} entity types")


def _ontology(config: DictConfig, corpus: Corpus) -> Ontology | None:
    """Return the ontology that the model asks for: that of a file, or MeSH's tree."""
    name = config.model.get("ontology")
    if not name:
        return None
    if name != "mesh":
        if not Path(name).is_file():
            raise InputError(f"ontology: '{name}' is neither mesh nor a file")
        return Ontology.read(name)
    return Ontology.of_tree_numbers(MeshTree.read(mesh_tree(getattr(corpus, "root_folder", None))).numbers)


def _checksums(corpus: Corpus, config: DictConfig) -> dict[str, str]:
    files = {split: _checksum(path) for split, path in corpus.files().items()}
    if files:
        return files
    settings = json.dumps(OmegaConf.to_container(config.dataset, resolve=True), sort_keys=True)
    return {"generator": hashlib.sha256(settings.encode()).hexdigest()}


def _checksum(path: Path) -> str:
    """Return the SHA-256 checksum of a file, or a hash of all files that are read for it, as of brat's."""
    sources = sources_of(path)
    return sha256_of(path) if sources == [path] and not path.is_dir() else contents_of(*sources)


def _note_shared(documents: dict[str, list[Document]]) -> None:
    """Say so if a document is in two splits, whatever its id: scores on it do not hold for new documents."""
    for first, second in combinations(documents, 2):
        texts = {each.text for each in documents[first]}
        shared = [each.id for each in documents[second] if each.text in texts]
        if shared:
            note(
                f"{len(shared)} of {len(documents[second])} documents of {second} are in {first} as well, "
                f"such as '{shared[0]}': scores on them do not hold for new documents"
            )


def _check_documents(
    corpus: Corpus, setting: str, documents: dict[str, list[Document]], trained_on: Sequence[Document]
) -> None:
    """Check before training that a model can be trained and selected on the splits."""
    if not trained_on:
        raise InputError(f"{corpus.name}: there is no document to train on")
    if not any(map(corpus.labels.candidate_facts, trained_on)):
        raise InputError(f"{corpus.name}: the documents to train on have no facts of candidate pairs")
    for split in ("dev", "test"):
        [(name, times)] = Counter(document.id for document in documents[split]).most_common(1) or [("", 0)]
        if times > 1:
            raise InputError(f"{name}: two documents have this id")
    if setting == TRAIN and not any(map(corpus.labels.candidate_facts, documents["dev"])):
        what = "documents" if not documents["dev"] else "facts of candidate pairs"
        raise InputError(
            f"{corpus.name}: dev has no {what} to choose epoch and threshold on: use another dataset.dev, "
            f"dataset.dev_from_train=N, or setting={TRAIN_DEV} with fixed_by"
        )
