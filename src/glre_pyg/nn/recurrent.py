"""Section 4.4, "w/o BERT": a BiLSTM over the words of a document, on word vectors or on an encoder."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from glre_pyg.data.graph import DocumentGraph, word_counts
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.nn.layer import Layer


class BiLSTM(Layer):
    """A bidirectional LSTM over each document's words.

    The released code puts one on frozen BioBERT for CDR; the paper's "w/o BERT" has one on word vectors.

    Args:
        tokenizer: The pieces that the graphs carry, handed to ``base``.
        base: Builds the encoder below from the pieces.
        hidden_channels: Width of one direction.
        num_layers: Layers.
        dropout: Dropout on the words that enter.

    Shape:
        Batch to words [W, 2 * hidden_channels].
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        base: Callable[[Tokenizer], Layer],
        hidden_channels: int,
        num_layers: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.base = base(tokenizer)
        self.dropout = nn.Dropout(dropout)
        self.lstm = nn.LSTM(
            self.base.out_channels, hidden_channels, num_layers, batch_first=True, bidirectional=True
        )
        self.out_channels = 2 * hidden_channels

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Word vectors [W, 2 * hidden_channels] of a batch."""
        words = self.dropout(self.base(batch))
        if not len(words):
            return words.new_zeros(0, self.out_channels)
        order, sizes = _packing(torch.tensor(word_counts(batch)))
        order = order.to(words.device)
        output, _ = self.lstm(PackedSequence(words.index_select(0, order), sizes))
        return torch.empty_like(output.data).index_copy(0, order, output.data)


def _packing(counts: Tensor) -> tuple[Tensor, Tensor]:
    """How torch packs documents: the first word of each of them, longest document first, then the second, ...

    Args:
        counts: Words of each document [B].

    Returns:
        Words in that order [W]; documents that have a first word, a second, and so on [longest].
    """
    document = torch.arange(len(counts)).repeat_interleave(counts)
    position = torch.arange(len(document)) - (counts.cumsum(0) - counts)[document]
    rank = counts.argsort(descending=True, stable=True).argsort()
    order = (position * len(counts) + rank[document]).argsort()
    return order, torch.bincount(position)
