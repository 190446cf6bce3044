"""Instances: the pairs of mentions that models of single sentences classify."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.utils import scatter

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.nn.dependency_paths import DocumentTree, heads_of_mentions
from glre_pyg.nn.hashed_features import Features
from glre_pyg.nn.local import all_mention_pairs


@dataclass(frozen=True)
class MentionPairs:
    """Pairs of mentions of the two entities of candidate pairs: the instances I of a batch.

    Args:
        pair: Candidate pair of each instance [I], ascending; there is an instance of each.
        mentions: Mention of its head entity, and of its tail entity [2, I].
        head: Syntactic head of the first mention [I].
        tail: Syntactic head of the second mention [I].
        together: Whether both are in the same sentence [I].
    """

    pair: Tensor
    mentions: Tensor
    head: Tensor
    tail: Tensor
    together: Tensor

    def select(self, index: Tensor) -> MentionPairs:
        """Return some of the instances."""
        head, tail, together = self.head[index], self.tail[index], self.together[index]
        return MentionPairs(self.pair[index], self.mentions[:, index], head, tail, together)


Extract = Callable[[DocumentGraph, DocumentTree, MentionPairs], Iterable[Features]]
"""Returns features of instances of a batch, some instances at a time."""


def mention_pairs(batch: DocumentGraph, tree: DocumentTree) -> MentionPairs:
    """Return the mentions of each pair that share a sentence, or else those that are closest in the text.

    Mentions with the same syntactic head, one within the other, are instances of a pair without others.
    """
    total, top = max(len(tree.depth), 1), heads_of_mentions(batch, tree)
    pair, *of_pair = all_mention_pairs(batch)
    mentions = torch.stack(of_pair)  # [2, ·]
    head, tail = top[mentions]
    sentence = sentences_of_words(batch, torch.stack([head, tail]))
    together = sentence[0] == sentence[1]
    distance = torch.where(together & (head != tail), -1, ((head - tail).abs() - 1) % total)
    nearest = scatter(distance, pair, dim_size=batch.pair_index.size(1), reduce="min")
    near = (distance == nearest[pair]).nonzero().squeeze(1)
    return MentionPairs(pair, mentions, head, tail, together).select(near)


def per_batch(extract: Extract) -> Callable[[DocumentGraph], Iterable[Features]]:
    """Return a function from a batch to the features of its instances."""

    def features(batch: DocumentGraph) -> Iterable[Features]:
        tree = DocumentTree(batch)
        return extract(batch, tree, mention_pairs(batch, tree))

    return features


def sentences_of_words(batch: DocumentGraph, word: Tensor) -> Tensor:
    """Return the sentence of each word [·]; sentences cover all words, in order."""
    return torch.searchsorted(batch["sentence"].span[:, 1].contiguous(), word, right=True)


def instance_numbers(graph: DocumentGraph) -> tuple[int, int]:
    """Return about how many instances a document has, and how many numbers it takes to find them."""
    words, pairs = len(graph.words), graph.pair_index.size(1)
    mentions = torch.bincount(
        graph["mention", "refers_to", "entity"].edge_index[1], minlength=graph["entity"].num_nodes
    )
    head, tail = mentions[graph.pair_index]
    instances = pairs + graph["mention", "co_occurs", "mention"].edge_index.size(1)
    return instances, words**2 // 2 + 16 * int((head * tail).sum()) + instances * words // 2
