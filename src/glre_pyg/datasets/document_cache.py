"""Cache of prepared documents, so that the files of a corpus are parsed once.

Each line is a document as a JSON list, which is faster to read than :mod:`glre_pyg.formats.jsonl`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from glre_pyg.data.document import Document, Fact, Mention, Sentence
from glre_pyg.utils.cache import Cache


def cached_documents(cache: Cache, key: str, read: Callable[[], list[Document]]) -> list[Document]:
    """Return documents from the cache, or read and cache them; of several processes, one reads.

    Args:
        cache: The cache.
        key: Hash of everything that the documents depend on.
        read: Reads them from their source.
    """
    return cache.get("documents", key, ".jsonl", make=read, write=_write, read=_read)


def _write(documents: Iterable[Document], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(dump(document) + "\n" for document in documents)


def _read(path: Path) -> list[Document]:
    with path.open(encoding="utf-8", newline="\n") as file:
        return [load(line) for line in file]


def dump(document: Document) -> str:
    """Write a document as a line."""
    row = (
        document.id,
        document.text,
        [position for word in document.words for position in word],
        [sentence.end for sentence in document.sentences],
        [(each.start, each.end, each.type, each.ids, each.names) for each in document.mentions],
        [(each.head, each.relation, each.tail, each.extra, each.evidence) for each in document.facts],
        document.ignored,
        document.sections,
    )
    return json.dumps(row)


def load(line: str) -> Document:
    """Read a document from a line that :func:`dump` wrote."""
    id, text, words, ends, mentions, facts, ignored, sections = json.loads(line)
    return Document(
        id=id,
        text=text,
        words=tuple(zip(words[::2], words[1::2], strict=True)),
        sentences=tuple(map(Sentence, [0, *ends[:-1]], ends)),
        mentions=tuple(
            Mention(start, end, type, tuple(ids), tuple(names)) for start, end, type, ids, names in mentions
        ),
        facts=tuple(
            Fact(head, relation, tail, tuple(extra), tuple(evidence))
            for head, relation, tail, extra, evidence in facts
        ),
        ignored=tuple((head, tail) for head, tail in ignored),
        sections=tuple((start, end) for start, end in sections),
    )
