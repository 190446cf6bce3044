"""The form of a file by its name: ``.jsonl`` is JSON lines, all else PubTator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from glre_pyg.corpora.jsonl import read_jsonl, write_jsonl
from glre_pyg.corpora.pubtator import read_pubtator, write_pubtator
from glre_pyg.document import Document, InputError


def read_documents(path: Path) -> Iterator[Document]:
    """Documents of a PubTator or JSON lines file.

    Raises:
        InputError: If there is no such file, or a document in it cannot be read.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    return read_jsonl(path) if path.suffix == ".jsonl" else read_pubtator(path)


def write_documents(documents: Iterable[Document], path: Path) -> None:
    """Write documents as PubTator or JSON lines."""
    (write_jsonl if path.suffix == ".jsonl" else write_pubtator)(documents, path)
