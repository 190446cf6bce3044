"""Dependency paths between the entities of pairs, and graph convolution (Zhang et al., EMNLP 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag
from torch_geometric.utils import cumsum, degree, scatter, segment

from glre_pyg.data.batch import sizes_of
from glre_pyg.data.graph import DocumentGraph, word_counts
from glre_pyg.nn.local import all_mention_pairs, target_of_mentions
from glre_pyg.nn.nodes import words_of_spans
from glre_pyg.utils.exceptions import InputError


@dataclass(frozen=True)
class PathNodes:
    """The words around the path between the entities of each pair: a tree for each pair, N nodes in all.

    Args:
        pair: Pair of each node [N], ascending.
        word: Word of each node [N].
        parent: Node that each node depends on [N]; the node itself if its head is not in the tree.
        in_head: Whether the word is in a mention of the pair's head entity [N].
        in_tail: Likewise, of its tail entity [N].
    """

    pair: Tensor
    word: Tensor
    parent: Tensor
    in_head: Tensor
    in_tail: Tensor

    def neighbours(self) -> tuple[Tensor, Tensor]:
        """Return the neighbours of each node, of which it is the first, and where those of a node begin.

        Returns:
            Nodes [3 N - 2 T], if there are T trees; and their first index for each node [N].
        """
        node = torch.arange(len(self.parent), device=self.parent.device)
        child = (self.parent != node).nonzero().flatten()
        parent = self.parent[child]
        of, order = torch.cat([node, child, parent]).sort(stable=True)
        start = cumsum(degree(of, len(node), dtype=torch.long))[:-1]
        return torch.cat([node, parent, child])[order], start


class DocumentTree:
    """Dependency trees of the sentences of documents, joined into one: a root depends on the previous root.

    Attributes:
        parent: Word that each word depends on [W]; -1 for the first root of a document.
        is_root: Whether a word is the root of a sentence [W].
        ancestors: Whether the word at a position of the document [W, L], counted from 0, is the word itself
            or one that it depends on, directly or not; L is the length of the longest document.
        depth: Number of ancestors of each word [W].

    Raises:
        InputError: If the graphs of the batch have no parse.
    """

    def __init__(self, batch: DocumentGraph) -> None:
        if "depends" not in batch:
            raise InputError("parse: the model needs dependency parses, and its graphs have none")
        counts = word_counts(batch)
        device = batch.depends.device
        total, self.longest = sum(counts), max(counts, default=0)
        ids = torch.arange(total, device=device)
        first = torch.tensor([0, *accumulate(counts)][:-1], device=device)
        self.first = first.repeat_interleave(torch.tensor(counts, device=device), output_size=total)  # [W]
        self.parent = torch.full_like(ids, -1)
        self.parent[batch.depends[0]] = batch.depends[1]
        self.is_root = self.parent < 0
        roots = torch.cat([ids.new_tensor([-1]), torch.where(self.is_root, ids, -1)])
        earlier = roots.cummax(0).values[:-1]  # the last root before each word, maybe of another document
        earlier = torch.where(earlier >= self.first, earlier, -1)
        self.parent = torch.where(self.is_root, earlier, self.parent)
        self.ancestors = ids[:, None] - self.first[:, None] == torch.arange(self.longest, device=device)
        above = self.parent
        for _ in range(self.longest.bit_length()):  # twice as many generations each time
            known = above.clamp(min=0)
            self.ancestors |= self.ancestors.index_select(0, known) & (above >= 0)[:, None]
            above = torch.where(above >= 0, above.index_select(0, known), -1)
        self.depth = self.ancestors.sum(1)


def path_nodes(batch: DocumentGraph, pairs: Tensor, *, distance: int) -> PathNodes:
    """Return the words on the path between the entities of each pair, and those up to a distance below it.

    The path is that between two mentions, one of each entity, and has all of their words; see
    :func:`closest_mentions`.

    Args:
        batch: The batch, with ``depends``.
        pairs: Head and tail entity of each pair [2, P].
        distance: Number of dependencies from the path down; 0 for the path alone (K in the paper).
    """
    tree = DocumentTree(batch)
    words = _mention_words(batch, tree)  # [M, L]
    of, one, other, first, last = closest_mentions(batch, tree, pairs)
    above_first, above_last = tree.ancestors[first], tree.ancestors[last]  # [P, L]
    start = tree.first.index_select(0, first)[:, None]  # [P, 1]
    position = torch.arange(tree.longest, device=first.device)
    word = (start + position).clamp(max=max(len(tree.depth) - 1, 0))  # [P, L]
    common = above_first & above_last
    lowest = common & (tree.depth[word] == common.sum(-1, keepdim=True))  # all common ones are above it
    kept = (above_first ^ above_last) | lowest | _any_row(words[one] | words[other], of, len(first))
    inside = (tree.first[word] == start) & (word - start == position)  # not past the end of the document
    parent = torch.where(inside, tree.parent[word] - start, -1)  # [P, L]; roots of documents are negative
    depends = inside & ~tree.is_root[word]
    for _ in range(distance):
        kept = kept | (kept.gather(1, parent.clamp(min=0)) & depends)
    pair, place = kept.nonzero(as_tuple=True)
    number = kept.flatten().cumsum(0).view_as(kept) - 1
    above = parent[pair, place]
    has_parent = (above >= 0) & kept[pair, above.clamp(min=0)]
    node = torch.arange(len(pair), device=pair.device)
    of_entity = words_of_entities(batch, tree)  # [E, L]
    return PathNodes(
        pair=pair,
        word=word[pair, place],
        parent=torch.where(has_parent, number[pair, above.clamp(min=0)], node),
        in_head=of_entity[pairs[0][pair], place],
        in_tail=of_entity[pairs[1][pair], place],
    )


def closest_mentions(
    batch: DocumentGraph, tree: DocumentTree, pairs: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the mentions of each pair whose syntactic heads are closest in the text.

    The same head is the last choice; of several pairs of mentions, those with the first heads are chosen, in
    the order of the text. So the direction of a pair does not matter.

    Returns:
        Pairs [K], at least one row of each; a mention of their head entity [K], and of their tail entity [K];
        and the first and the last of the two syntactic heads of each pair [P].
    """
    total, top = max(len(tree.depth), 1), heads_of_mentions(batch, tree)
    pair, of_head, of_tail = all_mention_pairs(batch, pairs)
    first, last = torch.stack([top[of_head], top[of_tail]]).sort(0).values
    distance = (last - first - 1) % total
    key = (distance * total + first) * total + last
    least = scatter(key, pair, dim_size=pairs.size(1), reduce="min")
    best = key == least[pair]
    return pair[best], of_head[best], of_tail[best], least // total % total, least % total


def heads_of_mentions(batch: DocumentGraph, tree: DocumentTree) -> Tensor:
    """Return the syntactic head of each mention [M]: its highest word; of several, the first."""
    total = max(len(tree.depth), 1)
    word, mention = words_of_spans(batch["mention"].span, sizes_of(batch).mention_words)
    key = tree.depth[word] * total + word
    return scatter(key, mention, dim_size=batch["mention"].num_nodes, reduce="min") % total


def _mention_words(batch: DocumentGraph, tree: DocumentTree) -> Tensor:
    """Return whether the word at each position of its document is in each mention [M, L]."""
    word, mention = words_of_spans(batch["mention"].span, sizes_of(batch).mention_words)
    inside = torch.zeros(batch["mention"].num_nodes, tree.longest, dtype=torch.bool, device=word.device)
    inside[mention, word - tree.first[word]] = True
    return inside


def words_of_entities(batch: DocumentGraph, tree: DocumentTree) -> Tensor:
    """Return whether the word at each position of its document is in a mention of each entity [E, L]."""
    entity = target_of_mentions(batch["mention", "refers_to", "entity"].edge_index)
    return _any_row(_mention_words(batch, tree), entity, batch["entity"].num_nodes)


def _any_row(rows: Tensor, index: Tensor, count: int) -> Tensor:
    """Return whether any of the rows [K, L] of each index is true [count, L]."""
    sums = torch.zeros(count, rows.size(1), dtype=torch.int, device=rows.device)
    return sums.index_add(0, index, rows.int()) > 0


class TreeConvolution(nn.Module):
    r"""Graph convolution over undirected dependencies, with self-loops (Zhang et al., Eq. 3).

    .. math::
        h_i^{(l)} = \mathrm{ReLU}\Big(\sum_{j=1}^{n} \tilde A_{ij} W^{(l)} h_j^{(l-1)} / d_i + b^{(l)}\Big),
        \quad \tilde A = A + I, \quad d_i = \sum_j \tilde A_{ij}

    Args:
        in_channels: Width of the input.
        out_channels: Width of the output.

    Shape:
        Words or nodes [K, in_channels]; those that are neighbours of each node, one after the other, and
        where they begin for each node [N], to [N, out_channels].
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_channels, out_channels)

    def forward(self, x: Tensor, neighbours: Tensor, start: Tensor) -> Tensor:
        """Return the nodes after the convolution [N, out_channels]."""
        return embedding_bag(neighbours, self.linear(x), start, mode="mean").relu()


def max_of_nodes(x: Tensor, pair: Tensor, num_pairs: int) -> Tensor:
    """Return the maximum over the nodes of each pair [P, d], given the pair of each node, ascending."""
    return segment(x, cumsum(degree(pair, num_pairs, dtype=torch.long)), reduce="max")
