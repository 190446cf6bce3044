"""Section 3.4, Eq. 6: features of pairs of entities, kept as the rows that pairs have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag, linear


@dataclass(frozen=True)
class DocumentGroup:
    """Neighbouring documents of a batch.

    Args:
        num_documents: How many.
        num_pairs: Their candidate pairs.
    """

    num_documents: int
    num_pairs: int


class Features(Protocol):
    """Features of P pairs that are not a tensor, because linear maps of them are cheaper that way."""

    @property
    def channels(self) -> int:
        """Width d of the features."""
        ...

    def dense(self) -> Tensor:
        """The features of each pair [P, d]."""
        ...

    def linear(self, weight: Tensor) -> Tensor:
        """A linear map of the features: weight [out, d] to [P, out]."""
        ...

    def split(self, groups: Sequence[DocumentGroup]) -> Sequence[Features]:
        """The features of the pairs of each group of documents."""
        ...


@dataclass(frozen=True)
class SharedFeatures:
    """Rows that several pairs share, such as those of entities; each is mapped once.

    Args:
        x: Rows [N, d].
        index: Row of each pair [P].
        num_rows: Rows of each document, which the pairs of other documents do not share; None if all do.
    """

    x: Tensor
    index: Tensor
    num_rows: Sequence[int] | None = None

    @property
    def channels(self) -> int:
        """d."""
        return self.x.size(1)

    def dense(self) -> Tensor:
        """The features of each pair [P, d]."""
        return self.x.index_select(0, self.index)

    def linear(self, weight: Tensor) -> Tensor:
        """A linear map of the features: weight [out, d] to [P, out]."""
        return linear(self.x, weight).index_select(0, self.index)

    def split(self, groups: Sequence[DocumentGroup]) -> list[SharedFeatures]:
        """The features of the pairs of each group of documents."""
        index = self.index.split([group.num_pairs for group in groups])
        if self.num_rows is None:
            return [SharedFeatures(self.x, of_group) for of_group in index]
        ends = accumulate((group.num_documents for group in groups), initial=0)
        sizes = [
            sum(self.num_rows[end : end + group.num_documents])
            for group, end in zip(groups, ends, strict=False)
        ]
        starts = accumulate(sizes, initial=0)
        return [
            SharedFeatures(x, of_group - start)
            for x, of_group, start in zip(self.x.split(sizes), index, starts, strict=False)
        ]


@dataclass(frozen=True)
class PairFeatures:
    r"""Features :math:`[x_1; x_2; \dots]` of pairs, part by part.

    Args:
        parts: The parts; a tensor [P, d] has a row for each pair.

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
        """d, the sum over the parts."""
        return sum(map(_channels, self.parts))

    def dense(self) -> Tensor:
        """The features of each pair [P, d]."""
        return torch.cat([part if isinstance(part, Tensor) else part.dense() for part in self.parts], dim=-1)

    def linear(self, weight: Tensor) -> Tensor:
        """A linear map of the features: weight [out, d] to [P, out]."""
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
        r"""The products :math:`x_a W x_b'` of all pairs *a* and *b*: weight [d, d] to [P, P]."""
        rows = weight.split([_channels(part) for part in self.parts])
        terms = [*zip(self.parts, rows, strict=True)]
        shared = [(part, of_part) for part, of_part in terms if isinstance(part, SharedFeatures)]
        own = [(part, of_part) for part, of_part in terms if isinstance(part, Tensor)]
        products = []
        if shared:
            mapped = self.linear(torch.cat([part.x @ of_part for part, of_part in shared]))  # [P, N]
            products.append(_gathered([part for part, _ in shared], mapped.t().contiguous()))
        if own:
            key = self.linear(torch.cat([of_part for _, of_part in own]))
            products.append(torch.cat([part for part, _ in own], dim=-1) @ key.t())
        return products[0] if len(products) == 1 else products[0] + products[1]

    def split(self, groups: Sequence[DocumentGroup]) -> list[PairFeatures]:
        """The features of the pairs of each group of documents."""
        sizes = [group.num_pairs for group in groups]
        parts = [part.split(sizes) if isinstance(part, Tensor) else part.split(groups) for part in self.parts]
        return [PairFeatures(of_group) for of_group in zip(*parts, strict=True)]

    def _with_columns(self, weight: Tensor) -> Iterator[tuple[Tensor | Features, Tensor]]:
        """Each part that has any width, with the columns of a weight that are for it."""
        widths = [_channels(part) for part in self.parts]
        for part, columns in zip(self.parts, weight.split(widths, dim=1), strict=True):
            if isinstance(part, PairFeatures):
                yield from part._with_columns(columns)
            elif columns.size(1):
                yield part, columns


def _channels(part: Tensor | Features) -> int:
    return part.size(1) if isinstance(part, Tensor) else part.channels


def _linear_of_shared(terms: Sequence[tuple[SharedFeatures, Tensor]]) -> Tensor | None:
    """The sum [P, out] of linear maps of shared rows."""
    if not terms:
        return None
    mapped = torch.cat([linear(features.x, weight) for features, weight in terms])
    return _gathered([features for features, _ in terms], mapped)


def _gathered(parts: Sequence[SharedFeatures], rows: Tensor) -> Tensor:
    """For each pair the sum of its rows: those of all parts, one part behind the other, [N, c] to [P, c]."""
    starts = accumulate((len(part.x) for part in parts), initial=0)
    index = [part.index + start for part, start in zip(parts, starts, strict=False)]
    return embedding_bag(torch.stack(index, dim=1), rows, mode="sum")
