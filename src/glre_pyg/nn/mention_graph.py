"""Graph of mentions and the document, and paths through one other entity (GAIN; Zeng et al., EMNLP 2020)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.utils import scatter, softmax

from glre_pyg.data.batch import sizes_of
from glre_pyg.data.graph import DocumentGraph, documents_of_nodes, places_of_nodes
from glre_pyg.nn.local import target_of_mentions
from glre_pyg.utils.ranges import PositiveInt, Rate


class MentionGraph(nn.Module):
    r"""Relational graph convolution over mentions and a node for the document.

    .. math::
        h_u^{l+1} = \mathrm{ReLU}\Big(\sum_k \frac{1}{|N_k(u)|} \sum_{v \in N_k(u)} W_k^l h_v^l
            + W_0^l h_u^l + b^l\Big), \quad
        m_u = W [h_u^0; h_u^1; \dots; h_u^L]

    Edge types *k* are mentions of the same entity, mentions of different entities in a sentence, and the
    document with each mention. Messages are differences of sums over groups of mentions, so that no edge is
    stored.

    Paper: the sum over neighbours, without :math:`W_0`. Here: their mean, which does not grow with the number
    of mentions.

    Args:
        channels: Width of the nodes.
        num_layers: Number of layers L.
        dropout: Dropout rate of the output of a layer.
    """

    def __init__(self, channels: int, *, num_layers: PositiveInt, dropout: Rate) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4 * channels, channels) for _ in range(num_layers))
        self.output = nn.Linear((num_layers + 1) * channels, channels, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, mention: Tensor, document: Tensor, batch: DocumentGraph) -> tuple[Tensor, Tensor]:
        """Return mentions [M, channels] and documents [B, channels] after convolution."""
        entity = target_of_mentions(batch["mention", "refers_to", "entity"].edge_index)
        sentence = target_of_mentions(batch["mention", "in", "sentence"].edge_index)
        _, both = torch.unique(torch.stack([entity, sentence]), dim=1, return_inverse=True)
        of_document = documents_of_nodes(batch, "mention")
        mentions, documents = [mention], [document]
        for layer in self.layers:
            x, whole = mentions[-1].float(), documents[-1].float()
            groups = [_sums(x, group) for group in (entity, sentence, both)]
            (of_entity, in_entity), (of_sentence, in_sentence), (of_both, in_both) = groups
            same = (of_entity - x) / (in_entity - 1).clamp(min=1)
            other = (of_sentence - of_both) / (in_sentence - in_both).clamp(min=1)
            inside = scatter(x, of_document, dim_size=len(whole), reduce="mean")
            none = torch.zeros_like(whole)
            x = layer(torch.cat([x, same, other, whole.index_select(0, of_document)], dim=-1))
            whole = layer(torch.cat([whole, none, none, inside], dim=-1))
            mentions.append(self.dropout(x.relu()))
            documents.append(self.dropout(whole.relu()))
        return self.output(torch.cat(mentions, dim=-1)), self.output(torch.cat(documents, dim=-1))


class PathReasoning(nn.Module):
    r"""Attention of a pair over its paths through one other entity in the graph of entities.

    .. math::
        e_{ij} = \mathrm{ReLU}(W_q [e_i; e_j] + b_q), \quad
        p^o_{ht} = [e_{ho}; e_{ot}; e_{to}; e_{oh}], \quad
        \alpha_o \propto \exp([e_h; e_t]^\top W_l \, p^o_{ht}), \quad
        p_{ht} = \sum_o \alpha_o \, p^o_{ht}

    Two entities have an edge if a sentence mentions both. A pair without a path has :math:`p_{ht} = 0`.

    Args:
        in_channels: Width of the entities.
        channels: Width of an edge.
    """

    def __init__(self, in_channels: int, *, channels: PositiveInt) -> None:
        super().__init__()
        self.source, self.target = (
            nn.Linear(in_channels, channels),
            nn.Linear(in_channels, channels, bias=False),
        )
        self.query = nn.Linear(2 * in_channels, 4 * channels, bias=False)
        self.out_channels = 4 * channels

    def forward(self, entity: Tensor, batch: DocumentGraph) -> Tensor:
        """Return the paths of each pair [P, out_channels], given the entities [E, in_channels]."""
        pair, middle = paths(batch)
        head, tail = batch.pair_index
        query = self.query(torch.cat([entity.index_select(0, head), entity.index_select(0, tail)], dim=-1))
        source, target = self.source(entity), self.target(entity)
        h, o, t = head[pair], middle, tail[pair]
        steps = [(h, o), (o, t), (t, o), (o, h)]
        path = torch.cat([torch.relu(source[a] + target[b]) for a, b in steps], dim=-1)  # [·, out_channels]
        logits = (query.index_select(0, pair) * path).sum(-1)
        weights = softmax(logits.float(), pair, num_nodes=len(query))
        return scatter(weights[:, None] * path, pair, dim_size=len(query), reduce="sum")


def paths(batch: DocumentGraph) -> tuple[Tensor, Tensor]:
    """Return all paths with two edges between the entities of pairs: the pair and the middle of each."""
    sizes = sizes_of(batch)
    entity, sentence = batch["entity", "in", "sentence"].edge_index
    document, place = documents_of_nodes(batch, "entity"), places_of_nodes(batch, "entity")
    column = places_of_nodes(batch, "sentence")
    shape = len(sizes.entities), max(sizes.entities), max(sizes.sentences)
    incidence = torch.zeros(shape, device=entity.device)
    incidence[document[entity], place[entity], column[sentence]] = 1.0
    adjacent = (incidence @ incidence.transpose(1, 2)) > 0  # [B, ·, ·]
    adjacent.diagonal(dim1=1, dim2=2).fill_(False)
    head, tail = batch.pair_index
    pair, middle = (
        (adjacent[document[head], place[head]] & adjacent[document[tail], place[tail]]).nonzero().t()
    )
    first = head[pair] - place[head[pair]]
    return pair, middle + first


def _sums(x: Tensor, group: Tensor) -> tuple[Tensor, Tensor]:
    """Return the sum of the group of each row [N, d], and its size [N, 1]."""
    ones = x.new_ones(len(x), 1)
    sums = scatter(torch.cat([x, ones], dim=-1), group, reduce="sum").index_select(0, group)
    return sums[:, :-1], sums[:, -1:]
