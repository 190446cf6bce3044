"""Figure 2: the GLRE model (Wang et al., EMNLP 2020)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from glre_pyg.graph import DocumentGraph, documents_of_pairs
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.loss import RelationLoss
from glre_pyg.nn.nodes import NodeEncoder
from glre_pyg.pieces import Pieces


class GLRE(RelationModel):
    r"""Global-to-local neural network for document-level relation extraction.

    .. math::
        \hat e_a = [e_a^{glo}; e_a^{loc}; \Delta(\delta_{ab})], \quad
        \hat e_b = [e_b^{glo}; e_b^{loc}; \Delta(\delta_{ba})], \quad
        o_r = [\hat e_a; \hat e_b] \qquad (6)

    Layers are factories: each is called with the widths of what it gets and says ``out_channels``.

    Args:
        pieces: The pieces that the graphs carry.
        num_relations: R.
        encoder: Called with ``pieces``; a batch to words [W, ·] (Eq. 1).
        nodes: Called with the width of words; words to :class:`~glre_pyg.nn.nodes.Nodes` (Section 3.2).
        global_layer: Called with the width of typed nodes; those to entities (Eq. 2).
        local_layer: Called with the widths of entities and of mentions; those to both sides of each pair
            (Eqs. 3-5).
        distance: Called with nothing; signed distances to embeddings (Eq. 6).
        context_layer: Called with the width of a target relation; those to context relations (Eq. 7).
        classifier: Called with the widths in and out (Eq. 8).
        query: What the local layer asks with: entities after (``"global"``) or before (``"initial"``)
            graph convolution.
        loss: Called with R; the loss and the number of logits (Eq. 9).
    """

    def __init__(
        self,
        pieces: Pieces,
        num_relations: int,
        *,
        encoder: Callable[[Pieces], Layer],
        nodes: Callable[[int], NodeEncoder],
        global_layer: Callable[[int], Layer],
        local_layer: Callable[[int, int], Layer],
        distance: Callable[[], Layer],
        context_layer: Callable[[int], Layer],
        classifier: Callable[[int, int], nn.Module],
        query: Literal["global", "initial"],
        loss: Callable[[int], RelationLoss],
    ) -> None:
        super().__init__(loss(num_relations))
        self.encoder = encoder(pieces)
        self.nodes = nodes(self.encoder.out_channels)
        self.global_layer = global_layer(self.nodes.out_channels)
        asking = self.global_layer.out_channels if query == "global" else self.nodes.out_channels
        self.local_layer = local_layer(asking, self.nodes.hidden_channels)
        self.distance = distance()
        side = self.global_layer.out_channels + self.local_layer.out_channels + self.distance.out_channels
        self.context_layer = context_layer(2 * side)
        self.classifier = classifier(2 * side + self.context_layer.out_channels, self.loss.num_logits)
        self.query = query

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Logits of all candidate pairs [P, loss.num_logits]."""
        head, tail = batch.pair_index
        words = self.encoder(batch)  # [W, ·]
        nodes = self.nodes(words, batch)
        entity = self.global_layer(nodes.typed, batch.edge_index_dict)  # [E, ·]
        query = entity if self.query == "global" else nodes.typed["entity"]
        local_head, local_tail = self.local_layer(query, nodes, batch)  # [P, ·]
        near, far = self.distance(batch.pair_distance), self.distance(-batch.pair_distance)
        relation = torch.cat([entity[head], local_head, near, entity[tail], local_tail, far], dim=-1)
        context = self.context_layer(relation, documents_of_pairs(batch))  # [P, ·]
        return self.classifier(torch.cat([relation, context], dim=-1))
