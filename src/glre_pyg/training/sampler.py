"""Section 4.3: which documents make a step, and which of them each process has."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch.utils.data import Sampler


class LengthSampler(Sampler[list[int]]):
    """Batches of documents of like length, in an order that depends on the seed and the epoch alone.

    Documents are shuffled, cut into groups of ``group`` batches, sorted by length within a group, and the
    batches shuffled again. A batch that is not full stays the last.

    Args:
        lengths: Pieces of each document.
        batch_size: Documents a batch.
        seed: Seed of the order.
        group: Batches sorted together.
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
        ranked = [index for part in groups for index in sorted(part, key=lambda index: self.lengths[index])]
        batches = [
            ranked[start : start + self.batch_size] for start in range(0, len(ranked), self.batch_size)
        ]
        full = len(ranked) // self.batch_size
        for number in torch.randperm(full, generator=generator).tolist():
            yield batches[number]
        yield from batches[full:]


class Share(NamedTuple):
    """What a process has of a batch.

    Args:
        documents: Their indices; one at least.
        counts: Whether they count: where a batch has fewer documents than there are processes, one that has
            nothing to do does a document of another, for nothing.
    """

    documents: list[int]
    counts: bool


def share_of(batch: Sequence[int], process: int, count: int) -> Share:
    """What one of so many processes has of a batch: neighbours, so documents of like length."""
    start, end = (number * len(batch) // count for number in (process, process + 1))
    return Share([*batch[start:end]], True) if start < end else Share([batch[0]], False)
