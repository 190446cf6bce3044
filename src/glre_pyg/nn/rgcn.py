"""Section 3.2, Eq. 2: entity global representations by relational graph convolution."""

from __future__ import annotations

import warnings
from typing import Literal

import torch
from torch import Tensor, nn
from torch_geometric.nn import HeteroConv, SAGEConv
from torch_geometric.utils import cumsum, degree

from glre_pyg.data.graph import EDGE_TYPES, IN_DOCUMENT, NODE_TYPES, EdgeType
from glre_pyg.data.ontology import IS_A
from glre_pyg.nn.layer import Layer
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.ranges import PositiveInt, Rate

IS_GENERAL = ("entity", "rev_is_a", "entity")
"""The reverse of :data:`~glre_pyg.data.ontology.IS_A`, with weights of its own."""


class RGCNLayer(nn.Module):
    r"""R-GCN layer over the document graph (Eq. 2), without activation.

    .. math::
        n_i^{l+1} = \sum_{x \in X} \sum_{j \in N_i^x} \frac{1}{|N_i^x|} W_x^l n_j^l + W_0^l n_i^l

    The neighbours :math:`N_i^x` of node *i* along edges of type *x* are undirected: edge types between
    two node types pass messages both ways, with the same :math:`W_x`. Edges of an ontology are directed.

    Args:
        in_channels: Width of the input nodes.
        out_channels: Width of the output nodes.
        norm: ``"relation"`` is Eq. 2. ``"node"`` is the released code: the sum of all messages and of the
            self-term, divided by one plus the number of neighbours of any type.
        message_bias: Whether messages have a bias for each edge type, as in the released code.
        targets: Node types to compute; edge types to others have no weights.
        edge_types: Edge types of the graph.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        norm: Literal["relation", "node"],
        message_bias: bool,
        targets: tuple[str, ...] = NODE_TYPES,
        edge_types: tuple[EdgeType, ...] = EDGE_TYPES,
    ) -> None:
        super().__init__()
        aggregate = "mean" if norm == "relation" else "sum"
        self.number: dict[EdgeType, int] = {}
        convolutions: dict[EdgeType, nn.Module] = {}
        for number, edge_type in enumerate(edge_types):
            directions = [key for key in (edge_type, reverse(edge_type)) if key[2] in targets]
            module = SAGEConv(in_channels, out_channels, aggr=aggregate, root_weight=False, bias=False)
            for key in directions:
                convolutions[key], self.number[key] = module, number
        with warnings.catch_warnings():
            # The last layer computes entities only, and HeteroConv warns about the other node types.
            warnings.simplefilter("ignore", UserWarning)
            self.messages = HeteroConv(convolutions, aggr="sum")
        self.root = nn.Linear(in_channels, out_channels)
        self.bias = nn.Parameter(torch.zeros(len(edge_types), out_channels)) if message_bias else None
        self.norm, self.targets, self.edge_types = norm, targets, edge_types

    def forward(self, x: dict[str, Tensor], edges: dict[EdgeType, Tensor]) -> dict[str, Tensor]:
        """Map nodes [N, in_channels] and :func:`undirected` edges to nodes [N, out_channels], by type."""
        messages = self.messages(x, edges)
        out = {name: messages[name] + self.root(x[name]) for name in self.targets}
        if self.bias is None and self.norm == "relation":
            return out
        for name, total in out.items():
            neighbours = self._neighbours(name, x[name], edges)  # [N, number of edge types]
            if self.bias is not None:
                factor = neighbours if self.norm == "node" else (neighbours > 0).to(total.dtype)
                total = total + factor @ self.bias
            out[name] = total / (1 + neighbours.sum(-1, keepdim=True)) if self.norm == "node" else total
        return out

    def _neighbours(self, name: str, nodes: Tensor, edges: dict[EdgeType, Tensor]) -> Tensor:
        counts = nodes.new_zeros(len(nodes), len(self.edge_types))
        for key, number in self.number.items():
            if key[2] == name:
                counts[:, number] = edges[key].crow_indices().diff()
        return counts


class RGCN(Layer):
    """Stack of :class:`RGCNLayer` with ReLU, which computes the global representations of entities.

    The paper names knowledge graphs and hierarchical graphs as future work: ``is_a`` and ``documents``.

    Args:
        in_channels: Width of the typed nodes.
        out_channels: Output width of each layer; None for the width of the input.
        num_layers: Number of layers L.
        dropout_in: Dropout rate of the input.
        dropout: Dropout rate between layers.
        norm, message_bias: See :class:`RGCNLayer`.
        self_loops: Whether mentions and sentences have self-loops, as in the released code.
        documents: Whether graphs are hierarchical, with nodes of documents.
        is_a: Whether edges of an ontology link entities to their ancestors in the document, and back.

    Shape:
        Typed nodes by type and edges by type to entities [E, out_channels].

    Raises:
        InputError: With ``is_a``, if the graphs have no ontology.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        out_channels: PositiveInt | None,
        num_layers: PositiveInt,
        dropout_in: Rate,
        dropout: Rate,
        norm: Literal["relation", "node"],
        message_bias: bool,
        self_loops: bool,
        documents: bool = False,
        is_a: bool = False,
    ) -> None:
        super().__init__()
        self.edge_types: tuple[EdgeType, ...] = (
            *EDGE_TYPES,
            *(IN_DOCUMENT if documents else []),
            *([IS_A, IS_GENERAL] if is_a else []),
        )
        node_types = (*NODE_TYPES, *(["document"] if documents else []))
        out_channels = in_channels if out_channels is None else out_channels
        self.layers = nn.ModuleList()
        for number in range(1, num_layers + 1):
            width = in_channels if number == 1 else out_channels
            targets = ("entity",) if number == num_layers else node_types
            layer = RGCNLayer(
                width,
                out_channels,
                norm=norm,
                message_bias=message_bias,
                targets=targets,
                edge_types=self.edge_types,
            )
            self.layers.append(layer)
        self.self_loops, self.is_a = self_loops, is_a
        self.dropout_in, self.dropout = nn.Dropout(dropout_in), nn.Dropout(dropout)
        self.out_channels = out_channels

    def forward(self, x: dict[str, Tensor], edges: dict[EdgeType, Tensor]) -> Tensor:
        """Return entity global representations [E, out_channels]."""
        if self.is_a:
            if IS_A not in edges:
                raise InputError("layer.global.is_a: there is no ontology; ontology=mesh has one")
            edges = edges | {IS_GENERAL: edges[IS_A].flip(0)}
        parameter = next(self.parameters())
        # Not every device supports sparse products in half precision.
        with torch.autocast(parameter.device.type, enabled=False):
            x = {name: self.dropout_in(nodes.to(parameter.dtype)) for name, nodes in x.items()}
            edges = undirected(x, {name: edges[name] for name in self.edge_types}, self_loops=self.self_loops)
            for number, layer in enumerate(self.layers):
                if number:
                    x = {name: self.dropout(nodes) for name, nodes in x.items()}
                x = {name: nodes.relu() for name, nodes in layer(x, edges).items()}
        return x["entity"]


class NoGlobal(Layer):
    """The ablation "w/o global representations" (Table 4): entities before graph convolution."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.out_channels = in_channels

    def forward(self, x: dict[str, Tensor], edges: dict[EdgeType, Tensor]) -> Tensor:
        """Return the typed entity nodes [E, in_channels]."""
        return x["entity"]


def reverse(edge_type: EdgeType) -> EdgeType:
    """Return the reverse of an edge type; one within a node type has both directions, or is one of two."""
    source, name, target = edge_type
    return edge_type if source == target else (target, f"rev_{name}", source)


def undirected(
    x: dict[str, Tensor], edges: dict[EdgeType, Tensor], *, self_loops: bool
) -> dict[EdgeType, Tensor]:
    """Return edges of a document graph and their reverses as sparse matrices [targets, sources].

    Messages are then summed without being stored for each edge: 1,000 sentences have 999,000 edges.

    Args:
        x: Nodes [N, ·] by type.
        edges: Indices [2, ·] by edge type.
        self_loops: Whether to add self-loops to mentions and sentences.
    """
    out = {}
    for edge_type, index in edges.items():
        source, _, target = edge_type
        if source == target != "entity" and self_loops:
            loops = torch.arange(len(x[source]), device=index.device)
            index = torch.cat([index, loops.expand(2, -1)], dim=1)
        out[edge_type] = _adjacency(index, x[source], x[target])
        if source != target:
            out[reverse(edge_type)] = _adjacency(index.flip(0), x[target], x[source])
    return out


def _adjacency(index: Tensor, sources: Tensor, targets: Tensor) -> Tensor:
    order = index[1].argsort(stable=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about the beta state of the format
        return torch.sparse_csr_tensor(
            cumsum(degree(index[1], len(targets), dtype=torch.long)),
            index[0, order],
            torch.ones(len(order), dtype=sources.dtype, device=index.device),
            size=(len(targets), len(sources)),
        )
