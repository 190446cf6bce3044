"""Several runs as one: the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hydra.utils import instantiate

from glre_pyg.data.annotations import Annotations
from glre_pyg.evaluation.calibration import NOT_CALIBRATED, Decision
from glre_pyg.evaluation.predictions import predictions_of, read_predictions
from glre_pyg.evaluation.protocol import PrecisionSetting
from glre_pyg.evaluation.scores import ScoredPairs
from glre_pyg.evaluation.thresholds import thresholds_by_precision
from glre_pyg.models.average import Average
from glre_pyg.runs.directory import ENCODER
from glre_pyg.runs.loading import load
from glre_pyg.runs.run import Run
from glre_pyg.utils.cache import contents_of
from glre_pyg.utils.exceptions import InputError, note


def load_all(folders: Sequence[Path], *, precision: PrecisionSetting = "fp32", **options: Any) -> Run:
    """Load a run, or the average of several.

    Args:
        folders: Their directories, at least one.
        precision: Numeric precision of predictions.
        **options: See :func:`~glre_pyg.runs.loading.load`.

    Raises:
        InputError: If one cannot be loaded, or see :func:`average`.
    """
    runs = [load(folder, **options) for folder in folders]
    run = runs[0] if len(runs) == 1 else average(runs, folders)
    return run if precision == "fp32" else run.in_precision(precision)


def average(runs: Sequence[Run], folders: Sequence[Path]) -> Run:
    """Return a run with the mean of the probabilities of several runs.

    Its calibration and thresholds are chosen on the mean of their predictions for dev, as theirs were. Where
    a saved model has no predictions, the threshold is the mean of theirs, and nothing is calibrated.

    Args:
        runs: The runs: seeds of a model, or different models.
        folders: Their directories.

    Raises:
        InputError: If they differ in relations, entity types, candidate pairs or tokens, in the splitter of
            sentences, the parses or the ontology that they read, or in the pairs of dev.
    """
    first, folder = runs[0], folders[0]
    tokens = _tokens(folder)
    for run, other in zip(runs, folders, strict=True):
        if run.labels != first.labels:
            raise InputError(f"run: {other} and {folder} have different relations, entity types or pairs")
        if run.config.dataset.get("sentences") != first.config.dataset.get("sentences"):
            raise InputError(f"run: {other} and {folder} were trained with sentences of different splitters")
        if _tokens(other) != tokens:
            raise InputError(f"run: {other} and {folder} have different tokens")
    averaged = replace(
        first,
        model=Average([run.model for run in runs]).eval(),
        store=None,
        scores={},
        annotations=_annotations(runs),
        calibration=NOT_CALIBRATED,
    )
    pairs = _dev_pairs(runs, folders)
    if pairs is None:
        note("run: the threshold is the mean of those of the runs, as not all have predictions for dev")
        thresholds = [run.calibration.inverse.threshold(run.threshold) for run in runs]
        mean = np.stack(thresholds).mean(axis=0)
        return replace(averaged, threshold=float(mean) if mean.ndim == 0 else mean)
    decision = Decision.on(pairs, instantiate(first.config.thresholds.choose))
    by_precision = thresholds_by_precision(decision.calibration.pairs(pairs))
    return replace(averaged, **vars(decision), scores={"by_precision": by_precision})


def _tokens(folder: Path) -> str:
    """Return a hash of what decides about tokens."""
    files = sorted((folder / ENCODER).iterdir())
    return contents_of(*(file for file in files if file.name not in ("config.json", "tokenizer_config.json")))


def _annotations(runs: Sequence[Run]) -> Annotations:
    """Return the annotations that any of the runs asks for."""
    parsers = [run.annotations.parser for run in runs if run.annotations.parser]
    characters = {run.annotations.characters for run in runs} - {0}
    ontologies = [run.annotations.ontology for run in runs if run.annotations.ontology]
    are_different = any(each != ontologies[0] for each in ontologies)
    if are_different or len(characters) > 1 or len({parser.name for parser in parsers}) > 1:
        raise InputError("run: the runs read different parses, ontologies or numbers of characters")
    parser = max(parsers, key=lambda each: len(each.components), default=None)  # the one with tags
    documents = any(run.annotations.documents for run in runs)
    return Annotations(parser, max(characters, default=0), (*ontologies, None)[0], documents)


def _dev_pairs(runs: Sequence[Run], folders: Sequence[Path]) -> ScoredPairs | None:
    """Return the pairs of dev with the mean of the runs' probabilities; None if one has no predictions."""
    files = [predictions_of(folder, "dev") for folder in folders]
    if not all(map(Path.is_file, files)):
        return None
    relations = runs[0].labels.relations
    first, *others = (
        run.calibration.inverse.pairs(read_predictions(file, relations))
        for run, file in zip(runs, files, strict=True)
    )
    rows = [*zip(first.documents, first.heads, first.tails, strict=True)]
    for pairs, file in zip(others, files[1:], strict=True):
        if [*zip(pairs.documents, pairs.heads, pairs.tails, strict=True)] != rows:
            raise InputError(f"run: {file} and {files[0]} are predictions of different pairs")
    return replace(first, probability=np.mean([pairs.probability for pairs in (first, *others)], axis=0))
