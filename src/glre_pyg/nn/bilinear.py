"""Bilinear classifiers of pairs of vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.ranges import PositiveInt


class GroupedBilinear(nn.Module):
    r"""Bilinear map in blocks of channels, which has fewer weights (ATLOP, Section 3.1).

    .. math:: y_r = \sum_{i=1}^{k} z_s^{i\top} W_r^i z_o^i + b_r

    With one block, this is a full bilinear map.

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
            raise InputError(f"bilinear: {channels} channels are no multiple of block_size={block_size}")
        self.block_size = block_size
        self.weight = nn.Parameter(torch.empty(out_channels, channels // block_size, block_size, block_size))
        self.bias = nn.Parameter(torch.empty(out_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialize as a linear layer over the products of channels."""
        bound = (self.weight[0].numel() or 1) ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, head: Tensor, tail: Tensor) -> Tensor:
        """Return the outputs [P, R] of pairs of vectors [P, d]."""
        head, tail = (x.unflatten(-1, (-1, self.block_size)) for x in (head, tail))  # [P, k, d/k]
        if len(self.weight) <= self.block_size:  # the smaller intermediate result
            mapped = torch.einsum("pki,rkij->prkj", head, self.weight).flatten(2)  # [P, R, d]
            return (mapped @ tail.flatten(1).unsqueeze(-1)).squeeze(-1) + self.bias
        products = (head.unsqueeze(-1) * tail.unsqueeze(-2)).flatten(1)  # [P, d · d/k]
        return products @ self.weight.flatten(1).t() + self.bias
