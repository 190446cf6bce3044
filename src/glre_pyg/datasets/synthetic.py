"""The synthetic corpus as a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from glre_pyg.data.document import Document
from glre_pyg.datasets.base import Corpus
from glre_pyg.datasets.cdr import CHEMICAL_DISEASE, CID_NAME
from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.utils.ranges import NonNegativeInt


class Synthetic(Corpus):
    """Generated documents of invented drugs and diseases; see :mod:`glre_pyg.datasets.generator`.

    Args:
        corpus: The generator.
        sizes: Number of documents by split.
        name: Name of the corpus.
    """

    labels = replace(CHEMICAL_DISEASE, types=("Chemical", "Disease", "Gene"))
    relation_names = CID_NAME
    protocol = "every candidate pair"

    def __init__(self, *, corpus: SyntheticCorpus, sizes: Mapping[str, NonNegativeInt], name: str) -> None:
        self.corpus, self.sizes, self.name = corpus, sizes, name

    def documents(self, split: str) -> list[Document]:
        """Generate the documents of a split, the same in every process."""
        return list(self.corpus.generate(split, self.sizes[split]))
