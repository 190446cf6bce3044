"""Type and entity number of each word, which several models read (Yao et al., ACL 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.utils import scatter

from glre_pyg.data.batch import sizes_of
from glre_pyg.data.graph import DocumentGraph, documents_of_nodes, word_counts
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.nodes import words_of_spans
from glre_pyg.utils.ranges import PositiveInt


class MentionFeatures(Layer):
    """Words, and embeddings of the type and the number of the entity that they mention; 0 for other words.

    Entities are numbered by their first mention in the text, not by their index in the graph, and entities
    that begin with the same word have the same number. In training, the numbers of each document are
    permuted, so that nothing can be learnt from the order.

    Here: a word in several mentions has the sum of their embeddings.

    Args:
        in_channels: Width of the words.
        type_channels: Width of the type embeddings.
        number_channels: Width of the number embeddings.
        max_types: Number of type embeddings, at least the number of entity types of the corpus.
        max_entities: Number of number embeddings; further entities of a document share the last.

    Shape:
        Words [W, in_channels] and their batch to [W, in_channels + type_channels + number_channels].
    """

    def __init__(
        self,
        in_channels: int,
        *,
        type_channels: PositiveInt,
        number_channels: PositiveInt,
        max_types: PositiveInt,
        max_entities: PositiveInt,
    ) -> None:
        super().__init__()
        self.types = nn.Embedding(max_types, type_channels)
        self.entity_numbers = nn.Embedding(max_entities, number_channels)
        self.out_channels = in_channels + type_channels + number_channels

    def forward(self, words: Tensor, batch: DocumentGraph) -> Tensor:
        """Return the words of a batch with their features [W, out_channels]."""
        mention, entity = batch["mention", "refers_to", "entity"].edge_index
        number = entity_numbers(batch, permuted=self.training).clamp(
            max=self.entity_numbers.num_embeddings - 1
        )
        kind = self.types(batch["mention"].type.index_select(0, mention))
        rows = torch.cat([kind, self.entity_numbers(number.index_select(0, entity))], dim=-1)
        span = batch["mention"].span.index_select(0, mention)
        return torch.cat([words, _at_words(rows, span, batch, len(words))], dim=-1)


class NoFeatures(Layer):
    """Words as they are, without types and numbers."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.out_channels = in_channels

    def forward(self, words: Tensor, batch: DocumentGraph) -> Tensor:
        """Return the words."""
        return words


def types_of_words(types: nn.Embedding, batch: DocumentGraph, num_words: int) -> Tensor:
    """Return the sum of the type embeddings of the mentions that each word is in [W, d]."""
    return _at_words(types(batch["mention"].type), batch["mention"].span, batch, num_words)


def _at_words(rows: Tensor, span: Tensor, batch: DocumentGraph, num_words: int) -> Tensor:
    """Return the sum of the rows [M, d] of the mentions that each word is in [W, d], given their words."""
    word, index = words_of_spans(span, sizes_of(batch).mention_words)
    return rows.new_zeros(num_words, rows.size(1)).index_add(0, word, rows.index_select(0, index))


def entity_numbers(batch: DocumentGraph, *, permuted: bool) -> Tensor:
    """Return the number of each entity in its document [E], from 0: see :class:`MentionFeatures`.

    Args:
        batch: The batch.
        permuted: Whether the numbers of each document are in random order.
    """
    mention, entity = batch["mention", "refers_to", "entity"].edge_index
    count = batch["entity"].num_nodes
    start = batch["mention"].span[:, 0].index_select(0, mention)
    first = scatter(start, entity, dim_size=count, reduce="min")  # ascends with the documents
    document = documents_of_nodes(batch, "entity")
    if not permuted:
        return _ranks(first, document)
    random = torch.rand(sum(word_counts(batch)), dtype=torch.double, device=first.device)
    return _ranks(document + random.index_select(0, first), document)


def _ranks(key: Tensor, document: Tensor) -> Tensor:
    """Return the rank of each key among the different keys of its document, where keys ascend with documents.

    >>> _ranks(torch.tensor([7, 3, 7, 9]), torch.tensor([0, 0, 0, 1])).tolist()
    [1, 0, 1, 0]
    """
    order = key.argsort()
    is_new = torch.ones_like(order)
    is_new[1:] = (key[order].diff() != 0).long()
    rank = torch.empty_like(order).scatter_(0, order, is_new.cumsum(0))
    return rank - scatter(rank, document, reduce="min").index_select(0, document)
