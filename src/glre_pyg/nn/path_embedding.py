"""Words on dependency paths, with their dependencies."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.nn.hashed_features import hashes
from glre_pyg.nn.instance_words import InstanceWords
from glre_pyg.nn.layer import Layer
from glre_pyg.utils.ranges import PositiveInt

_LABELS = 128
"""Number of embeddings of dependencies, which labels share by their hash."""


class PathEmbedding(Layer):
    """Words on the dependency path from head to tail, with embeddings of dependencies and of directions.

    The direction of a word says whether the path goes up from it, turns at it, or comes down to it.

    Args:
        in_channels: Width of the words.
        channels: Width of the embeddings of labels, and of directions.

    Shape:
        Words [W, in_channels] to words on paths [·, in_channels + 2 * channels].
    """

    def __init__(self, in_channels: int, *, channels: PositiveInt) -> None:
        super().__init__()
        self.labels, self.directions = nn.Embedding(_LABELS, channels), nn.Embedding(3, channels)
        self.out_channels = in_channels + 2 * channels

    def forward(self, x: Tensor, batch: DocumentGraph, words: InstanceWords) -> tuple[Tensor, Tensor]:
        """Return the words on the paths of instances [·, out_channels], and the instance of each [·]."""
        index = words.path()
        word = words.word[index]
        label = hashes(batch.dependency).to(word.device)[word] % _LABELS
        direction = self.directions(words.direction[index])
        return torch.cat([x[word], self.labels(label), direction], dim=-1), words.row[index]
