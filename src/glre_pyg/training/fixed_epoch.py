"""Section 4.3, "Train + Dev": epoch, threshold and calibration if dev is part of the training data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from operator import itemgetter
from pathlib import Path
from random import Random

import numpy as np
from omegaconf import DictConfig

from glre_pyg.data.document import Document
from glre_pyg.evaluation.calibration import Decision, read_calibration
from glre_pyg.evaluation.protocol import Protocol
from glre_pyg.evaluation.thresholds import read_threshold
from glre_pyg.reporting.run_groups import settings_of
from glre_pyg.runs.directory import SCORES, read_config, read_scores
from glre_pyg.runs.hub import resolve_folder
from glre_pyg.runs.prediction import score_pairs
from glre_pyg.training.fitting import fit_model
from glre_pyg.training.preparation import TRAIN, TRAIN_DEV, Experiment, HeldOut
from glre_pyg.training.resuming import plain
from glre_pyg.utils import distributed
from glre_pyg.utils.console import plural
from glre_pyg.utils.exceptions import InputError, as_input_errors
from glre_pyg.utils.files import atomic_path, write_json


def fixed_epoch(experiment: Experiment, protocol: Protocol) -> tuple[int, Decision, str]:
    """Return the epoch for train+dev, threshold and calibration, and the data that they were selected on.

    ``fixed_by`` is a run with the setting "train", or a number of folds for cross-validation on the documents
    of train and dev.

    Raises:
        InputError: If ``fixed_by`` is neither, or the run differs in other settings.
    """
    fixed_by = experiment.config.fixed_by
    if isinstance(fixed_by, int) and fixed_by > 1:
        return *_cross_validate(experiment, fixed_by), f"{fixed_by}-fold cross-validation"
    if isinstance(fixed_by, str):
        return *_of_run(experiment, fixed_by, protocol), "a run trained on train alone"
    raise InputError(f"fixed_by: setting={TRAIN_DEV} needs a run of setting={TRAIN}, or a number of folds")


def _of_run(experiment: Experiment, fixed_by: str, protocol: Protocol) -> tuple[int, Decision]:
    folder = resolve_folder(fixed_by)
    config, scores = read_config(folder), read_scores(folder)
    if config.get("setting") != TRAIN:
        raise InputError(f"fixed_by: {fixed_by} was not trained with setting={TRAIN}")
    for name, kind in (("protocol", dict), ("best_epoch", int)):
        if not isinstance(scores.get(name), kind):
            raise InputError(f"{folder / SCORES}: {name}: is missing or malformed")
    ours = _comparable(experiment.config, asdict(protocol))
    theirs = _comparable(config, scores["protocol"])
    for name in sorted(ours.keys() | theirs.keys()):
        if ours.get(name) != theirs.get(name):
            raise InputError(f"fixed_by: {fixed_by} has another {name}")
    threshold = read_threshold(scores.get("threshold"), experiment.labels.relations, folder / SCORES)
    with as_input_errors(folder / SCORES):
        calibration = read_calibration(scores)
    return scores["best_epoch"], Decision(threshold, calibration)


def _comparable(config: DictConfig, protocol: Mapping[str, object]) -> dict[str, object]:
    """Return the values that a run and the run that fixes its epoch and threshold must have in common."""
    values = {**settings_of(plain(config)), **protocol}
    return {key: value for key, value in values.items() if key not in ("setting", "fixed_by", "threshold")}


def _cross_validate(experiment: Experiment, num_folds: int) -> tuple[int, Decision]:
    """Train a model for each fold, and select epoch and threshold on the held-out documents of all folds."""
    settings = experiment.settings
    documents = experiment.documents["train"] + experiment.documents["dev"]
    if len({document.id for document in documents}) < len(documents):
        ids = [document.id for document in documents]
        raise InputError(f"{next(name for name in ids if ids.count(name) > 1)}: two documents have this id")
    Random(experiment.config.seed).shuffle(documents)
    folds = [experiment.held_out(fold) for fold in split_documents(documents, num_folds)]
    for number, fold in enumerate(folds):
        folder = experiment.folder / f"fold_{number}"
        folder.mkdir(exist_ok=True)
        held_out = {document.id for document in fold.documents}
        if distributed.is_main_process():
            write_json([document.id for document in fold.documents], folder / "held_out.json")
        fit_model(
            experiment,
            experiment.graphs(document for document in documents if document.id not in held_out),
            folder=folder,
            settings=replace(settings, patience=None, resume=str(folder) if settings.resume else None),
            dev=fold,
            save_probabilities=partial(_save, folder),
        )
    distributed.barrier()
    return _best_epoch(experiment, folds)


def split_documents(documents: Sequence[Document], num_folds: int) -> list[Sequence[Document]]:
    """Split documents into folds of equal size, in turn.

    Raises:
        InputError: If there are more folds than documents.
    """
    if num_folds > len(documents):
        raise InputError(
            f"fixed_by: {num_folds} folds of {len(documents)} {plural(len(documents), 'document')}"
        )
    return [documents[number::num_folds] for number in range(num_folds)]


def _best_epoch(experiment: Experiment, folds: Sequence[HeldOut]) -> tuple[int, Decision]:
    """Return the first epoch with the highest F1 on the held-out documents, its threshold and calibration."""
    saved = (experiment.folder / "fold_0").glob(_file(Path(), "*").name)
    epochs = sorted(int(path.stem.removeprefix("epoch_")) for path in saved)
    documents = [document for fold in folds for document in fold.documents]
    graphs = [graph for fold in folds for graph in fold.graphs]
    best = (-1.0, 0, Decision(0.5))
    for epoch in epochs:
        probabilities: list[np.ndarray] = []
        for number in range(len(folds)):
            with np.load(_file(experiment.folder / f"fold_{number}", epoch)) as arrays:
                probabilities += [arrays[name] for name in arrays.files]
        pairs = score_pairs(documents, graphs, probabilities, experiment.labels)
        decision = experiment.decision(pairs)
        f1 = decision.calibration.pairs(pairs).score(decision.threshold, filtered=True).f1
        best = max(best, (f1, epoch, decision), key=itemgetter(0))
    return best[1], best[2]


def _save(folder: Path, epoch: int, probabilities: list[np.ndarray]) -> None:
    if distributed.is_main_process():
        with atomic_path(_file(folder, epoch)) as part, part.open("wb") as file:
            np.savez(file, *probabilities)


def _file(folder: Path, epoch: int | str) -> Path:
    return folder / f"epoch_{epoch}.npz"
