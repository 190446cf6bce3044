"""Inference over walks through a graph of edge representations (EoG; Christopoulou et al., EMNLP 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from glre_pyg.utils.ranges import PositiveInt, Share

MAX_NUMBERS = 2**22
"""Maximum number of values in memory at once, in a step of the inference; with more, a CPU is slower."""


class Walks(nn.Module):
    r"""Representations of longer walks from those of shorter ones; *N* iterations reach walks of :math:`2^N`.

    .. math::
        f(e_{ik}, e_{kj}) = \sigma(e_{ik} \odot W e_{kj}), \quad
        e_{ij} \leftarrow \beta e_{ij} + (1 - \beta) \sum_{k \ne i,j} f(e_{ik}, e_{kj})

    The sum is over nodes *k* with an edge to both. Only walks that exist and that the wanted edges depend on
    are computed: in the last iteration those between the wanted nodes, before it also those from or to one of
    them. The terms of long documents are computed in blocks, and again in the backward pass, so that memory
    grows with the square of the number of nodes.

    Args:
        channels: Width d of the edges.
        iterations: N.
        beta: Weight of the shorter walk.

    Shape:
        Edges [n, n, d], whether they exist [n, n], and two nodes each [2, K] to the edges between these nodes
        after the inference [K, d]. No node has an edge to itself.
    """

    def __init__(self, channels: int, *, iterations: PositiveInt, beta: Share) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, channels, bias=False)
        self.iterations, self.beta = iterations, beta

    def forward(self, edge: Tensor, exists: Tensor, wanted: Tensor) -> Tensor:
        """Return the wanted edges after all iterations."""
        size = len(edge)
        itself = torch.eye(size, dtype=torch.bool, device=edge.device)
        rows = max(1, MAX_NUMBERS // max(1, edge.numel()))
        for needed in self._needed(wanted, size):
            mapped, cells, back = self.linear(edge).flatten(0, 1), needed & ~itself, exists.t()
            totals = []
            for first in range(0, max(size, 1), rows):
                block = slice(first, first + rows)
                both = cells[block, :, None] & exists[block, None] & back  # [·, n, n]
                i, j, k = both.nonzero(as_tuple=True)
                terms = (edge[block].flatten(0, 1), mapped, i * size + k, k * size + j, i * size + j)
                totals.append(checkpoint(_sum_of_terms, *terms, use_reentrant=False))
            total = torch.cat(totals).view_as(edge)
            exists = (exists | (exists.float() @ exists.float() > 0)) & ~itself
            edge = self.beta * edge + (1 - self.beta) * total
        return edge[wanted[0], wanted[1]]

    def _needed(self, wanted: Tensor, size: int) -> list[Tensor]:
        """Return the edges [n, n] that each iteration has to compute."""
        last = torch.zeros(size, size, dtype=torch.bool, device=wanted.device)
        last[wanted[0], wanted[1]] = True
        needed = [last]
        for _ in range(self.iterations - 1):
            needed.append(needed[-1].any(1)[:, None] | needed[-1].any(0))
        return needed[::-1]


def _sum_of_terms(edge: Tensor, mapped: Tensor, first: Tensor, second: Tensor, cell: Tensor) -> Tensor:
    """Return the sum in each cell [·, d] of terms, given the rows of their edges [·, d] and [n², d]."""
    terms = (edge.index_select(0, first) * mapped.index_select(0, second)).sigmoid()
    return torch.zeros_like(edge, dtype=terms.dtype).index_add(0, cell, terms)
