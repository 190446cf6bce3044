"""GAIN: graph aggregation and inference network (Zeng et al., EMNLP 2020)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch_geometric.utils import scatter

from glre_pyg.data.graph import DocumentGraph, documents_of_pairs, word_counts
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.classifier import Classifier
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.local import target_of_mentions
from glre_pyg.nn.loss import RelationLoss
from glre_pyg.nn.mention_features import NoFeatures
from glre_pyg.nn.mention_graph import MentionGraph, PathReasoning
from glre_pyg.nn.pooling import mean_of_mentions
from glre_pyg.utils.ranges import PositiveInt


class GAIN(RelationModel):
    r"""Graph of mentions and graph of entities, with reasoning over paths.

    .. math::
        I_{ht} = [e_h; e_t; |e_h - e_t|; e_h \circ e_t; m_{doc}; p_{ht}], \quad
        y = \mathrm{sigmoid}(\mathrm{FFNN}(I_{ht}))

    :math:`e` is the mean of an entity's mentions and :math:`m_{doc}` the document after
    :class:`~glre_pyg.nn.mention_graph.MentionGraph`, and :math:`p_{ht}` is
    :class:`~glre_pyg.nn.mention_graph.PathReasoning`.

    Paper: an LSTM reads word vectors with embeddings of entity types and coreference. Here: they are
    appended to the words of any encoder, which a linear layer with a ReLU projects; the document's node
    begins as the mean of its words. The released code trains on four pairs without a relation for each pair
    with one. Here: on all pairs.

    Args:
        tokenizer: Tokenizer of the graphs.
        num_relations: Number of relations R.
        encoder: Encoder from a batch to words; called with the tokenizer.
        channels: Width of mentions, entities and documents.
        graph: Convolution over mentions and documents; called with that width.
        paths: Attention over paths; called with that width.
        classifier: Classifier; called with the width of its input and the number of logits.
        loss: Loss, which defines the number of logits; called with R.
        features: Layer that appends features to words; called with their width.
    """

    citation = (
        "Shuang Zeng, Runxin Xu, Baobao Chang and Lei Li: Double Graph Based Reasoning for Document-level "
        "Relation Extraction. EMNLP 2020. https://arxiv.org/abs/2009.13752"
    )

    def __init__(
        self,
        tokenizer: Tokenizer,
        num_relations: int,
        *,
        encoder: Callable[[Tokenizer], Layer],
        channels: PositiveInt,
        graph: Callable[[int], MentionGraph],
        paths: Callable[[int], PathReasoning],
        classifier: Callable[[int, int], Classifier],
        loss: Callable[[int], RelationLoss],
        features: Callable[[int], Layer] = NoFeatures,
    ) -> None:
        super().__init__(loss(num_relations))
        self.encoder = encoder(tokenizer)
        self.features = features(self.encoder.out_channels)
        self.project = nn.Linear(self.features.out_channels, channels)
        self.graph, self.paths = graph(channels), paths(channels)
        self.classifier = classifier(5 * channels + self.paths.out_channels, self.loss.num_logits)
        self.pair_channels = 10 * channels + 4 * self.paths.out_channels

    def document_numbers(self, graph: DocumentGraph) -> int:
        """Return about how many numbers a document needs beside its encoder: those of pairs and paths."""
        degree = graph["entity", "in", "sentence"].edge_index.size(1) ** 2
        degree //= max(1, graph["sentence"].num_nodes * graph["entity"].num_nodes)  # entities in a sentence
        paths = graph.pair_index.size(1) * min(degree, graph["entity"].num_nodes)
        return super().document_numbers(graph) + 5 * self.paths.out_channels * paths

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the logits of all candidate pairs [P, loss.num_logits]."""
        words = torch.relu(self.project(self.features(self.encoder(batch), batch)))  # [W, ·]
        mention, _ = mean_of_mentions(words, batch)
        mention, document = self.graph(mention, _documents(words, batch), batch)  # [M, ·], [B, ·]
        index = target_of_mentions(batch["mention", "refers_to", "entity"].edge_index)
        entity = scatter(mention, index, dim_size=batch["entity"].num_nodes, reduce="mean")  # [E, ·]
        head, tail = (entity.index_select(0, index) for index in batch.pair_index)  # [P, ·]
        whole = document.index_select(0, documents_of_pairs(batch))
        path = self.paths(entity, batch)
        return self.classifier(torch.cat([head, tail, (head - tail).abs(), head * tail, whole, path], dim=-1))


def _documents(words: Tensor, batch: DocumentGraph) -> Tensor:
    """Return the mean of the words of each document [B, d]."""
    counts = word_counts(batch)
    sums = torch.stack([document.sum(0) for document in words.split(counts)])
    return sums / words.new_tensor(counts).clamp(min=1)[:, None]
