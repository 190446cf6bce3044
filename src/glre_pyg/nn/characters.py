"""Word vectors from characters (Nguyen and Verspoor, BioNLP 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from glre_pyg.data.annotations import ALPHABET
from glre_pyg.nn.layer import Layer
from glre_pyg.utils.ranges import PositiveInt


class CharacterConvolution(Layer):
    """Convolution over the characters of a word, and the maximum over them.

    Args:
        in_channels: Width of the embedding of a character.
        hidden_channels: Width of the output.
        kernel_size: Number of characters that a convolution sees.

    Shape:
        Characters [W, K], 0 for padding, to [W, hidden_channels].
    """

    def __init__(
        self, *, in_channels: PositiveInt, hidden_channels: PositiveInt, kernel_size: PositiveInt
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(ALPHABET, in_channels, padding_idx=0)
        self.convolution = nn.Conv1d(in_channels, hidden_channels, kernel_size, padding="same")
        self.out_channels = hidden_channels

    def forward(self, characters: Tensor) -> Tensor:
        """Return the vectors of words [W, hidden_channels]."""
        x = self.convolution(self.embedding(characters).transpose(1, 2))  # [W, ·, K]
        return torch.relu(x.masked_fill((characters == 0)[:, None], -torch.inf).amax(-1))
