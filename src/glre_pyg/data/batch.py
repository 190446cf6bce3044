"""Batching of document graphs by length, with sizes on the host."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch_geometric.data import Batch

from glre_pyg.data.graph import NODE_TYPES, DocumentGraph, documents_of_pairs, word_counts


@dataclass(frozen=True)
class BatchSizes:
    """Sizes of a graph or a batch as Python numbers, which layers use without synchronizing with the device.

    Args:
        windows: Number of subword tokens of each window.
        mentions: Number of mentions of each document [B].
        entities: Number of entities of each document [B].
        sentences: Number of sentences of each document [B].
        sentence_words: Number of words of each sentence [S].
        pairs: Number of candidate pairs of each document [B].
        head_mentions: Total number of mentions of the heads of all pairs.
        tail_mentions: Total number of mentions of the tails of all pairs.
        mention_words: Total number of words of all mentions.
        window_documents: Document of each window.
        markers: Number of columns of ``marker_index`` in each window; empty without markers.
    """

    windows: list[int]
    mentions: list[int]
    entities: list[int]
    sentences: list[int]
    sentence_words: list[int]
    pairs: list[int]
    head_mentions: int
    tail_mentions: int
    mention_words: int
    window_documents: list[int]
    markers: list[int]

    @classmethod
    def from_batch(cls, batch: DocumentGraph) -> BatchSizes:
        """Compute the sizes of a batch, which synchronizes with its device."""
        entity = batch["mention", "refers_to", "entity"].edge_index[1]
        mentions = torch.bincount(entity, minlength=batch["entity"].num_nodes)  # [E]
        head, tail = mentions[batch.pair_index].sum(dim=1).tolist()
        nodes = {kind: _nodes_per_document(batch, kind) for kind in NODE_TYPES}
        span = batch["sentence"].span
        windows, window_documents, markers = _window_sizes(batch)
        return cls(
            windows=windows,
            mentions=nodes["mention"],
            entities=nodes["entity"],
            sentences=nodes["sentence"],
            sentence_words=(span[:, 1] - span[:, 0]).tolist(),
            pairs=torch.bincount(documents_of_pairs(batch), minlength=len(nodes["entity"])).tolist(),
            head_mentions=head,
            tail_mentions=tail,
            mention_words=int((batch["mention"].span[:, 1] - batch["mention"].span[:, 0]).sum()),
            window_documents=window_documents,
            markers=markers,
        )


def _nodes_per_document(batch: DocumentGraph, node_type: str) -> list[int]:
    store = batch[node_type]
    return store.ptr.diff().tolist() if isinstance(batch, Batch) else [store.num_nodes]


def _window_sizes(batch: DocumentGraph) -> tuple[list[int], list[int], list[int]]:
    """Return the number of tokens, the document and the number of markers of each window."""
    if "window_index" not in batch:
        return [], [], []
    windows = torch.bincount(batch.window_index)
    ends = torch.tensor(word_counts(batch), device=windows.device).cumsum(0)
    documents = torch.bucketize(batch.word_index[windows.cumsum(0) - windows], ends, right=True)
    markers = []
    if "marker_index" in batch:
        of_marker = batch.window_index[batch.marker_index[0]]
        markers = torch.bincount(of_marker, minlength=len(windows)).tolist()
    return windows.tolist(), documents.tolist(), markers


def collate(graphs: Sequence[DocumentGraph], device: torch.device | str = "cpu") -> DocumentGraph:
    """Collate graphs into a batch on a device, with its :class:`BatchSizes` as ``sizes``."""
    batch = Batch.from_data_list(list(graphs))
    batch.sizes = BatchSizes.from_batch(batch)
    return batch.to(device)


def sizes_of(batch: DocumentGraph) -> BatchSizes:
    """Return the sizes that are stored in a batch, or compute them."""
    return batch.sizes if "sizes" in batch else BatchSizes.from_batch(batch)


def batches_by_length(
    graphs: Sequence[DocumentGraph],
    batch_size: int,
    *,
    max_tokens: float = math.inf,
    max_pairs: float = math.inf,
) -> Iterator[list[int]]:
    """Yield the indices of tokenized graphs in batches of similar length, longest first, to limit padding.

    Args:
        graphs: The graphs.
        batch_size: Maximum number of graphs in a batch.
        max_tokens: Maximum number of subword tokens in a batch; a graph with more forms its own batch.
        max_pairs: Maximum number of candidate pairs in a batch, likewise.
    """
    batch: list[int] = []
    tokens = pairs = 0
    for index in longest_first(graphs):
        graph = graphs[index]
        tokens, pairs = tokens + len(graph.input_ids), pairs + graph.pair_index.size(1)
        if batch and (len(batch) == batch_size or tokens > max_tokens or pairs > max_pairs):
            yield batch
            batch, tokens, pairs = [], len(graph.input_ids), graph.pair_index.size(1)
        batch.append(index)
    if batch:
        yield batch


def longest_first(graphs: Sequence[DocumentGraph]) -> list[int]:
    """Return the indices of tokenized graphs, sorted by the number of subword tokens, descending."""
    return sorted(range(len(graphs)), key=lambda index: -len(graphs[index].input_ids))
