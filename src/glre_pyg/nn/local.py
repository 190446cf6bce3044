"""Section 3.3, Eqs. 3-5: entity local representations by attention over an entity's mentions."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag
from torch_geometric.utils import cumsum, degree, softmax

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.nn.layer import Layer
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.ranges import PositiveInt, Rate


class MentionAttention(nn.Module):
    r"""Multi-head attention over the mentions of one entity of each pair (Eqs. 3 and 4).

    .. math::
        \mathrm{MHead}(Q, K, V) &= [\mathrm{head}_1; \dots; \mathrm{head}_z] W^{out} \\
        \mathrm{head}_i &= \mathrm{softmax}\left(\frac{(Q W_i^Q)(K W_i^K)'}{\sqrt{d_v}}\right) V W_i^V

    *Q* is the other entity of the pair, *K* are the sentences of the mentions, *V* the mentions. All
    projections, including :math:`W^{out}`, are computed once for each entity, sentence and mention; for each
    pair and mention only dot products and a weighted sum remain.

    Paper: no biases or dropout. Here: biases, and dropout on attention weights and output, as in the released
    code.

    Args:
        query_channels: Width of the query entities.
        channels: d, width of sentences, mentions and the output; a multiple of ``heads``.
        heads: Number of heads z.
        dropout: Dropout rate of attention weights and output, drawn for each pair.

    Raises:
        InputError: If ``channels`` is not a multiple of ``heads``.
    """

    def __init__(self, query_channels: int, channels: int, *, heads: PositiveInt, dropout: Rate) -> None:
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
        mention: Tensor,
        sentence: Tensor,
        query_entity: Tensor,
        pair: Tensor,
        pair_mention: Tensor,
    ) -> Tensor:
        """Return the representation of one entity of each pair [P, channels].

        Args:
            query: Entities [E, query_channels].
            mention: Mentions [M, channels].
            sentence: The sentence of each mention [M, channels].
            query_entity: Index of the other entity of each pair [P].
            pair: Index of the pair of each (pair, mention) incidence [I], ascending.
            pair_mention: Index of the mention of each incidence [I].
        """
        weights = self.weights(query, sentence, query_entity, pair, pair_mention)  # [I, z]
        weights = _full_precision(self.dropout(weights))
        # W_out is applied to the values of each head, so that pairs only need a weighted sum of rows.
        value = self._split(self.value(mention))  # [M, z, d/z]
        value = torch.einsum("mzc,dzc->mzd", value, self._split(self.out.weight))  # [M, z, d]
        row = pair_mention[:, None] * self.heads + torch.arange(self.heads, device=pair.device)
        ptr = self.heads * cumsum(degree(pair, len(query_entity), dtype=torch.long))
        out = embedding_bag(
            row.flatten(),
            _full_precision(value.flatten(0, 1)),
            ptr[:-1],
            mode="sum",
            per_sample_weights=weights.flatten(),
        )
        return self.dropout(out + self.out.bias)

    def weights(
        self, query: Tensor, sentence: Tensor, query_entity: Tensor, pair: Tensor, pair_mention: Tensor
    ) -> Tensor:
        """Return the attention weights [I, z] of :meth:`forward`, which sum to 1 for each pair and head."""
        q = self._split(self.query(query))  # [E, z, d/z]
        k = self._split(self.key(sentence))  # [M, z, d/z]
        q = q.index_select(0, query_entity.index_select(0, pair))
        logits = (q * k.index_select(0, pair_mention)).sum(-1) / q.size(-1) ** 0.5  # [I, z]
        return softmax(logits, pair, num_nodes=len(query_entity))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1))


class LocalAttention(Layer):
    r"""Local representations of head and tail: attention over their mentions by the other entity (Eq. 5).

    .. math::
        e_a^{loc} &= LN(\mathrm{MHead}_0(e_b^{glo}, \{n_{s_i}\}_{s_i \in S_a}, \{n_{m_j}\}_{m_j \in M_a})) \\
        e_b^{loc} &= LN(\mathrm{MHead}_1(e_a^{glo}, \{n_{s_i}\}_{s_i \in S_b}, \{n_{m_j}\}_{m_j \in M_b}))

    Paper: keys and values are node vectors with type embeddings. Here: without, as in the released code. That
    code also attends to mentions of other documents of the batch, because of an error in its mask.

    Args:
        query_channels: Width of the query entities.
        channels: d, width of sentences, mentions and the output.
        heads, dropout: See :class:`MentionAttention`.
    """

    def __init__(self, query_channels: int, channels: int, *, heads: PositiveInt, dropout: Rate) -> None:
        super().__init__()
        self.head = MentionAttention(query_channels, channels, heads=heads, dropout=dropout)
        self.tail = MentionAttention(query_channels, channels, heads=heads, dropout=dropout)
        self.head_norm, self.tail_norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.out_channels = channels

    def forward(
        self,
        query: Tensor,
        mention: Tensor,
        sentence: Tensor,
        pair_index: Tensor,
        refers_to: Tensor,
        in_sentence: Tensor,
        num_incidences: tuple[int | None, int | None] = (None, None),
    ) -> tuple[Tensor, Tensor]:
        """Return the representations of heads and of tails, each [P, channels].

        Args:
            query: Entities [E, query_channels].
            mention: Mentions [M, channels].
            sentence: Sentences [S, channels].
            pair_index: Head and tail entity of each pair [2, P].
            refers_to: Edges from mentions to entities [2, ·].
            in_sentence: Edges from mentions to their sentences [2, M].
            num_incidences: Total number of mentions of the heads, and of the tails, of all pairs; by default
                computed, which synchronizes with the device.
        """
        sentence = sentence.index_select(0, target_of_mentions(in_sentence))  # [M, channels]
        head, tail = pair_index
        heads, tails = (
            mentions_of_pairs(entity, refers_to, len(query), size)
            for entity, size in zip(pair_index, num_incidences, strict=True)
        )
        return (
            self.head_norm(self.head(query, mention, sentence, tail, *heads)),
            self.tail_norm(self.tail(query, mention, sentence, head, *tails)),
        )

    def weights(
        self, query: Tensor, sentence: Tensor, pair_index: Tensor, refers_to: Tensor, in_sentence: Tensor
    ) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
        """Return the attention weights of :meth:`forward` without dropout, for heads and for tails.

        Returns:
            For each side: pairs [I], ascending, mentions of their entity [I], and weights [I, heads].
        """
        sentence = sentence.index_select(0, target_of_mentions(in_sentence))
        head, tail = pair_index
        heads, tails = (mentions_of_pairs(entity, refers_to, len(query)) for entity in pair_index)
        return (
            (*heads, self.head.weights(query, sentence, tail, *heads)),
            (*tails, self.tail.weights(query, sentence, head, *tails)),
        )


class NoLocal(Layer):
    """The ablation "w/o local representations" (Table 4); adds no channels."""

    def __init__(self, query_channels: int, channels: int) -> None:
        super().__init__()
        self.out_channels = 0

    def forward(
        self, query: Tensor, mention: Tensor, sentence: Tensor, pair_index: Tensor, *_: object
    ) -> tuple[Tensor, Tensor]:
        """Return two tensors [P, 0]."""
        empty = query.new_empty(pair_index.size(1), 0)
        return empty, empty


def _full_precision(x: Tensor) -> Tensor:
    """Cast half precision to float32, as sums over rows require."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def mentions_of_pairs(
    entity: Tensor, refers_to: Tensor, num_entities: int, size: int | None = None
) -> tuple[Tensor, Tensor]:
    """Return the mentions of one entity of each pair.

    Args:
        entity: Index of an entity of each pair [P].
        refers_to: Edges from mentions to entities [2, ·].
        num_entities: Number of entities E.
        size: Number of incidences I; by default computed, which synchronizes with the device.

    Returns:
        Indices of pairs [I], ascending, and of mentions of their entity [I].

    Example:
        >>> refers_to = torch.tensor([[0, 1, 2], [0, 0, 1]])
        >>> mentions_of_pairs(torch.tensor([1, 0]), refers_to, num_entities=2)
        (tensor([0, 1, 1]), tensor([2, 0, 1]))
    """
    mention, order = refers_to[0], refers_to[1].argsort(stable=True)
    counts = degree(refers_to[1], num_entities, dtype=torch.long)  # mentions of each entity [E]
    pair_counts = counts[entity]  # [P]
    pair = torch.arange(len(entity), device=entity.device).repeat_interleave(pair_counts, output_size=size)
    within = torch.arange(len(pair), device=entity.device) - cumsum(pair_counts)[pair]
    return pair, mention[order[cumsum(counts)[entity[pair]] + within]]


def all_mention_pairs(batch: DocumentGraph, pairs: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Return all pairs of a mention of the head and one of the tail of each pair of entities.

    Args:
        batch: The batch.
        pairs: Head and tail entity of each pair [2, P]; None for the candidate pairs.

    Returns:
        Indices of pairs [I], ascending, of a mention of their head [I], and of their tail [I].
    """
    refers_to, count = batch["mention", "refers_to", "entity"].edge_index, batch["entity"].num_nodes
    head, tail = batch.pair_index if pairs is None else pairs
    pair, of_head = mentions_of_pairs(head, refers_to, count)
    index, of_tail = mentions_of_pairs(tail.index_select(0, pair), refers_to, count)
    return pair.index_select(0, index), of_head.index_select(0, index), of_tail


def target_of_mentions(edges: Tensor) -> Tensor:
    """Return the entity or the sentence of each mention [M], given edges from mentions to them [2, M]."""
    mention, target = edges
    return torch.empty_like(target).scatter_(0, mention, target)
