"""Predictions of a model over documents: graphs in, scored pairs out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch_geometric.data import Batch
from tqdm import tqdm

from glre_pyg.document import Document, InputError
from glre_pyg.evaluation.scores import ScoredPairs
from glre_pyg.graph import DocumentGraph, word_counts
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.encoder import TransformerEncoder


def by_length(graphs: Sequence[DocumentGraph], batch_size: int) -> Iterator[list[int]]:
    """Indices of graphs in batches of like length, longest first, so that little is padding."""
    order = sorted(range(len(graphs)), key=lambda index: -len(graphs[index].input_ids))
    return (order[start : start + batch_size] for start in range(0, len(order), batch_size))


@torch.inference_mode()
def predict(
    model: RelationModel,
    graphs: Sequence[DocumentGraph],
    *,
    batch_size: int,
    device: torch.device | str = "cpu",
    autocast: Callable[[], AbstractContextManager[None]] = nullcontext,
    progress: str | None = None,
) -> list[np.ndarray]:
    """Probabilities of all candidate pairs, [P, R] for each graph, in the order of the graphs.

    Args:
        model: The model; put into evaluation mode, and back.
        graphs: Graphs with pieces.
        batch_size: Documents a batch.
        device: Where the model is.
        autocast: Makes the context that the model runs in, for mixed precision.
        progress: Name of a progress bar; None shows none.
    """
    training = model.training
    model.eval()
    out: list[np.ndarray] = [np.empty(0)] * len(graphs)
    batches = list(by_length(graphs, batch_size))
    for indices in tqdm(batches, desc=progress, disable=progress is None, leave=False):
        batch = Batch.from_data_list([graphs[index] for index in indices]).to(device)
        with autocast():
            logits = model(batch)
        sizes = [graphs[index].pair_index.size(1) for index in indices]
        for index, rows in zip(indices, model.probabilities(logits).cpu().split(sizes), strict=True):
            out[index] = rows.numpy()
    model.train(training)
    return out


@torch.no_grad()
def encode_once(
    model: RelationModel, graphs: Sequence[DocumentGraph], *, batch_size: int, device: torch.device | str
) -> None:
    """Give every graph the ``features`` [W, d] of a frozen encoder, so that it is not run again.

    Does nothing if the model has no encoder that is frozen as a whole.
    """
    frozen = next((part for part in model.modules() if getattr(part, "trainable", True) is False), None)
    if not isinstance(frozen, TransformerEncoder):
        return
    frozen.eval()
    for indices in tqdm(list(by_length(graphs, batch_size)), desc="encoding", leave=False):
        batch = Batch.from_data_list([graphs[index] for index in indices]).to(device)
        words = frozen(batch).cpu().split(word_counts(batch))
        for index, features in zip(indices, words, strict=True):
            graphs[index].features = features.clone()


def score_pairs(
    documents: Sequence[Document],
    graphs: Sequence[DocumentGraph],
    probabilities: Sequence[np.ndarray],
    relations: tuple[str, ...],
    ignored: Callable[[Document], frozenset[tuple[str, str]]],
) -> ScoredPairs:
    """Set predictions beside the documents' facts.

    Args:
        documents: Documents with their facts.
        graphs: Their graphs, which may know no facts.
        probabilities: [P, R] for each graph.
        relations: Names of the R relations.
        ignored: Pairs of a document that the convention's filter leaves out.

    Raises:
        InputError: If two documents have one id, so that their pairs cannot be told apart.
    """
    column = {name: index for index, name in enumerate(relations)}
    rows: dict[tuple[str, str, str], int] = {}
    left_out: list[bool] = []
    twice = [name for name, times in Counter(document.id for document in documents).items() if times > 1]
    if twice:
        raise InputError(f"{twice[0]}: two documents have this id")
    for document, graph in zip(documents, graphs, strict=True):
        names, out = graph["entity"].id, ignored(document)
        for head, tail in graph.pair_index.t().tolist():
            rows[document.id, names[head], names[tail]] = len(rows)
            left_out.append((names[head], names[tail]) in out)
    gold = {((of.id, fact.head, fact.tail), fact.relation) for of in documents for fact in of.facts}
    is_fact = np.zeros((len(rows), len(relations)), dtype=bool)
    for pair, relation in gold:
        row = rows.get(pair)
        if row is not None and relation in column:
            is_fact[row, column[relation]] = True
    return ScoredPairs(
        documents=[document for document, _, _ in rows],
        heads=[head for _, head, _ in rows],
        tails=[tail for _, _, tail in rows],
        relations=relations,
        probability=np.concatenate([*probabilities, np.empty((0, len(relations)), dtype=np.float32)]),
        is_fact=is_fact,
        ignored=np.array(left_out, dtype=bool),
        num_gold=len(gold),
    )
