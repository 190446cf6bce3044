"""GDA: gene-disease associations, the larger biomedical corpus of EoG and ATLOP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from glre_pyg.data.document import Document
from glre_pyg.data.graph import Labels
from glre_pyg.datasets.base import FileCorpus
from glre_pyg.datasets.official_files import GDA as OFFICIAL
from glre_pyg.datasets.official_files import find
from glre_pyg.evaluation.protocol import SPLITS
from glre_pyg.formats.detection import read_documents
from glre_pyg.formats.renet import FILES, RELATION, read_gda
from glre_pyg.utils.exceptions import ErrorHandler, InputError


@dataclass(kw_only=True, eq=False)
class GDA(FileCorpus):
    """Gene-disease associations in abstracts (RENET, 2019), labelled by distant supervision.

    There is no dev set of its own: EoG trains on the 23,353 training documents of a published list
    (``train_gda_docs``) and takes the others as dev. No hypernyms are left out.

    Args:
        root: Folder with ``training_data`` and ``testing_data``; None looks into ``$GLRE_DATA/GDA``, then
            into the cache, then downloads.
        train, dev, test: Folders in place of these (see :mod:`glre_pyg.formats.renet`), or files of another
            format: ``.data`` is EoG's.
        train_ids: File of the documents of the training folder that are trained on, one identifier a line;
            its others are dev.
        dev_from_train: Documents of the training folder that are dev, drawn at random, the same for every
            seed.

    STATS: EoG's list has 23,353 training documents; no other count could be verified here.

    Raises:
        InputError: If more than one of ``dev``, ``train_ids`` and ``dev_from_train`` says what dev is.
    """

    train_ids: str | None = None
    name = "gda"
    protocol = "every gene and disease"
    source = "EoG's list of documents"
    labels: ClassVar[Labels] = Labels((RELATION,), ("Disease", "Gene"), (("Gene", "Disease"),))

    def __post_init__(self) -> None:
        if sum(map(bool, (self.dev, self.train_ids, self.dev_from_train))) > 1:
            raise InputError("dataset.dev: give one of dev, train_ids and dev_from_train")

    @property
    def published(self) -> dict[str, dict[str, int]]:  # type: ignore[override]
        """Documents of EoG's split, where it is the one that is read."""
        return {"train": {"documents": 23_353}} if self.train_ids and not self.train else {}

    def official(self, split: str) -> Path:
        """The folder of a split."""
        if split == "dev":
            if not self.train_ids:
                raise InputError(
                    "dataset.dev: GDA has none of its own; give dev, train_ids or dev_from_train"
                )
            return self.file("train")
        root = Path(self.root) if self.root else None
        folders = sorted({find(file, root).parent for file in OFFICIAL[split].values()})
        if len(folders) > 1:
            raise InputError(f"{folders[0]}: not all of {', '.join(FILES)} are in this folder")
        return folders[0]

    def files(self) -> Mapping[str, Path]:
        """The files that splits are read from, those of a folder one by one."""
        found: dict[str, Path] = {}
        for split in SPLITS:
            path = self.file(split)
            found |= {f"{split}/{name}": path / name for name in FILES} if path.is_dir() else {split: path}
        return found | ({"train_ids": Path(self.train_ids)} if self.train_ids else {})

    def documents(self, split: str) -> list[Document]:
        """Documents of a split."""
        documents = super().documents(split)
        if self.train_ids is None or split == "test":
            return documents
        return [each for each in documents if (each.id in self._trained) == (split == "train")]

    def read(self, path: Path, *, on_error: ErrorHandler | None = None) -> Iterable[Document]:
        """Documents of a folder in the published format, or of a file by its name."""
        read = read_gda if path.is_dir() else read_documents
        return read(path, on_error=on_error)

    @cached_property
    def _trained(self) -> frozenset[str]:
        try:
            return frozenset(Path(str(self.train_ids)).read_text(encoding="utf-8").split())
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"dataset.train_ids: {self.train_ids}: {error}") from None
