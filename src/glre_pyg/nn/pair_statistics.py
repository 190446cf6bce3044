"""How often, where and how closely the two entities of a pair are mentioned."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag
from torch_geometric.utils import scatter

from glre_pyg.data.batch import sizes_of
from glre_pyg.data.graph import DocumentGraph, documents_of_nodes
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.local import all_mention_pairs, target_of_mentions
from glre_pyg.utils.ranges import PositiveInt

_BINS = 8
"""Number of bins of a number: 0, 1, 2, 3, 4-5, 6-8, 9-12 and more, or of powers of two."""


class PairStatistics(Layer):
    r"""Embedding of how often, where and how closely the two entities of a pair are mentioned.

    .. math:: s_{ab} = \sum_k T_k[\mathrm{bin}_k(a, b)]

    Means over mentions, which the graph is made of, do not tell how many there are. The numbers *k* are, for
    each of the two entities,

    - its mentions, and its sentences;
    - its share of the mentions of the most frequent entity of its type in the document, in quarters;
    - whether it is mentioned in the first sentence, and in the last;

    and for both together, the pairs of their mentions in one sentence, and the smallest number of sentences
    and of words between two of their mentions.

    Not in the paper. All are invariant to the order of entities and mentions.

    Args:
        channels: Width of the embedding.

    Shape:
        Batch to [P, channels].
    """

    def __init__(self, *, channels: PositiveInt) -> None:
        super().__init__()
        self.table = nn.Embedding(13 * _BINS, channels)
        nn.init.normal_(self.table.weight, std=13**-0.5)
        self.out_channels = channels

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the embeddings of the candidate pairs [P, channels]."""
        of_entity = torch.stack(_numbers_of_entities(batch), dim=1)  # [E, 5]
        head, tail = batch.pair_index
        bins = torch.cat(
            [of_entity[head], of_entity[tail], torch.stack(_numbers_of_pairs(batch), dim=1)], dim=1
        )
        offset = _BINS * torch.arange(bins.size(1), device=bins.device)
        return embedding_bag(bins + offset, self.table.weight, mode="sum")


def _numbers_of_entities(batch: DocumentGraph) -> list[Tensor]:
    """Return the bins of the numbers of each entity [E]."""
    count = batch["entity"].num_nodes
    mentions = torch.bincount(batch["mention", "refers_to", "entity"].edge_index[1], minlength=count)
    entity, sentence = batch["entity", "in", "sentence"].edge_index
    sentences = torch.bincount(entity, minlength=count)
    document, kind = documents_of_nodes(batch, "entity"), batch["entity"].type
    group = document * (kind.max() + 1 if len(kind) else 1) + kind
    most = scatter(mentions, group, reduce="max")[group]
    sizes = torch.tensor(sizes_of(batch).sentences, device=sentence.device)
    last = sizes.cumsum(0) - 1
    of_edge = document[entity]
    first_or_last = torch.stack([sentence == (last - sizes + 1)[of_edge], sentence == last[of_edge]])
    places = scatter(first_or_last.long(), entity, dim=1, dim_size=count, reduce="max")
    return [_bins(mentions), _bins(sentences), 4 * mentions // most, *places]


def _numbers_of_pairs(batch: DocumentGraph) -> list[Tensor]:
    """Return the bins of the numbers of each pair [P]."""
    pair, head, tail = all_mention_pairs(batch)
    count = batch.pair_index.size(1)
    sentence = target_of_mentions(batch["mention", "in", "sentence"].edge_index)
    start, end = batch["mention"].span.t()
    sentences = (sentence[head] - sentence[tail]).abs()
    words = torch.maximum(start[head] - end[tail], start[tail] - end[head]).clamp(min=0)
    together = scatter((sentences == 0).long(), pair, dim_size=count, reduce="sum")
    nearest = [scatter(number, pair, dim_size=count, reduce="min") for number in (sentences, words)]
    powers = 2 ** torch.arange(1, _BINS, device=pair.device)
    return [_bins(together), _bins(nearest[0]), torch.bucketize(nearest[1], powers, right=True)]


def _bins(number: Tensor) -> Tensor:
    """Return the bins of numbers.

    >>> _bins(torch.tensor([0, 1, 2, 3, 4, 5, 6, 9, 13, 99])).tolist()
    [0, 1, 2, 3, 4, 4, 5, 6, 7, 7]
    """
    edges = torch.tensor([1, 2, 3, 4, 6, 9, 13], device=number.device)
    return torch.bucketize(number, edges, right=True)
