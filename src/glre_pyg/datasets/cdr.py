"""CDR: chemical-disease relations, the paper's first corpus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from glre_pyg.data.document import Document
from glre_pyg.data.labels import Labels
from glre_pyg.datasets.base import FileCorpus
from glre_pyg.datasets.hypernyms import MeshTree, hypernym_negatives, pool_unlinked
from glre_pyg.datasets.official_files import CDR as FILES
from glre_pyg.datasets.official_files import mesh_tree
from glre_pyg.utils.exceptions import InputError

CHEMICAL_DISEASE = Labels(
    relations=("CID",), types=("Chemical", "Disease"), pair_types=(("Chemical", "Disease"),)
)

CID_NAME = {"CID": "induces"}  # chemical-induced disease


@dataclass(kw_only=True, eq=False)
class CDR(FileCorpus):
    """Chemical-disease relations (BioCreative V; Li et al., 2016), 500 abstracts a split.

    Args:
        root, train, dev, test, dev_from_train: See :class:`~glre_pyg.datasets.base.FileCorpus`.
        protocol: Which pairs are candidates. ``"eog"``: mentions without an identifier are no entities, and
            negatives that are hypernyms of a positive are ignored in loss and score (EoG, ATLOP, and the
            released code of GLRE). ``"unfiltered"``: hypernyms count as negatives. ``"bran"``: the mentions
            without an identifier are one entity of the document, otherwise as ``"eog"`` (BRAN, and Table 1 of
            the paper).

    STATS, negatives by protocol, as printed by ``python -m glre_pyg.stats dataset=cdr``:

    ======  =========  =====  ==========  =====
    split   positive   eog    unfiltered  bran
    ======  =========  =====  ==========  =====
    train   1,038      4,202  4,394       4,280
    dev     1,012      4,075  4,249       4,136
    test    1,066      4,138  4,339       4,270
    ======  =========  =====  ==========  =====
    """

    protocol: str
    name = "cdr"
    labels: ClassVar[Labels] = CHEMICAL_DISEASE
    relation_names = CID_NAME
    splits = FILES

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.protocol not in _NEGATIVES:
            raise InputError(f"dataset.protocol: '{self.protocol}' is not one of {', '.join(_NEGATIVES)}")

    @property
    def source(self) -> str:  # type: ignore[override]
        """Where the counts were published."""
        return "paper, Table 1" if self.protocol == "bran" else "EoG's files"

    @property
    def published(self) -> dict[str, dict[str, int]]:  # type: ignore[override]
        """Counts of Table 1 of the paper, or those published for the other protocols."""
        rows = zip(("train", "dev", "test"), (1038, 1012, 1066), _NEGATIVES[self.protocol], strict=True)
        return {split: {"documents": 500, "positive": pos, "negative": neg} for split, pos, neg in rows}

    def files(self) -> Mapping[str, Path]:
        """Return the files of the splits, and the MeSH tree if it is used."""
        files = dict(super().files())
        if self.protocol != "unfiltered":
            files["mesh"] = mesh_tree(self.root_folder)
        return files

    def sources(self, path: Path) -> list[Path]:
        """Return the file, and the MeSH tree if it is used."""
        sources = super().sources(path)
        return sources if self.protocol == "unfiltered" else [*sources, mesh_tree(self.root_folder)]

    def prepare(self, documents: Iterable[Document]) -> Iterable[Document]:
        """Pool mentions without an identifier and ignore hypernyms, depending on the protocol.

        The filter uses the gold facts: in documents without facts, nothing is ignored.
        """
        for document in documents:
            pooled = pool_unlinked(document) if self.protocol == "bran" else document
            if self.protocol != "unfiltered" and pooled.facts:
                pooled = replace(pooled, ignored=hypernym_negatives(pooled, self._tree))
            yield pooled

    @cached_property
    def _tree(self) -> MeshTree:
        return MeshTree.read(mesh_tree(self.root_folder))


_NEGATIVES = {
    "eog": (4202, 4075, 4138),
    "unfiltered": (4394, 4249, 4339),
    "bran": (4280, 4136, 4270),
}
"""Number of negatives in train, dev and test by protocol."""
