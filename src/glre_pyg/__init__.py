"""Document-level relation extraction on graphs: GLRE (EMNLP 2020) on PyTorch Geometric.

Public names are imported on first use, so that documents and the readers in ``glre_pyg.formats`` load without
torch, and graphs without transformers or Hydra. ``%load_ext glre_pyg`` shows documents as HTML in notebooks.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from glre_pyg.data.document import Document, Entity, Fact, Mention, Sentence
    from glre_pyg.data.explanation import PredictedFact
    from glre_pyg.data.graph import EDGE_TYPES, NODE_TYPES, DocumentGraph, build_graph
    from glre_pyg.extraction.arrow_batches import ExtractBatch
    from glre_pyg.extraction.extractor import RelationExtractor
    from glre_pyg.mentions.dictionary import Dictionary
    from glre_pyg.mentions.documents import document_of, with_mentions
    from glre_pyg.mentions.finder import FoundMention
    from glre_pyg.models.base import RelationModel
    from glre_pyg.models.glre import GLRE
    from glre_pyg.runs.hub import from_pretrained, push_to_hub, save_pretrained
    from glre_pyg.training.document_dataset import DocumentDataset

_HOME = {
    "Dictionary": "mentions.dictionary",
    "Document": "data.document",
    "DocumentDataset": "training.document_dataset",
    "DocumentGraph": "data.graph",
    "EDGE_TYPES": "data.graph",
    "Entity": "data.document",
    "ExtractBatch": "extraction.arrow_batches",
    "Fact": "data.document",
    "FoundMention": "mentions.finder",
    "GLRE": "models.glre",
    "Mention": "data.document",
    "NODE_TYPES": "data.graph",
    "PredictedFact": "data.explanation",
    "RelationExtractor": "extraction.extractor",
    "RelationModel": "models.base",
    "Sentence": "data.document",
    "build_graph": "data.graph",
    "document_of": "mentions.documents",
    "from_pretrained": "runs.hub",
    "push_to_hub": "runs.hub",
    "save_pretrained": "runs.hub",
    "with_mentions": "mentions.documents",
}

__all__ = [
    "EDGE_TYPES",
    "GLRE",
    "NODE_TYPES",
    "Dictionary",
    "Document",
    "DocumentDataset",
    "DocumentGraph",
    "Entity",
    "ExtractBatch",
    "Fact",
    "FoundMention",
    "Mention",
    "PredictedFact",
    "RelationExtractor",
    "RelationModel",
    "Sentence",
    "build_graph",
    "document_of",
    "from_pretrained",
    "push_to_hub",
    "save_pretrained",
    "with_mentions",
]


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """Show documents, predicted facts and reasons as HTML in notebooks: ``%load_ext glre_pyg``."""
    from glre_pyg.reporting.notebook_html import register_formatters

    register_formatters(ipython)


def __getattr__(name: str) -> object:
    if name == "__version__":
        return version("glre_pyg")
    if name not in _HOME:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"glre_pyg.{_HOME[name]}"), name)
