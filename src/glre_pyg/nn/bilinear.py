"""Bilinear classifiers of pairs of vectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from glre_pyg.nn.pairs import SharedFeatures, group_documents, places_in_rows
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.ranges import PositiveInt

MAX_SHARED_PAIRS = 2048
"""Maximum number of pairs of consecutive documents whose rows are multiplied together."""


def _initialize(weight: nn.Parameter, bias: nn.Parameter) -> None:
    """Initialize as a linear layer over the products of channels."""
    bound = (weight[0].numel() or 1) ** -0.5
    nn.init.uniform_(weight, -bound, bound)
    nn.init.uniform_(bias, -bound, bound)


class GroupedBilinear(nn.Module):
    r"""Bilinear map in blocks of channels, which has fewer weights (ATLOP, Section 3.1).

    .. math:: y_r = \sum_{i=1}^{k} z_s^{i\top} W_r^i z_o^i + b_r

    Args:
        channels: Width d of both vectors.
        out_channels: Number of outputs R.
        block_size: Channels of a block, d/k.

    Shape:
        Two tensors [P, d] to [P, R].

    Raises:
        InputError: If the width is not a multiple of the block size.
    """

    def __init__(self, channels: int, out_channels: int, *, block_size: PositiveInt) -> None:
        super().__init__()
        if channels % block_size:
            raise InputError(f"bilinear: {channels} channels are not a multiple of block_size={block_size}")
        self.block_size = block_size
        self.weight = nn.Parameter(torch.empty(out_channels, channels // block_size, block_size, block_size))
        self.bias = nn.Parameter(torch.empty(out_channels))
        _initialize(self.weight, self.bias)

    def forward(self, head: Tensor, tail: Tensor) -> Tensor:
        """Return the outputs [P, R] of pairs of vectors [P, d]."""
        head, tail = (x.unflatten(-1, (-1, self.block_size)) for x in (head, tail))  # [P, k, d/k]
        if len(self.weight) <= self.block_size:  # the smaller intermediate result
            mapped = torch.einsum("pki,rkij->prkj", head, self.weight).flatten(2)  # [P, R, d]
            return (mapped @ tail.flatten(1).unsqueeze(-1)).squeeze(-1) + self.bias
        products = (head.unsqueeze(-1) @ tail.unsqueeze(-2)).flatten(1)  # [P, d · d/k]
        return products @ self.weight.flatten(1).t() + self.bias


class Bilinear(nn.Module):
    r"""Bilinear map of features that pairs share, such as those of entities.

    .. math:: y_r = z_s^\top W_r z_o + b_r

    All rows of heads are multiplied with all rows of tails, for a document or some small ones together, and
    each pair takes its own product. So the cost of the weights grows with the number of entities, not with
    that of pairs.

    Args:
        channels: Width d of both vectors.
        out_channels: Number of outputs R.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, channels, channels))
        self.bias = nn.Parameter(torch.empty(out_channels))
        _initialize(self.weight, self.bias)

    def forward(
        self, head: Sequence[SharedFeatures], tail: Sequence[SharedFeatures], num_pairs: Sequence[int]
    ) -> Tensor:
        """Return the outputs of all pairs [P, R].

        Args:
            head: Features of the heads of P pairs, whose widths add up to d.
            tail: Features of their tails.
            num_pairs: Number of pairs of each document.
        """
        groups = group_documents(num_pairs, MAX_SHARED_PAIRS)
        heads, tails = (zip(*(part.split(groups) for part in side), strict=True) for side in (head, tail))
        return torch.cat([*map(self._products, heads, tails)]) + self.bias

    def num_values(self, num_rows: int) -> int:
        """Return about how many numbers a document takes whose heads, and whose tails, have so many rows."""
        return num_rows * len(self.weight) * (self.weight.size(1) + num_rows)

    def _products(self, head: Sequence[SharedFeatures], tail: Sequence[SharedFeatures]) -> Tensor:
        """Return the outputs [P, R] of some documents, without the bias."""
        # All rows of one side, [N, d] and [M, d]; a part has its columns, and the others are zero.
        heads, tails = (torch.block_diag(*(part.x for part in side)) for side in (head, tail))
        mapped = self.weight.flatten(0, 1) @ tails.t()  # [R · d, M]
        products = heads @ mapped.unflatten(0, (len(self.weight), -1))  # [R, N, M]
        index = [i * len(tails) + j for i in places_in_rows(head) for j in places_in_rows(tail)]
        return embedding_bag(torch.stack(index, dim=1), products.flatten(1).t(), mode="sum")
