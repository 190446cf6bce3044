"""What an ontology says of entities, as vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding_bag
from torch_geometric.utils import scatter

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.data.ontology import IS_A
from glre_pyg.nn.layer import Layer
from glre_pyg.utils.ranges import PositiveInt, Rate

_NUMBERS, _BINS = 4, 16


class OntologyFeatures(Layer):
    r"""Vectors of entities from their ancestors in an ontology, and from their place in it.

    .. math:: k_e = \Big[\frac{1}{|A_e|} \sum_{a \in A_e} T[a]; \; \sum_k B_k[\mathrm{number}_k(e)]\Big]

    :math:`A_e` are the ancestors of an entity's identifier; the sum over none is 0. Their vectors are in a
    table of hashed identifiers, so that the model does not depend on the edition of the ontology. The
    numbers are the depth of the identifier, its parents, and its descendants and ancestors that the document
    mentions as well: a general term beside a specific one is rarely the one that a fact is annotated with.

    Not in the paper, which names knowledge graphs as future work.

    Args:
        channels: Width of the vectors of ancestors, and of places.
        num_buckets: Number of rows of the table of ancestors; those with the same hash share a row.
        dropout: Dropout rate of the vectors of ancestors.

    Shape:
        Batch of graphs with :meth:`~glre_pyg.data.ontology.Ontology.add` to [E, 2 · channels].
    """

    def __init__(self, *, channels: PositiveInt, num_buckets: PositiveInt, dropout: Rate) -> None:
        super().__init__()
        self.ancestors, self.places = (
            nn.Embedding(num_buckets, channels),
            nn.Embedding(_NUMBERS * _BINS, channels),
        )
        nn.init.normal_(self.ancestors.weight, std=0.1)
        nn.init.normal_(self.places.weight, std=_NUMBERS**-0.5)
        self.dropout = nn.Dropout(dropout)
        self.out_channels = 2 * channels

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the vectors of entities [E, out_channels]."""
        store, (entity, name) = batch["entity"], batch.ancestor_index
        count = store.num_nodes
        rows = self.ancestors(name % self.ancestors.num_embeddings)
        ancestors = scatter(rows, entity, dim_size=count, reduce="mean")
        specific, general = batch[IS_A].edge_index
        numbers = [store.depth, store.num_parents]
        numbers += [torch.bincount(index, minlength=count) for index in (specific, general)]
        bins = torch.stack(numbers, dim=1).clamp(max=_BINS - 1)  # [E, _NUMBERS]
        places = embedding_bag(
            bins + _BINS * torch.arange(_NUMBERS, device=bins.device), self.places.weight, mode="sum"
        )
        return torch.cat([self.dropout(ancestors), places], dim=-1)
