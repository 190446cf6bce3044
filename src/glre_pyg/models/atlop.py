"""ATLOP: adaptive thresholding and localized context pooling (Zhou et al., AAAI 2021)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.bilinear import GroupedBilinear
from glre_pyg.nn.encoder import TransformerEncoder, check_markers
from glre_pyg.nn.localized_context import localized_context
from glre_pyg.nn.loss import RelationLoss
from glre_pyg.nn.pooling import logsumexp_of_mentions
from glre_pyg.utils.ranges import PositiveInt


class ATLOP(RelationModel):
    r"""Adaptive thresholding and localized context pooling.

    .. math::
        z_s = \tanh(W_s [h_{e_s}; c^{(s,o)}]), \quad z_o = \tanh(W_o [h_{e_o}; c^{(s,o)}]), \quad
        l_r = \sum_{i=1}^{k} z_s^{i\top} W_r^i z_o^i + b_r

    A mention is the hidden state of the marker before it, :math:`h_e` the LogSumExp of an entity's mentions,
    and :math:`c^{(s,o)}` the localized context of a pair. The loss is
    :class:`~glre_pyg.nn.loss.AdaptiveThreshold`.

    Here: the context of a document in several windows has the tokens of all of them; the released code
    averages overlapping windows first, and predicts four relations of a pair at most.

    Args:
        tokenizer: Tokenizer of the graphs, with the same marker.
        num_relations: Number of relations R.
        encoder: Transformer; called with the tokenizer.
        channels: Width d of :math:`z_s` and :math:`z_o`.
        block_size: See :class:`~glre_pyg.nn.bilinear.GroupedBilinear`.
        marker: Text before and after each mention; ``encoder.tokenizer.marker`` follows it.
        loss: Loss, which defines the number of logits; called with R.

    Raises:
        InputError: If the encoder is not a transformer, or the tokenizer has no markers.
    """

    citation = (
        "Wenxuan Zhou, Kevin Huang, Tengyu Ma and Jing Huang: Document-Level Relation Extraction with "
        "Adaptive Thresholding and Localized Context Pooling. AAAI 2021. "
        "https://doi.org/10.1609/aaai.v35i16.17717"
    )
    reads_features = False  # the encoder's attention is needed as well
    num_divergences = 0
    """Number of the last logits that the classifier does not compute."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        num_relations: int,
        *,
        encoder: Callable[[Tokenizer], TransformerEncoder],
        channels: PositiveInt,
        block_size: PositiveInt,
        marker: str,
        loss: Callable[[int], RelationLoss],
    ) -> None:
        super().__init__(loss(num_relations))
        self.encoder = encoder(tokenizer)
        check_markers(type(self).__name__, self.encoder, tokenizer, marker)
        width = self.encoder.out_channels
        self.head, self.tail = nn.Linear(2 * width, channels), nn.Linear(2 * width, channels)
        outputs = self.loss.num_logits - self.num_divergences
        self.classifier = GroupedBilinear(channels, outputs, block_size=block_size)
        self.pair_channels = 6 * width + channels * (4 + min(block_size, outputs))

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the logits of all candidate pairs [P, loss.num_logits]."""
        mention, windows = self.encoder.attend(batch)  # [M, ·]
        context = localized_context(windows, batch, self.encoder.out_channels)  # [P, ·]
        return self.classify(mention, context, batch)

    def classify(self, mention: Tensor, context: Tensor, batch: DocumentGraph) -> Tensor:
        """Return the logits of pairs [P, ·], given mentions [M, ·] and the localized contexts of pairs."""
        refers_to = batch["mention", "refers_to", "entity"].edge_index
        entity = logsumexp_of_mentions(mention, refers_to, batch["entity"].num_nodes)  # [E, ·]
        head, tail = batch.pair_index
        z_head = torch.tanh(self.head(torch.cat([entity.index_select(0, head), context], dim=-1)))
        z_tail = torch.tanh(self.tail(torch.cat([entity.index_select(0, tail), context], dim=-1)))
        return self.classifier(z_head, z_tail)
