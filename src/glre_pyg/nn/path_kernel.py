"""The all-paths graph kernel of two mentions, as explicit features (Airola et al., 2008)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import torch
from torch import Tensor

from glre_pyg.nn.hashed_features import combined
from glre_pyg.nn.instance_graphs import GraphFeatures, InstanceGraphs, Part
from glre_pyg.utils.ranges import PositiveFloat, PositiveInt, Rate

_ON_PATH, _OFF_PATH = range(5, 7)


class AllPaths(GraphFeatures):
    r"""Features of instances whose inner product is the all-paths graph kernel.

    .. math::
        k(G', G'') = \sum_{i,j} G'_{ij} G''_{ij}, \quad G = L W L^\top, \quad
        W = \sum_{n=1}^{\infty} A^n = (I - A)^{-1} - I

    *A* has the weights of edges, *L* the labels of vertices: :math:`G_{ij}` is the weight of all paths from a
    vertex with label *i* to one with label *j*. A graph has two parts. In the first, words and dependencies
    are vertices; edges lead from a word to the dependencies on it, and from a dependency to its word. Those
    on the shortest path between the two mentions weigh 0.9, others 0.3; labels say whether a vertex is on it.
    In the second, edges of weight 0.9 lead from each word to the next; labels say whether a word is before,
    between or after the mentions.

    The labels of a word are its text and its part of speech. In place of its text, a word of the two entities
    has their types and whose word it is, and a word of another mention has its type.

    Features are exact but for collisions of hashes and paths that weigh less than ``least_weight``: there is
    one path between two vertices at most. Here: an instance has all sentences from one mention to the other,
    joined at their roots. If these have more than ``max_words`` words, it has the two sentences alone, joined
    if there is nothing between them, and of these no words further than half as many from the mention.

    Args:
        path_weight: Weight of edges on the shortest path, and from a word to the next.
        other_weight: Weight of other edges.
        least_weight: Smallest weight of a path.
        max_words: Number of words beyond which an instance has the two sentences alone.
    """

    def __init__(
        self, *, path_weight: Rate, other_weight: Rate, least_weight: PositiveFloat, max_words: PositiveInt
    ) -> None:
        super().__init__(max_words)
        self.path_weight, self.other_weight, self.least_weight = path_weight, other_weight, least_weight

    def parts(self, graphs: InstanceGraphs) -> Iterator[Part]:
        """Yield the features of graphs: those of trees, then those of the order of words."""
        yield from self._tree_features(graphs)
        yield from self._line_features(graphs)

    def _tree_features(self, graphs: InstanceGraphs) -> Iterator[Part]:
        """Yield the features of the first part, whose vertices are N words, then the dependency of each."""
        words, parent = graphs.words, graphs.parent
        word, linked = torch.arange(len(parent), device=parent.device), parent >= 0
        on_path = torch.stack([words.on_path, linked & words.on_path & words.on_path[parent]])
        mark = torch.where(on_path, _ON_PATH, _OFF_PATH)  # [2, N]: of words, and of dependencies
        first = torch.cat([combined(graphs.text, mark[0]), combined(graphs.dependency, mark[1])])
        second = torch.cat([combined(graphs.pos, mark[0]), torch.zeros_like(word)])
        above = torch.cat([torch.where(linked, word + len(word), -1), parent])  # [2N]
        weight = torch.where(on_path[1], self.path_weight, self.other_weight).repeat(2)
        row, target = words.row.repeat(2), torch.arange(len(above), device=word.device)
        source, total = target, torch.ones_like(weight)
        while len(target):
            source, total = above[source], total * weight[source]
            kept = (source >= 0) & (total >= self.least_weight)
            row, source, target, total = row[kept], source[kept], target[kept], total[kept]
            yield from _products([first, second], row, source, target, total)

    def _line_features(self, graphs: InstanceGraphs) -> Iterator[Part]:
        """Yield the features of the second part, whose vertices are words."""
        row, word, side = graphs.words.row, graphs.words.word, graphs.words.side
        labels = [combined(label, side) for label in (graphs.text, graphs.pos)]
        weight, step = self.path_weight, 1
        while weight >= self.least_weight:
            follows = (row[step:] == row[:-step]) & (word[step:] - word[:-step] == step)
            source = follows.nonzero().squeeze(1)
            if not len(source):
                return
            total = torch.full_like(source, weight, dtype=torch.float)
            yield from _products(labels, row[source], source, source + step, total)
            weight, step = weight * self.path_weight, step + 1


def _products(
    labels: Sequence[Tensor], row: Tensor, source: Tensor, target: Tensor, weight: Tensor
) -> Iterator[Part]:
    """Yield a feature for each label of the first and each of the last vertex of paths; 0 is no label."""
    for start, end in product(labels, labels):
        one, other = start[source], end[target]
        index = ((one != 0) & (other != 0)).nonzero().squeeze(1)
        yield row[index], combined(one[index], other[index]), weight[index]
