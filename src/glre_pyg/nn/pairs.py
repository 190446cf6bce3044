"""Section 3.4, Eq. 6: features of entity pairs, stored as rows that several pairs share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, linear

from glre_pyg.data.batch import sizes_of
from glre_pyg.data.graph import DocumentGraph


@dataclass(frozen=True)
class DocumentGroup:
    """Consecutive documents of a batch.

    Args:
        num_documents: Number of documents.
        num_pairs: Number of their candidate pairs.
    """

    num_documents: int
    num_pairs: int


def group_documents(num_pairs: Sequence[int], max_shared: int) -> list[DocumentGroup]:
    """Group documents for matrix products: small consecutive documents together, others alone.

    Args:
        num_pairs: Number of pairs of each document.
        max_shared: Maximum number of pairs of documents that are together.

    Example:
        >>> groups = group_documents([100, 20, 0, 20, 300, 5], max_shared=128)
        >>> [(group.num_documents, group.num_pairs) for group in groups]
        [(3, 120), (1, 20), (1, 300), (1, 5)]
    """
    groups: list[DocumentGroup] = []
    for count in num_pairs:
        if groups and groups[-1].num_pairs + count <= max_shared:
            groups[-1] = DocumentGroup(groups[-1].num_documents + 1, groups[-1].num_pairs + count)
        else:
            groups.append(DocumentGroup(1, count))
    return groups


class Features(Protocol):
    """Features of P pairs in a form that makes linear maps cheaper than for a dense tensor."""

    @property
    def channels(self) -> int:
        """Width d of the features."""
        ...

    def dense(self) -> Tensor:
        """Return the features of each pair [P, d]."""
        ...

    def linear(self, weight: Tensor) -> Tensor:
        """Return a linear map [P, out] of the features, with weight [out, d]."""
        ...


@dataclass(frozen=True)
class SharedFeatures:
    """Features that several pairs share, such as those of entities; linear maps are computed once per row.

    Args:
        x: Rows [N, d].
        index: Row of each pair [P].
        num_rows: Number of rows of each document; None if all documents share the rows.
    """

    x: Tensor
    index: Tensor
    num_rows: Sequence[int] | None = None

    @property
    def channels(self) -> int:
        """Width d of the features."""
        return self.x.size(1)

    def dense(self) -> Tensor:
        """Return the features of each pair [P, d]."""
        return self.x.index_select(0, self.index)

    def linear(self, weight: Tensor) -> Tensor:
        """Return a linear map [P, out] of the features, with weight [out, d]."""
        return linear(self.x, weight).index_select(0, self.index)

    def split(self, groups: Sequence[DocumentGroup]) -> list[SharedFeatures]:
        """Split the features by groups of documents."""
        index = self.index.split([group.num_pairs for group in groups])
        if self.num_rows is None:
            return [SharedFeatures(self.x, group_index) for group_index in index]
        ends = accumulate((group.num_documents for group in groups), initial=0)
        sizes = [
            sum(self.num_rows[end : end + group.num_documents])
            for group, end in zip(groups, ends, strict=False)
        ]
        starts = accumulate(sizes, initial=0)
        return [
            SharedFeatures(x, group_index - start)
            for x, group_index, start in zip(self.x.split(sizes), index, starts, strict=False)
        ]


@dataclass(frozen=True)
class PairFeatures:
    r"""Concatenated features :math:`[x_1; x_2; \dots]` of pairs.

    Args:
        parts: Features to concatenate; a tensor [P, d] has a row for each pair.

    Example:
        >>> entity, distance = torch.eye(2), torch.tensor([[5.0], [6.0], [7.0]])
        >>> features = PairFeatures((SharedFeatures(entity, torch.tensor([0, 1, 0])), distance))
        >>> features.dense().tolist()
        [[1.0, 0.0, 5.0], [0.0, 1.0, 6.0], [1.0, 0.0, 7.0]]
        >>> features.linear(torch.tensor([[100.0, 10.0, 1.0]])).tolist()
        [[105.0], [16.0], [107.0]]
    """

    parts: tuple[Tensor | Features, ...]

    @property
    def channels(self) -> int:
        """Width d, the sum over the parts."""
        return sum(map(_channels, self.parts))

    def dense(self) -> Tensor:
        """Return the features of each pair [P, d]."""
        return torch.cat([_dense(part) for part in self.parts], dim=-1)

    def linear(self, weight: Tensor) -> Tensor:
        """Return a linear map [P, out] of the features, with weight [out, d]."""
        terms = [*self._with_columns(weight)]
        total = _linear_of_shared([(part, w) for part, w in terms if isinstance(part, SharedFeatures)])
        for part, columns in terms:
            if isinstance(part, Tensor):
                total = linear(part, columns) if total is None else torch.addmm(total, part, columns.t())
            elif not isinstance(part, SharedFeatures):
                total = part.linear(columns) if total is None else total + part.linear(columns)
        assert total is not None
        return total

    def bilinear(self, weight: Tensor) -> Tensor:
        r"""Return the products :math:`x_a W x_b'` [P, P] of all pairs *a* and *b*, with weight [d, d]."""
        rows = weight.split([_channels(part) for part in self.parts])
        terms = [*zip(self.parts, rows, strict=True)]
        shared = [(part, w) for part, w in terms if isinstance(part, SharedFeatures)]
        dense = [(part, w) for part, w in terms if isinstance(part, Tensor) and part.size(1)]
        products = []
        if shared:
            mapped = self.linear(torch.cat([part.x @ w for part, w in shared]))  # [P, N]
            products.append(_sum_rows([part for part, _ in shared], mapped.t().contiguous()))
        if dense:
            key = self.linear(torch.cat([w for _, w in dense]))
            products.append(torch.cat([part for part, _ in dense], dim=-1) @ key.t())
        return products[0] if len(products) == 1 else products[0] + products[1]

    def split(self, groups: Sequence[DocumentGroup]) -> list[PairFeatures]:
        """Split the features by groups of documents."""
        sizes = [group.num_pairs for group in groups]
        parts = [
            part.split(groups) if isinstance(part, SharedFeatures) else _dense(part).split(sizes)
            for part in self.parts
        ]
        return [PairFeatures(group_parts) for group_parts in zip(*parts, strict=True)]

    def _with_columns(self, weight: Tensor) -> Iterator[tuple[Tensor | Features, Tensor]]:
        """Yield each part that is not empty with its columns of a weight [out, d]."""
        widths = [_channels(part) for part in self.parts]
        for part, columns in zip(self.parts, weight.split(widths, dim=1), strict=True):
            if isinstance(part, PairFeatures):
                yield from part._with_columns(columns)
            elif columns.size(1):
                yield part, columns


def entities_of_pairs(entity: Tensor, batch: DocumentGraph) -> tuple[SharedFeatures, SharedFeatures]:
    """Return the head and the tail of all candidate pairs as features, given all entities [E, d]."""
    head, tail = (SharedFeatures(entity, index, sizes_of(batch).entities) for index in batch.pair_index)
    return head, tail


def _dense(part: Tensor | Features) -> Tensor:
    return part if isinstance(part, Tensor) else part.dense()


def _channels(part: Tensor | Features) -> int:
    return part.size(1) if isinstance(part, Tensor) else part.channels


def _linear_of_shared(terms: Sequence[tuple[SharedFeatures, Tensor]]) -> Tensor | None:
    """Return the sum [P, out] of linear maps of shared features."""
    if not terms:
        return None
    mapped = torch.cat([linear(features.x, weight) for features, weight in terms])
    return _sum_rows([features for features, _ in terms], mapped)


def _sum_rows(parts: Sequence[SharedFeatures], rows: Tensor) -> Tensor:
    """Return the sum [P, c] of the rows of each pair, given the concatenated rows [N, c] of all parts."""
    return embedding_bag(torch.stack(places_in_rows(parts), dim=1), rows, mode="sum")


def places_in_rows(parts: Sequence[SharedFeatures]) -> list[Tensor]:
    """Return for each part the place of each pair's row [P] among the concatenated rows of all parts."""
    starts = accumulate((len(part.x) for part in parts), initial=0)
    return [part.index + start for part, start in zip(parts, starts, strict=False)]
