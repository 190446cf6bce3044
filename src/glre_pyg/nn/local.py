"""Section 3.3, Eqs. 3-5: entity local representations by attention over an entity's mentions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.utils import cumsum, degree, scatter, softmax

from glre_pyg.document import InputError
from glre_pyg.graph import DocumentGraph
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.nodes import Nodes

Drawn = tuple[Tensor, Tensor, Tensor]
"""Pairs [I], mentions [I], and the weight of each mention in each head of attention [I, z]."""


class MentionAttention(nn.Module):
    r"""Multi-head attention of one side of a pair over that side's mentions (Eqs. 3 and 4).

    .. math::
        \mathrm{MHead}(Q, K, V) &= [\mathrm{head}_1; \dots; \mathrm{head}_z] W^{out} \\
        \mathrm{head}_i &= \mathrm{softmax}\left(\frac{(Q W_i^Q)(K W_i^K)'}{\sqrt{d_v}}\right) V W_i^V

    *Q* is the other entity, *K* the sentences of the mentions, *V* the mentions. Projections are made once
    for each entity, sentence and mention; only products are made for each (pair, mention).

    Paper: no biases. Here: biases, and dropout on weights and output, as in the released code.

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

    def forward(
        self,
        query: Tensor,
        nodes: Nodes,
        sentence_of: Tensor,
        pair: Tensor,
        mention: Tensor,
        asked_by: Tensor,
    ) -> Tensor:
        """Local representations of one side of each pair.

        Args:
            query: Entities [E, query_channels].
            nodes: Initial nodes.
            sentence_of: Sentence of each mention [M].
            pair: Pair of each (pair, mention) incidence [I], ascending.
            mention: Mention of each incidence [I].
            asked_by: The other entity of each pair [P].

        Returns:
            [P, channels].
        """
        v = self._split(self.value(nodes.mention))  # [M, z, d/z]
        weights = self.dropout(self.weights(query, nodes, sentence_of, pair, mention, asked_by))
        heads = scatter(weights[..., None] * v[mention], pair, dim_size=len(asked_by))  # [P, z, d/z]
        return self.dropout(self.out(heads.flatten(1)))

    def weights(
        self,
        query: Tensor,
        nodes: Nodes,
        sentence_of: Tensor,
        pair: Tensor,
        mention: Tensor,
        asked_by: Tensor,
    ) -> Tensor:
        """Attention weights [I, z] of :meth:`forward`, which sum to 1 over the mentions of a pair."""
        q = self._split(self.query(query))  # [E, z, d/z]
        k = self._split(self.key(nodes.sentence))  # [S, z, d/z]
        logits = (q[asked_by[pair]] * k[sentence_of[mention]]).sum(-1) / q.size(-1) ** 0.5  # [I, z]
        return softmax(logits, pair, num_nodes=len(asked_by))

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
        Entities [E, query_channels], nodes and their batch to heads and tails, each [P, channels].
    """

    def __init__(self, query_channels: int, channels: int, *, heads: int, dropout: float) -> None:
        super().__init__()
        self.head = MentionAttention(query_channels, channels, heads=heads, dropout=dropout)
        self.tail = MentionAttention(query_channels, channels, heads=heads, dropout=dropout)
        self.head_norm, self.tail_norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.out_channels = channels

    def forward(self, query: Tensor, nodes: Nodes, batch: DocumentGraph) -> tuple[Tensor, Tensor]:
        """Local representations of the head and of the tail of every pair."""
        sentence_of = sentence_of_mentions(batch)
        head, tail = batch.pair_index
        local_head = self.head(query, nodes, sentence_of, *incidences(batch, head), tail)
        local_tail = self.tail(query, nodes, sentence_of, *incidences(batch, tail), head)
        return self.head_norm(local_head), self.tail_norm(local_tail)

    def weights(self, query: Tensor, nodes: Nodes, batch: DocumentGraph) -> tuple[Drawn, Drawn]:
        """What the heads and the tails of pairs draw on, by the weights of :meth:`forward` without dropout.

        Returns:
            For heads and for tails: pairs [I], ascending, their mentions [I], and weights [I, heads].
        """
        sentence_of = sentence_of_mentions(batch)
        head, tail = batch.pair_index

        def side(attention: MentionAttention, mine: Tensor, other: Tensor) -> Drawn:
            pair, mention = incidences(batch, mine)
            return pair, mention, attention.weights(query, nodes, sentence_of, pair, mention, other)

        return side(self.head, head, tail), side(self.tail, tail, head)


class NoLocal(Layer):
    """The ablation "w/o local representations" (Table 4): nothing is added to the pair."""

    def __init__(self, query_channels: int, channels: int) -> None:
        super().__init__()
        self.out_channels = 0

    def forward(self, query: Tensor, nodes: Nodes, batch: DocumentGraph) -> tuple[Tensor, Tensor]:
        """Two tensors [P, 0]."""
        empty = query.new_zeros(batch.pair_index.size(1), 0)
        return empty, empty


def sentence_of_mentions(batch: DocumentGraph) -> Tensor:
    """Sentence of each mention [M]."""
    mention, sentence = batch["mention", "in", "sentence"].edge_index
    return torch.empty_like(sentence).scatter_(0, mention, sentence)


def incidences(batch: DocumentGraph, entity: Tensor) -> tuple[Tensor, Tensor]:
    """Which mentions an entity of each pair has: pairs [I] and mentions [I], ascending by pair.

    Args:
        batch: Graphs.
        entity: One entity of each pair [P].
    """
    mentions, entities = batch["mention", "refers_to", "entity"].edge_index
    mentions = mentions[entities.argsort(stable=True)]
    sizes = degree(entities, batch["entity"].num_nodes, torch.long)
    counts = sizes[entity]  # [P]
    pair = torch.arange(len(entity), device=entity.device).repeat_interleave(counts)
    within = torch.arange(len(pair), device=entity.device) - cumsum(counts)[pair]
    return pair, mentions[cumsum(sizes)[entity[pair]] + within]
