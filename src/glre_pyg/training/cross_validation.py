"""Documents that nothing is learnt from, and cross-validation: every document held out once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import numpy as np

from glre_pyg.data.document import Document
from glre_pyg.data.graph import DocumentGraph, Labels
from glre_pyg.evaluation.scores import ScoredPairs, Threshold
from glre_pyg.runs.prediction import score_pairs
from glre_pyg.utils import distributed
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import atomic_path

Keep = Callable[[int, list[np.ndarray]], None]
"""Is given the number of an epoch and the probabilities of each document's pairs."""


@dataclass(frozen=True)
class HeldOut:
    """Documents that nothing is learnt from, and their graphs, which know no facts."""

    documents: Sequence[Document]
    graphs: list[DocumentGraph]


def split_into(
    documents: Sequence[Document], graphs: Mapping[str, DocumentGraph], folds: int
) -> list[HeldOut]:
    """Documents in folds of like size: the first has the first document, the second the second, and so on.

    Args:
        documents: The documents, shuffled.
        graphs: Their graphs, which know no facts, by name.
        folds: How many.

    Raises:
        InputError: If there are more folds than documents.
    """
    if folds > len(documents):
        raise InputError(f"fixed_by: {folds} folds of {len(documents)} documents")
    parts = [documents[number::folds] for number in range(folds)]
    return [HeldOut(part, [graphs[document.id] for document in part]) for part in parts]


def keep_probabilities(folder: Path, epoch: int, tables: list[np.ndarray]) -> None:
    """Write what a fold's model says of its documents after an epoch, for :func:`best_epoch`."""
    if distributed.is_main_process():
        with atomic_path(_file(folder, epoch)) as part, part.open("wb") as file:
            np.savez(file, *tables)


def best_epoch(
    folder: Path,
    parts: Sequence[HeldOut],
    epochs: Sequence[int],
    labels: Labels,
    choose: Callable[[ScoredPairs], Threshold],
) -> tuple[int, Threshold]:
    """The first of the epochs whose predictions are the best on all folds together, and their threshold.

    Args:
        folder: Folder of the folds, ``fold_0`` and so on.
        parts: What was held out.
        epochs: Epochs to choose from.
        labels: What probabilities mean.
        choose: Chooses a threshold.
    """
    documents = [document for part in parts for document in part.documents]
    graphs = [graph for part in parts for graph in part.graphs]
    best: tuple[float, int, Threshold] = (-1.0, 0, 0.5)
    for epoch in epochs:
        found: list[np.ndarray] = []
        for number in range(len(parts)):
            with np.load(_file(folder / f"fold_{number}", epoch)) as tables:
                found += [tables[name] for name in tables.files]
        pairs = score_pairs(documents, graphs, found, labels)
        threshold = choose(pairs)
        best = max(best, (pairs.score(threshold, filtered=True).f1, epoch, threshold), key=itemgetter(0))
    return best[1], best[2]


def _file(folder: Path, epoch: int) -> Path:
    return folder / f"epoch_{epoch}.npz"
