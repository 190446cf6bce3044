"""Section 3.2: the heterogeneous graph of a document.

Letters of shapes, throughout the code: **B** documents, **W** words, **T** subword tokens, **M** mentions,
**E** entities, **S** sentences, **P** candidate pairs, **R** relations, **d** channels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import chain, product
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from glre_pyg.data.document import Document, Fact
from glre_pyg.utils.exceptions import InputError

NODE_TYPES = ("mention", "entity", "sentence")
EDGE_TYPES = (
    ("mention", "co_occurs", "mention"),
    ("mention", "refers_to", "entity"),
    ("mention", "in", "sentence"),
    ("entity", "in", "sentence"),
    ("sentence", "with", "sentence"),
)
EdgeType = tuple[str, str, str]
MAX_EDGES = 20_000_000
"""Maximum number of edges of a type; a document with 4,472 sentences has as many between its sentences."""
MAX_PAIRS = 1_000_000
"""Maximum number of candidate pairs of a document."""
IGNORED = -1.0
"""Value in ``pair_label`` of pairs that are excluded from the loss."""


class DocumentGraph(HeteroData):
    """A :class:`~torch_geometric.data.HeteroData` with rules for batching its word and entity indices."""

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
    """Build the graph of a document, with three node types and five edge types (Section 3.2).

    There are no edges between entities: these are predicted. Edges within a node type are stored in both
    directions, edges between node types once. Every graph has all five edge types, possibly without edges.
    Entities are sorted by the offset of their first mention, mentions by their entity, then by offset.

    Args:
        document: The document.
        relations: Columns of ``pair_label``; by default the relations of the document, sorted.
        types: Entity types that ``mention.type`` and ``entity.type`` index; by default those of the
            document, sorted. Graphs that are batched together need the same relations and types.
        pair_types: (head type, tail type) of candidate pairs; by default every ordered pair of entities.
        directed: Whether (a, b) and (b, a) are two candidate pairs; otherwise, the head is the entity that is
            mentioned first, and a fact may name the two in either order.

    Returns:
        Graph with ``mention.span`` [M, 2] and ``sentence.span`` [S, 2] in words, ``mention.type`` [M],
        ``entity.type`` [E], ``entity.id`` (E strings), an ``edge_index`` for each of
        :data:`EDGE_TYPES`, ``pair_index`` [2, P] (entities), ``pair_label`` [P, R] (0, 1, or -1
        for the pairs that are ``document.ignored``),
        ``pair_distance`` [P] (words from the tail's first mention to the head's), ``words`` (W strings)
        and ``id``.

    Raises:
        InputError: If a relation or an entity type of the document is not among those given, or there are
            too many edges or pairs.

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
    if isinstance(relations, str) or isinstance(types, str):
        raise InputError("relations and types are lists of names, not one text")
    entities = document.entities
    mentions = [mention for entity in entities for mention in entity.mentions]
    relations = sorted({fact.relation for fact in document.facts}) if relations is None else relations
    types = sorted({mention.type for mention in mentions}) if types is None else types

    sizes = np.array([len(entity.mentions) for entity in entities], dtype=np.int64)
    mention_span = _rows([document.word_span(mention) for mention in mentions])
    sentence_span = _rows([(sentence.start, sentence.end) for sentence in document.sentences])
    mention_entity = np.arange(len(entities)).repeat(sizes)
    mention_sentence = sentence_span[:, 1].searchsorted(mention_span[:, 0], side="right")
    _check_size(document, mention_sentence, pair_types)
    pairs = _rows(document.pairs(pair_types, directed=directed)).T
    first = mention_span[sizes.cumsum() - sizes, 0]  # mentions of an entity are in text order

    return DocumentGraph(
        {
            "id": document.id,
            "words": document.word_texts(),
            "pair_index": _tensor(pairs),
            "pair_label": _labels(document, pairs, relations, directed),
            "pair_distance": _tensor(first[pairs[0]] - first[pairs[1]]),
            "mention": {
                "num_nodes": len(mentions),
                "span": _tensor(mention_span),
                "type": _index(document, types, [mention.type for mention in mentions]),
            },
            "entity": {
                "num_nodes": len(entities),
                "type": _index(document, types, [entity.type for entity in entities]),
                "id": [entity.id for entity in entities],
            },
            "sentence": {"num_nodes": len(sentence_span), "span": _tensor(sentence_span)},
            **_edges(mention_entity, mention_sentence, len(sentence_span)),
        }
    )


@dataclass(frozen=True)
class Labels:
    """Relations, entity types and candidate pairs of a corpus, which define the labels of its graphs.

    Args:
        relations: Columns of ``pair_label``.
        types: Entity types that ``mention.type`` and ``entity.type`` index.
        pair_types: (head type, tail type) of candidate pairs; None for every pair of entities.
        directed: Whether (a, b) and (b, a) are two pairs.

    Raises:
        InputError: If a candidate pair has a type that is not among the entity types.
    """

    relations: tuple[str, ...]
    types: tuple[str, ...]
    pair_types: tuple[tuple[str, str], ...] | None
    directed: bool = True

    def __post_init__(self) -> None:
        for name in chain.from_iterable(self.pair_types or ()):
            if name not in self.types:
                types = ", ".join(self.types) or "none"
                raise InputError(f"pair_types: '{name}' is not one of the entity types: {types}")

    def graph(self, document: Document) -> DocumentGraph:
        """Build the graph of a document with its labels."""
        return build_graph(
            document,
            relations=self.relations,
            types=self.types,
            pair_types=self.pair_types,
            directed=self.directed,
        )

    def candidates(self, document: Document) -> list[tuple[str, str]]:
        """Return the identifiers of the candidate pairs of a document."""
        ids = [entity.id for entity in document.entities]
        return [
            (ids[head], ids[tail]) for head, tail in document.pairs(self.pair_types, directed=self.directed)
        ]

    def candidate_facts(self, document: Document) -> list[Fact]:
        """Return the facts of a document that are of a candidate pair; the others are never learnt."""
        types = {entity.id: entity.type for entity in document.entities}
        allowed = {tuple(pair) for pair in self.pair_types or product(self.types, repeat=2)}
        if not self.directed:
            allowed |= {(tail, head) for head, tail in allowed}
        return [
            fact
            for fact in document.facts
            if fact.head != fact.tail and (types.get(fact.head), types.get(fact.tail)) in allowed
        ]

    def blind_graph(self, document: Document) -> DocumentGraph:
        """Build the graph of a document without its facts, as for evaluation and prediction."""
        return self.graph(replace(document, facts=(), ignored=()))


def word_counts(batch: DocumentGraph) -> list[int]:
    """Return the number of words of each document of a batch or graph, which are stored on the host."""
    words = batch.words
    return list(map(len, words)) if words and isinstance(words[0], list) else [len(words)]


def documents_of_pairs(batch: DocumentGraph) -> Tensor:
    """Return the document of each pair of a batch [P], ascending; zeros for a single graph."""
    head = batch.pair_index[0]
    return batch["entity"].batch[head] if "batch" in batch["entity"] else torch.zeros_like(head)


def _rows(pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    return np.fromiter(chain.from_iterable(pairs), np.int64, 2 * len(pairs)).reshape(-1, 2)


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


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


def _edges(entity: np.ndarray, sentence: np.ndarray, num_sentences: int) -> dict[EdgeType, dict[str, Tensor]]:
    """Return the ``edge_index`` of each of :data:`EDGE_TYPES`, given entity and sentence of each mention."""
    mention = np.arange(len(entity))
    # One edge for each entity and sentence.
    entity_sentence = np.unique(entity * num_sentences + sentence)
    edges = (
        _cliques(sentence),
        (mention, entity),
        (mention, sentence),
        np.divmod(entity_sentence, max(num_sentences, 1)),
        _cliques(np.zeros(num_sentences, dtype=np.int64)),
    )
    return {
        edge_type: {"edge_index": torch.from_numpy(np.stack(index))}
        for edge_type, index in zip(EDGE_TYPES, edges, strict=True)
    }


def _cliques(group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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


def _index(document: Document, types: Sequence[str], names: list[str]) -> Tensor:
    number = {name: index for index, name in enumerate(types)}
    for name in names:
        if name not in number:
            raise InputError(f"{document.id}: entity type '{name}' is not one of {', '.join(types)}")
    return torch.tensor([number[name] for name in names], dtype=torch.long)


def _labels(document: Document, pairs: np.ndarray, relations: Sequence[str], directed: bool) -> Tensor:
    labels = np.zeros((pairs.shape[1], len(relations)), dtype=np.float32)
    if not document.facts and not document.ignored:  # in prediction
        return torch.from_numpy(labels)
    ids = [entity.id for entity in document.entities]
    row = {(ids[head], ids[tail]): index for index, (head, tail) in enumerate(pairs.T.tolist())}
    if not directed:
        row |= {(tail, head): index for (head, tail), index in row.items()}
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
