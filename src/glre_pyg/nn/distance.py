"""Section 3.4, Eq. 6: embeddings of the relative distance between two entities."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.pairs import SharedFeatures, entities_of_pairs
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.ranges import PositiveInt


class DistanceEmbedding(Layer):
    r"""Embedding :math:`\Delta(\delta)` of a signed distance in words, by bins.

    The *2b* bins double in width: :math:`\delta = 0, 1, 2..3, 4..7, \dots` are bins *b* to *2b - 1*, and
    :math:`-1, -2..-3, -4..-7, \dots` are bins *b - 1* down to 0. The outermost bins are open.

    Paper: "divided into several bins". The released code merges -1 into 0 after batching, fails at 800
    words, and fixes the vector of distance 0 to zero. Here: only the last is an option.

    Args:
        channels: Width of the embeddings.
        num_bins: Number of bins, 2b.
        zero_is_fixed: Whether the vector of distance 0 is fixed to zero, as in the released code.

    Shape:
        Distances [P] to [P, channels].
    """

    edges: Tensor

    def __init__(self, *, channels: PositiveInt, num_bins: PositiveInt, zero_is_fixed: bool) -> None:
        super().__init__()
        if num_bins < 2 or num_bins % 2:
            raise InputError(f"distance: num_bins must be even and positive, not {num_bins}")
        half = num_bins // 2
        self.table = nn.Embedding(num_bins, channels, padding_idx=half if zero_is_fixed else None)
        self.register_buffer("edges", 2 ** torch.arange(half - 1), persistent=False)
        self.bins_each_way = half
        self.out_channels = channels

    def forward(self, distance: Tensor) -> Tensor:
        """Return embeddings [P, channels] of signed distances [P]."""
        return self.table(self.bins(distance))

    def features(self, distance: Tensor) -> SharedFeatures:
        """Return the embeddings as pair features, in which pairs share the row of their bin."""
        rows = self.table(torch.arange(self.table.num_embeddings, device=distance.device))
        return SharedFeatures(rows, self.bins(distance))

    def append(
        self, entity: Tensor, batch: DocumentGraph
    ) -> tuple[tuple[SharedFeatures, ...], tuple[SharedFeatures, ...]]:
        """Return the features of heads and of tails of all candidate pairs: the entity, and its distance.

        Args:
            entity: Entities [E, d].
            batch: The batch. A distance is from tail to head; that of the tail is its negative.
        """
        head, tail = entities_of_pairs(entity, batch)
        return (head, self.features(batch.pair_distance)), (tail, self.features(-batch.pair_distance))

    def bins(self, distance: Tensor) -> Tensor:
        """Return the bins [P] of signed distances [P].

        Example:
            >>> layer = DistanceEmbedding(channels=1, num_bins=6, zero_is_fixed=False)
            >>> layer.bins(torch.tensor([-9, -3, -2, -1, 0, 1, 2, 3, 9])).tolist()
            [0, 1, 1, 2, 3, 4, 5, 5, 5]
        """
        forward = self.bins_each_way + torch.bucketize(distance, self.edges, right=True)
        backward = self.bins_each_way - torch.bucketize(-distance, self.edges * 2, right=True) - 1
        return torch.where(distance >= 0, forward, backward)
