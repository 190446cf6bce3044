"""Section 4.4, "w/o BERT": a BiLSTM over words, on top of word embeddings or a transformer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from glre_pyg.data.graph import DocumentGraph, word_counts
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.padding import Padding
from glre_pyg.utils.ranges import PositiveInt, Rate

_MAX_PADDING = 0.5  # share of a group's cells; a step takes about the same time for one sequence or several


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
        """Return outputs [W, out_channels], given the words [W, in_channels] and lengths of sequences.

        cuDNN reads packed sequences. On a CPU, the time of PyTorch's packed LSTM grows with the square of the
        length in training, so sequences are padded. They are read in the precision of the weights, since
        oneDNN does not have an LSTM for every half precision.
        """
        if not len(words):
            return words.new_zeros(0, self.out_channels)
        lengths = np.array([count for count in counts if count])
        if words.is_cuda:
            return self._packed(words, lengths)
        with torch.autocast(words.device.type, enabled=False):
            return self._padded(words.to(self.all_weights[0][0].dtype), lengths)

    def _packed(self, words: Tensor, lengths: np.ndarray) -> Tensor:
        order, sizes = _packing(torch.from_numpy(lengths))
        order = order.to(words.device)
        output, _ = super().forward(PackedSequence(words.index_select(0, order), sizes))
        return torch.empty_like(output.data).index_copy(0, order, output.data)

    def _padded(self, words: Tensor, lengths: np.ndarray) -> Tensor:
        padding = Padding.from_lengths(lengths, max_tokens=None, max_padding=_MAX_PADDING)
        position = np.arange(lengths.sum()) - (lengths.cumsum() - lengths).repeat(lengths)
        cells = torch.from_numpy(padding.start.repeat(lengths) + position)
        x = words.new_zeros(padding.cells, words.size(1)).index_copy(0, cells, words)
        rows, widths = zip(*padding.groups, strict=True)
        groups = zip(
            x.split([count * width for count, width in padding.groups]),
            torch.from_numpy(-np.sort(-lengths)).split(rows),
            widths,
            strict=True,
        )
        outputs = [self._read(group.view(-1, width, group.size(1)), ends) for group, ends, width in groups]
        return torch.cat([output.flatten(0, 1) for output in outputs]).index_select(0, cells)

    def _read(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Read padded sequences [B, T, in_channels] of the given lengths [B].

        The padding is behind the end in both directions: what is read backwards is each sequence reversed.
        """
        position = torch.arange(x.size(1))
        mirrored = (lengths[:, None] - 1 - position) % x.size(1)  # [B, T]: its own inverse
        sequence = torch.arange(len(x))[:, None]
        state = (x.new_zeros(1, len(x), self.hidden_size),) * 2
        weights = iter(self.all_weights)

        def read(x: Tensor) -> Tensor:
            output, _, _ = torch.lstm(
                x,
                state,
                tuple(next(weights)),
                has_biases=True,
                num_layers=1,
                dropout=0.0,
                train=self.training,
                bidirectional=False,
                batch_first=True,
            )
            return output

        for _ in range(self.num_layers):
            outputs = [read(x)]
            if self.bidirectional:
                outputs.append(read(x[sequence, mirrored])[sequence, mirrored])
            x = torch.cat(outputs, dim=-1)
        return x


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
