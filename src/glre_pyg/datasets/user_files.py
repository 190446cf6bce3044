"""A corpus of the user's own files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from glre_pyg.data.document import Document
from glre_pyg.data.labels import Labels
from glre_pyg.datasets.base import FileCorpus
from glre_pyg.formats.detection import read_documents
from glre_pyg.mentions.grouping import link_by_name
from glre_pyg.utils.exceptions import ErrorHandler, InputError


def collect_labels(documents: Iterable[Document]) -> Labels:
    """Collect the relations and entity types of documents, sorted; all pairs of entities are candidates."""
    relations: set[str] = set()
    types: set[str] = set()
    for document in documents:
        relations |= {fact.relation for fact in document.facts}
        types |= {mention.type for mention in document.mentions}
    return Labels(tuple(sorted(relations)), tuple(sorted(types)), None)


@dataclass(kw_only=True, eq=False)
class Files(FileCorpus):
    """A corpus of the user's own files, in any format of :func:`~glre_pyg.formats.detection.read_documents`.

    Args:
        name: Name of the corpus.
        relations: Relations to predict; None for those of the training file.
        types: Entity types of the documents; None for those of the training file.
        pair_types: (head type, tail type) of candidate pairs; None for every pair of entities.
        directed: Whether (a, b) and (b, a) are different pairs.
        passages: See :func:`~glre_pyg.formats.detection.read_documents`.
        unlinked: Whether mentions without identifier belong to no entity (``"drop"``), or to the one with
            their name or its abbreviation (``"name"``).
    """

    name: str
    relations: Sequence[str] | None
    types: Sequence[str] | None
    pair_types: Sequence[tuple[str, str]] | None
    directed: bool
    passages: str | None = None
    unlinked: Literal["drop", "name"] = "drop"

    def read(self, path: Path, *, on_error: ErrorHandler | None = None) -> Iterable[Document]:
        """Read the documents of a file, without preparing them."""
        return read_documents(path, segmenter=self.segmenter, passages=self.passages, on_error=on_error)

    def prepare(self, documents: Iterable[Document]) -> Iterable[Document]:
        """Link mentions without identifier, if they are not to be left out."""
        return map(link_by_name, documents) if self.unlinked == "name" else documents

    @property
    def protocol(self) -> str:  # type: ignore[override]
        """Description of the candidate pairs."""
        types = [f"{head}-{tail}" for head, tail in self.pair_types or ()]
        return f"every {', '.join(types) or 'candidate'} pair{'' if self.directed else ', undirected'}"

    def official(self, split: str) -> Path:
        """Raise an error: the user has to name the files."""
        raise InputError(f"dataset.{split}: no file is given")

    @cached_property
    def labels(self) -> Labels:  # type: ignore[override]
        """Relations and types as configured, else those of the training file."""
        relations, types = self.relations, self.types
        given = {"relations": relations, "types": types, "pair_types": self.pair_types}
        if empty := [name for name, values in given.items() if values is not None and not values]:
            raise InputError(f"dataset.{empty[0]}: the list is empty; null takes those of the files")
        if relations is None or types is None:
            collected = collect_labels(self.load(self.file("train")))
            relations = collected.relations if relations is None else relations
            types = collected.types if types is None else types
        pairs = None if self.pair_types is None else tuple((head, tail) for head, tail in self.pair_types)
        try:
            return Labels(tuple(relations), tuple(types), pairs, self.directed)
        except InputError as error:
            raise InputError(f"dataset.{error}") from None
