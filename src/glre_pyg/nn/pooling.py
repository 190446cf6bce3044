"""Pooling of words into mentions, and of mentions into entities."""

from __future__ import annotations

from torch import Tensor
from torch_geometric.utils import scatter

from glre_pyg.data.batch import sizes_of
from glre_pyg.data.graph import DocumentGraph
from glre_pyg.nn.nodes import mean_of_spans


def mean_of_mentions(words: Tensor, batch: DocumentGraph) -> tuple[Tensor, Tensor]:
    """Return mentions [M, d], the means of their words, and entities [E, d], the means of their mentions."""
    mention = mean_of_spans(words, batch["mention"].span, sizes_of(batch).mention_words)
    index, entity = batch["mention", "refers_to", "entity"].edge_index
    rows = mention.index_select(0, index)
    return mention, scatter(rows, entity, dim_size=batch["entity"].num_nodes, reduce="mean")


def logsumexp_of_mentions(mention: Tensor, refers_to: Tensor, num_entities: int) -> Tensor:
    r"""Return entities [E, d] as a smooth maximum over their mentions (ATLOP, Eq. 2; Verga et al., 2018).

    .. math:: h_{e_i} = \log \sum_{m_j \in e_i} \exp(h_{m_j})

    Args:
        mention: Mentions [M, d].
        refers_to: Edges from mentions to entities [2, ·].
        num_entities: Number of entities E, each of which has a mention.
    """
    index, entity = refers_to
    x = mention.index_select(0, index)
    largest = scatter(x.detach(), entity, dim_size=num_entities, reduce="max")
    total = scatter((x - largest.index_select(0, entity)).exp(), entity, dim_size=num_entities, reduce="sum")
    return total.log() + largest
