"""Section 3.2: initial vectors of mention, entity and sentence nodes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag, pad
from torch_geometric.utils import cumsum, scatter

from glre_pyg.data.batch import sizes_of
from glre_pyg.data.graph import IN_DOCUMENT, NODE_TYPES, DocumentGraph
from glre_pyg.nn.layer import Layer
from glre_pyg.utils.ranges import PositiveInt


@dataclass(frozen=True)
class Nodes:
    """Node vectors before graph convolution, without and with type embeddings.

    Args:
        mention: Mentions [M, d].
        entity: Entities [E, d].
        sentence: Sentences [S, d].
        typed: Nodes with type embeddings, by node type: [M, d + t], [E, d + t], [S, d + t]. In hierarchical
            graphs, also documents [B, d + t].
    """

    mention: Tensor
    entity: Tensor
    sentence: Tensor
    typed: dict[str, Tensor]


class NodeEncoder(Layer):
    r"""Initial node vectors: means of the words of mentions and sentences, and of the mentions of entities.

    .. math::
        n_{m_i} = [\mathrm{avg}_{w_j \in m_i}(h_j); t_m], \quad
        n_{e_i} = [\mathrm{avg}_{m_j \in e_i}(m_j); t_e], \quad
        n_{s_i} = [\mathrm{avg}_{w_j \in s_i}(h_j); t_s]

    Paper: an entity is the mean of mention nodes with type embeddings. Here: of mentions without them, as in
    the released code, so that all nodes have the same width. Here also: a linear layer from the encoder's
    width to ``hidden_channels``, which the paper does not mention. The released code divides sentences by the
    length of the longest sentence of the batch. Here: by their own length. The node of a document, which
    hierarchical graphs have, is the mean of its sentences, with 0 as its type.

    Args:
        in_channels: Width of the words.
        hidden_channels: Width d of the nodes without type embeddings.
        type_channels: Width t of the type embeddings.

    Shape:
        Words [W, in_channels] and their batch to :class:`Nodes`.
    """

    def __init__(self, in_channels: int, *, hidden_channels: PositiveInt, type_channels: PositiveInt) -> None:
        super().__init__()
        self.linear = nn.Linear(in_channels, hidden_channels)
        self.node_type = nn.Embedding(len(NODE_TYPES), type_channels)
        self.hidden_channels: int = hidden_channels
        self.out_channels = hidden_channels + type_channels

    def forward(self, words: Tensor, batch: DocumentGraph) -> Nodes:
        """Return the vectors of all nodes of a batch."""
        mention_index, entity_index = batch["mention", "refers_to", "entity"].edge_index
        # A mean of linear maps is the linear map of the mean, and there are fewer nodes than words.
        mentions = mean_of_spans(words, batch["mention"].span, sizes_of(batch).mention_words)
        sentences = mean_of_spans(words, batch["sentence"].span, len(words))  # sentences cover each word once
        nodes = {"mention": self.linear(mentions), "sentence": self.linear(sentences)}
        count = batch["entity"].num_nodes
        nodes["entity"] = scatter(
            nodes["mention"].index_select(0, mention_index), entity_index, dim_size=count, reduce="mean"
        )
        typed = {
            name: torch.cat([nodes[name], kind.expand(len(nodes[name]), -1)], dim=-1)
            for name, kind in zip(NODE_TYPES, self.node_type.weight, strict=True)
        }
        if "document" in batch.node_types:
            (sentence, document), count = batch[IN_DOCUMENT[0]].edge_index, batch["document"].num_nodes
            mean = scatter(nodes["sentence"][sentence], document, dim_size=count, reduce="mean")
            typed["document"] = pad(mean, (0, self.node_type.embedding_dim))
        return Nodes(**nodes, typed=typed)


def mean_of_spans(words: Tensor, span: Tensor, total: int | None = None) -> Tensor:
    """Return the mean [N, d] of the words of each span; 0 for an empty span.

    Args:
        words: Words [W, d].
        span: Words ``[start, end)`` of each span [N, 2].
        total: Total number of words of all spans; by default computed, which synchronizes with the device.
    """
    inside, _ = words_of_spans(span, total)
    return embedding_bag(inside, words, cumsum(span[:, 1] - span[:, 0])[:-1], mode="mean")


def distance_to_span(word: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Return how many words a word is after a span ``[start, end)``: 0 inside, negative before it."""
    return (word - start).clamp(max=0) + (word - end + 1).clamp(min=0)


def words_of_spans(span: Tensor, total: int | None = None) -> tuple[Tensor, Tensor]:
    """Return the words of each span, and the span of each of them; both ascend with the spans.

    Args:
        span: Words ``[start, end)`` of each span [N, 2].
        total: Total number of words of all spans; by default computed, which synchronizes with the device.
    """
    sizes = span[:, 1] - span[:, 0]
    index = torch.arange(len(span), device=span.device).repeat_interleave(sizes, output_size=total)
    offset = (span[:, 0] - cumsum(sizes)[:-1]).index_select(0, index)
    return torch.arange(len(index), device=span.device) + offset, index
