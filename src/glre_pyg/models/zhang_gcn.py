"""C-GCN: graph convolution over pruned dependency trees (Zhang et al., EMNLP 2018)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from glre_pyg.data.graph import DocumentGraph, word_counts
from glre_pyg.data.parser import UPOS
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.dependency_paths import TreeConvolution, max_of_nodes, path_nodes
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.loss import RelationLoss
from glre_pyg.nn.mention_features import types_of_words
from glre_pyg.nn.recurrent import LSTM
from glre_pyg.utils.ranges import NonNegativeInt, PositiveInt, Rate


class CGCN(RelationModel):
    r"""Contextualized graph convolution over the words around the dependency path of a pair.

    .. math::
        h_{sent} = f(h^{(L)}), \quad h_s = f(h^{(L)}_{s_1:s_2}), \quad h_o = f(h^{(L)}_{o_1:o_2}), \quad
        h_{final} = FFNN([h_{sent}; h_s; h_o])

    A word is the output of a BiLSTM over its vector and embeddings of its part of speech and of the type
    that it mentions; :math:`f` is the maximum, over all words of the tree, and over those of each entity.

    Paper: sentences, with two mentions. Here: the trees of a document are joined at their roots, in the order
    of the sentences; the path is that between the closest mentions, and those of the entities that lie in the
    tree are pooled. Both directions of a pair share the convolutions. The loss is that of all models in place
    of a softmax, without the L2 penalty of the released code on the pooled vectors.

    Args:
        tokenizer: Tokenizer of the graphs.
        num_relations: Number of relations R.
        encoder: Encoder from a batch to words; called with the tokenizer.
        parse: Pipeline that graphs are parsed with; see :mod:`glre_pyg.data.annotations`.
        pos_channels: Width of the embedding of parts of speech.
        type_channels: Width of the embedding of types.
        max_types: Number of type embeddings, at least the number of entity types of the corpus.
        sequence: BiLSTM; called with its input width.
        channels: Width of the graph convolutions and the classifier.
        num_layers: Number L of graph convolutions.
        prune: Distance K of words from the path.
        dropout: Dropout rate of the input, and before each graph convolution.
        loss: Loss, which defines the number of logits; called with R.
        tags: Whether the parse adds parts of speech; without them, all words have the same.
    """

    citation = (
        "Yuhao Zhang, Peng Qi and Christopher D. Manning: Graph Convolution over Pruned Dependency Trees "
        "Improves Relation Extraction. EMNLP 2018. https://aclanthology.org/D18-1244"
    )

    def __init__(
        self,
        tokenizer: Tokenizer,
        num_relations: int,
        *,
        encoder: Callable[[Tokenizer], Layer],
        parse: str,
        pos_channels: PositiveInt,
        type_channels: PositiveInt,
        max_types: PositiveInt,
        sequence: Callable[[int], LSTM],
        channels: PositiveInt,
        num_layers: PositiveInt,
        prune: NonNegativeInt,
        dropout: Rate,
        loss: Callable[[int], RelationLoss],
        tags: bool = False,
    ) -> None:
        super().__init__(loss(num_relations))
        self.encoder = encoder(tokenizer)
        self.pos = nn.Embedding(len(UPOS), pos_channels)
        self.types = nn.Embedding(max_types, type_channels)
        self.sequence = sequence(self.encoder.out_channels + pos_channels + type_channels)
        widths = [self.sequence.out_channels, *[channels] * num_layers]
        self.convolutions = nn.ModuleList(map(TreeConvolution, widths[:-1], widths[1:]))
        self.dropout, self.prune = nn.Dropout(dropout), prune
        self.classifier = nn.Sequential(
            nn.Linear(3 * channels, channels),
            nn.ReLU(),
            nn.Linear(channels, channels),
            nn.ReLU(),
            nn.Linear(channels, self.loss.num_logits),
        )
        self.node_channels = sum(widths)

    def document_numbers(self, graph: DocumentGraph) -> int:
        """Return about how many numbers a document needs beside its encoder, for ancestors and paths."""
        words, pairs = len(graph.words), _undirected(graph.pair_index, graph["entity"].num_nodes)[0].size(1)
        return words**2 // 2 + 8 * pairs * words + 20 * pairs * self.node_channels

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the logits of all candidate pairs [P, loss.num_logits]."""
        pairs, number, turned = _undirected(batch.pair_index, batch["entity"].num_nodes)
        nodes = path_nodes(batch, pairs, distance=self.prune)
        words = self.encoder(batch)  # [W, ·]
        types = types_of_words(self.types, batch, len(words))
        words = self.dropout(torch.cat([words, self.pos(batch.pos), types], dim=-1))
        x = self.dropout(self.sequence(words, word_counts(batch)))  # [W, ·]
        neighbours, start = nodes.neighbours()
        index = nodes.word.index_select(0, neighbours)
        for layer, convolution in enumerate(self.convolutions, 1):
            x = convolution(x, index, start)  # [N, ·]
            if layer < len(self.convolutions):  # a maximum over dropped nodes would be higher in training
                x, index = self.dropout(x), neighbours
        count = pairs.size(1)
        sentence = max_of_nodes(x, nodes.pair, count).index_select(0, number)
        inside = (mask.nonzero().flatten() for mask in (nodes.in_head, nodes.in_tail))
        ends = torch.cat([max_of_nodes(x[rows], nodes.pair[rows], count) for rows in inside])
        head, tail = (ends.index_select(0, number + count * end) for end in (turned, 1 - turned))
        logits: Tensor = self.classifier(torch.cat([sentence, head, tail], dim=-1))
        return logits


def _undirected(pairs: Tensor, num_entities: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return pairs without regard to direction [2, U], which have the same path in both.

    Returns:
        These pairs [2, U], the number of each pair among them [P], and 1 for the pairs that are the other way
        round there, otherwise 0 [P].
    """
    low, high = pairs.sort(0).values
    key, number = (low * num_entities + high).unique(return_inverse=True)
    return torch.stack([key // num_entities, key % num_entities]), number, (pairs[0] > pairs[1]).long()
