"""Section 3.2: the heterogeneous graph of a document.

Letters of shapes, throughout the code: **B** documents, **W** words, **T** subword tokens, **M** mentions,
**E** entities, **S** sentences, **P** candidate pairs, **R** relations, **d** channels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import chain, product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from glre_pyg.data.document import Document, Entity, Mention
from glre_pyg.utils.deferred import deferred
from glre_pyg.utils.exceptions import InputError

# More than half of PyG's own import time goes to torch's compiler, and to datasets with transformers.
with deferred("torch._dynamo", "torch_geometric.datasets"):
    from torch_geometric.data import HeteroData

NODE_TYPES = ("mention", "entity", "sentence")
EDGE_TYPES = (
    ("mention", "co_occurs", "mention"),
    ("mention", "refers_to", "entity"),
    ("mention", "in", "sentence"),
    ("entity", "in", "sentence"),
    ("sentence", "with", "sentence"),
)
IN_DOCUMENT = (("sentence", "in", "document"), ("entity", "in", "document"))
"""Edge types from each sentence and entity to a node of the document, in hierarchical graphs alone."""
EdgeType = tuple[str, str, str]
_EdgeIndex = tuple[np.ndarray, np.ndarray]  # sources and targets
MAX_EDGES = 20_000_000
"""Maximum number of edges of a type; a document with 4,472 sentences has as many between its sentences."""
MAX_PAIRS = 1_000_000
"""Maximum number of candidate pairs of a document."""
IGNORED = -1.0
"""Value in ``pair_label`` of pairs that are excluded from the loss."""


class DocumentGraph(HeteroData):
    """Graph of a document, with rules for batching its word and entity indices.

    Every graph has all :data:`NODE_TYPES` and :data:`EDGE_TYPES`, possibly without nodes and edges. Edges
    within a node type are stored in both directions, edges between node types once. Entities are sorted by
    the offset of their first mention, mentions by their entity, then by offset.

    Attributes:
        id: Identifier of the document.
        words: Its words (W strings).
        mention: ``span`` [M, 2] in words, ``type`` [M].
        entity: ``type`` [E], ``id`` (E strings).
        sentence: ``span`` [S, 2] in words.
        pair_index: Head and tail entity of each candidate pair [2, P].
        pair_label: 1 for the relations of a pair, otherwise 0; -1 for pairs that are ignored [P, R].
        pair_distance: Words from the tail's first mention to the head's [P].
        pair_evidence: Pair and sentence of each sentence that the corpus gives as evidence of a fact [2, ·].

    Example:
        >>> from glre_pyg.data.document import Document, Fact, Mention, Sentence
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

    def __inc__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        if key == "pair_index":
            return self["entity"].num_nodes
        if key == "pair_evidence":
            return torch.tensor([[self.pair_index.size(1)], [self["sentence"].num_nodes]])
        if key in ("span", "word_index", "depends"):
            return len(self.words)
        if key == "ancestor_index":
            return torch.tensor([[self["entity"].num_nodes], [0]])
        if key == "window_index":
            return int(value[-1]) + 1 if len(value) else 0
        if key == "marker_index":
            return torch.tensor([[len(self.input_ids)], [self["mention"].num_nodes]])
        return super().__inc__(key, value, *args, **kwargs)

    def __cat_dim__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        if key in ("pair_index", "pair_evidence", "marker_index", "depends", "ancestor_index"):
            return 1
        if key in ("span", "word_index", "window_index"):
            return 0
        return super().__cat_dim__(key, value, *args, **kwargs)

    def __repr__(self) -> str:
        """Return one line; ``print`` shows every attribute and its shape."""
        identifier = self.get("id")
        name = f"{len(identifier)} documents" if isinstance(identifier, list) else repr(identifier)
        sizes = [f"{self[kind].num_nodes} {kind} nodes" for kind in NODE_TYPES if kind in self.node_types]
        pairs = [f"{self.pair_index.size(1)} pairs"] if "pair_index" in self else []
        return f"{type(self).__name__}({', '.join([name, *sizes, *pairs])})"

    __str__ = HeteroData.__repr__


def build_graph(
    document: Document,
    *,
    relations: Sequence[str] | None = None,
    types: Sequence[str] | None = None,
    pair_types: Collection[tuple[str, str]] | None = None,
    directed: bool = True,
) -> DocumentGraph:
    """Build the graph of a document (Section 3.2).

    Args:
        document: The document.
        relations: Columns of ``pair_label``; by default the relations of the document, sorted.
        types: Entity types that ``mention.type`` and ``entity.type`` index; by default those of the
            document, sorted. Graphs that are batched together need the same relations and types.
        pair_types: (head type, tail type) of candidate pairs; by default every ordered pair of entities.
        directed: Whether (a, b) and (b, a) are two candidate pairs; otherwise, the head is the entity that is
            mentioned first, and a fact may name the two in either order.

    Raises:
        InputError: If a relation or an entity type of the document is not among those given, or there are
            too many edges or pairs.
    """
    if isinstance(relations, str) or isinstance(types, str):
        raise InputError("relations and types are lists of names, not one text")
    entities = document.entities
    mentions = [mention for entity in entities for mention in entity.mentions]
    relations = sorted({fact.relation for fact in document.facts}) if relations is None else relations
    types = sorted({mention.type for mention in mentions}) if types is None else types
    mention_span = _rows([document.word_span(mention) for mention in mentions])
    sentence_span = _rows([(sentence.start, sentence.end) for sentence in document.sentences])
    entity_of = np.arange(len(entities)).repeat([len(entity.mentions) for entity in entities])
    sentence_of = sentence_span[:, 1].searchsorted(mention_span[:, 0], side="right")
    _check_size(document, sentence_of, pair_types)
    pairs = _rows(document.pairs(pair_types, directed=directed)).T
    position = mention_span[np.searchsorted(entity_of, pairs), 0]  # [2, P], of the first mentions

    graph = DocumentGraph(id=document.id, words=document.word_texts())
    graph.pair_index = torch.from_numpy(np.ascontiguousarray(pairs))
    graph.pair_label = _labels(document, pairs, relations, directed)
    graph.pair_evidence = _evidence(document, pairs, directed)
    graph.pair_distance = torch.from_numpy(position[0] - position[1])
    graph["mention"].num_nodes, graph["mention"].span = len(mentions), torch.from_numpy(mention_span)
    graph["mention"].type = _type_index(document, types, mentions)
    graph["entity"].num_nodes, graph["entity"].id = len(entities), [entity.id for entity in entities]
    graph["entity"].type = _type_index(document, types, entities)
    graph["sentence"].num_nodes, graph["sentence"].span = len(sentence_span), torch.from_numpy(sentence_span)
    for edge_type, edges in zip(EDGE_TYPES, _edges(entity_of, sentence_of, len(sentence_span)), strict=True):
        graph[edge_type].edge_index = torch.from_numpy(np.stack(edges))
    return graph


def _edges(
    entity: np.ndarray, sentence: np.ndarray, num_sentences: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the edges of each of :data:`EDGE_TYPES`, given entity and sentence of each mention.

    Paper: "there are no entity-entity edges, because they form the relations to be predicted".
    """
    mention = np.arange(len(entity))
    entity_sentence = np.unique(entity * num_sentences + sentence)  # once for all mentions in a sentence
    return [
        _cliques(sentence),
        (mention, entity),
        (mention, sentence),
        np.divmod(entity_sentence, max(num_sentences, 1)),
        _cliques(np.zeros(num_sentences, dtype=np.int64)),
    ]


def word_counts(batch: DocumentGraph) -> list[int]:
    """Return the number of words of each document of a batch or graph, which are stored on the host."""
    words = batch.words
    return list(map(len, words)) if words and isinstance(words[0], list) else [len(words)]


def documents_of_nodes(batch: DocumentGraph, node_type: str) -> Tensor:
    """Return the document of each node of a type, ascending; zeros for a single graph."""
    store = batch[node_type]
    return store.batch if "batch" in store else batch.pair_index.new_zeros(store.num_nodes)


def places_of_nodes(batch: DocumentGraph, node_type: str) -> Tensor:
    """Return the number of each node of a type among those of its document."""
    place = torch.arange(batch[node_type].num_nodes, device=batch.pair_index.device)
    if "ptr" not in batch[node_type]:
        return place
    return place - batch[node_type].ptr.index_select(0, documents_of_nodes(batch, node_type))


def documents_of_pairs(batch: DocumentGraph) -> Tensor:
    """Return the document of each pair of a batch [P], ascending; zeros for a single graph."""
    return documents_of_nodes(batch, "entity").index_select(0, batch.pair_index[0])


def _rows(pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    return np.fromiter(chain.from_iterable(pairs), np.int64, 2 * len(pairs)).reshape(-1, 2)


def _check_size(
    document: Document, mention_sentence: np.ndarray, pair_types: Collection[tuple[str, str]] | None
) -> None:
    """Check the numbers that grow with the square of a document, before anything is built.

    Raises:
        InputError: If there are more than :data:`MAX_EDGES` edges of a type or :data:`MAX_PAIRS` pairs.
    """
    types = Counter(entity.type for entity in document.entities)
    allowed = product(types, types) if pair_types is None else {tuple(pair) for pair in pair_types}
    num_pairs = sum(types[head] * types[tail] for head, tail in allowed)
    num_edges = int((np.bincount(mention_sentence) ** 2).sum())
    for number, limit, name in (
        (len(document.sentences) ** 2, MAX_EDGES, f"edges between {len(document.sentences):,} sentences"),
        (num_edges, MAX_EDGES, "edges between mentions in a sentence"),
        (num_pairs, MAX_PAIRS, f"candidate pairs of {types.total():,} entities"),
    ):
        if number > limit:
            raise InputError(
                f"{document.id}: {number:,} {name} are too many for a graph (at most {limit:,}): "
                "split the document"
            )


def _cliques(group: np.ndarray) -> _EdgeIndex:
    """Return the edges in both directions between all nodes of the same group, sorted, without self-loops.

    >>> [index.tolist() for index in _cliques(np.array([0, 1, 0]))]
    [[0, 2], [2, 0]]
    """
    sizes = np.bincount(group)
    starts, degrees = sizes.cumsum() - sizes, sizes[group]
    source = np.arange(len(group)).repeat(degrees)
    within = np.arange(len(source)) - (degrees.cumsum() - degrees).repeat(degrees)
    target = group.argsort(kind="stable")[starts[group[source]] + within]
    between = source != target
    return source[between], target[between]


def _type_index(document: Document, types: Sequence[str], nodes: Sequence[Mention | Entity]) -> Tensor:
    number = {name: index for index, name in enumerate(types)}
    for node in nodes:
        if node.type not in number:
            raise InputError(f"{document.id}: entity type '{node.type}' is not one of {', '.join(types)}")
    return torch.tensor([number[node.type] for node in nodes], dtype=torch.long)


def _labels(document: Document, pairs: np.ndarray, relations: Sequence[str], directed: bool) -> Tensor:
    labels = np.zeros((pairs.shape[1], len(relations)), dtype=np.float32)
    if not document.facts and not document.ignored:  # in prediction
        return torch.from_numpy(labels)
    row = _row_of_pairs(document, pairs, directed)
    column = {name: index for index, name in enumerate(relations)}
    for fact in document.facts:
        if fact.relation not in column:
            raise InputError(
                f"{document.id}: relation '{fact.relation}' is not one of {', '.join(relations) or 'none'}"
            )
        if (fact.head, fact.tail) in row:
            labels[row[fact.head, fact.tail], column[fact.relation]] = 1.0
    for pair in document.ignored:  # even if there is a fact of the pair
        if pair in row:
            labels[row[pair]] = IGNORED
    return torch.from_numpy(labels)


def _evidence(document: Document, pairs: np.ndarray, directed: bool) -> Tensor:
    facts = [fact for fact in document.facts if fact.evidence]
    row = _row_of_pairs(document, pairs, directed) if facts else {}
    rows = [
        (row[fact.head, fact.tail], sentence)
        for fact in facts
        if (fact.head, fact.tail) in row
        for sentence in fact.evidence
        if 0 <= sentence < len(document.sentences)
    ]
    return torch.from_numpy(np.ascontiguousarray(_rows(rows).T))


def _row_of_pairs(document: Document, pairs: np.ndarray, directed: bool) -> dict[tuple[str, str], int]:
    """Return the number of each candidate pair by the identifiers of its entities."""
    ids = [entity.id for entity in document.entities]
    row = {(ids[head], ids[tail]): index for index, (head, tail) in enumerate(pairs.T.tolist())}
    return row if directed else row | {(tail, head): index for (head, tail), index in row.items()}
