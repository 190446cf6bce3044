"""Annotations of graphs that some models ask for: parses, characters, an ontology, and nodes of documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch

from glre_pyg.data.graph import IN_DOCUMENT, DocumentGraph
from glre_pyg.data.ontology import Ontology
from glre_pyg.data.parser import Parser
from glre_pyg.utils.cache import Cache

ALPHABET = 128
"""Number of characters in ``characters``: padding, 1 to 126 of ASCII, and 127 for all others."""


@dataclass(frozen=True)
class Annotations:
    """Adds to graphs what a model asks for.

    Args:
        parser: Adds ``depends``, ``dependency`` and ``pos``; None adds no parse.
        characters: Number K of the first characters of each word in ``characters`` [W, K]; 0 adds none.
        ontology: Adds ancestors of entities; None adds none.
        documents: Whether to make graphs hierarchical; see :func:`add_document_node`.
    """

    parser: Parser | None = None
    characters: int = 0
    ontology: Ontology | None = None
    documents: bool = False

    @classmethod
    def of_model(
        cls, model: Mapping[str, Any], *, ontology: Ontology | None = None, folders: bool = True
    ) -> Self:
        """Return the annotations that the config of a model asks for.

        These are ``parse``, ``tags``, ``characters``, and ``documents`` of its global layer.

        Args:
            model: The config.
            ontology: What its ``ontology`` names, if it does.
            folders: Whether a spaCy pipeline may be a folder, and not only an installed package.

        Raises:
            InputError: If spaCy or the pipeline is not installed, or the pipeline has no parser.
        """
        name = model.get("parse")
        parser = Parser.load(name, tags=bool(model.get("tags")), folders=folders) if name else None
        documents = bool((model.get("global_layer") or {}).get("documents"))
        return cls(parser, model.get("characters") or 0, ontology, documents)

    @property
    def pipeline(self) -> str | None:
        """Name and version of the pipeline that parses documents, if they are parsed."""
        return self.parser.name if self.parser else None

    def add(self, graphs: Iterable[DocumentGraph], cache: Cache | None = None) -> list[DocumentGraph]:
        """Add the annotations to graphs, and return these.

        Args:
            graphs: The graphs.
            cache: Where the parses of all of them are kept, or come from; None for no cache.
        """
        graphs = [*graphs]
        if self.parser:
            self.parser.add(graphs, cache)
        if self.ontology:
            self.ontology.add(graphs)
        if self.characters:
            for graph in graphs:
                graph.characters = character_index(graph.words, self.characters)
        if self.documents:
            for graph in graphs:
                add_document_node(graph)
        return graphs


def add_document_node(graph: DocumentGraph) -> None:
    """Add a node of the document, and edges :data:`~glre_pyg.data.graph.IN_DOCUMENT` to it.

    The graph is then hierarchical: mentions and entities, sentences, and the document.
    """
    graph["document"].num_nodes = 1
    graph["document"].span = torch.tensor([[0, len(graph.words)]])
    for edge_type in IN_DOCUMENT:
        members = torch.arange(graph[edge_type[0]].num_nodes)
        graph[edge_type].edge_index = torch.stack([members, torch.zeros_like(members)])


def character_index(words: Sequence[str], length: int) -> torch.Tensor:
    """Return the characters of words [W, length] as numbers below :data:`ALPHABET`; 0 is padding.

    >>> character_index(["ab", "\u03b2-x"], 2).tolist()
    [[97, 98], [127, 45]]
    """
    table = np.array([word[:length] for word in words], dtype=f"<U{length}")
    points = table.view(np.uint32).reshape(len(words), length)
    return torch.from_numpy(np.minimum(points, ALPHABET - 1).astype(np.int64))
