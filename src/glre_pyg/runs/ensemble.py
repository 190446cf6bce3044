"""Several runs as one: the mean of their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hydra.utils import instantiate

from glre_pyg.data.annotations import Annotations
from glre_pyg.evaluation.predictions import read_predictions
from glre_pyg.evaluation.scores import Threshold
from glre_pyg.models.average import Average
from glre_pyg.runs.directory import ENCODER
from glre_pyg.runs.loading import load
from glre_pyg.runs.run import Run
from glre_pyg.utils.cache import contents_of
from glre_pyg.utils.exceptions import InputError, note

DEV = "predictions_dev.jsonl"


def load_all(folders: Sequence[Path], **options: Any) -> Run:
    """Load a run, or the average of several.

    Args:
        folders: Their directories, at least one.
        **options: See :func:`~glre_pyg.runs.loading.load`.

    Raises:
        InputError: If one cannot be loaded, or see :func:`average`.
    """
    runs = [load(folder, **options) for folder in folders]
    return runs[0] if len(runs) == 1 else average(runs, folders)


def average(runs: Sequence[Run], folders: Sequence[Path]) -> Run:
    """Return a run with the mean of the probabilities of several runs.

    Its threshold is chosen on the mean of their predictions for dev, as theirs were, or, where a saved model
    has no predictions, it is the mean of their thresholds.

    Args:
        runs: The runs: seeds of a model, or different models.
        folders: Their directories.

    Raises:
        InputError: If they differ in relations, entity types, candidate pairs or tokens, in the parses or the
            ontology that they read, or in the pairs of dev.
    """
    first, folder = runs[0], folders[0]
    tokens = _tokens(folder)
    for run, other in zip(runs, folders, strict=True):
        if run.labels != first.labels:
            raise InputError(f"run: {other} and {folder} have different relations, entity types or pairs")
        if _tokens(other) != tokens:
            raise InputError(f"run: {other} and {folder} have different tokens")
    return replace(
        first,
        model=Average([run.model for run in runs]).eval(),
        threshold=_threshold(runs, folders),
        store=None,
        scores={},
        annotations=_annotations(runs),
    )


def _tokens(folder: Path) -> str:
    """Return a hash of what decides about tokens."""
    files = sorted((folder / ENCODER).iterdir())
    return contents_of(*(file for file in files if file.name not in ("config.json", "tokenizer_config.json")))


def _annotations(runs: Sequence[Run]) -> Annotations:
    """Return the annotations that any of the runs asks for."""
    parsers = {run.annotations.pipeline: run.annotations.parser for run in runs if run.annotations.parser}
    characters = {run.annotations.characters for run in runs} - {0}
    ontologies = [run.annotations.ontology for run in runs if run.annotations.ontology]
    if len(parsers) > 1 or len(characters) > 1 or any(each != ontologies[0] for each in ontologies):
        raise InputError("run: the runs read parses of different pipelines, or different ontologies")
    return Annotations(next(iter(parsers.values()), None), max(characters, default=0), (*ontologies, None)[0])


def _threshold(runs: Sequence[Run], folders: Sequence[Path]) -> Threshold:
    files = [folder / DEV for folder in folders]
    if not all(map(Path.is_file, files)):
        note("run: the threshold is the mean of those of the runs, as not all have predictions for dev")
        mean = np.stack([np.asarray(run.threshold) for run in runs]).mean(axis=0)
        return float(mean) if mean.ndim == 0 else mean
    relations = runs[0].labels.relations
    first, *others = (read_predictions(file, relations) for file in files)
    rows = [*zip(first.documents, first.heads, first.tails, strict=True)]
    for pairs, file in zip(others, files[1:], strict=True):
        if [*zip(pairs.documents, pairs.heads, pairs.tails, strict=True)] != rows:
            raise InputError(f"run: {file} and {files[0]} are predictions of different pairs")
    probability = np.mean([pairs.probability for pairs in (first, *others)], axis=0)
    threshold: Threshold = instantiate(runs[0].config.thresholds.choose)(
        replace(first, probability=probability)
    )
    return threshold
