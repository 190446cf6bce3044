"""What becomes of a document with an error: it ends the work, or it is named, counted and left out."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from glre_pyg.data.document import Document
from glre_pyg.utils.exceptions import ErrorHandler, InputError


@dataclass
class SkippedDocuments:
    """Is told of documents with an error; see :data:`~glre_pyg.utils.exceptions.ErrorHandler`.

    Args:
        strict: Whether the first one is raised; else each has a line on standard error.
        count: How many there were.
        is_silent: Whether they are counted alone.
    """

    strict: bool
    count: int = 0
    is_silent: bool = False

    def __call__(self, error: InputError) -> None:
        """Be told of one."""
        if self.strict:
            raise error
        self.count += 1
        if not self.is_silent:
            tqdm.write(f"error: {error}", file=sys.stderr)


class Reads(Protocol):
    """A corpus, as far as it reads files; see :class:`~glre_pyg.datasets.base.Corpus`."""

    strict: bool

    def read(self, path: Path, *, on_error: ErrorHandler | None = None) -> Iterable[Document]:
        """Documents of a file, as they are."""
        ...

    def prepare(self, documents: Iterable[Document]) -> Iterable[Document]:
        """Documents as the corpus has them."""
        ...


def read_all(corpus: Reads, path: Path, *, name: str) -> tuple[list[Document], int]:
    """All documents of a file that can be read, and how many cannot; one line says how many, if any.

    Args:
        corpus: Reads and prepares them; where it is strict, one that cannot be read is raised.
        path: The file.
        name: What the line calls it.
    """
    on_error = SkippedDocuments(corpus.strict)
    documents = list(corpus.prepare(corpus.read(path, on_error=on_error)))
    if on_error.count:
        print(f"{name}: {on_error.count} documents with an error are left out, {len(documents)} are read")
    return documents, on_error.count


def is_strict(setting: object) -> bool:
    """What ``strict=`` of a command says.

    Raises:
        InputError: If that is neither true nor false.
    """
    if not isinstance(setting, bool):
        raise InputError(f"strict: '{setting}' is neither true nor false")
    return setting
