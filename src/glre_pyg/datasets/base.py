"""What every corpus is, and what those that are read from files have in common."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import ClassVar, Protocol

from glre_pyg.data.document import Document
from glre_pyg.data.graph import Labels
from glre_pyg.datasets.document_cache import cached_documents
from glre_pyg.evaluation.known_facts import NamedFacts
from glre_pyg.evaluation.protocol import SPLITS
from glre_pyg.formats.detection import detect_format, read_documents
from glre_pyg.utils.cache import Cache, contents_of, key_of
from glre_pyg.utils.exceptions import ErrorHandler, InputError, SkippedDocuments

Counts = Mapping[str, Mapping[str, int]]
"""Published counts: split, then column of :data:`glre_pyg.evaluation.corpus_statistics.COLUMNS`."""


class Corpus(Protocol):
    """Documents in splits, and the protocol under which they are scored.

    Attributes:
        name: Name of the corpus.
        protocol: How candidate pairs are counted.
        published: Published counts by split; what is not published is left out.
        source: Where they are published.
        labels: What its graphs mean.
        cache: Where documents are kept once they are read; None for nowhere.
        strict: Whether a document with an error ends the reading; else it is left out.
        skipped: How many documents of each file were left out.
        pubtator: The format that PubTator has in it; see :mod:`glre_pyg.formats.detection`.
        local_ids: Whether an identifier of an entity means something in its document only.
    """

    name: str
    pubtator: str
    local_ids: bool
    protocol: str
    published: Counts
    source: str
    labels: Labels
    cache: Cache | None
    strict: bool
    skipped: Mapping[Path, int]

    def documents(self, split: str) -> list[Document]:
        """Documents of ``"train"``, ``"dev"`` or ``"test"``, as the protocol has them."""
        ...

    def key(self, split: str) -> str | None:
        """Key of what the documents of a split follow from; None where it cannot be told."""
        ...

    def prepare(self, documents: Iterable[Document]) -> Iterable[Document]:
        """Documents from elsewhere, as the protocol has them."""
        ...

    def read(self, path: Path, *, on_error: ErrorHandler | None = None) -> Iterable[Document]:
        """Documents of a file in the corpus's format, as they are.

        Args:
            path: The file.
            on_error: Is told of documents with an error, which are left out; None raises.
        """
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


def read_all(corpus: Corpus | FileCorpus, path: Path, *, name: str) -> tuple[list[Document], int]:
    """Read and prepare all documents of a file, and print how many were skipped, if any.

    Args:
        corpus: The corpus; if it is strict, the first error is raised.
        path: The file.
        name: Name of the file in the printed line.

    Returns:
        The documents, and the number of documents skipped.
    """
    on_error = SkippedDocuments(corpus.strict)
    documents = list(corpus.prepare(corpus.read(path, on_error=on_error)))
    if on_error.count:
        print(f"{name}: {on_error.count} documents with an error are left out, {len(documents)} are read")
    return documents, on_error.count


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
    cache: Cache | None = field(default=None, init=False, repr=False)
    strict: bool = field(default=True, init=False, repr=False)
    skipped: dict[Path, int] = field(default_factory=dict, init=False, repr=False)
    _whole: dict[Path, list[Document]] = field(default_factory=dict, init=False, repr=False)

    name: ClassVar[str]
    published: ClassVar[Counts] = {}
    source: ClassVar[str] = ""
    unlabelled: ClassVar[frozenset[str]] = frozenset()
    pubtator: ClassVar[str] = "pubtator"
    local_ids: ClassVar[bool] = False

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
        documents = self.whole(self.file(split))
        return self._part(documents, split) if self.dev_from_train and split != "test" else list(documents)

    def whole(self, path: Path) -> list[Document]:
        """All documents of a file as the protocol has them, read once; not at all if the cache has them."""
        if path not in self._whole:
            key = self._key(path) if self.cache else None
            make = partial(self._made, path)
            self._whole[path] = cached_documents(self.cache, key, make) if self.cache and key else make()
        return self._whole[path]

    def key(self, split: str) -> str | None:
        """What the documents of a split follow from, besides which of them are in it."""
        return self._key(self.file(split))

    def sources(self, path: Path) -> list[Path]:
        """What the documents of a file, or of a folder, are made from."""
        return [path]

    def read(self, path: Path, *, on_error: ErrorHandler | None = None) -> Iterable[Document]:
        """Documents of a file, as they are."""
        format = self.pubtator if detect_format(path) == "pubtator" else None
        return read_documents(path, format, on_error=on_error)

    def prepare(self, documents: Iterable[Document]) -> Iterable[Document]:
        """Documents as the protocol has them: here as they are."""
        return documents

    def known(self) -> NamedFacts | None:
        """No score leaves facts out."""
        return None

    def _made(self, path: Path) -> list[Document]:
        documents, skipped = read_all(self, path, name=path.name)
        if skipped:
            self.skipped[path] = skipped
        return documents

    def _key(self, path: Path) -> str | None:
        """What the documents of a file follow from; None if it, or the source of the class, is missing.

        None, too, if some may be skipped: nobody is told of them where documents come out of the cache.
        """
        if not self.strict:
            return None
        if not path.exists():
            return None
        settings = {each.name: getattr(self, each.name) for each in fields(self) if each.init}
        return key_of(
            type(self).__qualname__,
            {name: value for name, value in settings.items() if name not in _PLACES},
            [version("pysbd"), *sys.version_info[:2]],
            contents_of(*self.sources(path)),
        )

    def _part(self, documents: list[Document], split: str) -> list[Document]:
        if not 0 < self.dev_from_train < len(documents):
            raise InputError(
                f"dataset.dev_from_train: {self.dev_from_train} of {len(documents)} training documents"
            )
        names = sorted(document.id for document in documents)
        kept = set(Random("dev from train").sample(names, self.dev_from_train))
        return [document for document in documents if (document.id in kept) == (split == "dev")]


_PLACES = {"root", "train", "dev", "test", "dev_from_train"}
"""Settings that say which documents are read, not what they become."""
