"""Prediction: from graphs to probabilities and scored pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from tqdm import tqdm

from glre_pyg.data.batch import batches_by_length, collate
from glre_pyg.data.document import Document, Entity
from glre_pyg.data.graph import DocumentGraph
from glre_pyg.data.labels import Labels
from glre_pyg.evaluation.known_facts import NamedFacts
from glre_pyg.evaluation.scores import ScoredPairs, joined
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.encoder import TransformerEncoder
from glre_pyg.runs.encoder_cache import FeatureStore, encoded
from glre_pyg.runs.memory import check_memory
from glre_pyg.runs.numeric_precision import flush_denormals
from glre_pyg.utils import distributed
from glre_pyg.utils.exceptions import InputError

MAX_TOKENS, MAX_PAIRS = 2**15, 2**13
"""Maximum number of subword tokens and pairs in a batch; a larger document forms its own batch."""


@torch.inference_mode()
@flush_denormals()
def predict(
    model: RelationModel,
    graphs: Sequence[DocumentGraph],
    *,
    batch_size: int,
    device: torch.device | str = "cpu",
    autocast: Callable[[], AbstractContextManager[None]] = nullcontext,
    progress: str | None = None,
    memory: int | None = None,
) -> list[np.ndarray]:
    """Return the probabilities of all candidate pairs, [P, R] for each graph.

    Args:
        model: The model, whose training mode is restored afterwards.
        graphs: Tokenized graphs.
        batch_size: Maximum number of documents in a batch.
        device: Device of the model.
        autocast: Context manager factory for mixed precision.
        progress: Label of a progress bar; None for no bar.
        memory: Number of bytes available; None for no limit.

    Raises:
        InputError: If a document needs more memory than available.
    """
    if memory is not None:
        check_memory(model, graphs, batch_size=batch_size, available=memory, training=False)
    training = model.training
    model.eval()
    out: list[np.ndarray] = [np.empty(0)] * len(graphs)
    batches = batches_by_length(graphs, batch_size, max_tokens=MAX_TOKENS, max_pairs=MAX_PAIRS)
    try:
        hidden = True if progress is None or not distributed.is_main_process() else None
        with tqdm(total=len(graphs), unit=" documents", desc=progress, disable=hidden, leave=False) as bar:
            for indices in batches:
                batch = collate([graphs[index] for index in indices], device)
                with autocast():
                    logits = model(batch)
                sizes = [graphs[index].pair_index.size(1) for index in indices]
                for index, rows in zip(
                    indices, model.probabilities(logits.float()).cpu().split(sizes), strict=True
                ):
                    out[index] = rows.numpy()
                bar.update(len(indices))
    finally:
        model.train(training)
    return out


def encode_once(
    model: RelationModel,
    graphs: Sequence[DocumentGraph],
    *,
    batch_size: int,
    device: torch.device | str,
    store: FeatureStore | None = None,
    add: bool = True,
) -> None:
    """Set the ``features`` [W, d] of graphs without any, if the model reads those of a frozen encoder.

    Args:
        model: The model.
        graphs: Tokenized graphs.
        batch_size: Maximum number of documents in a batch.
        device: Device of the model.
        store: Cache of features; None for no cache.
        add: Whether to add new features to the cache.
    """
    frozen = next((m for m in model.modules() if getattr(m, "trainable", True) is False), None)
    if not isinstance(frozen, TransformerEncoder) or not model.reads_features:
        return
    graphs = [graph for graph in graphs if "features" not in graph]
    if store is not None:
        store.attach(frozen, graphs, batch_size=batch_size, device=device, add=add)
        return
    for index, features in encoded(frozen, graphs, batch_size=batch_size, device=device):
        graphs[index].features = features


def score_pairs(
    documents: Sequence[Document],
    graphs: Sequence[DocumentGraph],
    probabilities: Sequence[np.ndarray],
    labels: Labels,
    known: NamedFacts | None = None,
) -> ScoredPairs:
    """Combine the probabilities of documents with their facts.

    Args:
        documents: Documents with their facts.
        graphs: Their graphs, possibly without facts.
        probabilities: Probabilities [P, R] of each graph.
        labels: Relations and candidate pairs.
        known: Facts that Ign F1 ignores.

    Raises:
        InputError: If two documents have the same id.
    """
    duplicates = [name for name, times in Counter(document.id for document in documents).items() if times > 1]
    if duplicates:
        raise InputError(f"{duplicates[0]}: two documents have this id")
    parts = [
        _score_document(document, graph, table, labels, known)
        for document, graph, table in zip(documents, graphs, probabilities, strict=True)
    ]
    return joined(parts, labels.relations)


def _score_document(
    document: Document,
    graph: DocumentGraph,
    probability: np.ndarray,
    labels: Labels,
    known: NamedFacts | None,
) -> ScoredPairs:
    """Return the candidate pairs of a document in the order of its graph, then other pairs with facts."""
    ids = graph["entity"].id
    pairs = [(ids[head], ids[tail]) for head, tail in graph.pair_index.t().tolist()]
    if probability.shape != (len(pairs), len(labels.relations)):
        raise ValueError(f"{document.id}: probabilities {probability.shape} of {len(pairs)} pairs")
    row = {pair: index for index, pair in enumerate(pairs)}
    if not labels.directed:
        row |= {(tail, head): index for (head, tail), index in row.items()}
    for pair in ((fact.head, fact.tail) for fact in document.facts):
        if pair not in row:
            row[pair] = len(pairs)
            if not labels.directed:
                row[pair[::-1]] = len(pairs)
            pairs.append(pair)
    facts = {(row[fact.head, fact.tail], fact.relation) for fact in document.facts}
    ignored = np.zeros(len(pairs), dtype=bool)
    ignored[[row[pair] for pair in document.ignored if pair in row]] = True

    number = {name: index for index, name in enumerate(ids)}
    ends = np.array([[number.get(name, -1) for name in pair] for pair in pairs], dtype=int).reshape(-1, 2)
    entities = {entity.id: entity for entity in document.entities}
    counts = np.array([len(entities[name].mentions) for name in ids], dtype=int)
    not_candidates = np.zeros((len(pairs) - len(probability), len(labels.relations)))
    is_fact, other_facts, is_known = _fact_tables(document, pairs, facts, labels, known)
    return ScoredPairs(
        documents=[document.id] * len(pairs),
        heads=[head for head, _ in pairs],
        tails=[tail for _, tail in pairs],
        relations=labels.relations,
        probability=np.concatenate([probability, not_candidates], dtype=np.float32),
        is_fact=is_fact,
        other_facts=other_facts,
        ignored=ignored,
        known=is_known,
        distance=_sentence_distances(document, [entities[name] for name in ids])[ends[:, 0], ends[:, 1]],
        mentions=np.append(counts, 0)[ends].mean(-1),
    )


def _fact_tables(
    document: Document,
    pairs: Sequence[tuple[str, str]],
    facts: Iterable[tuple[int, str]],
    labels: Labels,
    known: NamedFacts | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the facts [P, R] of pairs, numbers of facts of other relations [P], and known facts [P, R]."""
    is_fact = np.zeros((len(pairs), len(labels.relations)), dtype=bool)
    other_facts, is_known = np.zeros(len(pairs), dtype=int), np.zeros_like(is_fact)
    entities = {entity.id: entity for entity in document.entities}
    column = {name: index for index, name in enumerate(labels.relations)}
    for index, relation in facts:
        if relation not in column:
            other_facts[index] += 1
            continue
        is_fact[index, column[relation]] = True
        if known is not None and all(name in entities for name in pairs[index]):
            head, tail = (document.names(entities[name]) for name in pairs[index])
            either = not labels.directed and known.holds(tail, relation, head)
            is_known[index, column[relation]] = either or known.holds(head, relation, tail)
    return is_fact, other_facts, is_known


def _sentence_distances(document: Document, entities: Sequence[Entity]) -> np.ndarray:
    """Return the sentences between the nearest mentions of entities [E + 1, E + 1]; the last row is -1."""
    counts = np.array([len(entity.mentions) for entity in entities], dtype=int)
    sentence = np.array(
        [document.sentence_of(each) for entity in entities for each in entity.mentions], dtype=int
    )
    distance, starts = np.abs(sentence[:, None] - sentence), np.cumsum(counts) - counts
    distance = np.minimum.reduceat(np.minimum.reduceat(distance, starts, axis=0), starts, axis=1)
    return np.pad(distance, (0, 1), constant_values=-1)
