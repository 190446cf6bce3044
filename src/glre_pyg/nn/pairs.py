"""Section 3.4, Eq. 6: vectors of pairs, kept as the rows that pairs share; and work on pairs in blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn.functional import dropout, embedding, embedding_bag, linear
from torch.utils.checkpoint import checkpoint


@dataclass(frozen=True)
class Part:
    """One part of the vectors of pairs.

    Args:
        rows: Vectors [N, c].
        index: Row of each pair [P].
    """

    rows: Tensor
    index: Tensor

    def dense(self) -> Tensor:
        """The vector of each pair [P, c]."""
        return embedding(self.index, self.rows)


@dataclass(frozen=True)
class PairVectors:
    r"""Target relations :math:`o_r = [\hat e_a; \hat e_b]`, of which pairs have most in common (Eq. 6).

    A document has many more pairs than entities, so a linear map is applied to the rows of each part, and
    the results are gathered and added up for each pair. That is the same map of the whole vectors.

    Args:
        parts: The parts of a vector in their order.
    """

    parts: tuple[Part, ...]

    def dense(self) -> Tensor:
        """The whole vectors [P, d_r]."""
        return torch.cat([part.dense() for part in self.parts], dim=-1)

    def linear(self, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """A linear map: weight [out, d_r] to [P, out]."""
        parts = [part for part in self.parts if part.rows.size(1)]
        if 2 * sum(part.rows.numel() for part in parts) > len(parts[0].index) * weight.size(1):
            return linear(self.dense(), weight, bias)  # few pairs share little
        columns = weight.split([part.rows.size(1) for part in parts], dim=1)
        rows = [linear(part.rows, matrix) for part, matrix in zip(parts, columns, strict=True)]
        starts = accumulate(map(len, rows[:-1]), initial=0)
        index = torch.stack([part.index + start for part, start in zip(parts, starts, strict=True)], dim=1)
        total = embedding_bag(index, torch.cat(rows), mode="sum")
        return total if bias is None else total + bias

    def dropout(self, rate: float, *, training: bool) -> PairVectors:
        """The same with dropout on the rows, so that pairs that share a row lose the same of it."""
        return PairVectors(tuple(Part(dropout(part.rows, rate, training), part.index) for part in self.parts))


def blocks(total: int, size: int | None) -> list[slice]:
    """Slices of at most ``size`` that cover ``total`` in order; one slice if size is None.

    >>> blocks(5, 2)
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    size = max(total if size is None else size, 1)
    return [slice(start, min(start + size, total)) for start in range(0, max(total, 1), size)]


def in_blocks(
    function: Callable[[slice], tuple[Tensor, ...]], total: int, size: int | None, *, device_of: Tensor
) -> tuple[Tensor, ...]:
    """Results of a function of slices, joined. Of several blocks, gradients compute each once more.

    What a function keeps for its gradients then exists for one block at a time; its random numbers are the
    same both times.

    Args:
        function: Tensors with a row for each number of a slice.
        total: How many numbers there are.
        size: Numbers of a block at most; None for one block.
        device_of: Any tensor on the device where the function draws its random numbers.
    """
    parts = blocks(total, size)
    if len(parts) == 1:
        return function(parts[0])
    if not torch.is_grad_enabled():
        return tuple(map(torch.cat, zip(*map(function, parts), strict=True)))

    def on_device(part: slice, _: Tensor) -> tuple[Tensor, ...]:  # by tensors, random states are known
        return function(part)

    done = [checkpoint(on_device, part, device_of, use_reentrant=False) for part in parts]
    return tuple(map(torch.cat, zip(*done, strict=True)))
