"""Labels of a corpus: relations, entity types and candidate pairs, which its graphs have in common."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain, product
from typing import TYPE_CHECKING

from glre_pyg.data.document import Document, Fact
from glre_pyg.utils.exceptions import InputError

if TYPE_CHECKING:
    from glre_pyg.data.graph import DocumentGraph


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
        from glre_pyg.data.graph import build_graph  # torch: corpora are read without it

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
