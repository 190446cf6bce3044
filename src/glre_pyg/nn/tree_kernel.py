"""A kernel of pruned dependency trees, as explicit features."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from glre_pyg.nn.hashed_features import combined
from glre_pyg.nn.instance_graphs import GraphFeatures, InstanceGraphs, Part
from glre_pyg.utils.ranges import NonNegativeInt, PositiveFloat, PositiveInt


class TreeFragments(GraphFeatures):
    r"""Features of instances whose inner product counts the fragments that two trees have in common.

    .. math::
        k(T', T'') = \sum_{h=0}^{H} \lambda^{2h} \sum_{v' \in T'} \sum_{v'' \in T''} [F_h(v') = F_h(v'')]

    :math:`F_h(v)` is the vertex *v* with all vertices up to *h* dependencies below it, in any order, if there
    are any at this depth. A tree has the words on the dependency path between the mentions, and those that
    depend on them. Trees are compared by two kinds of labels, the dependency of a word with its text, or with
    its part of speech and whether it is on the path. In place of its text, a word of the two entities has
    their types and whose word it is, and a word of another mention has its type.

    Paper (Zhou et al., 2016): a kernel over pruned parse trees. Here: dependencies, and only fragments in
    which all vertices above a depth have all of their children, which are few enough to be listed. Features
    are exact but for collisions of hashes.

    Args:
        depth: Largest depth H.
        decay: Weight :math:`\lambda` of a feature for each dependency down.
        max_words: Number of words beyond which an instance has only those around its mentions; see
            :func:`glre_pyg.nn.instance_words.spans_of_instances`.
    """

    def __init__(self, *, depth: NonNegativeInt, decay: PositiveFloat, max_words: PositiveInt) -> None:
        super().__init__(max_words)
        self.depth, self.decay = depth, decay

    def parts(self, graphs: InstanceGraphs) -> Iterator[Part]:
        """Yield the fragments of each depth and each kind of labels."""
        words, parent = graphs.words, graphs.parent
        linked = (parent >= 0) & words.on_path[parent]
        inside = words.on_path | linked
        child = linked.nonzero().squeeze(1)  # what it depends on is on the path, and so in the tree
        above = parent[child]
        labels = torch.stack(
            [
                combined(graphs.text, graphs.dependency),
                combined(graphs.pos, words.on_path, graphs.dependency),
            ]
        )  # [2, N]
        fragment, reaches = combined(labels, 0), inside
        for depth in range(self.depth + 1):
            index = reaches.nonzero().squeeze(1)
            value = torch.full(index.shape, self.decay**depth, device=index.device)
            for each in fragment:
                yield words.row[index], each[index], value
            below = torch.zeros_like(labels).index_add(1, above, combined(fragment[:, child], 1))
            fragment = combined(labels, below)
            reaches = torch.zeros_like(inside).index_fill(0, above[reaches[child]], True)
