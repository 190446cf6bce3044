"""Section 4.4, "w/o BERT": a BiLSTM over words, on top of word embeddings or a transformer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from glre_pyg.data.graph import DocumentGraph, word_counts
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.nn.layer import Layer
from glre_pyg.utils.ranges import PositiveInt, Rate


class BiLSTM(Layer):
    """Bidirectional LSTM over the words of each document.

    The released code applies it to frozen BioBERT for CDR; the paper's "w/o BERT" applies it to word vectors.

    Args:
        tokenizer: Tokenizer of the graphs, passed to ``base``.
        base: Called with the tokenizer; returns the encoder whose output is the input of the LSTM.
        hidden_channels: Width of one direction.
        num_layers: Number of layers.
        dropout: Dropout rate of the input.

    Shape:
        Batch to words [W, 2 * hidden_channels].
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        base: Callable[[Tokenizer], Layer],
        hidden_channels: PositiveInt,
        num_layers: PositiveInt,
        dropout: Rate,
    ) -> None:
        super().__init__()
        self.base = base(tokenizer)
        self.dropout = nn.Dropout(dropout)
        self.lstm = LSTM(self.base.out_channels, hidden_channels=hidden_channels, num_layers=num_layers)
        self.out_channels = self.lstm.out_channels

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return word vectors [W, 2 * hidden_channels] of a batch."""
        return self.lstm(self.dropout(self.base(batch)), word_counts(batch))


class LSTM(nn.LSTM):
    """LSTM over sequences of different lengths that are stored one after another.

    Args:
        in_channels: Width of the input.
        hidden_channels: Width of one direction.
        num_layers: Number of layers.
        bidirectional: Whether to read in both directions.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        hidden_channels: PositiveInt,
        num_layers: PositiveInt = 1,
        bidirectional: bool = True,
    ) -> None:
        super().__init__(
            in_channels, hidden_channels, num_layers, batch_first=True, bidirectional=bidirectional
        )
        self.out_channels = hidden_channels * (1 + bidirectional)

    def forward(self, words: Tensor, counts: Sequence[int]) -> Tensor:  # type: ignore[override]
        """Return outputs [W, out_channels], given the words [W, in_channels] and lengths of sequences."""
        if not len(words):
            return words.new_zeros(0, self.out_channels)
        order, sizes = _packing(torch.tensor([count for count in counts if count]))
        order = order.to(words.device)
        output, _ = super().forward(PackedSequence(words.index_select(0, order), sizes))
        return torch.empty_like(output.data).index_copy(0, order, output.data)


def _packing(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Order words as a :class:`PackedSequence`: first words, longest document first, second words, ...

    Args:
        counts: Number of words of each document [B].

    Returns:
        Indices of the words in that order [W], and the batch size at each position [longest].
    """
    document = torch.arange(len(counts)).repeat_interleave(counts)
    position = torch.arange(len(document)) - (counts.cumsum(0) - counts)[document]
    rank = counts.argsort(descending=True, stable=True).argsort()
    order = (position * len(counts) + rank[document]).argsort()
    return order, torch.bincount(position)
