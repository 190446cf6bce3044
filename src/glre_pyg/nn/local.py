"""Section 3.3, Eqs. 3-5: entity local representations by attention over an entity's mentions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch_geometric.utils import cumsum, segment, softmax

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.nodes import Nodes
from glre_pyg.nn.pairs import Part
from glre_pyg.utils.exceptions import InputError

Drawn = tuple[Tensor, Tensor, Tensor]
"""Pairs [I], mentions [I], and the weight of each mention in each head of attention [I, z]."""


@dataclass(frozen=True)
class Asked:
    """Entities as others ask for them: N rows with I mentions in all.

    An entity with one mention is the same whoever asks, so its pairs share one row; any other has a row for
    each pair.

    Args:
        index: Row of each pair [P].
        by: The entity that asks for each row [N].
        row: Row of each (row, mention) incidence [I], ascending.
        ptr: Where the incidences of each row begin, and the end of the last [N + 1].
        mention: Mention of each incidence [I].
        sentence: Its sentence [I].
    """

    index: Tensor
    by: Tensor
    row: Tensor
    ptr: Tensor
    mention: Tensor
    sentence: Tensor


class MentionAttention(nn.Module):
    r"""Multi-head attention of one side of a pair over that side's mentions (Eqs. 3 and 4).

    .. math::
        \mathrm{MHead}(Q, K, V) &= [\mathrm{head}_1; \dots; \mathrm{head}_z] W^{out} \\
        \mathrm{head}_i &= \mathrm{softmax}\left(\frac{(Q W_i^Q)(K W_i^K)'}{\sqrt{d_v}}\right) V W_i^V

    *Q* is the other entity, *K* the sentences of the mentions, *V* the mentions. Projections are made once
    for each entity, sentence and mention; only products are made for each incidence of a row and a mention.

    Paper: no biases. Here: biases, and dropout on weights and output, as in the released code. Pairs that
    share a row lose the same of it.

    Args:
        query_channels: Width of the entities that ask.
        channels: d, width of sentences, mentions and the output; a multiple of ``heads``.
        heads: z.
        dropout: Dropout on attention weights and on the output.
    """

    def __init__(self, query_channels: int, channels: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        if channels % heads:
            raise InputError(f"local layer: {channels} channels do not split into {heads} heads")
        self.query = nn.Linear(query_channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        self.heads, self.dropout = heads, nn.Dropout(dropout)

    def forward(self, query: Tensor, nodes: Nodes, asked: Asked) -> Tensor:
        """Local representations of entities as others ask for them [N, channels].

        Args:
            query: Entities [E, query_channels].
            nodes: Initial nodes.
            asked: Who is asked, by whom.
        """
        v = self._split(self.value(nodes.mention))  # [M, z, d/z]
        weights = self.dropout(self.weights(query, nodes, asked))
        heads = segment(weights[..., None] * v.index_select(0, asked.mention), asked.ptr)  # [N, z, d/z]
        return self.dropout(self.out(heads.flatten(1)))

    def weights(self, query: Tensor, nodes: Nodes, asked: Asked) -> Tensor:
        """Attention weights [I, z] of :meth:`forward`, which sum to 1 over the mentions of a row."""
        q = self._split(self.query(query))  # [E, z, d/z]
        k = self._split(self.key(nodes.sentence))  # [S, z, d/z]
        q = q.index_select(0, asked.by.index_select(0, asked.row))
        logits = (q * k.index_select(0, asked.sentence)).sum(-1) / q.size(-1) ** 0.5  # [I, z]
        return softmax(logits, asked.row, num_nodes=len(asked.by))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1))


class LocalAttention(Layer):
    r"""Local representations of head and tail, each from its mentions as the other asks (Eq. 5).

    .. math::
        e_a^{loc} &= LN(\mathrm{MHead}_0(e_b^{glo}, \{n_{s_i}\}_{s_i \in S_a}, \{n_{m_j}\}_{m_j \in M_a})) \\
        e_b^{loc} &= LN(\mathrm{MHead}_1(e_a^{glo}, \{n_{s_i}\}_{s_i \in S_b}, \{n_{m_j}\}_{m_j \in M_b}))

    Paper: keys and values are node vectors with their types. Here: without, as in the released code. That
    code also attends, by a mistake in its mask, to mentions of other documents of the batch; not here.

    Args:
        query_channels: Width of the entities that ask.
        channels: d, width of sentences, mentions and the output.
        heads, dropout: See :class:`MentionAttention`.

    Shape:
        Entities [E, query_channels], nodes and their batch to heads and tails, each a
        :class:`~glre_pyg.nn.pairs.Part` of [P, channels].
    """

    def __init__(self, query_channels: int, channels: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        self.head = MentionAttention(query_channels, channels, heads=heads, dropout=dropout)
        self.tail = MentionAttention(query_channels, channels, heads=heads, dropout=dropout)
        self.head_norm, self.tail_norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.out_channels = channels

    def forward(
        self, query: Tensor, nodes: Nodes, batch: DocumentGraph, block: slice = slice(None)
    ) -> tuple[Part, Part]:
        """Local representations of the head and of the tail of every pair of a block."""
        head, tail = batch.pair_index[:, block]
        return (
            self._side(self.head, self.head_norm, query, nodes, ask(batch, head, tail)),
            self._side(self.tail, self.tail_norm, query, nodes, ask(batch, tail, head)),
        )

    def weights(
        self, query: Tensor, nodes: Nodes, batch: DocumentGraph, block: slice = slice(None)
    ) -> tuple[Drawn, Drawn]:
        """What the heads and the tails of pairs draw on, by the weights of :meth:`forward` without dropout.

        Returns:
            For heads and for tails: pairs [I], ascending, their mentions [I], and weights [I, heads].
        """
        head, tail = batch.pair_index[:, block]

        def side(attention: MentionAttention, mine: Tensor, other: Tensor) -> Drawn:
            asked = ask(batch, mine, other)
            weights = attention.weights(query, nodes, asked)
            counts = asked.ptr.diff()[asked.index]
            pair, within = spread(counts)
            of = asked.ptr[asked.index[pair]] + within
            return pair + (block.start or 0), asked.mention[of], weights[of]

        return side(self.head, head, tail), side(self.tail, tail, head)

    def _side(
        self, attention: MentionAttention, norm: nn.LayerNorm, query: Tensor, nodes: Nodes, asked: Asked
    ) -> Part:
        return Part(norm(attention(query, nodes, asked)), asked.index)


class NoLocal(Layer):
    """The ablation "w/o local representations" (Table 4): nothing is added to the pair."""

    def __init__(self, query_channels: int, channels: int) -> None:
        super().__init__()
        self.out_channels = 0

    def forward(
        self, query: Tensor, nodes: Nodes, batch: DocumentGraph, block: slice = slice(None)
    ) -> tuple[Part, Part]:
        """Two parts without width."""
        head = batch.pair_index[0, block]
        empty = Part(query.new_zeros(1, 0), torch.zeros_like(head))
        return empty, empty


def ask(batch: DocumentGraph, mine: Tensor, by: Tensor) -> Asked:
    """Who is asked in pairs, and by whom.

    Args:
        batch: Graphs.
        mine: The entity of each pair that is asked [P].
        by: The entity of each pair that asks [P].
    """
    mentions, entities = batch["mention", "refers_to", "entity"].edge_index
    mentions = mentions[entities.argsort(stable=True)]  # [M] by entity
    counts = torch.bincount(entities, minlength=batch["entity"].num_nodes)
    alone = counts[mine] == 1
    index = torch.where(alone, mine, len(counts) + torch.arange(len(mine), device=mine.device))
    rows, index = index.unique(return_inverse=True)
    first = torch.zeros_like(rows).scatter_reduce_(
        0, index, torch.arange(len(index), device=index.device), "amin", include_self=False
    )
    entity = mine[first]
    row, within = spread(counts[entity])
    mention = mentions[cumsum(counts)[entity[row]] + within]
    return Asked(
        index=index,
        by=by[first],
        row=row,
        ptr=cumsum(counts[entity]),
        mention=mention,
        sentence=sentence_of_mentions(batch)[mention],
    )


def sentence_of_mentions(batch: DocumentGraph) -> Tensor:
    """Sentence of each mention [M]."""
    mention, sentence = batch["mention", "in", "sentence"].edge_index
    return torch.empty_like(sentence).scatter_(0, mention, sentence)


def spread(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers of things that have ``counts`` [N] of something, and of each something within its thing.

    >>> spread(torch.tensor([2, 0, 1]))
    (tensor([0, 0, 2]), tensor([0, 1, 0]))
    """
    thing = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
    return thing, torch.arange(len(thing), device=counts.device) - cumsum(counts)[thing]
