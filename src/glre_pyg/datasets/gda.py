"""GDA: gene-disease associations, the larger biomedical corpus of EoG and ATLOP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from glre_pyg.data.document import Document
from glre_pyg.data.labels import Labels
from glre_pyg.datasets.base import FileCorpus
from glre_pyg.datasets.official_files import GDA as OFFICIAL
from glre_pyg.datasets.official_files import find
from glre_pyg.evaluation.protocol import SPLITS
from glre_pyg.formats.detection import read_documents
from glre_pyg.formats.renet import FILES, RELATION, read_gda
from glre_pyg.utils.exceptions import ErrorHandler, InputError
from glre_pyg.utils.files import read_bytes


@dataclass(kw_only=True, eq=False)
class GDA(FileCorpus):
    """Gene-disease associations in abstracts (RENET, 2019), labelled by distant supervision.

    There is no official dev set: EoG trains on 23,353 of the training documents, a published list
    (``train_gda_docs``), and uses the others as dev. Hypernyms are not filtered.

    Args:
        root: Folder with ``training_data`` and ``testing_data``; None looks into ``$GLRE_DATA/GDA``, then
            into the cache, then downloads.
        train, dev, test: Folders to use instead (see :mod:`glre_pyg.formats.renet`), or files in another
            format, such as EoG's ``.data``.
        train_ids: File with the identifiers of the documents to train on, one a line; the other documents of
            the training folder are dev.
        dev_from_train: Number of documents of the training folder to hold out as dev, the same ones for every
            seed.

    STATS: EoG's list has 23,353 training documents; no other count could be verified.

    Raises:
        InputError: If more than one of ``dev``, ``train_ids`` and ``dev_from_train`` is set.
    """

    train_ids: str | None = None
    name = "gda"
    protocol = "every gene and disease"
    source = "EoG's list of documents"
    labels: ClassVar[Labels] = Labels((RELATION,), ("Disease", "Gene"), (("Gene", "Disease"),))

    def __post_init__(self) -> None:
        if sum(map(bool, (self.dev, self.train_ids, self.dev_from_train))) > 1:
            raise InputError("dataset.dev: give one of dev, train_ids and dev_from_train")
        super().__post_init__()

    @property
    def published(self) -> dict[str, dict[str, int]]:  # type: ignore[override]
        """Size of EoG's training set, if its list is used."""
        return {"train": {"documents": 23_353}} if self.train_ids and not self.train else {}

    def official(self, split: str) -> Path:
        """Return the folder of a split."""
        if split == "dev":
            if not self.train_ids:
                raise InputError(
                    "dataset.dev: GDA has none of its own; give dev, train_ids or dev_from_train"
                )
            return self.file("train")
        folders = sorted({find(file, self.root_folder).parent for file in OFFICIAL[split].values()})
        if len(folders) > 1:
            raise InputError(f"{folders[0]}: not all of {', '.join(FILES)} are in this folder")
        return folders[0]

    def files(self) -> Mapping[str, Path]:
        """Return the files of the splits, each file of a folder by itself."""
        files: dict[str, Path] = {}
        for split in SPLITS:
            path = self.file(split)
            files |= {f"{split}/{name}": path / name for name in FILES} if path.is_dir() else {split: path}
        return files | ({"train_ids": Path(self.train_ids)} if self.train_ids else {})

    def documents(self, split: str) -> list[Document]:
        """Return the prepared documents of a split."""
        documents = super().documents(split)
        if self.train_ids is None or split == "test":
            return documents
        return [document for document in documents if (document.id in self._train_ids) == (split == "train")]

    def read(self, path: Path, *, on_error: ErrorHandler | None = None) -> Iterable[Document]:
        """Read the documents of a folder in the published format, or of a file in the format of its name."""
        read = read_gda if path.is_dir() else read_documents
        return read(path, segmenter=self.segmenter, on_error=on_error)

    @cached_property
    def _train_ids(self) -> frozenset[str]:
        try:
            return frozenset(read_bytes(str(self.train_ids)).decode("utf-8").split())
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"dataset.train_ids: {self.train_ids}: {error}") from None
