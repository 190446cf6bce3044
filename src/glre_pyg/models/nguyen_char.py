"""CNN over the words of a document with character-based word vectors (Nguyen and Verspoor, BioNLP 2018)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch_geometric.utils import scatter

from glre_pyg.data.graph import DocumentGraph, documents_of_nodes, documents_of_pairs, word_counts
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.characters import CharacterConvolution
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.local import target_of_mentions
from glre_pyg.nn.loss import RelationLoss
from glre_pyg.nn.nodes import distance_to_span
from glre_pyg.nn.pair_convolution import PairConvolution
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.ranges import PositiveInt, Rate


class CharacterCNN(RelationModel):
    r"""Convolutions over words with positions relative to both entities, and the maximum over the document.

    .. math::
        x_i = [w_i; c_i; p_{i - head}; p_{i - tail}], \quad
        y = W \max_i \mathrm{ReLU}(\mathrm{conv}(x)_i) + b

    :math:`c_i` is made of the characters of a word, by a convolution.

    Here: positions are relative to the nearest mention of an entity; the loss is that of all models in place
    of a softmax.

    Args:
        tokenizer: Tokenizer of the graphs.
        num_relations: Number of relations R.
        encoder: Encoder from a batch to words; called with the tokenizer.
        characters: Number of characters of a word that are read; see :mod:`glre_pyg.data.annotations`.
        character_vectors: Word vectors from characters; called without arguments.
        position_channels: Width of the embedding of a position.
        max_distance: Distance beyond which positions have the same embedding.
        hidden_channels: Width of each convolution.
        kernel_sizes: Number of words of each convolution.
        dropout: Dropout rate of the pooled vector.
        loss: Loss, which defines the number of logits; called with R.
    """

    citation = (
        "Dat Quoc Nguyen and Karin Verspoor: Convolutional neural networks for chemical-disease relation "
        "extraction are improved with character-based word embeddings. BioNLP 2018. "
        "https://aclanthology.org/W18-2314"
    )

    def __init__(
        self,
        tokenizer: Tokenizer,
        num_relations: int,
        *,
        encoder: Callable[[Tokenizer], Layer],
        characters: PositiveInt,
        character_vectors: Callable[[], CharacterConvolution],
        position_channels: PositiveInt,
        max_distance: PositiveInt,
        hidden_channels: PositiveInt,
        kernel_sizes: Sequence[PositiveInt],
        dropout: Rate,
        loss: Callable[[int], RelationLoss],
    ) -> None:
        super().__init__(loss(num_relations))
        self.encoder, self.characters = encoder(tokenizer), character_vectors()
        width = self.encoder.out_channels + self.characters.out_channels
        self.max_distance = max_distance
        self.positions = nn.ModuleList(
            nn.Embedding(2 * max_distance + 1, position_channels) for _ in ("head", "tail")
        )
        widths = (width, position_channels, position_channels)
        self.convolutions = nn.ModuleList(
            PairConvolution(widths, hidden_channels, size) for size in kernel_sizes
        )
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(hidden_channels * len(kernel_sizes), self.loss.num_logits)
        self.hidden_channels, self.num_kernels = hidden_channels, len(kernel_sizes)

    def document_numbers(self, graph: DocumentGraph) -> int:
        """Return about how many numbers a document needs beside its encoder: convolutions of each entity."""
        per_entity = len(graph.words) * self.hidden_channels * self.num_kernels
        return (1 + 2 * graph["entity"].num_nodes) * per_entity + graph["mention"].num_nodes * len(
            graph.words
        )

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the logits of all candidate pairs [P, loss.num_logits]."""
        if "characters" not in batch:
            raise InputError("characters: the model reads characters, and its graphs have none")
        words = torch.cat([self.encoder(batch), self.characters(batch.characters)], dim=-1)
        if not len(words):
            return self.classifier(words.new_zeros(0, self.classifier.in_features))
        counts = word_counts(batch)
        words = pad_sequence(words.split(counts), batch_first=True)  # [B, L, ·]
        place = nearest_positions(batch, words.size(1), self.max_distance)  # [E, L]
        lengths = torch.tensor(counts, device=words.device)[documents_of_nodes(batch, "entity")]
        inside = torch.arange(words.size(1), device=words.device) < lengths[:, None]  # [E, L]
        rows = [words, *(embedding(place) * inside[..., None] for embedding in self.positions)]
        parts = [*zip(rows, (documents_of_pairs(batch), *batch.pair_index), strict=True)]
        exists = inside.index_select(0, batch.pair_index[0])  # [P, L]
        pooled = [convolution(parts, exists) for convolution in self.convolutions]
        return self.classifier(self.dropout(torch.cat(pooled, dim=-1)))


def nearest_positions(batch: DocumentGraph, length: int, max_distance: int) -> Tensor:
    """Return the position of each word relative to the nearest mention of each entity [E, length].

    Positions are counted from 0 for ``max_distance`` words or more before the mention; those in a mention are
    ``max_distance``. Of two mentions that are equally near, the one after the word counts.

    Args:
        batch: The batch.
        length: Number of words of the longest document.
        max_distance: Distance beyond which positions are the same.
    """
    entity = target_of_mentions(batch["mention", "refers_to", "entity"].edge_index)
    counts = torch.tensor(word_counts(batch), device=entity.device)
    first = (counts.cumsum(0) - counts)[documents_of_nodes(batch, "mention")]
    start, end = (batch["mention"].span - first[:, None]).unsqueeze(-1).unbind(1)  # [M, 1]
    word = torch.arange(length, device=entity.device)
    distance = distance_to_span(word, start, end)  # [M, length]
    key = 2 * distance.abs() + (distance > 0)
    nearest = scatter(key, entity, dim_size=batch["entity"].num_nodes, reduce="min")
    signed = torch.where(nearest % 2 == 1, nearest // 2, -(nearest // 2))
    return signed.clamp(-max_distance, max_distance) + max_distance
