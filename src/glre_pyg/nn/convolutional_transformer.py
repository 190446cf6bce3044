"""Transformer blocks with convolutions in place of the feed-forward network (BRAN; Verga et al., 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from glre_pyg.utils.ranges import PositiveInt, Rate


class ConvolutionalTransformer(nn.Module):
    r"""Positions, and blocks of self-attention and three convolutions over the words of each document.

    .. math::
        a_i = LN(x_i + \mathrm{MHead}(x)_i), \quad
        x_i \leftarrow LN(a_i + C_1(ReLU(C_w(ReLU(C_1(a)))))_i)

    :math:`C_w` is a convolution of *w* words.

    Args:
        in_channels: Width of the input.
        channels: Width d of the blocks.
        num_blocks: Number of blocks.
        heads: Number of attention heads.
        kernel_size: w, odd.
        max_positions: Number of position embeddings; further words of a document share the last.
        dropout: Dropout rate of the outputs of attention and convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        channels: PositiveInt,
        num_blocks: PositiveInt,
        heads: PositiveInt,
        kernel_size: PositiveInt,
        max_positions: PositiveInt,
        dropout: Rate,
    ) -> None:
        super().__init__()
        self.project = nn.Linear(in_channels, channels)
        self.position = nn.Embedding(max_positions, channels)
        nn.init.normal_(self.position.weight, std=0.1)
        self.blocks = nn.ModuleList(
            _Block(channels, heads=heads, kernel_size=kernel_size, dropout=dropout) for _ in range(num_blocks)
        )
        self.out_channels = channels

    def forward(self, words: Tensor, counts: Sequence[int]) -> Tensor:
        """Return outputs [W, out_channels], given the words [W, in_channels] and lengths of documents."""
        if not len(words):
            return words.new_zeros(0, self.out_channels)
        x = pad_sequence(self.project(words).split([*counts]), batch_first=True)  # [B, L, d]
        place = torch.arange(x.size(1), device=x.device)
        x = x + self.position(place.clamp(max=self.position.num_embeddings - 1))
        padding = place >= torch.tensor([max(count, 1) for count in counts], device=x.device)[:, None]
        for block in self.blocks:
            x = block(x, padding)
        return torch.cat([rows[:count] for rows, count in zip(x, counts, strict=True)])


class _Block(nn.Module):
    def __init__(self, channels: int, *, heads: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(channels, heads, batch_first=True)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(channels, channels, size, padding=size // 2) for size in (1, kernel_size, 1)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        """Return the output [B, L, d], given the input and which of its words are padding [B, L]."""
        attended, _ = self.attention(x, x, x, key_padding_mask=padding, need_weights=False)
        x = self.norms[0](x + self.dropout(attended))
        first, middle, last = self.convolutions
        out = first(x.masked_fill(padding[..., None], 0.0).transpose(1, 2)).relu()
        # A convolution of several words must not see what the first makes of padding.
        out = last(middle(out.masked_fill(padding[:, None], 0.0)).relu())
        return self.norms[1](x + self.dropout(out.transpose(1, 2)))
