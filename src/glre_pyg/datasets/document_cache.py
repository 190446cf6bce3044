"""Cache of prepared documents, so that the files of a corpus are parsed once."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from glre_pyg.data.document import Document
from glre_pyg.utils.cache import Cache
from glre_pyg.utils.files import open_regular

_PLACE, _SUFFIX = "documents", ".jsonl"
_ENCODER, _DECODER = msgspec.json.Encoder(), msgspec.json.Decoder(Document)


def cached_documents(cache: Cache, key: str, read: Callable[[], list[Document]]) -> list[Document]:
    """Return documents from the cache, or read and cache them; of several processes, one reads.

    Args:
        cache: The cache.
        key: Hash of everything that the documents depend on.
        read: Reads them from their source.
    """
    documents = _cached(cache, key)
    if documents is None:
        with cache.lock(_PLACE, key):
            documents = _cached(cache, key)  # another process may have been faster
            if documents is None:
                documents = read()
                lines = b"".join(_ENCODER.encode(document) + b"\n" for document in documents)
                cache.save(_PLACE, key, _SUFFIX, lambda path: path.write_bytes(lines))
    return documents


def _cached(cache: Cache, key: str) -> list[Document] | None:
    path = cache.find(_PLACE, key)
    if path is None:
        return None
    try:
        with open_regular(path) as file:
            return [_DECODER.decode(line) for line in file]
    except (OSError, ValueError):  # it was replaced after it was verified, or written by another program
        cache.remove(path)
        return None
