"""Batches of document graphs, of documents of similar length, with their sizes on the host."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch_geometric.data import Batch

from glre_pyg.data.graph import DocumentGraph, documents_of_pairs


@dataclass(frozen=True)
class BatchSizes:
    """Sizes of a graph or a batch of graphs as Python numbers, so that no layer waits for the device.

    Args:
        windows: Subword tokens of each window.
        entities: Entities of each document [B].
        pairs: Candidate pairs of each document [B].
        head_mentions: Mentions of the heads of all pairs together.
        tail_mentions: Mentions of the tails of all pairs together.
        mention_words: Words of all mentions together.
    """

    windows: list[int]
    entities: list[int]
    pairs: list[int]
    head_mentions: int
    tail_mentions: int
    mention_words: int

    @classmethod
    def of(cls, batch: DocumentGraph) -> BatchSizes:
        """Sizes computed from the batch; waits for the device unless that is the CPU."""
        entity = batch["mention", "refers_to", "entity"].edge_index[1]
        mentions = torch.bincount(entity, minlength=batch["entity"].num_nodes)  # of each entity
        head, tail = mentions[batch.pair_index].sum(dim=1).tolist()
        is_batch = isinstance(batch, Batch)
        entities = batch["entity"].ptr.diff().tolist() if is_batch else [batch["entity"].num_nodes]
        return cls(
            windows=torch.bincount(batch.window_index).tolist() if "window_index" in batch else [],
            entities=entities,
            pairs=torch.bincount(documents_of_pairs(batch), minlength=len(entities)).tolist(),
            head_mentions=head,
            tail_mentions=tail,
            mention_words=int((batch["mention"].span[:, 1] - batch["mention"].span[:, 0]).sum()),
        )


def collate(graphs: Sequence[DocumentGraph], device: torch.device | str = "cpu") -> DocumentGraph:
    """A batch of graphs on a device, which carries its :class:`BatchSizes` as ``sizes``."""
    batch = Batch.from_data_list(list(graphs))
    batch.sizes = BatchSizes.of(batch)
    return batch.to(device)


def sizes_of(batch: DocumentGraph) -> BatchSizes:
    """The sizes that a batch carries, else those computed from it."""
    return batch.sizes if "sizes" in batch else BatchSizes.of(batch)


def batches_by_length(
    graphs: Sequence[DocumentGraph],
    batch_size: int,
    *,
    max_tokens: float = math.inf,
    max_pairs: float = math.inf,
) -> Iterator[list[int]]:
    """Indices of tokenized graphs in batches of similar length, longest first, which keeps padding low.

    Args:
        graphs: The graphs.
        batch_size: Graphs in a batch at most.
        max_tokens: Subword tokens in a batch at most; a graph with more is a batch of its own.
        max_pairs: Candidate pairs in a batch at most, likewise.
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
    """Indices of tokenized graphs, those with the most subword tokens first."""
    return sorted(range(len(graphs)), key=lambda index: -len(graphs[index].input_ids))
