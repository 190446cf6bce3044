"""Documents as a corpus prepares them, kept on disk so that files are parsed once.

A line holds a document as a JSON list, in which words and sentences are numbers in a row. It is read without
the checks of :mod:`glre_pyg.formats.jsonl`, by nobody but who wrote it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from glre_pyg.data.document import Document, Fact, Mention, Sentence
from glre_pyg.utils.cache import Cache

FORMAT = 1  # to be raised with each change of the two functions below


def packed(document: Document) -> str:
    """A document as a line."""
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


def unpacked(line: str) -> Document:
    """The document that :func:`packed` wrote."""
    name, text, words, ends, mentions, facts, ignored, sections = json.loads(line)
    return Document(
        id=name,
        text=text,
        words=tuple(zip(words[::2], words[1::2], strict=True)),
        sentences=tuple(map(Sentence, [0, *ends[:-1]], ends)),
        mentions=tuple(
            Mention(start, end, kind, tuple(ids), tuple(names)) for start, end, kind, ids, names in mentions
        ),
        facts=tuple(
            Fact(head, relation, tail, tuple(extra), tuple(evidence))
            for head, relation, tail, extra, evidence in facts
        ),
        ignored=tuple((head, tail) for head, tail in ignored),
        sections=tuple((start, end) for start, end in sections),
    )


def kept_documents(cache: Cache, key: str, read: Callable[[], list[Document]]) -> list[Document]:
    """Documents from the cache, or read and kept there; of several processes, one reads.

    Args:
        cache: The cache.
        key: What the documents are made from.
        read: Reads them from their source.
    """
    return cache.get("documents", key, ".jsonl", make=read, write=_write, read=_read)


def _write(documents: Iterable[Document], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(packed(document) + "\n" for document in documents)


def _read(path: Path) -> list[Document]:
    with path.open(encoding="utf-8", newline="\n") as file:
        return [unpacked(line) for line in file]
