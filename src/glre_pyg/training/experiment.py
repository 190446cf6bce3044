"""From a config to a trained run: Section 4.3's setup."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import torch
import torch_geometric
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, set_seed
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.optim import Optimizer

from glre_pyg.data.document import Document
from glre_pyg.data.graph import DocumentGraph
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.datasets import Corpus
from glre_pyg.evaluation.breakdown import print_scores
from glre_pyg.evaluation.known_facts import write_named_facts
from glre_pyg.evaluation.predictions import write_predictions
from glre_pyg.evaluation.protocol import Protocol
from glre_pyg.evaluation.scores import ScoredPairs, Scores, Threshold
from glre_pyg.evaluation.thresholds import read_threshold, saved_threshold
from glre_pyg.models.base import RelationModel
from glre_pyg.reporting.case_studies import write_case_study
from glre_pyg.reporting.row_names import flatten
from glre_pyg.reporting.run_groups import settings_of
from glre_pyg.runs.directory import (
    KNOWN,
    SCORES,
    has_run,
    is_finished,
    read_config,
    read_scores,
    write_config,
    write_setup,
)
from glre_pyg.runs.encoder_cache import FeatureStore
from glre_pyg.runs.hub import resolve_folder
from glre_pyg.runs.loading import load
from glre_pyg.runs.memory import GIB, fit_prediction, fit_training, free, of_learning, seconds_of_epoch, taken
from glre_pyg.runs.prediction import encode_once, predict, score_pairs
from glre_pyg.runs.run import Run, finish
from glre_pyg.training.cross_validation import HeldOut, Keep, best_epoch, keep_probabilities, split_into
from glre_pyg.training.loop import Settings, fit, parameter_groups
from glre_pyg.utils import distributed
from glre_pyg.utils.cache import Cache
from glre_pyg.utils.exceptions import InputError, is_strict
from glre_pyg.utils.files import sha256_of, write_json

_T = TypeVar("_T")

TRAIN, TRAIN_DEV = "train", "train+dev"
AUTO = "auto"
_APART = ("memory", "cache", "strict", "training.resume")  # settings that may differ when a run goes on


def train(config: DictConfig, folder: Path) -> Run:
    """Train as a config says, score dev and test, and leave a run directory.

    ``training.resume`` names a run to go on with. With ``"auto"``, what is in the folder decides: a run that
    was stopped goes on, one that was finished is loaded, and where there is none, one begins.

    Args:
        config: Composed from ``conf/train.yaml``.
        folder: Run directory; of several processes, that of the first counts.

    Raises:
        InputError: If a file of the corpus, the encoder or a run that is named cannot be read, or there is
            a run in the folder.
    """
    folder, resume = distributed.broadcast(folder), config.training.resume
    if resume == AUTO:
        resume = str(folder) if distributed.broadcast(has_run(folder)) else None
        if resume:
            _check_same(config, folder)
        if resume and is_finished(folder):
            print(f"{folder}: was finished before, and is left as it is")
            return load(folder, device=distributed.state().device)
    if resume:
        folder = Path(resume)
        means = {name: config[name] for name in ("memory", "cache") if config[name] is not None}
        config = read_config(folder)
        config.update(means)
        config.training.resume = str(folder)
    else:
        config.training.resume = None
        if distributed.is_main_process():
            _begin(config, folder)
        distributed.barrier()
    return Experiment(config, folder).run()


def _begin(config: DictConfig, folder: Path) -> None:
    """Write the config of a new run, if there is none in the folder, nor one that begins at the same time."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        write_config(folder, config)
    except FileExistsError:
        raise InputError(
            f"{folder}: has a run in it: training.resume={AUTO} goes on with it, and another hydra.run.dir "
            "begins a new one"
        ) from None


def _check_same(config: DictConfig, folder: Path) -> None:
    """Make sure that the run in a folder is the one that a config asks for."""
    ours, theirs = (flatten(_plain(each)) for each in (config, read_config(folder)))
    for name in sorted(ours.keys() | theirs.keys()):
        if name not in _APART and ours.get(name) != theirs.get(name):
            raise InputError(f"{folder}: has a run with another {name}: name another hydra.run.dir")


def _plain(config: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


class Experiment:
    """A config at work in its folder.

    Under the setting ``"train"`` a model learns from the training documents, and dev chooses epoch and
    threshold. Under ``"train+dev"`` it learns from both, for a number of epochs and with a threshold that
    were fixed before: by a run of the first setting, or by cross-validation.

    Paper: "the best epoch was found on the development set", which under train + dev is trained on. Its
    released code chose both on test. Here: see above.

    Args:
        config: Composed from ``conf/train.yaml``.
        folder: Run directory.
    """

    def __init__(self, config: DictConfig, folder: Path) -> None:
        if config.setting not in (TRAIN, TRAIN_DEV):
            raise InputError(f"setting: '{config.setting}' is not one of {TRAIN}, {TRAIN_DEV}")
        if config.setting == TRAIN and config.fixed_by:
            raise InputError(f"fixed_by: setting={TRAIN} chooses epoch and threshold on dev")
        if config.start and isinstance(config.fixed_by, int):
            raise InputError("start: the run to begin with may have seen what the folds hold out")
        self.config, self.folder = config, folder
        self.settings: Settings = instantiate(config.training)
        self.cache = Cache.from_setting(config.get("cache"))
        self.store = None if self.cache is None else FeatureStore(self.cache)
        self.corpus: Corpus = instantiate(config.dataset)
        self.corpus.cache, self.corpus.strict = self.cache, is_strict(config.get("strict", True))
        self.labels = self.corpus.labels
        self.choose = instantiate(config.thresholds.choose)
        self.source = "dev"
        print(f"run directory: {folder}")
        self.files = {split: sha256_of(path) for split, path in self.corpus.files().items()}
        if not self.files:  # the corpus is generated, from its config
            made_from = json.dumps(OmegaConf.to_container(config.dataset, resolve=True), sort_keys=True)
            self.files = {"generator": hashlib.sha256(made_from.encode()).hexdigest()}
        self.known = self.corpus.known()
        self.test = self.corpus.documents("test") if self.corpus.is_labelled("test") else []
        self.train, self.dev = self.corpus.documents("train"), self.corpus.documents("dev")
        for documents in (self.dev, self.test):
            _check_names(documents)
        learnt = self.train if config.setting == TRAIN else [*self.train, *self.dev]
        if not learnt:
            raise InputError(f"{self.corpus.name}: there is no document to train on")
        self.tokenizer: Tokenizer = instantiate(config.encoder.tokenizer)(
            each.word_texts() for each in learnt
        )
        if distributed.is_main_process():
            write_setup(folder, self.tokenizer, self.labels, self.files)
        distributed.barrier()
        if not torch_geometric.typing.WITH_TORCH_SCATTER:
            print("torch-scatter is not installed: torch's own kernels are used, to the same results")

    def run(self) -> Run:
        """Train and score."""
        test = HeldOut(self.test, self._graphs("test", self.test, blind=True))
        if self.config.setting == TRAIN:
            dev = HeldOut(self.dev, self._graphs("dev", self.dev, blind=True))
            learnt = self._graphs("train", self.train)
            model, epoch = self._fit(learnt, self.folder, self.settings, dev=dev, test=test)
            run = self._run(model, 0.5)
            pairs = {"dev": run.score(dev.documents, graphs=dev.graphs, progress="dev")}
            run = replace(run, threshold=self.choose(pairs["dev"]))  # with the model as it will be loaded
        else:
            epoch, threshold = self._fixed()
            learnt = [*self._graphs("train", self.train), *self._graphs("dev", self.dev)]
            model, epoch = self._fit(learnt, self.folder, self.settings, last_epoch=epoch, test=test)
            run, pairs = self._run(model, threshold), {}
        print(f"epoch {epoch}, chosen on {self.source}")
        if self.test:
            pairs["test"] = run.score(test.documents, graphs=test.graphs, progress="test")
        else:
            print(f"test is not labelled: python -m glre_pyg.submit run={self.folder} output=result.zip")
        if distributed.is_main_process():
            self._write(run, epoch, pairs)
            if self.test and self.config.cases:
                title, path = f"{self.corpus.name} test", self.folder / "cases.md"
                write_case_study(
                    run, self.test, pairs["test"], path, title=title, count=self.config.cases, top_k=5
                )
            run = finish(run, self.folder)
            print(f"run directory: {self.folder}")
        return run

    def protocol(self) -> Protocol:
        """What the scores are measured under."""
        held_out = self.config.dataset.get("dev_from_train")
        return Protocol(
            corpus=self.corpus.name,
            pairs=self.corpus.protocol,
            files=self.files,
            dev=f"{held_out} documents of the training file" if held_out else "its own documents",
            ignored=sha256_of(self.known.source) if self.known else None,
            setting=self._setting(),
            threshold=self.source,
            skipped={
                split: self.corpus.skipped[path]
                for split, path in self.corpus.files().items()
                if path in self.corpus.skipped
            },
        )

    def _setting(self) -> str:
        if not self.config.start:
            return self.config.setting
        before = _of_scores(resolve_folder(self.config.start), "protocol", dict)
        return f"{self.config.setting}, after {before.get('corpus')} ({before.get('setting')})"

    def _run(self, model: RelationModel, threshold: Threshold) -> Run:
        return Run(
            model, self.tokenizer, self.labels, threshold, self.config, self.known, self.store, self.memory
        )

    def _write(self, run: Run, epoch: int, pairs: Mapping[str, ScoredPairs]) -> None:
        protocol = self.protocol()
        scores: dict[str, object] = {
            "protocol": asdict(protocol),
            "threshold": saved_threshold(run.threshold, self.labels.relations),
            "best_epoch": epoch,
        }
        if self.known:
            write_named_facts(self.known, self.folder / KNOWN)
        print(f"protocol: {protocol}")
        for split, of in pairs.items():
            scores[split] = print_scores(
                of, run.threshold, f"{self.corpus.name} {split}", self.corpus.protocol
            )
            write_predictions(of, self.folder / f"predictions_{split}.jsonl", run.threshold)
        write_json(scores, self.folder / SCORES)

    def _fit(
        self,
        graphs: Sequence[DocumentGraph],
        folder: Path,
        settings: Settings,
        *,
        dev: HeldOut | None = None,
        keep: Keep | None = None,
        last_epoch: int | None = None,
        test: HeldOut | None = None,
    ) -> tuple[RelationModel, int]:
        """Train a model of the config in a folder; give it with its best epoch.

        Args:
            graphs: What is learnt from.
            folder: Gets weights, log and checkpoint.
            settings: Numbers of the loop.
            dev: What the epoch is chosen on; with None, the last one is taken.
            keep: Is given the probabilities of dev's pairs after each epoch.
            last_epoch: Epoch to stop after.
            test: What is predicted in the end, looked at for its size alone.
        """
        set_seed(self.config.seed)  # the same in all processes, so that they begin with the same weights
        model: RelationModel = instantiate(self.config.model)(self.tokenizer, len(self.labels.relations))
        if self.config.start:
            self._start(model, resolve_folder(self.config.start))
        dev_graphs = dev.graphs if dev else []
        accelerator = _accelerator(settings, folder)
        model.to(accelerator.device)
        predicted = [*dev_graphs, *(test.graphs if test else [])]
        needed = self._fit_into_memory(model, graphs, predicted, settings, accelerator.device)
        size = self.config.eval_batch_size
        encode_once(
            model, [*graphs, *dev_graphs], batch_size=size, device=accelerator.device, store=self.store
        )
        if distributed.is_main_process():
            summary = self._summary(model, graphs, dev_graphs)
            print(f"{summary}; {self._cost(accelerator, model, graphs, settings, needed)}", flush=True)
        if not distributed.is_main_process():
            torch.manual_seed(self.config.seed + distributed.rank())  # so that each drops others
        progress = fit(
            model,
            graphs,
            partial(self._evaluate, dev, accelerator, keep) if dev else None,
            settings=settings,
            optimizer=partial(_optimizer, self.config.optimizer),
            folder=folder,
            accelerator=accelerator,
            last_epoch=last_epoch,
        )
        return model, progress.best_epoch

    def _fit_into_memory(
        self,
        model: RelationModel,
        graphs: Sequence[DocumentGraph],
        predicted: Sequence[DocumentGraph],
        settings: Settings,
        device: torch.device,
    ) -> int:
        """Have training and prediction do with the memory there is, or say that they can't.

        Returns:
            Bytes that training is going to take in all.
        """
        memory = free(self.config.get("memory"), device)
        needed = fit_training(model, graphs, batch_size=settings.batch_size, memory=memory)
        blocks = model.blocks
        self.memory = memory - of_learning(model)
        fit_prediction(model, predicted, batch_size=self.config.eval_batch_size, memory=self.memory)
        model.set_blocks(*blocks)
        return taken(device) + needed

    def _start(self, model: RelationModel, other: Path) -> None:
        run = load(other)
        if run.labels != self.labels:
            raise InputError(f"start: {other} has other relations or entity types")
        try:
            model.load_state_dict(run.model.state_dict())
        except RuntimeError as error:
            raise InputError(
                f"start: {other} is another model: {str(error).splitlines()[1].strip()}"
            ) from None

    def _evaluate(
        self, dev: HeldOut, accelerator: Accelerator, keep: Keep | None, model: RelationModel, epoch: int
    ) -> tuple[Scores, Threshold]:
        mine = predict(
            model,
            distributed.shard(dev.graphs),
            batch_size=self.config.eval_batch_size,
            device=accelerator.device,
            autocast=accelerator.autocast,
            progress="dev",
            memory=self.memory,
        )
        found = distributed.all_gather(mine)
        if keep is not None:
            keep(epoch, found)
        pairs = score_pairs(dev.documents, dev.graphs, found, self.labels)
        threshold = self.choose(pairs)
        return pairs.score(threshold, filtered=True), threshold

    def _graphs(
        self, split: str, documents: Sequence[Document], *, blind: bool = False
    ) -> list[DocumentGraph]:
        """Graphs of a split with their pieces; blind ones know no facts."""
        make = self.labels.blind_graph if blind else self.labels.graph
        return [self.tokenizer(make(document)) for document in documents]

    def _fixed(self) -> tuple[int, Threshold]:
        """Epoch and threshold for train+dev, from a run of the setting train or from cross-validation."""
        fixed_by = self.config.fixed_by
        if isinstance(fixed_by, int) and fixed_by > 1:
            return self._cross_validated(fixed_by)
        if not isinstance(fixed_by, str):
            raise InputError("fixed_by: setting=train+dev needs a run of setting=train, or a number of folds")
        chosen = resolve_folder(fixed_by)
        config = read_config(chosen)
        if config.get("setting") != TRAIN:
            raise InputError(f"fixed_by: {fixed_by} was not trained with setting={TRAIN}")
        ours = _comparable(self.config, asdict(self.protocol()))
        theirs = _comparable(config, _of_scores(chosen, "protocol", dict))
        for name in sorted(ours.keys() | theirs.keys()):
            if ours.get(name) != theirs.get(name):
                raise InputError(f"fixed_by: {fixed_by} has another {name}")
        self.source = "a run trained on train alone"
        saved = read_scores(chosen).get("threshold")
        threshold = read_threshold(saved, self.labels.relations, chosen / SCORES)
        return _of_scores(chosen, "best_epoch", int), threshold

    def _cross_validated(self, folds: int) -> tuple[int, Threshold]:
        """The epoch whose predictions on held-out folds are the best together, and their threshold."""
        documents = [*self.train, *self.dev]
        _check_names(documents)
        splits = (("train", self.train), ("dev", self.dev))
        known = {each.id: each for split in splits for each in self._graphs(*split)}
        blind = {each.id: each for split in splits for each in self._graphs(*split, blind=True)}
        Random(self.config.seed).shuffle(documents)
        parts = split_into(documents, blind, folds)
        for number, dev in enumerate(parts):
            folder = self.folder / f"fold_{number}"
            folder.mkdir(exist_ok=True)
            again = str(folder) if self.settings.resume else None
            held_out = [document.id for document in dev.documents]
            if distributed.is_main_process():
                write_json(held_out, folder / "held_out.json")
            self._fit(
                [known[document.id] for document in documents if document.id not in held_out],
                folder,
                replace(self.settings, patience=None, resume=again),
                dev=dev,
                keep=partial(keep_probabilities, folder),
            )
        distributed.barrier()
        self.source = f"{folds}-fold cross-validation"
        epochs = range(self.settings.first_evaluation, self.settings.epochs + 1)
        return best_epoch(self.folder, parts, epochs, self.labels, self.choose)

    def _cost(
        self,
        accelerator: Accelerator,
        model: RelationModel,
        graphs: Sequence[DocumentGraph],
        settings: Settings,
        needed: int,
    ) -> str:
        """What an epoch is going to cost."""
        device = accelerator.device
        seconds = seconds_of_epoch(
            model,
            graphs,
            batch_size=settings.batch_size,
            device=device,
            autocast=accelerator.autocast,
        )
        return (
            f"about {seconds / accelerator.num_processes:.0f} s to train an epoch, "
            f"in {needed / GIB:.1f} GiB of memory"
        )

    def _summary(
        self, model: nn.Module, train_graphs: Sequence[DocumentGraph], dev_graphs: Sequence[DocumentGraph]
    ) -> str:
        pieces = sum(len(graph.input_ids) for graph in train_graphs)
        pairs = sum(graph.pair_index.size(1) for graph in train_graphs)
        parameters = [p for p in model.parameters() if p.requires_grad]
        return (
            f"{self.corpus.name}: {len(train_graphs)} documents to train on ({pieces:,} pieces, "
            f"{pairs:,} pairs), {len(dev_graphs)} for dev; encoder {self.config.encoder.name}, "
            f"{sum(p.numel() for p in parameters):,} trainable parameters"
        )


def _of_scores(folder: Path, name: str, kind: type[_T]) -> _T:
    """What the scores of a run have under a name."""
    found = read_scores(folder).get(name)
    if not isinstance(found, kind):
        raise InputError(f"{folder / SCORES}: {name}: is missing, or of another kind")
    return found


def _check_names(documents: Sequence[Document]) -> None:
    """Refuse two documents of one name, whose pairs could not be told apart, before anything is trained."""
    seen = set()
    for document in documents:
        if document.id in seen:
            raise InputError(f"{document.id}: two documents have this id")
        seen.add(document.id)


def _comparable(config: DictConfig, protocol: Mapping[str, object]) -> dict[str, object]:
    """What may not differ between a run and the one that fixes its epoch and threshold."""
    found = {**settings_of(_plain(config)), **protocol}
    return {key: value for key, value in found.items() if key not in ("setting", "fixed_by", "threshold")}


def _optimizer(options: DictConfig, model: nn.Module) -> Optimizer:
    groups = parameter_groups(model, lr=options.lr, weight_decay=options.weight_decay, groups=options.groups)
    optimizer: Optimizer = instantiate(options.factory)(groups)
    return optimizer


def _accelerator(settings: Settings, folder: Path) -> Accelerator:
    AcceleratorState._reset_state()  # a sweep may change the precision from job to job in one process
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)  # by documents without pairs
    return Accelerator(
        mixed_precision=settings.precision,
        log_with="tensorboard",
        project_dir=folder,
        kwargs_handlers=[unused],
    )
