"""Cache of prepared documents, so that the files of a corpus are parsed once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from glre_pyg.data.document import Document
from glre_pyg.utils.cache import Cache
from glre_pyg.utils.files import open_regular

_ENCODER, _DECODER = msgspec.json.Encoder(), msgspec.json.Decoder(Document)


def cached_documents(cache: Cache, key: str, read: Callable[[], list[Document]]) -> list[Document]:
    """Return documents from the cache, or read and cache them; of several processes, one reads.

    Args:
        cache: The cache.
        key: Hash of everything that the documents depend on.
        read: Reads them from their source.
    """
    return cache.get("documents", key, ".jsonl", make=read, write=_write, read=_read)


def _write(documents: list[Document], path: Path) -> None:
    with path.open("wb") as file:
        file.writelines(_ENCODER.encode(document) + b"\n" for document in documents)


def _read(path: Path) -> list[Document]:
    with open_regular(path) as file:
        return [_DECODER.decode(line) for line in file]
