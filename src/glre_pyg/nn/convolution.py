"""Convolution over the words of documents."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

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
