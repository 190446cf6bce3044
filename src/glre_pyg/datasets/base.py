"""What every corpus is, and what those that are read from files have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import ClassVar, Protocol

from glre_pyg.corpora.formats import read_documents
from glre_pyg.document import Document, InputError
from glre_pyg.evaluation.known import NamedFacts
from glre_pyg.graph import Labels

Counts = Mapping[str, Mapping[str, int]]
"""Published counts: split, then column of :data:`glre_pyg.evaluation.tables.COLUMNS`."""


SPLITS = ("train", "dev", "test")


class Corpus(Protocol):
    """Documents in splits, and the protocol under which they are scored.

    Attributes:
        name: Name of the corpus.
        protocol: How candidate pairs are counted.
        published: Published counts by split; what is not published is left out.
        source: Where they are published.
        labels: What its graphs mean.
    """

    name: str
    protocol: str
    published: Counts
    source: str
    labels: Labels

    def documents(self, split: str) -> list[Document]:
        """Documents of ``"train"``, ``"dev"`` or ``"test"``, as the protocol has them."""
        ...

    def prepare(self, documents: Iterable[Document]) -> Iterable[Document]:
        """Documents from elsewhere, as the protocol has them."""
        ...

    def read(self, path: Path) -> Iterable[Document]:
        """Documents of a file in the corpus's form, as they are."""
        ...

    def is_labelled(self, split: str) -> bool:
        """Whether the facts of a split are known."""
        ...

    def files(self) -> Mapping[str, Path]:
        """The files that splits are read from."""
        ...

    def known(self) -> NamedFacts | None:
        """Facts that Ign F1 leaves out, by name; None where the corpus knows no such score."""
        ...


@dataclass(kw_only=True, eq=False)
class FileCorpus:
    """A corpus with a file for each split.

    Args:
        root: Folder of the corpus; None looks into ``$GLRE_DATA``, then into the cache, then downloads.
        train, dev, test: Files in place of the official ones.
        dev_from_train: Documents of the training file that are dev, and are not trained on; the same ones
            for every seed. 0 reads dev from its file.

    Raises:
        InputError: If a file is not there, dev is to come from two places, or more documents are to be held
            out than there are.
    """

    root: str | None
    train: str | None
    dev: str | None
    test: str | None
    dev_from_train: int

    name: ClassVar[str]
    published: ClassVar[Counts] = {}
    source: ClassVar[str] = ""
    unlabelled: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        if self.dev and self.dev_from_train:
            raise InputError("dataset.dev_from_train: dev has a file of its own")

    def official(self, split: str) -> Path:
        """Where the official file of a split is."""
        raise NotImplementedError

    def file(self, split: str) -> Path:
        """The file that a split is read from."""
        if split == "dev" and self.dev_from_train:
            split = "train"
        own = {"train": self.train, "dev": self.dev, "test": self.test}[split]
        if own and not Path(own).exists():
            raise InputError(f"dataset.{split}: {own}: no such file")
        return Path(own) if own else self.official(split)

    def files(self) -> Mapping[str, Path]:
        """The files that labelled splits are read from."""
        return {split: self.file(split) for split in SPLITS if self.is_labelled(split)}

    def is_labelled(self, split: str) -> bool:
        """Whether the facts of a split are known: of a file of one's own they are taken to be."""
        return split not in self.unlabelled or self.test is not None

    def documents(self, split: str) -> list[Document]:
        """Documents of a split, as the protocol has them."""
        documents = list(self.read(self.file(split)))
        if self.dev_from_train and split != "test":
            documents = self._part(documents, split)
        return list(self.prepare(documents))

    def read(self, path: Path) -> Iterable[Document]:
        """Documents of a file, as they are."""
        return read_documents(path)

    def prepare(self, documents: Iterable[Document]) -> Iterable[Document]:
        """Documents as the protocol has them: here as they are."""
        return documents

    def known(self) -> NamedFacts | None:
        """No score leaves facts out."""
        return None

    def _part(self, documents: list[Document], split: str) -> list[Document]:
        if not 0 < self.dev_from_train < len(documents):
            raise InputError(
                f"dataset.dev_from_train: {self.dev_from_train} of {len(documents)} training documents"
            )
        names = sorted(document.id for document in documents)
        kept = set(Random("dev from train").sample(names, self.dev_from_train))
        return [document for document in documents if (document.id in kept) == (split == "dev")]
