"""Convolution over the words of documents."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch_geometric.utils import scatter

from glre_pyg.utils.ranges import PositiveInt


class Convolution(nn.Module):
    """Convolution over sequences of different lengths that are stored one after another, with a ReLU.

    Args:
        in_channels: Width of the input.
        hidden_channels: Width of the output.
        kernel_size: Number of words, odd, that an output depends on.
    """

    def __init__(self, in_channels: int, *, hidden_channels: PositiveInt, kernel_size: PositiveInt) -> None:
        super().__init__()
        self.conv = nn.Conv1d(in_channels, hidden_channels, kernel_size, padding=kernel_size // 2)
        self.out_channels = hidden_channels

    def forward(self, words: Tensor, counts: Sequence[int]) -> Tensor:
        """Return outputs [W, out_channels], given the words [W, in_channels] and lengths of sequences."""
        if not len(words):
            return words.new_zeros(0, self.out_channels)
        padded = pad_sequence(words.split([*counts]), batch_first=True)  # [B, L, ·]
        output = torch.relu(self.conv(padded.transpose(1, 2))).transpose(1, 2)
        return torch.cat([rows[:count] for rows, count in zip(output, counts, strict=True)])


class RaggedConvolution(nn.Module):
    r"""Convolution over sequences that are stored one after another, with a ReLU, and its maximum over each.

    .. math:: h_s = \max_{i \in s} \mathrm{ReLU}\Big(\sum_{k=-c}^{c} W_k x_{i+k} + b\Big)

    Elements beyond the ends of a sequence are 0. A sequence without elements has 0.

    Args:
        in_channels: Width of the input.
        hidden_channels: Width of the output.
        kernel_size: Number of elements, odd, that an output depends on: 2c + 1.

    Shape:
        Elements [N, in_channels] and the sequence of each [N], ascending, to [sequences, hidden_channels].
    """

    def __init__(self, in_channels: int, *, hidden_channels: PositiveInt, kernel_size: PositiveInt) -> None:
        super().__init__()
        self.linear = nn.Linear(kernel_size * in_channels, hidden_channels)
        self.reach = kernel_size // 2
        self.out_channels = hidden_channels

    def forward(self, x: Tensor, sequence: Tensor, num_sequences: int) -> Tensor:
        """Return the maximum over each sequence [num_sequences, out_channels]."""
        index = torch.arange(len(x), device=x.device)
        columns = []
        for shift in range(-self.reach, self.reach + 1):
            other = (index + shift).clamp(0, max(len(x) - 1, 0))
            inside = (other == index + shift) & (sequence[other] == sequence)
            columns.append(x.index_select(0, other) * inside[:, None])
        output = torch.relu(self.linear(torch.cat(columns, dim=-1)))
        return scatter(output, sequence, dim_size=num_sequences, reduce="max")
