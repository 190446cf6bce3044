"""Predictions of a model over documents: graphs in, scored pairs out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from tqdm import tqdm

from glre_pyg.data.batch import batches_by_length, collate
from glre_pyg.data.document import Document, Entity
from glre_pyg.data.graph import DocumentGraph, Labels
from glre_pyg.evaluation.known_facts import NamedFacts
from glre_pyg.evaluation.scores import ScoredPairs, joined
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.encoder import TransformerEncoder
from glre_pyg.runs.encoder_cache import FeatureStore, encoded
from glre_pyg.runs.memory import check_memory
from glre_pyg.utils import distributed
from glre_pyg.utils.exceptions import InputError

MAX_TOKENS, MAX_PAIRS = 2**15, 2**13
"""Subword tokens and pairs in a batch of prediction at most; a larger document is a batch of its own."""


@torch.inference_mode()
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
    """Probabilities of all candidate pairs, [P, R] for each graph, in the order of the graphs.

    Args:
        model: The model; put into evaluation mode, and back.
        graphs: Tokenized graphs.
        batch_size: Documents in a batch at most.
        device: Where the model is.
        autocast: Makes the context that the model runs in, for mixed precision.
        progress: Name of a progress bar; None shows none.
        memory: Bytes that may be used; None for no limit.

    Raises:
        InputError: If a document needs more memory than may be used.
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
                for index, rows in zip(indices, model.probabilities(logits).cpu().split(sizes), strict=True):
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
    """Give every graph that has none the ``features`` [W, d] of a frozen encoder, which is run once.

    Does nothing if the model has no encoder that is frozen as a whole.

    Args:
        model: The model.
        graphs: Graphs with pieces.
        batch_size: Documents a batch.
        device: Where the model is.
        store: Where features are kept from run to run; None computes them.
        add: Whether those that the store has not yet are added to it.
    """
    frozen = next((part for part in model.modules() if getattr(part, "trainable", True) is False), None)
    if not isinstance(frozen, TransformerEncoder):
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
    """Set predictions beside the documents' facts.

    Args:
        documents: Documents with their facts.
        graphs: Their graphs, which may know no facts.
        probabilities: [P, R] for each graph.
        labels: What the columns mean.
        known: Facts that Ign F1 leaves out.

    Raises:
        InputError: If two documents have one id, so that their pairs cannot be told apart.
    """
    twice = [name for name, times in Counter(document.id for document in documents).items() if times > 1]
    if twice:
        raise InputError(f"{twice[0]}: two documents have this id")
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
    """The candidate pairs of a document in the order of its graph, then other pairs with a fact."""
    ids = graph["entity"].id
    pairs = [(ids[head], ids[tail]) for head, tail in graph.pair_index.t().tolist()]
    if probability.shape != (len(pairs), len(labels.relations)):
        raise ValueError(f"{document.id}: probabilities {probability.shape} of {len(pairs)} pairs")
    row = {pair: index for index, pair in enumerate(pairs)}
    if not labels.directed:
        row |= {(tail, head): index for (head, tail), index in row.items()}
    facts: set[tuple[int, str]] = set()
    for fact in document.facts:
        if (fact.head, fact.tail) not in row:
            row[fact.head, fact.tail] = len(pairs)
            if not labels.directed:
                row[fact.tail, fact.head] = len(pairs)
            pairs.append((fact.head, fact.tail))
        facts.add((row[fact.head, fact.tail], fact.relation))

    shape = len(pairs), len(labels.relations)
    is_fact, is_known = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    other_facts, ignored = np.zeros(len(pairs), dtype=int), np.zeros(len(pairs), dtype=bool)
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
    ignored[[row[pair] for pair in document.ignored if pair in row]] = True

    number = {name: index for index, name in enumerate(ids)}
    ends = np.array([[number.get(name, -1) for name in pair] for pair in pairs], dtype=int).reshape(-1, 2)
    counts = np.array([len(entities[name].mentions) for name in ids], dtype=int)
    never = np.zeros((len(pairs) - len(probability), len(column)))
    return ScoredPairs(
        documents=[document.id] * len(pairs),
        heads=[head for head, _ in pairs],
        tails=[tail for _, tail in pairs],
        relations=labels.relations,
        probability=np.concatenate([probability, never], dtype=np.float32),
        is_fact=is_fact,
        other_facts=other_facts,
        ignored=ignored,
        known=is_known,
        distance=_nearest(document, [entities[name] for name in ids])[ends[:, 0], ends[:, 1]],
        mentions=np.append(counts, 0)[ends].mean(-1),
    )


def _nearest(document: Document, entities: Sequence[Entity]) -> np.ndarray:
    """Sentences between the nearest mentions of two entities [E + 1, E + 1]; -1 for the last, an unknown."""
    counts = np.array([len(entity.mentions) for entity in entities], dtype=int)
    sentence = np.array(
        [document.sentence_of(each) for entity in entities for each in entity.mentions], dtype=int
    )
    apart, starts = np.abs(sentence[:, None] - sentence), np.cumsum(counts) - counts
    apart = np.minimum.reduceat(np.minimum.reduceat(apart, starts, axis=0), starts, axis=1)
    return np.pad(apart, (0, 1), constant_values=-1)
