"""Section 4.3: batches of documents of similar length, and their shards in distributed training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch.utils.data import Sampler


class LengthSampler(Sampler[list[int]]):
    """Batches of documents of similar length, in an order that depends on seed and epoch only.

    Documents are shuffled, split into groups of ``group`` batches, sorted by length within a group, and the
    batches are shuffled. A batch that is not full remains the last.

    Args:
        lengths: Number of subword tokens of each document.
        batch_size: Number of documents in a batch.
        seed: Seed of the order.
        group: Number of batches that are sorted together.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, *, seed: int, group: int = 16) -> None:
        self.lengths, self.batch_size, self.seed, self.group = lengths, batch_size, seed, group
        self.epoch = 0

    def __len__(self) -> int:
        return math.ceil(len(self.lengths) / self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator).tolist()
        size = self.batch_size * self.group
        groups = [order[start : start + size] for start in range(0, len(order), size)]
        ranked = [
            index for members in groups for index in sorted(members, key=lambda index: self.lengths[index])
        ]
        batches = [
            ranked[start : start + self.batch_size] for start in range(0, len(ranked), self.batch_size)
        ]
        full = len(ranked) // self.batch_size
        for number in torch.randperm(full, generator=generator).tolist():
            yield batches[number]
        yield from batches[full:]


class BatchShard(NamedTuple):
    """Part of a batch that one process computes.

    Args:
        documents: Indices of its documents, at least one.
        in_loss: Whether the documents are in the loss. If a batch has fewer documents than there are
            processes, the others compute a document of another process, which is not.
    """

    documents: list[int]
    in_loss: bool


def shard_batch(batch: Sequence[int], rank: int, world_size: int) -> BatchShard:
    """Return the shard of a process: consecutive documents, which have similar lengths."""
    start, end = (number * len(batch) // world_size for number in (rank, rank + 1))
    return BatchShard([*batch[start:end]], True) if start < end else BatchShard([batch[0]], False)
