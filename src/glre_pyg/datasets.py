"""Corpora as datasets: documents by split, and what is a candidate pair and what counts (Section 4.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

from glre_pyg.corpora.download import cdr_files
from glre_pyg.corpora.formats import read_documents
from glre_pyg.corpora.hypernyms import MeshTree, hypernym_negatives, pool_unlinked
from glre_pyg.corpora.pubtator import read_pubtator
from glre_pyg.corpora.synthetic import SyntheticCorpus
from glre_pyg.document import Document, InputError
from glre_pyg.graph import Labels

Pairs = frozenset[tuple[str, str]]
CHEMICAL_DISEASE = Labels(
    relations=("CID",), types=("Chemical", "Disease"), pair_types=(("Chemical", "Disease"),)
)


class Corpus(Protocol):
    """Documents in splits, and the protocol under which they are scored."""

    name: str
    protocol: str
    labels: Labels

    def documents(self, split: str) -> list[Document]:
        """Documents of ``"train"``, ``"dev"`` or ``"test"``."""
        ...

    def ignored(self, document: Document) -> Pairs:
        """Candidate pairs, by identifiers, that the protocol's filter leaves out of loss and score."""
        ...


class CDR:
    """Chemical-disease relations (BioCreative V; Li et al., 2016), 500 abstracts a split.

    Args:
        root: Folder of the corpus; None looks into ``$GLRE_DATA/CDR``, then into the cache, then downloads.
        protocol: How candidate pairs are counted. ``"eog"``: identifiers split, mentions without one left
            out, negatives that are hypernyms of a positive left out of loss and score (EoG, ATLOP, and the
            released code of GLRE). ``"unfiltered"``: the same, hypernyms kept. ``"bran"``: a document's
            mentions without identifier are one entity, then as ``"eog"`` (BRAN, and Table 1 of the paper).

    STATS, negatives by protocol; ``python -m glre_pyg.stats dataset=cdr`` prints them from the files:

    ======  =========  =====  ==========  =====
    split   positive   eog    unfiltered  bran
    ======  =========  =====  ==========  =====
    train   1,038      4,202  4,394       4,280
    dev     1,012      4,075  4,249       4,136
    test    1,066      4,138  4,339       4,270
    ======  =========  =====  ==========  =====
    """

    name = "cdr"
    labels = CHEMICAL_DISEASE

    def __init__(self, *, root: str | None, protocol: Literal["eog", "unfiltered", "bran"]) -> None:
        if protocol not in ("eog", "unfiltered", "bran"):
            raise InputError(f"dataset.protocol: '{protocol}' is not one of eog, unfiltered, bran")
        self.root = Path(root) if root else None
        self.protocol = protocol

    def documents(self, split: str) -> list[Document]:
        """Documents of a split."""
        documents = read_pubtator(self._files[split])
        return [pool_unlinked(document) if self.protocol == "bran" else document for document in documents]

    def ignored(self, document: Document) -> Pairs:
        """Negatives that are hypernyms of a positive; the field's filter, which looks at gold labels."""
        return frozenset() if self.protocol == "unfiltered" else hypernym_negatives(document, self._tree)

    @cached_property
    def _files(self) -> dict[str, Path]:
        return cdr_files(self.root)

    @cached_property
    def _tree(self) -> MeshTree:
        return MeshTree.read(self._files["mesh"])


class Synthetic:
    """Generated documents of invented drugs and diseases; see :mod:`glre_pyg.corpora.synthetic`.

    Args:
        corpus: The generator.
        sizes: Documents by split.
        name: Name of the set.
    """

    labels = replace(CHEMICAL_DISEASE, types=("Chemical", "Disease", "Gene"))
    protocol = "all pairs"

    def __init__(self, *, corpus: SyntheticCorpus, sizes: Mapping[str, int], name: str) -> None:
        self.corpus, self.sizes, self.name = corpus, sizes, name

    def documents(self, split: str) -> list[Document]:
        """Documents of a split, the same in every process."""
        return list(self.corpus.generate(split, self.sizes[split]))

    def ignored(self, document: Document) -> Pairs:
        """Nothing is left out."""
        return frozenset()


class Files:
    """A corpus of one's own, as PubTator or JSON lines.

    Args:
        train, dev, test: Files by split.
        relations: Relations to predict.
        types: Entity types of the documents.
        pair_types: (head type, tail type) of candidate pairs; None for every ordered pair of entities.
        name: Name of the set.
    """

    protocol = "all pairs"

    def __init__(
        self,
        *,
        train: str,
        dev: str,
        test: str,
        relations: Sequence[str],
        types: Sequence[str],
        pair_types: Sequence[Sequence[str]] | None,
        name: str,
    ) -> None:
        self.name = name
        self.files = {"train": Path(train), "dev": Path(dev), "test": Path(test)}
        pairs = None if pair_types is None else tuple((head, tail) for head, tail in pair_types)
        self.labels = Labels(tuple(relations), tuple(types), pairs)

    def documents(self, split: str) -> list[Document]:
        """Documents of a split."""
        return list(read_documents(self.files[split]))

    def ignored(self, document: Document) -> Pairs:
        """Nothing is left out."""
        return frozenset()
