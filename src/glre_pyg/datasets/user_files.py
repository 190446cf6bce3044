"""A corpus of one's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from glre_pyg.data.document import Document
from glre_pyg.data.graph import Labels
from glre_pyg.datasets.base import FileCorpus
from glre_pyg.utils.exceptions import InputError


def labels_of(documents: Iterable[Document]) -> Labels:
    """The relations and entity types of documents, sorted; all pairs of entities are candidates."""
    relations: set[str] = set()
    types: set[str] = set()
    for document in documents:
        relations |= {fact.relation for fact in document.facts}
        types |= {mention.type for mention in document.mentions}
    return Labels(tuple(sorted(relations)), tuple(sorted(types)), None)


@dataclass(kw_only=True, eq=False)
class Files(FileCorpus):
    """A corpus of one's own, in any format that :func:`~glre_pyg.formats.detection.read_documents` reads.

    Args:
        name: Name of the set.
        relations: Relations to predict; None for those of the training file.
        types: Entity types of the documents; None for those of the training file.
        pair_types: (head type, tail type) of candidate pairs; None for every pair of entities.
        directed: Whether (a, b) and (b, a) are two pairs.
    """

    name: str  # type: ignore[misc]
    relations: Sequence[str] | None
    types: Sequence[str] | None
    pair_types: Sequence[Sequence[str]] | None
    directed: bool

    @property
    def protocol(self) -> str:
        """Which pairs are candidates."""
        kinds = [f"{head}-{tail}" for head, tail in self.pair_types or ()]
        return f"every {', '.join(kinds) or 'candidate'} pair{'' if self.directed else ', undirected'}"

    def official(self, split: str) -> Path:
        """There are none: the file has to be named."""
        raise InputError(f"dataset.{split}: no file is given")

    @cached_property
    def labels(self) -> Labels:
        """Relations and types as given, else as the training file has them."""
        relations, types = self.relations, self.types
        if relations is None or types is None:
            found = labels_of(self.whole(self.file("train")))
            relations = found.relations if relations is None else relations
            types = found.types if types is None else types
        pairs = None if self.pair_types is None else tuple((head, tail) for head, tail in self.pair_types)
        return Labels(tuple(relations), tuple(types), pairs, self.directed)
