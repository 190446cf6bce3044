"""Section 3.2: the heterogeneous graph of a document, and how graphs are batched.

Sizes, here and everywhere: **B** documents, **W** words, **T** encoder pieces, **M** mentions,
**E** entities, **S** sentences, **P** candidate pairs, **R** relations, **d** channels.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from glre_pyg.document import Document, InputError

NODE_TYPES = ("mention", "entity", "sentence")
EDGE_TYPES = (
    ("mention", "co_occurs", "mention"),
    ("mention", "refers_to", "entity"),
    ("mention", "in", "sentence"),
    ("entity", "in", "sentence"),
    ("sentence", "with", "sentence"),
)
IGNORED = -1.0
"""Value in ``pair_label`` of a pair that takes no part in the loss."""


class DocumentGraph(HeteroData):
    """A :class:`~torch_geometric.data.HeteroData` that knows how its word and entity indices are batched."""

    def __inc__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        if key == "pair_index":
            return self["entity"].num_nodes
        if key in ("span", "word_index"):
            return len(self.words)
        if key == "window_index":
            return int(value[-1]) + 1 if len(value) else 0
        return super().__inc__(key, value, *args, **kwargs)

    def __cat_dim__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        if key == "pair_index":
            return 1
        if key in ("span", "word_index", "window_index"):
            return 0
        return super().__cat_dim__(key, value, *args, **kwargs)


def build_graph(
    document: Document,
    *,
    relations: Sequence[str] | None = None,
    types: Sequence[str] | None = None,
    pair_types: Collection[tuple[str, str]] | None = None,
    directed: bool = True,
) -> DocumentGraph:
    """The graph of one document: three kinds of node, five kinds of edge (Section 3.2).

    There are no edges between entities: they are what is predicted. Edges within one node type are stored
    in both directions, edges across types once. All five edge stores exist in every graph, empty if need be.
    Entities are numbered by the offset of their first mention, mentions by their entity, then by offset.

    Args:
        document: The document.
        relations: The columns of ``pair_label``; by default the document's own relations, sorted.
        types: The entity types that ``mention.type`` and ``entity.type`` index; by default the document's
            own, sorted. Give both for graphs that are batched together.
        pair_types: The (head type, tail type) of candidate pairs; by default every ordered pair of entities.
        directed: Whether (a, b) and (b, a) are two candidates; else head is the one mentioned first, and a
            fact may name the two in either order.

    Returns:
        Graph with ``mention.span`` [M, 2] and ``sentence.span`` [S, 2] in words, ``mention.type`` [M],
        ``entity.type`` [E], ``entity.id`` (E strings), an ``edge_index`` for each of
        :data:`EDGE_TYPES`, ``pair_index`` [2, P] (entities), ``pair_label`` [P, R] (0, 1, or -1
        for the pairs that are ``document.ignored``),
        ``pair_distance`` [P] (words from the tail's first mention to the head's), ``words`` (W strings)
        and ``id``.

    Raises:
        InputError: If the document has a relation or an entity type that is not among those given.

    Example:
        >>> from glre_pyg.document import Document, Fact, Mention, Sentence
        >>> document = Document(
        ...     id="1",
        ...     text="Aspirin helps. It caused asthma.",
        ...     words=((0, 7), (8, 13), (13, 14), (15, 17), (18, 24), (25, 31), (31, 32)),
        ...     sentences=(Sentence(0, 3), Sentence(3, 7)),
        ...     mentions=(Mention(0, 7, "Chemical", ("D1",)), Mention(25, 31, "Disease", ("D2",))),
        ...     facts=(Fact("D1", "CID", "D2"),),
        ... )
        >>> graph = build_graph(document, pair_types=[("Chemical", "Disease")])
        >>> graph.node_types
        ['mention', 'entity', 'sentence']
        >>> len(graph.edge_types)
        5
        >>> graph["mention", "in", "sentence"].edge_index.tolist()
        [[0, 1], [0, 1]]
        >>> graph.pair_index.tolist(), graph.pair_label.tolist(), graph.pair_distance.tolist()
        ([[0], [1]], [[1.0]], [-5])
    """
    entities = document.entities
    mentions = [(mention, index) for index, entity in enumerate(entities) for mention in entity.mentions]
    relations = sorted({fact.relation for fact in document.facts}) if relations is None else relations
    types = sorted({mention.type for mention, _ in mentions}) if types is None else types

    graph = DocumentGraph()
    graph.id = document.id
    graph.words = document.word_texts()
    graph["mention"].num_nodes = len(mentions)
    graph["mention"].span = _rows([document.word_span(mention) for mention, _ in mentions])
    graph["mention"].type = _index(document, types, [mention.type for mention, _ in mentions])
    graph["entity"].num_nodes = len(entities)
    graph["entity"].type = _index(document, types, [entity.type for entity in entities])
    graph["entity"].id = [entity.id for entity in entities]
    graph["sentence"].num_nodes = len(document.sentences)
    graph["sentence"].span = _rows([(sentence.start, sentence.end) for sentence in document.sentences])

    entity_of = torch.tensor([index for _, index in mentions], dtype=torch.long)
    sentence_of = torch.tensor([document.sentence_of(mention) for mention, _ in mentions], dtype=torch.long)
    numbers = torch.arange(len(mentions))
    graph["mention", "co_occurs", "mention"].edge_index = _others(sentence_of[:, None] == sentence_of)
    graph["mention", "refers_to", "entity"].edge_index = torch.stack([numbers, entity_of])
    graph["mention", "in", "sentence"].edge_index = torch.stack([numbers, sentence_of])
    graph["entity", "in", "sentence"].edge_index = torch.stack([entity_of, sentence_of]).unique(dim=1)
    count = len(document.sentences)
    graph["sentence", "with", "sentence"].edge_index = _others(torch.ones(count, count, dtype=torch.bool))

    pairs = torch.tensor(document.pairs(pair_types, directed=directed), dtype=torch.long).view(-1, 2).t()
    pairs = pairs.contiguous()
    first = graph["mention"].span[:, 0].new_zeros(len(entities))
    first.scatter_reduce_(0, entity_of, graph["mention"].span[:, 0], "amin", include_self=False)
    graph.pair_index = pairs
    graph.pair_label = _labels(document, pairs, relations, directed)
    graph.pair_distance = first[pairs[0]] - first[pairs[1]]
    return graph


@dataclass(frozen=True)
class Labels:
    """What the columns and numbers of a corpus's graphs mean.

    Args:
        relations: Columns of ``pair_label``.
        types: Entity types that ``mention.type`` and ``entity.type`` index.
        pair_types: (head type, tail type) of candidate pairs; None for every pair of entities.
        directed: Whether (a, b) and (b, a) are two pairs.
    """

    relations: tuple[str, ...]
    types: tuple[str, ...]
    pair_types: tuple[tuple[str, str], ...] | None
    directed: bool = True

    def graph(self, document: Document) -> DocumentGraph:
        """Graph of a document with its labels."""
        return build_graph(
            document,
            relations=self.relations,
            types=self.types,
            pair_types=self.pair_types,
            directed=self.directed,
        )

    def candidates(self, document: Document) -> list[tuple[str, str]]:
        """Identifiers of the candidate pairs of a document."""
        ids = [entity.id for entity in document.entities]
        return [
            (ids[head], ids[tail]) for head, tail in document.pairs(self.pair_types, directed=self.directed)
        ]

    def blind_graph(self, document: Document) -> DocumentGraph:
        """Graph of a document as if it had no facts: what a model sees when it is not trained."""
        return self.graph(replace(document, facts=(), ignored=()))


def word_counts(batch: DocumentGraph) -> list[int]:
    """Words of each document of a batch (or of one graph); known on the host, so no device is waited for."""
    words = batch.words
    return [len(document) for document in words] if words and isinstance(words[0], list) else [len(words)]


def documents_of_pairs(batch: DocumentGraph) -> Tensor:
    """Document of each pair of a batch [P], ascending; zeros for one graph."""
    head = batch.pair_index[0]
    return batch["entity"].batch[head] if "batch" in batch["entity"] else torch.zeros_like(head)


def _rows(spans: list[tuple[int, int]]) -> Tensor:
    return torch.tensor(spans, dtype=torch.long).view(-1, 2)


def _index(document: Document, types: Sequence[str], names: list[str]) -> Tensor:
    number = {name: index for index, name in enumerate(types)}
    for name in names:
        if name not in number:
            raise InputError(f"{document.id}: entity type '{name}' is not one of {', '.join(types)}")
    return torch.tensor([number[name] for name in names], dtype=torch.long)


def _others(same: Tensor) -> Tensor:
    return same.fill_diagonal_(False).nonzero().t().contiguous() if len(same) else _none()


def _none() -> Tensor:
    return torch.empty(2, 0, dtype=torch.long)


def _labels(document: Document, pairs: Tensor, relations: Sequence[str], directed: bool) -> Tensor:
    number = {entity.id: index for index, entity in enumerate(document.entities)}
    row = {tuple(pair): index for index, pair in enumerate(pairs.t().tolist())}
    if not directed:
        row |= {(tail, head): index for (head, tail), index in row.items()}
    column = {name: index for index, name in enumerate(relations)}
    labels = torch.zeros(pairs.size(1), len(relations))
    for head, tail in document.ignored:
        pair = row.get((number[head], number[tail]))
        if pair is not None:
            labels[pair] = IGNORED
    for fact in document.facts:
        if fact.relation not in column:
            raise InputError(
                f"{document.id}: relation '{fact.relation}' is not one of {', '.join(relations) or 'none'}"
            )
        pair = row.get((number.get(fact.head, -1), number.get(fact.tail, -1)))
        if pair is not None:
            labels[pair, column[fact.relation]] = 1.0
    return labels
