"""Baselines of DocRED: a CNN, an LSTM, a BiLSTM, and a context-aware BiLSTM (Yao et al., ACL 2019)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from glre_pyg.data.batch import sizes_of
from glre_pyg.data.graph import DocumentGraph, documents_of_pairs, word_counts
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.bilinear import Bilinear
from glre_pyg.nn.convolution import Convolution
from glre_pyg.nn.distance import DistanceEmbedding
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.loss import RelationLoss
from glre_pyg.nn.pairs import PairFeatures
from glre_pyg.nn.pooling import mean_of_mentions
from glre_pyg.nn.recurrent import LSTM
from glre_pyg.utils.ranges import PositiveInt


class SequenceModel(RelationModel):
    r"""Words with type and entity number, a sequence layer, and a bilinear classifier.

    .. math:: y_r = \mathrm{sigmoid}([e_i; E(d_{ij})]^\top W_r [e_j; E(d_{ji})] + b_r)

    An entity is the mean of its mentions, which are means of their words; :math:`d` is the distance between
    first mentions. With a context layer, a pair also attends to the other pairs of its document, as in the
    model of Sorokin and Gurevych (2017), and the classifier is linear.

    Args:
        tokenizer: Tokenizer of the graphs.
        num_relations: Number of relations R.
        encoder: Encoder from a batch to words; called with the tokenizer.
        features: Layer that appends features to words; called with their width.
        sequence: Layer over the words of a document; called with its input width.
        channels: Width of the projection of words after it.
        distance: Embedding of signed distances; called without arguments.
        context_layer: Attention over the pairs of a document, called with their width; None for none.
        loss: Loss, which defines the number of logits; called with R.
    """

    citation = (
        "Yuan Yao, Deming Ye, Peng Li, Xu Han, Yankai Lin, Zhenghao Liu, Zhiyuan Liu, Lixin Huang, Jie Zhou "
        "and Maosong Sun: DocRED: A Large-Scale Document-Level Relation Extraction Dataset. ACL 2019. "
        "https://aclanthology.org/P19-1074"
    )

    def __init__(
        self,
        tokenizer: Tokenizer,
        num_relations: int,
        *,
        encoder: Callable[[Tokenizer], Layer],
        features: Callable[[int], Layer],
        sequence: Callable[[int], LSTM | Convolution],
        channels: PositiveInt,
        distance: Callable[[], DistanceEmbedding],
        context_layer: Callable[[int], Layer] | None,
        loss: Callable[[int], RelationLoss],
    ) -> None:
        super().__init__(loss(num_relations))
        self.encoder = encoder(tokenizer)
        self.features = features(self.encoder.out_channels)
        self.sequence = sequence(self.features.out_channels)
        self.project = nn.Linear(self.sequence.out_channels, channels)
        self.distance = distance()
        side, outputs = channels + self.distance.out_channels, self.loss.num_logits
        self.context_layer = context_layer(2 * side) if context_layer else None
        self.classifier: nn.Module = (
            nn.Linear(2 * side + self.context_layer.out_channels, outputs)
            if self.context_layer
            else Bilinear(side, outputs)
        )
        self.pair_channels = (4 * side if context_layer else 0) + 2 * outputs

    def document_numbers(self, graph: DocumentGraph) -> int:
        """Return about how many numbers a document needs in prediction beside its words and its encoder."""
        numbers = super().document_numbers(graph)
        if not isinstance(self.classifier, Bilinear):
            return numbers
        rows = graph["entity"].num_nodes + self.distance.table.num_embeddings
        return numbers + self.classifier.num_values(rows)

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the logits of all candidate pairs [P, loss.num_logits]."""
        words = self.features(self.encoder(batch), batch)  # [W, ·]
        words = torch.relu(self.project(self.sequence(words, word_counts(batch))))
        _, entity = mean_of_mentions(words, batch)  # [E, ·]
        head, tail = self.distance.append(entity, batch)
        if self.context_layer is None:
            return self.classifier(head, tail, sizes_of(batch).pairs)
        pair = PairFeatures((*head, *tail)).dense()  # [P, ·]
        context = self.context_layer(pair, documents_of_pairs(batch), sizes_of(batch).pairs)
        return self.classifier(torch.cat([pair, context], dim=-1))
