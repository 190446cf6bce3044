"""Figure 2: the GLRE model (Wang et al., EMNLP 2020)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from glre_pyg.data.graph import DocumentGraph, documents_of_pairs
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.models.base import PairNumbers, RelationModel
from glre_pyg.nn.classifier import Classifier
from glre_pyg.nn.context import ContextLayer
from glre_pyg.nn.distance import DistanceEmbedding
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.loss import RelationLoss
from glre_pyg.nn.nodes import NodeEncoder, Nodes
from glre_pyg.nn.pairs import PairVectors, Part, in_blocks


class GLRE(RelationModel):
    r"""Global-to-local neural network for document-level relation extraction.

    .. math::
        \hat e_a = [e_a^{glo}; e_a^{loc}; \Delta(\delta_{ab})], \quad
        \hat e_b = [e_b^{glo}; e_b^{loc}; \Delta(\delta_{ba})], \quad
        o_r = [\hat e_a; \hat e_b] \qquad (6)

    Layers are factories: each is called with the widths of what it gets and says ``out_channels``.

    Args:
        tokenizer: The pieces that the graphs carry.
        num_relations: R.
        encoder: Called with ``pieces``; a batch to words [W, ·] (Eq. 1).
        nodes: Called with the width of words; words to :class:`~glre_pyg.nn.nodes.Nodes` (Section 3.2).
        global_layer: Called with the width of typed nodes; those to entities (Eq. 2).
        local_layer: Called with the widths of entities and of mentions; those to both sides of each pair
            (Eqs. 3-5).
        distance: Called with nothing; signed distances to embeddings (Eq. 6).
        context_layer: Called with the width of a target relation; sums over those of a document (Eq. 7).
        classifier: Called with the widths in and out (Eq. 8).
        query: What the local layer asks with: entities after (``"global"``) or before (``"initial"``)
            graph convolution.
        loss: Called with R; the loss and the number of logits (Eq. 9).
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        num_relations: int,
        *,
        encoder: Callable[[Tokenizer], Layer],
        nodes: Callable[[int], NodeEncoder],
        global_layer: Callable[[int], Layer],
        local_layer: Callable[[int, int], Layer],
        distance: Callable[[], DistanceEmbedding],
        context_layer: Callable[[int], ContextLayer],
        classifier: Callable[[int, int], Classifier],
        query: Literal["global", "initial"],
        loss: Callable[[int], RelationLoss],
    ) -> None:
        super().__init__(loss(num_relations))
        self.encoder = encoder(tokenizer)
        self.nodes = nodes(self.encoder.out_channels)
        self.global_layer = global_layer(self.nodes.out_channels)
        asking = self.global_layer.out_channels if query == "global" else self.nodes.out_channels
        self.local_layer = local_layer(asking, self.nodes.hidden_channels)
        self.distance = distance()
        side = self.global_layer.out_channels + self.local_layer.out_channels + self.distance.out_channels
        self.context_layer = context_layer(2 * side)
        self.classifier = classifier(2 * side + self.context_layer.out_channels, self.loss.num_logits)
        self.query = query
        given, first = 2 * side, self.classifier.first_layer.out_features
        channels = self.nodes.hidden_channels
        self.pair_numbers = PairNumbers(
            kept=2 * given + 4 * first + 4 * self.loss.num_logits,
            block=3 * given + 12 * channels,
            incidence=4 * channels,
            cell=3 if self.context_layer.out_channels else 0,
        )

    def set_blocks(self, pairs: int | None, cells: int | None) -> None:
        """Work on at most so many pairs (Eqs. 3-6), and so many pairs of pairs (Eq. 7), at a time."""
        super().set_blocks(pairs, cells)
        self.context_layer.block_cells = cells

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Logits of all candidate pairs [P, loss.num_logits]."""
        words = self.encoder(batch)  # [W, ·]
        nodes = self.nodes(words, batch)
        entity = self.global_layer(nodes.typed, batch.edge_index_dict)  # [E, ·]

        def pairs(block: slice) -> tuple[Tensor, ...]:
            relation = self._relation(entity, nodes, batch, block)
            return *self.classifier.first(relation), *self.context_layer.inputs(relation)

        size, _ = self.blocks
        own, value, relation, key = in_blocks(  # [P, ·] each
            pairs, batch.pair_index.size(1), size, device_of=batch.pair_index
        )
        context = self.context_layer(relation, key, value, documents_of_pairs(batch))
        return self.classifier(own + context)

    def _relation(self, entity: Tensor, nodes: Nodes, batch: DocumentGraph, block: slice) -> PairVectors:
        """Target relations of a block of pairs (Eq. 6)."""
        head, tail = batch.pair_index[:, block]
        distance = batch.pair_distance[block]
        query = entity if self.query == "global" else nodes.typed["entity"]
        local_head, local_tail = self.local_layer(query, nodes, batch, block)
        near, far = self.distance.part(distance), self.distance.part(-distance)
        return PairVectors((Part(entity, head), local_head, near, Part(entity, tail), local_tail, far))
