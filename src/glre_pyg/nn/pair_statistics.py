"""How often, where and how closely the two entities of a pair are mentioned."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag
from torch_geometric.utils import cumsum, scatter

from glre_pyg.data.batch import sizes_of
from glre_pyg.data.graph import DocumentGraph, documents_of_nodes, word_counts
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.local import all_mention_pairs, target_of_mentions
from glre_pyg.utils.ranges import PositiveInt

_NUMBERS, _BINS = 13, 8
"""Number of numbers of a pair, and of bins of each."""


class PairStatistics(Layer):
    r"""Embedding of how often, where and how closely the two entities of a pair are mentioned.

    .. math:: s_{ab} = \sum_k T_k[\mathrm{bin}_k(a, b)] + H[\mathrm{type}(a)] + T[\mathrm{type}(b)]

    Means over mentions and words, which the graph is made of, do not tell how many there are, or where. The
    numbers *k* are, for each of the two entities,

    - its mentions, and their share of those of the most frequent entity of its type in the document;
    - the places of its first and of its last mention: the first sentence, or a seventh of the document;
    - the entities of its type in the document;

    and for both together, the pairs of their mentions in one sentence, and the smallest number of sentences
    and of words between two of their mentions.

    Not in the paper. The order of entities and of mentions does not matter.

    Args:
        channels: Width of the embedding.
        max_types: Number of embeddings of types, at least the number of entity types of the corpus.

    Shape:
        Batch to [P, channels].
    """

    def __init__(self, *, channels: PositiveInt, max_types: PositiveInt) -> None:
        super().__init__()
        self.head_types, self.tail_types = (nn.Embedding(max_types, channels) for _ in range(2))
        self.table = nn.Embedding(_NUMBERS * _BINS, channels)
        for table in (self.table, self.head_types, self.tail_types):
            nn.init.normal_(table.weight, std=_NUMBERS**-0.5)
        self.out_channels = channels

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the embeddings of the candidate pairs [P, channels]."""
        head, tail = _bins_of_entities(batch)[batch.pair_index]
        bins = torch.cat([head, tail, _bins_of_pairs(batch)], dim=1)  # [P, _NUMBERS]
        offset = _BINS * torch.arange(_NUMBERS, device=bins.device)
        numbers = embedding_bag(bins + offset, self.table.weight, mode="sum")
        kind = batch["entity"].type[batch.pair_index].clamp(max=self.head_types.num_embeddings - 1)
        return numbers + self.head_types(kind[0]) + self.tail_types(kind[1])


def _bins_of_entities(batch: DocumentGraph) -> Tensor:
    """Return the bins of the numbers of each entity [E, 5]."""
    count, kind = batch["entity"].num_nodes, batch["entity"].type
    group = documents_of_nodes(batch, "entity") * (max(kind.tolist(), default=0) + 1) + kind
    mention, entity = batch["mention", "refers_to", "entity"].edge_index
    mentions = torch.bincount(entity, minlength=count)
    most = scatter(mentions, group, reduce="max")[group]
    place = _places(batch)[mention]
    first, last = (scatter(place, entity, dim_size=count, reduce=reduce) for reduce in ("min", "max"))
    entities = torch.bincount(group)[group]
    share = (_BINS - 1) * mentions // most
    return torch.stack([_bins(mentions), share, first, last, _bins(entities)], dim=1)


def _places(batch: DocumentGraph) -> Tensor:
    """Return the place of each mention [M]: 0 in the first sentence, else 1 plus the seventh it begins in."""
    counts, sentences = batch.pair_index.new_tensor([word_counts(batch), sizes_of(batch).sentences])
    document, start = documents_of_nodes(batch, "mention"), batch["mention"].span[:, 0]
    place = 1 + (_BINS - 1) * (start - cumsum(counts)[document]) // counts[document]
    sentence = target_of_mentions(batch["mention", "in", "sentence"].edge_index)
    return torch.where(sentence == cumsum(sentences)[document], 0, place)


def _bins_of_pairs(batch: DocumentGraph) -> Tensor:
    """Return the bins of the numbers of each pair [P, 3]."""
    pair, head, tail = all_mention_pairs(batch)
    count = batch.pair_index.size(1)
    sentence = target_of_mentions(batch["mention", "in", "sentence"].edge_index)
    start, end = batch["mention"].span.t()
    sentences = (sentence[head] - sentence[tail]).abs()
    words = torch.maximum(start[head] - end[tail], start[tail] - end[head]).clamp(min=0)
    together = scatter((sentences == 0).long(), pair, dim_size=count, reduce="sum")
    near_sentences, near_words = (
        scatter(number, pair, dim_size=count, reduce="min") for number in (sentences, words)
    )
    powers = 2 ** torch.arange(1, _BINS, device=pair.device)
    near_words = torch.bucketize(near_words, powers, right=True)
    return torch.stack([_bins(together), _bins(near_sentences), near_words], dim=1)


def _bins(number: Tensor) -> Tensor:
    """Return the bins of numbers.

    >>> _bins(torch.tensor([0, 1, 2, 3, 4, 5, 6, 9, 13, 99])).tolist()
    [0, 1, 2, 3, 4, 4, 5, 6, 7, 7]
    """
    edges = torch.tensor([1, 2, 3, 4, 6, 9, 13], device=number.device)
    return torch.bucketize(number, edges, right=True)
