"""Sparse features of instances, hashed to a fixed number of columns.

A feature is a text, a number, or a combination of several. Its column is a hash of it, so that the weights of
features are an array of a known size, without a vocabulary. Different features in the same column add up; a
sign that is part of the hash lets such collisions cancel out on average.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag
from torch_geometric.utils import scatter


def hashes(texts: Iterable[str | Sequence[str]]) -> Tensor:
    """Return a hash of each text in lower case, the same on every machine; documents follow each other.

    >>> hashes(["aspirin", "asthma"]).tolist(), hashes([["Aspirin"], [], ["asthma"]]).tolist()
    ([3416760201, 2221346356], [3416760201, 2221346356])
    """
    flat = (text for part in texts for text in ([part] if isinstance(part, str) else part))
    return torch.tensor([zlib.crc32(text.lower().encode()) for text in flat], dtype=torch.long)


def combined(first: Tensor, *others: Tensor | int) -> Tensor:
    """Return a hash of hashes or numbers that belong together, in this order; they are broadcast."""
    out = _mixed(first)
    for other in others:
        out = _mixed(out + other)
    return out


def _mixed(x: Tensor) -> Tensor:
    """Return numbers of 64 bits, each of which depends on all bits of the number; products wrap around."""
    x = (x ^ (x >> 31)) * -7046029254386353131
    x = (x ^ (x >> 29)) * -4658895280553007687
    return x ^ (x >> 32)


@dataclass(frozen=True)
class SparseRows:
    """A sparse matrix.

    Args:
        row: Row of each value [N], ascending.
        column: Its column [N], ascending in each row.
        value: The value [N].
        num_rows: Number of rows.
    """

    row: Tensor
    column: Tensor
    value: Tensor
    num_rows: int


@dataclass(frozen=True)
class Features:
    """Features of instances I.

    Args:
        pair: Candidate pair of each instance [I].
        row: Instance of each feature [N].
        feature: Its hash [N], as of :func:`combined`.
        value: Its value [N].
    """

    pair: Tensor
    row: Tensor
    feature: Tensor
    value: Tensor

    @classmethod
    def with_ones(cls, pair: Tensor, parts: Iterable[tuple[Tensor, Tensor]]) -> Self:
        """Return features with the value 1, given several instances and hashes at a time."""
        row, feature = (torch.cat(column) for column in zip(*parts, strict=True))
        return cls(pair, row, feature, torch.ones_like(row, dtype=torch.float))

    def rows(self, bits: int) -> SparseRows:
        """Return the features in 2**bits columns; the row of each instance has length 1."""
        mask, count = (1 << bits) - 1, len(self.pair)
        sign = torch.where(self.feature < 0, -1, 1)
        cell, index = ((self.row << bits) | (self.feature & mask)).unique(return_inverse=True)
        value = scatter(self.value * sign, index, dim_size=len(cell), reduce="sum")
        row = cell >> bits
        length = scatter(value**2, row, dim_size=count, reduce="sum").sqrt()
        return SparseRows(row, cell & mask, value / length.clamp(min=1e-6)[row], count)


def weighted_sums(
    features: Features, weight: Tensor, change: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Return the weighted sums of the features of instances [I, d].

    Args:
        features: The features.
        weight: Weights of 2**bits columns [2**bits, d].
        change: Applied to the values first, such as dropout.
    """
    rows = features.rows(len(weight).bit_length() - 1)
    start = torch.searchsorted(rows.row, torch.arange(rows.num_rows, device=rows.row.device))
    values = change(rows.value) if change else rows.value
    return embedding_bag(rows.column, weight, start, mode="sum", per_sample_weights=values)
