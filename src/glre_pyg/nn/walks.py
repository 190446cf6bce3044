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

    The sum is over nodes *k* with an edge to both. The terms of long documents are computed in blocks of *k*,
    and again in the backward pass, so that memory grows with the square of the number of nodes.

    Args:
        channels: Width d of the edges.
        iterations: N.
        beta: Weight of the shorter walk.

    Shape:
        Edges [n, n, d] and whether they exist [n, n] to the same after the inference. No node has an edge to
        itself.
    """

    def __init__(self, channels: int, *, iterations: PositiveInt, beta: Share) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, channels, bias=False)
        self.iterations, self.beta = iterations, beta

    def forward(self, edge: Tensor, exists: Tensor) -> tuple[Tensor, Tensor]:
        """Return the edges after all iterations, and which exist."""
        itself = torch.eye(len(edge), dtype=torch.bool, device=edge.device)
        block = max(1, MAX_NUMBERS // max(1, edge.numel()))
        for _ in range(self.iterations):
            mapped = self.linear(edge)
            total = torch.zeros_like(edge)
            for start in range(0, len(edge), block):
                middle = slice(start, start + block)
                terms = (edge[:, middle], mapped[middle], exists[:, middle], exists[middle])
                total = total + checkpoint(_sum_of_terms, *terms, use_reentrant=False)
            exists = (exists | (exists.float() @ exists.float() > 0)) & ~itself
            total = total.masked_fill(itself[..., None], 0.0)
            edge = self.beta * edge + (1 - self.beta) * total
        return edge, exists


def _sum_of_terms(first: Tensor, second: Tensor, has_first: Tensor, has_second: Tensor) -> Tensor:
    """Return the sum [n, n, d] over middle nodes, given edges [n, K, d] to and [K, n, d] from them."""
    both = has_first[:, :, None] & has_second  # [n, K, n]
    return ((first[:, :, None] * second).sigmoid() * both[..., None]).sum(1)
