"""Generated documents as a corpus."""

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


class Synthetic:
    """Generated documents of invented drugs and diseases; see :mod:`glre_pyg.datasets.generator`.

    Args:
        corpus: The generator.
        sizes: Documents by split.
        name: Name of the set.
    """

    labels = replace(CHEMICAL_DISEASE, types=("Chemical", "Disease", "Gene"))
    protocol = "every candidate pair"
    published: ClassVar[Counts] = {}
    pubtator: ClassVar[str] = "pubtator"
    local_ids: ClassVar[bool] = False
    source = ""
    cache: Cache | None = None  # it takes no longer to generate documents than to read them
    strict = True
    skipped: ClassVar[Mapping[Path, int]] = {}

    def __init__(self, *, corpus: SyntheticCorpus, sizes: Mapping[str, int], name: str) -> None:
        self.corpus, self.sizes, self.name = corpus, sizes, name

    def documents(self, split: str) -> list[Document]:
        """Documents of a split, the same in every process."""
        return list(self.corpus.generate(split, self.sizes[split]))

    def key(self, split: str) -> None:
        """None: nothing is kept."""

    def prepare(self, documents: Iterable[Document]) -> Iterable[Document]:
        """Documents as they are."""
        return documents

    def read(self, path: Path, *, on_error: ErrorHandler | None = None) -> Iterable[Document]:
        """Documents of a file."""
        return read_documents(path, on_error=on_error)

    def is_labelled(self, split: str) -> bool:
        """All facts are known."""
        return True

    def files(self) -> Mapping[str, Path]:
        """There are none."""
        return {}

    def known(self) -> None:
        """No score leaves facts out."""
        return None
