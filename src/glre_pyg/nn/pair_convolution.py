"""Convolutions whose input is different for each pair, computed once for each word and entity."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

MAX_NUMBERS = 2**24
"""Maximum number of values that are in memory at once."""

Part = tuple[Tensor, Tensor]
"""Rows [N, L, d], and the row of each item [K]."""


class PairConvolution(nn.Module):
    """Convolution over the words of each pair, with a ReLU, and the maximum over the words.

    The input of a pair is the concatenation of rows that it shares with others, such as those of its document
    and of its entities.

    Args:
        widths: Width of each part of the input.
        hidden_channels: Width d of the output.
        kernel_size: Number of words that a convolution sees.

    Shape:
        Rows [N, L, width] and the row of each item [K], for each part, and which words of an item exist
        [K, L], to [K, d]. Words that do not exist have to be 0 in all rows.
    """

    def __init__(self, widths: Sequence[int], hidden_channels: int, kernel_size: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            nn.Conv1d(width, hidden_channels, kernel_size, padding="same", bias=not number)
            for number, width in enumerate(widths)
        )

    def forward(self, parts: Sequence[Part], inside: Tensor) -> Tensor:
        """Return the maximum over the words of each item [K, d]."""
        convolved = [
            (layer(x.transpose(1, 2)).transpose(1, 2), index)
            for layer, (x, index) in zip(self.parts, parts, strict=True)
        ]
        return torch.relu(largest_of_sums(convolved, inside))


def largest_of_sums(parts: Sequence[Part], inside: Tensor) -> Tensor:
    r"""Return the maximum over the words of sums of rows, without the sums of all items in memory at once.

    .. math:: y_k = \max_{l \in \mathrm{inside}_k} \sum_i x^{(i)}_{\mathrm{index}^{(i)}_k, l}

    As a convolution is linear, that of the input of a pair is the sum of those of its words, of what is added
    to them for its head, and for its tail; and a ReLU of the maximum is the maximum of the ReLU.

    Args:
        parts: Rows [N, L, d] and the row of each item [K], for each term of the sum.
        inside: Which of the words of an item exist [K, L], at least one; others may have any value.
    """
    rows = parts[0][0]
    if not len(inside):
        return rows.flatten(0, 1)[:0]
    block = max(1, MAX_NUMBERS // max(1, rows[0].numel()))
    out = []
    for start in range(0, len(inside), block):
        items = slice(start, start + block)
        tensors = [tensor for x, index in parts for tensor in (x, index[items])]
        out.append(checkpoint(_largest, inside[items], *tensors, use_reentrant=False))
    return torch.cat(out)


def _largest(inside: Tensor, *tensors: Tensor) -> Tensor:
    total = tensors[0].index_select(0, tensors[1])
    for x, index in zip(tensors[2::2], tensors[3::2], strict=True):
        total = total + x.index_select(0, index)
    return total.masked_fill(~inside[..., None], -torch.inf).amax(1)
