"""The all-paths graph kernel of two mentions, as explicit features (Airola et al., 2008)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Self

import torch
from torch import Tensor

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.nn.dependency_paths import DocumentTree
from glre_pyg.nn.hashed_features import Features, combined, hashes
from glre_pyg.nn.instance_words import parts_of_instances, words_of_instances
from glre_pyg.nn.lexical_features import texts_of_words
from glre_pyg.nn.mention_pairs import MentionPairs, words_of_entities
from glre_pyg.utils.ranges import PositiveFloat, PositiveInt, Rate

_ENTITY, _POS, _DEPENDENCY, _ON_PATH, _OFF_PATH = range(2, 7)  # after the numbers of other kinds of labels
_Part = tuple[Tensor, Tensor, Tensor]
"""Instance, hash and value of each feature [N]."""


class AllPaths:
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
        max_words: Maximum number of words of an instance.
    """

    def __init__(
        self, *, path_weight: Rate, other_weight: Rate, least_weight: PositiveFloat, max_words: PositiveInt
    ) -> None:
        self.path_weight, self.other_weight = path_weight, other_weight
        self.least_weight, self.max_words = least_weight, max_words

    def __call__(
        self, batch: DocumentGraph, tree: DocumentTree, instances: MentionPairs
    ) -> Iterator[Features]:
        """Yield the features of the instances of a batch, some instances at a time."""
        words = _Words.of_batch(batch, tree)
        for some, span in parts_of_instances(batch, instances, self.max_words):
            graphs = _Graphs.of_instances(batch, words, some, span)
            parts = [*self._tree_features(graphs), *self._line_features(graphs)]
            row, feature, value = (torch.cat(column) for column in zip(*parts, strict=True))
            yield Features(some.pair, row, feature, value)

    def _tree_features(self, graphs: _Graphs) -> Iterator[_Part]:
        """Yield the features of the first part, whose vertices are N words, then the dependency of each."""
        word = torch.arange(len(graphs.row), device=graphs.row.device)
        linked = graphs.parent >= 0
        on_path = torch.stack([graphs.on_path, linked & graphs.on_path & graphs.on_path[graphs.parent]])
        mark = torch.where(on_path, _ON_PATH, _OFF_PATH)  # [2, N]: of words, and of dependencies
        first = torch.cat([combined(graphs.labels[0], mark[0]), combined(graphs.dependency, mark[1])])
        second = torch.cat([combined(graphs.labels[1], mark[0]), torch.zeros_like(word)])
        above = torch.cat([torch.where(linked, word + len(word), -1), graphs.parent])  # [2N]
        weight = torch.where(on_path[1], self.path_weight, self.other_weight).repeat(2)
        row, target = graphs.row.repeat(2), torch.arange(len(above), device=word.device)
        source, total = target, torch.ones_like(weight)
        while len(target):
            source, total = above[source], total * weight[source]
            kept = (source >= 0) & (total >= self.least_weight)
            row, source, target, total = row[kept], source[kept], target[kept], total[kept]
            yield from _products([first, second], row, source, target, total)

    def _line_features(self, graphs: _Graphs) -> Iterator[_Part]:
        """Yield the features of the second part, whose vertices are words."""
        labels = [combined(label, graphs.side) for label in graphs.labels]
        weight, step = self.path_weight, 1
        while weight >= self.least_weight:
            same = graphs.row[step:] == graphs.row[:-step]
            source = (same & (graphs.word[step:] - graphs.word[:-step] == step)).nonzero().squeeze(1)
            if not len(source):
                return
            total = torch.full_like(source, weight, dtype=torch.float)
            yield from _products(labels, graphs.row[source], source, source + step, total)
            weight, step = weight * self.path_weight, step + 1


def _products(
    labels: Sequence[Tensor], row: Tensor, source: Tensor, target: Tensor, weight: Tensor
) -> Iterator[_Part]:
    """Yield a feature for each label of the first and each of the last vertex of paths; 0 is no label."""
    for start, end in product(labels, labels):
        one, other = start[source], end[target]
        index = ((one != 0) & (other != 0)).nonzero().squeeze(1)
        yield row[index], combined(one[index], other[index]), weight[index]


@dataclass(frozen=True)
class _Words:
    """The words of a batch.

    Args:
        tree: The tree of each document.
        text: Hash of the text of each word [W], or of its type if it is in a mention.
        pos: Hash of its part of speech [W].
        dependency: Hash of the label of its dependency [W].
        of_entity: Whether the word at each position of a document is in a mention of each entity [E, L].
    """

    tree: DocumentTree
    text: Tensor
    pos: Tensor
    dependency: Tensor
    of_entity: Tensor

    @classmethod
    def of_batch(cls, batch: DocumentGraph, tree: DocumentTree) -> Self:
        dependency = hashes(batch.dependency).to(batch.pos.device)
        return cls(
            tree,
            texts_of_words(batch),
            combined(batch.pos, _POS),
            combined(dependency, _DEPENDENCY),
            words_of_entities(batch, tree),
        )


@dataclass(frozen=True)
class _Graphs:
    """The words in the graphs of some instances, N in all.

    Args:
        row: Instance of each word [N], ascending.
        word: The word of the batch [N], ascending in each instance.
        parent: Word that it depends on, as one of these [N]; -1 if that is not among those of the instance.
        on_path: Whether it is on the shortest path between the mentions [N].
        labels: Hashes of its text and of its part of speech, [N] each.
        dependency: Hash of the label of its dependency [N].
        side: Whether it is before, between or after the mentions [N].
    """

    row: Tensor
    word: Tensor
    parent: Tensor
    on_path: Tensor
    labels: tuple[Tensor, Tensor]
    dependency: Tensor
    side: Tensor

    @classmethod
    def of_instances(cls, batch: DocumentGraph, words: _Words, instances: MentionPairs, span: Tensor) -> Self:
        tree, inside = words.tree, words_of_instances(words.tree, instances, span)
        row, word = inside.row, inside.word
        above = tree.parent[word]
        parent = (torch.arange(len(word), device=word.device) + above - word).clamp(0, len(word) - 1)
        linked = (above >= 0) & (row[parent] == row) & (word[parent] == above)
        entities = batch.pair_index[:, instances.pair[row]]  # [2, N]
        whose = (
            words.of_entity[entities, word - tree.first[word]] * torch.tensor([[1], [2]], device=word.device)
        ).sum(0)
        types = batch["entity"].type[entities]
        entity = combined(whose, types[0], types[1], _ENTITY)
        return cls(
            row=row,
            word=word,
            parent=torch.where(linked, parent, -1),
            on_path=inside.on_path,
            labels=(torch.where(whose > 0, entity, words.text[word]), words.pos[word]),
            dependency=words.dependency[word],
            side=inside.side,
        )
