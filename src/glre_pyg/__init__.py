"""Document-level relation extraction on graphs: GLRE (EMNLP 2020) on PyTorch Geometric.

The names below are imported when they are first used, so that ``glre_pyg.document`` and the readers in
``glre_pyg.corpora`` load without torch, and the graph without transformers or Hydra.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    of_graph = name in ("EDGE_TYPES", "NODE_TYPES", "DocumentGraph", "build_graph")
    return getattr(import_module("glre_pyg.graph" if of_graph else "glre_pyg.document"), name)
