"""The interface of corpora, and the base class of those that are read from files."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from importlib.metadata import version
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import ClassVar

from glre_pyg.data.document import Document
from glre_pyg.data.labels import Labels
from glre_pyg.data.segmentation import Segmenter, Splitter, segmenter_of
from glre_pyg.datasets.official_files import OfficialFile, find
from glre_pyg.evaluation.known_facts import NamedFacts
from glre_pyg.evaluation.protocol import SPLITS
from glre_pyg.formats.detection import detect_format, read_documents, sources_of
from glre_pyg.utils.cache import Cache, contents_of, key_of
from glre_pyg.utils.console import echo, plural
from glre_pyg.utils.exceptions import ErrorHandler, InputError, SkippedDocuments
from glre_pyg.utils.ranges import NonNegativeInt

Counts = Mapping[str, Mapping[str, int]]
"""Published counts: split, then column of :data:`glre_pyg.evaluation.corpus_statistics.COLUMNS`."""


class Corpus:
    """Documents in splits, and the protocol by which predictions are scored.

    Attributes:
        name: Name of the corpus.
        protocol: Which pairs of entities are candidates.
        labels: Relations, entity types and candidate pairs.
        relation_names: Names of relations in words, for readers, as far as there are any.
        published: Published counts by split, as far as there are any.
        source: Where the counts were published.
        pubtator: The variant of PubTator that is read and written; see :mod:`glre_pyg.formats.detection`.
        local_ids: Whether identifiers of entities are unique within a document only.
        sentences: What splits the sentences of documents that have none.
        cache: Cache of the documents; None for no cache.
        strict: Whether to raise the first error in a document; otherwise such documents are skipped.
        skipped: Number of documents skipped in each file.
    """

    name: str
    protocol: str
    labels: ClassVar[Labels]
    relation_names: ClassVar[Mapping[str, str]] = {}
    published: ClassVar[Counts] = {}
    source = ""
    pubtator = "pubtator"
    local_ids = False
    sentences: Splitter = "pysbd"
    cache: Cache | None = None
    strict = True
    skipped: Mapping[Path, int] = MappingProxyType({})

    @property
    def segmenter(self) -> Segmenter:
        """What cuts texts into words and sentences.

        Raises:
            InputError: If the package of ``sentences`` is not installed.
        """
        return segmenter_of(self.sentences)

    def documents(self, split: str) -> list[Document]:
        """Return the prepared documents of ``"train"``, ``"dev"`` or ``"test"``."""
        raise NotImplementedError

    def prepare(self, documents: Iterable[Document]) -> Iterable[Document]:
        """Prepare documents as the protocol requires; here they stay as they are."""
        return documents

    def read(self, path: Path, *, on_error: ErrorHandler | None = None) -> Iterable[Document]:
        """Read the documents of a file, without preparing them.

        Args:
            path: The file.
            on_error: Callback for documents with errors, which are skipped; None raises the error.
        """
        format = self.pubtator if detect_format(path) == "pubtator" else None
        return read_documents(path, format, segmenter=self.segmenter, on_error=on_error)

    def is_labelled(self, split: str) -> bool:
        """Return whether the facts of a split are known."""
        return True

    def files(self) -> Mapping[str, Path]:
        """Return the files of the labelled splits; none if the documents are generated."""
        return {}

    def known(self) -> NamedFacts | None:
        """Return the facts that Ign F1 ignores, by name; None if the corpus does not use this score."""
        return None


def read_all(corpus: Corpus, path: Path, *, name: str) -> tuple[list[Document], int]:
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
        skipped = plural(on_error.count, "document with an error is", "documents with an error are")
        read = plural(len(documents), "is", "are")
        echo(f"{name}: {on_error.count} {skipped} left out, {len(documents)} {read} read")
    return documents, on_error.count


@dataclass(kw_only=True, eq=False)
class FileCorpus(Corpus):
    """A corpus with a file for each split.

    Args:
        root: Folder of the corpus; None looks into ``$GLRE_DATA``, then into the cache, then downloads.
        train, dev, test: Files to use instead of the official ones.
        dev_from_train: Number of training documents to hold out as dev, the same ones for every seed; 0 reads
            dev from its file.
        sentences: What splits the sentences of documents that have none.

    Raises:
        InputError: If a file does not exist, dev has two sources, as many documents are held out as there
            are, or the package of `sentences` is not installed.
    """

    root: str | None
    train: str | None
    dev: str | None
    test: str | None
    dev_from_train: NonNegativeInt
    sentences: Splitter = "pysbd"
    skipped: dict[Path, int] = field(default_factory=dict, init=False, repr=False)
    _loaded: dict[Path, list[Document]] = field(default_factory=dict, init=False, repr=False)

    splits: ClassVar[Mapping[str, OfficialFile]]
    unlabelled: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        segmenter_of(self.sentences)  # says so if its package is missing, before anything is read
        if self.dev and self.dev_from_train:
            raise InputError("dataset.dev_from_train: dev has a file of its own")

    @property
    def root_folder(self) -> Path | None:
        """The setting ``root`` as a path."""
        return Path(self.root) if self.root else None

    def official(self, split: str) -> Path:
        """Return the path of the official file of a split."""
        return find(self.splits[split], self.root_folder)

    def file(self, split: str) -> Path:
        """Return the path of the file that a split is read from."""
        if split == "dev" and self.dev_from_train:
            split = "train"
        setting = {"train": self.train, "dev": self.dev, "test": self.test}[split]
        if setting and not Path(setting).exists():
            raise InputError(f"dataset.{split}: {setting}: no such file")
        return Path(setting) if setting else self.official(split)

    def files(self) -> Mapping[str, Path]:
        """Return the files of the labelled splits."""
        return {split: self.file(split) for split in SPLITS if self.is_labelled(split)}

    def is_labelled(self, split: str) -> bool:
        """Return whether the facts of a split are known; those of the user's own files are assumed to be."""
        return split not in self.unlabelled or self.test is not None

    def documents(self, split: str) -> list[Document]:
        """Return the prepared documents of a split."""
        documents = self.load(self.file(split))
        if self.dev_from_train and split != "test":
            return self._hold_out(documents, split)
        return list(documents)

    def load(self, path: Path) -> list[Document]:
        """Return all prepared documents of a file, which is read once, or not at all if they are cached."""
        if path not in self._loaded:
            key = self._key(path) if self.cache else None
            read = partial(self._read, path)
            documents = self.cache.records("documents", key, Document, read) if self.cache and key else read()
            self._loaded[path] = documents
        return self._loaded[path]

    def sources(self, path: Path) -> list[Path]:
        """Return all files that the prepared documents of a file or folder depend on."""
        return sources_of(path)

    def _read(self, path: Path) -> list[Document]:
        documents, skipped = read_all(self, path, name=path.name)
        if skipped:
            self.skipped[path] = skipped
        return documents

    def _key(self, path: Path) -> str | None:
        """Hash everything that the documents of a file depend on; None if they are not cached.

        With ``strict=false`` they are not, since errors are reported while documents are read.
        """
        if not self.strict or not path.exists():
            return None
        settings = {each.name: getattr(self, each.name) for each in fields(self) if each.init}
        return key_of(
            type(self).__qualname__,
            {name: value for name, value in settings.items() if name not in _FILE_SETTINGS},
            [version(self.sentences), *sys.version_info[:2]],
            contents_of(*self.sources(path)),
        )

    def _hold_out(self, documents: list[Document], split: str) -> list[Document]:
        """Return the documents of train or dev, where dev is held out from the training file."""
        if not 0 < self.dev_from_train < len(documents):
            raise InputError(
                f"dataset.dev_from_train: {self.dev_from_train} of {len(documents)} training documents"
            )
        names = sorted(document.id for document in documents)
        dev = set(Random("dev from train").sample(names, self.dev_from_train))
        return [document for document in documents if (document.id in dev) == (split == "dev")]


_FILE_SETTINGS = {"root", "train", "dev", "test", "dev_from_train"}
"""Settings that select the documents to read and do not change how they are prepared."""
