"""Hierarchical inference network, HIN (Tang et al., PAKDD 2020)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.classifier import Classifier
from glre_pyg.nn.distance import DistanceEmbedding
from glre_pyg.nn.hierarchical_inference import DocumentInference, EntityInference, SentenceInference
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.loss import RelationLoss
from glre_pyg.nn.mention_features import NoFeatures
from glre_pyg.nn.pooling import mean_of_mentions
from glre_pyg.utils.ranges import PositiveInt


class HierarchicalInference(RelationModel):
    r"""Inference at the levels of entities, sentences and the document.

    .. math:: y = \mathrm{sigmoid}(\mathrm{FFNN}([I_e; I_d]))

    An entity is the mean of its mentions, which are means of their words. :math:`I_e` is the output of
    :class:`~glre_pyg.nn.hierarchical_inference.EntityInference`, and :math:`I_d` of
    :class:`~glre_pyg.nn.hierarchical_inference.DocumentInference`.

    Paper: an LSTM reads word vectors with embeddings of entity types and coreference. Here: they are
    appended to the words of any encoder, which a linear layer projects to the width of the inference.

    Args:
        tokenizer: Tokenizer of the graphs.
        num_relations: Number of relations R.
        encoder: Encoder from a batch to words; called with the tokenizer.
        channels: Width of words and of inference at each level, even.
        num_subspaces: Number of subspaces for entities.
        subspace_channels: Width of a subspace.
        distance: Embedding of signed distances; called without arguments.
        classifier: Classifier; called with the width of its input and the number of logits.
        loss: Loss, which defines the number of logits; called with R.
        features: Layer that appends features to words; called with their width.
    """

    citation = (
        "Hengzhu Tang, Yanan Cao, Zhenyu Zhang, Jiangxia Cao, Fang Fang, Shi Wang and Pengfei Yin: HIN: "
        "Hierarchical Inference Network for Document-Level Relation Extraction. PAKDD 2020. "
        "https://doi.org/10.1007/978-3-030-47426-3_16"
    )

    def __init__(
        self,
        tokenizer: Tokenizer,
        num_relations: int,
        *,
        encoder: Callable[[Tokenizer], Layer],
        channels: PositiveInt,
        num_subspaces: PositiveInt,
        subspace_channels: PositiveInt,
        distance: Callable[[], DistanceEmbedding],
        classifier: Callable[[int, int], Classifier],
        loss: Callable[[int], RelationLoss],
        features: Callable[[int], Layer] = NoFeatures,
    ) -> None:
        super().__init__(loss(num_relations))
        self.encoder, self.distance = encoder(tokenizer), distance()
        self.features = features(self.encoder.out_channels)
        self.project = nn.Linear(self.features.out_channels, channels)
        self.entity_level = EntityInference(
            channels,
            2 * self.distance.out_channels,
            channels,
            num_subspaces=num_subspaces,
            subspace_channels=subspace_channels,
        )
        self.sentence_level = SentenceInference(channels)
        self.document_level = DocumentInference(channels)
        self.classifier = classifier(channels + self.document_level.out_channels, self.loss.num_logits)
        self.pair_channels = num_subspaces * subspace_channels * (subspace_channels + 6)
        self.sentence_channels = 12 * channels

    def document_numbers(self, graph: DocumentGraph) -> int:
        """Return about how many numbers a document needs beside its encoder: each pair has all sentences."""
        rows = graph.pair_index.size(1) * graph["sentence"].num_nodes
        return super().document_numbers(graph) + self.sentence_channels * rows

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the logits of all candidate pairs [P, loss.num_logits]."""
        words = torch.relu(self.project(self.features(self.encoder(batch), batch)))  # [W, ·]
        _, entity = mean_of_mentions(words, batch)  # [E, ·]
        distance = torch.cat([self.distance(d) for d in (batch.pair_distance, -batch.pair_distance)], dim=-1)
        entity_level = self.entity_level(entity, batch.pair_index, distance)  # [P, ·]
        sentences, counts = self.sentence_level(entity_level, words, batch)
        document_level = self.document_level(entity_level, sentences, counts)  # [P, ·]
        return self.classifier(torch.cat([entity_level, document_level], dim=-1))
