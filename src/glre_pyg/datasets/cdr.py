"""CDR: chemical-disease relations, the paper's first corpus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from glre_pyg.data.document import Document
from glre_pyg.data.graph import Labels
from glre_pyg.datasets.base import FileCorpus
from glre_pyg.datasets.hypernyms import MeshTree, hypernym_negatives, pool_unlinked
from glre_pyg.datasets.official_files import CDR as FILES
from glre_pyg.datasets.official_files import find, mesh_tree
from glre_pyg.utils.exceptions import InputError

CHEMICAL_DISEASE = Labels(
    relations=("CID",), types=("Chemical", "Disease"), pair_types=(("Chemical", "Disease"),)
)


@dataclass(kw_only=True, eq=False)
class CDR(FileCorpus):
    """Chemical-disease relations (BioCreative V; Li et al., 2016), 500 abstracts a split.

    Args:
        root, train, dev, test, dev_from_train: See :class:`~glre_pyg.datasets.base.FileCorpus`.
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

    protocol: str
    name = "cdr"
    labels: ClassVar[Labels] = CHEMICAL_DISEASE

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.protocol not in _NEGATIVES:
            raise InputError(f"dataset.protocol: '{self.protocol}' is not one of {', '.join(_NEGATIVES)}")

    @property
    def source(self) -> str:  # type: ignore[override]
        """Where the published counts are from."""
        return "paper, Table 1" if self.protocol == "bran" else "EoG's files"

    @property
    def published(self) -> dict[str, dict[str, int]]:  # type: ignore[override]
        """Table 1 of the paper, and its like for the other protocols."""
        rows = zip(("train", "dev", "test"), (1038, 1012, 1066), _NEGATIVES[self.protocol], strict=True)
        return {split: {"documents": 500, "positive": pos, "negative": neg} for split, pos, neg in rows}

    def official(self, split: str) -> Path:
        """Where the official file of a split is."""
        return find(FILES[split], self._root)

    def files(self) -> Mapping[str, Path]:
        """The files of the splits, and the tree that the filter goes by."""
        files = dict(super().files())
        if self.protocol != "unfiltered":
            files["mesh"] = mesh_tree(self._root)
        return files

    def sources(self, path: Path) -> list[Path]:
        """The file, and the tree that the filter goes by."""
        return [*super().sources(path), *([] if self.protocol == "unfiltered" else [mesh_tree(self._root)])]

    def prepare(self, documents: Iterable[Document]) -> Iterable[Document]:
        """Mentions without identifier pooled, hypernyms ignored, as the protocol has it.

        The field's filter looks at gold labels: documents whose facts are not known have nothing to ignore.
        """
        for document in documents:
            pooled = pool_unlinked(document) if self.protocol == "bran" else document
            if self.protocol != "unfiltered" and pooled.facts:
                pooled = replace(pooled, ignored=hypernym_negatives(pooled, self._tree))
            yield pooled

    @property
    def _root(self) -> Path | None:
        return Path(self.root) if self.root else None

    @cached_property
    def _tree(self) -> MeshTree:
        return MeshTree.read(mesh_tree(self._root))


_NEGATIVES = {
    "eog": (4202, 4075, 4138),
    "unfiltered": (4394, 4249, 4339),
    "bran": (4280, 4136, 4270),
}
"""Negatives of train, dev and test by protocol."""
