"""The synthetic corpus as a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from glre_pyg.data.document import Document
from glre_pyg.datasets.base import Counts
from glre_pyg.datasets.cdr import CHEMICAL_DISEASE
from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.formats.detection import read_documents
from glre_pyg.utils.cache import Cache
from glre_pyg.utils.exceptions import ErrorHandler
from glre_pyg.utils.ranges import NonNegativeInt


class Synthetic:
    """Generated documents of invented drugs and diseases; see :mod:`glre_pyg.datasets.generator`.

    Args:
        corpus: The generator.
        sizes: Number of documents by split.
        name: Name of the corpus.
    """

    labels = replace(CHEMICAL_DISEASE, types=("Chemical", "Disease", "Gene"))
    protocol = "every candidate pair"
    published: ClassVar[Counts] = {}
    pubtator: ClassVar[str] = "pubtator"
    local_ids: ClassVar[bool] = False
    source = ""
    cache: Cache | None = None  # generating documents is as fast as reading them
    strict = True
    skipped: ClassVar[Mapping[Path, int]] = {}

    def __init__(self, *, corpus: SyntheticCorpus, sizes: Mapping[str, NonNegativeInt], name: str) -> None:
        self.corpus, self.sizes, self.name = corpus, sizes, name

    def documents(self, split: str) -> list[Document]:
        """Generate the documents of a split, the same in every process."""
        return list(self.corpus.generate(split, self.sizes[split]))

    def prepare(self, documents: Iterable[Document]) -> Iterable[Document]:
        """Return the documents as they are."""
        return documents

    def read(self, path: Path, *, on_error: ErrorHandler | None = None) -> Iterable[Document]:
        """Read the documents of a file."""
        return read_documents(path, on_error=on_error)

    def is_labelled(self, split: str) -> bool:
        """Return True: all facts are known."""
        return True

    def files(self) -> Mapping[str, Path]:
        """Return no files."""
        return {}

    def known(self) -> None:
        """Return None: no score ignores facts."""
