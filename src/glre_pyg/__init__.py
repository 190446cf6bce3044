"""Document-level relation extraction on graphs: GLRE (EMNLP 2020) on PyTorch Geometric."""

from glre_pyg.document import Document, Entity, Fact, Mention, Sentence
from glre_pyg.graph import EDGE_TYPES, NODE_TYPES, DocumentGraph, build_graph

__all__ = [
    "EDGE_TYPES",
    "NODE_TYPES",
    "Document",
    "DocumentGraph",
    "Entity",
    "Fact",
    "Mention",
    "Sentence",
    "build_graph",
]
