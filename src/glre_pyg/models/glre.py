"""Figure 2: the GLRE model (Wang et al., EMNLP 2020)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from glre_pyg.data.batch import sizes_of
from glre_pyg.data.graph import DocumentGraph, documents_of_pairs
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.bilinear import Bilinear
from glre_pyg.nn.classifier import Classifier
from glre_pyg.nn.distance import DistanceEmbedding
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.loss import DeepAndShallow, RelationLoss
from glre_pyg.nn.mention_features import NoFeatures
from glre_pyg.nn.nodes import NodeEncoder, Nodes
from glre_pyg.nn.pairs import PairFeatures
from glre_pyg.nn.shallow import ShallowScorer
from glre_pyg.utils.ranges import Share


class GLRE(RelationModel):
    r"""Global-to-local neural network for document-level relation extraction.

    .. math::
        \hat e_a = [e_a^{glo}; e_a^{loc}; \Delta(\delta_{ab})], \quad
        \hat e_b = [e_b^{glo}; e_b^{loc}; \Delta(\delta_{ba})], \quad
        o_r = [\hat e_a; \hat e_b] \qquad (6)

    Layers are passed as factories: each is called with its input widths, and the layer has ``out_channels``.

    Args:
        tokenizer: Tokenizer of the graphs.
        num_relations: Number of relations R.
        encoder: Encoder from a batch to words [W, ·] (Eq. 1); called with the tokenizer.
        nodes: Encoder from words to :class:`~glre_pyg.nn.nodes.Nodes` (Section 3.2); called with the width of
            words.
        global_layer: Graph convolution from typed nodes to entities (Eq. 2); called with their width.
        local_layer: Attention over the mentions of head and tail (Eqs. 3-5); called with the widths of
            query entities and of mentions.
        distance: Embedding of signed distances (Eq. 6); called without arguments.
        context_layer: Attention over the target relations of a document (Eq. 7); called with their width.
        classifier: Classifier (Eq. 8); called with the width of its input and the number of logits.
        query: Queries of the local layer: entities after (``"global"``) or before (``"initial"``) graph
            convolution.
        loss: Loss (Eq. 9), which defines the number of logits; called with R.
        bilinear: Whether to add a bilinear map to the logits:
            :math:`[e_a^{glo}; \Delta(\delta_{ab})]^\top W_r [e_b^{glo}; \Delta(\delta_{ba})] + b_r`. It is
            not in the paper; with many relations, the model learns faster.
        shallow: A second model of pairs; called with the number of logits, and whether there are an ontology
            and parses. None, as in the paper, for none.
        shallow_weight: Weight of its logits; see :class:`~glre_pyg.nn.loss.DeepAndShallow`.
        ontology: Ontology that graphs are annotated with; see :mod:`glre_pyg.data.annotations`.
        parse: Pipeline that graphs are parsed with; likewise.
        features: Layer that appends features to words; called with their width. The paper has none.
    """

    citation = """https://aclanthology.org/2020.emnlp-main.303/

```bibtex
@inproceedings{wang-etal-2020-global,
    title = "Global-to-Local Neural Networks for Document-Level Relation Extraction",
    author = "Wang, Difeng and Hu, Wei and Cao, Ermei and Sun, Weijian",
    booktitle = "Proceedings of the 2020 Conference on Empirical Methods in Natural Language Processing",
    year = "2020",
    pages = "3711--3721",
    doi = "10.18653/v1/2020.emnlp-main.303",
}
```"""

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
        context_layer: Callable[[int], Layer],
        classifier: Callable[[int, int], Classifier],
        query: Literal["global", "initial"],
        loss: Callable[[int], RelationLoss],
        bilinear: bool = False,
        shallow: Callable[[int, bool, bool], ShallowScorer] | None = None,
        shallow_weight: Share = 0.0,
        ontology: str | None = None,
        parse: str | None = None,
        features: Callable[[int], Layer] = NoFeatures,
    ) -> None:
        base = loss(num_relations)
        super().__init__(base if shallow is None else DeepAndShallow(base, shallow_weight))
        self.encoder = encoder(tokenizer)
        self.features = features(self.encoder.out_channels)
        self.nodes = nodes(self.features.out_channels)
        self.global_layer = global_layer(self.nodes.out_channels)
        query_layer = self.global_layer if query == "global" else self.nodes
        self.local_layer = local_layer(query_layer.out_channels, self.nodes.hidden_channels)
        self.distance = distance()
        side = self.global_layer.out_channels + self.local_layer.out_channels + self.distance.out_channels
        self.context_layer = context_layer(2 * side)
        self.classifier = classifier(2 * side + self.context_layer.out_channels, base.num_logits)
        width = self.global_layer.out_channels + self.distance.out_channels
        self.bilinear = Bilinear(width, base.num_logits) if bilinear else None
        has_ontology, has_parse = ontology is not None, parse is not None
        self.shallow = shallow(base.num_logits, has_ontology, has_parse) if shallow else None
        self.query = query
        self.pair_channels = 3 * 2 * side + 4 * self.nodes.hidden_channels

    def document_numbers(self, graph: DocumentGraph) -> int:
        """Return about how many numbers a document needs beside its encoder."""
        numbers = super().document_numbers(graph)
        if self.bilinear is not None:
            rows = graph["entity"].num_nodes + self.distance.table.num_embeddings
            numbers += self.bilinear.num_values(rows)
        return numbers if self.shallow is None else numbers + self.shallow.document_numbers(graph)

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the logits of all candidate pairs [P, loss.num_logits]."""
        words = self.features(self.encoder(batch), batch)  # Eq. 1: [W, ·]
        nodes = self.nodes(words, batch)
        entity = self.global_layer(nodes.typed, batch.edge_index_dict)  # Eq. 2: [E, ·]
        query = entity if self.query == "global" else nodes.typed["entity"]
        relation = self._target_relations(entity, query, nodes, batch)  # Eqs. 3-6
        context = self.context_layer(relation, documents_of_pairs(batch), sizes_of(batch).pairs)  # Eq. 7
        logits = self.classifier(PairFeatures((relation, context)))  # Eq. 8
        if self.bilinear is not None:
            logits = logits + self.bilinear(*self.distance.append(entity, batch), sizes_of(batch).pairs)
        return logits if self.shallow is None else torch.cat([logits, self.shallow(batch)], dim=-1)

    def _target_relations(
        self, entity: Tensor, query: Tensor, nodes: Nodes, batch: DocumentGraph
    ) -> PairFeatures:
        """Return the target relations :math:`o_r` of all candidate pairs (Eq. 6)."""
        sizes = sizes_of(batch)
        local_head, local_tail = self.local_layer(  # [P, ·] each
            query,
            nodes.mention,
            nodes.sentence,
            batch.pair_index,
            batch["mention", "refers_to", "entity"].edge_index,
            batch["mention", "in", "sentence"].edge_index,
            (sizes.head_mentions, sizes.tail_mentions),
        )
        (head, head_distance), (tail, tail_distance) = self.distance.append(entity, batch)
        return PairFeatures((head, local_head, head_distance, tail, local_tail, tail_distance))
