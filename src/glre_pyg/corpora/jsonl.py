"""One's own documents as JSON Lines, one object a line: to documents and back, nothing lost.

A line has ``id`` and ``text`` and, where there are any, ``mentions`` and ``facts``::

    {"id": "1", "text": "Aspirin may cause asthma.",
     "mentions": [{"start": 0, "end": 7, "type": "Chemical", "ids": ["D001241"]},
                  {"start": 18, "end": 24, "type": "Disease", "ids": ["D001249"]}],
     "facts": [{"head": "D001241", "relation": "CID", "tail": "D001249"}]}

Offsets count characters, end exclusive. Mentions may have ``names`` and facts ``extra`` (lists of strings).
``sections``, ``words`` and ``sentences`` are lists of ``[start, end]``: sections and words in characters,
sentences in words. Without words and sentences the text is segmented.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from glre_pyg.corpora.segment import Segmenter, segment
from glre_pyg.document import Document, Fact, InputError, Mention, Sentence, Span

_T = TypeVar("_T")
_FIELDS = {"id", "text", "mentions", "facts", "sections", "words", "sentences"}


def read_jsonl(path: str | os.PathLike[str], *, segmenter: Segmenter = segment) -> Iterator[Document]:
    """Read documents one at a time; blank lines are skipped.

    Args:
        path: A file in UTF-8.
        segmenter: Makes words and sentences for lines that have none.

    Raises:
        InputError: ``file:line: document: field: what is wrong``; also if there is no document at all.
    """
    name, seen = Path(path).name, set()
    with Path(path).open("rb") as file:
        for number, raw in enumerate(file, start=1):
            raw = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
            if not raw.strip():
                continue
            document_id = "?"
            try:
                record = _parse(raw)
                document_id = _string(record, "id", "id")
                if document_id in seen:
                    raise InputError("id: a document of this identifier was in the file before")
                document = _document(document_id, record, segmenter)
            except InputError as error:
                message = str(error).removeprefix(f"{document_id}: ")
                raise InputError(f"{name}:{number}: {document_id}: {message}") from None
            seen.add(document_id)
            yield document
    if not seen:
        raise InputError(f"{name}: there are no documents in this file")


def write_jsonl(documents: Iterable[Document], path: str | os.PathLike[str]) -> None:
    """Write documents as :func:`read_jsonl` reads them; the file appears when it is complete."""
    part = Path(f"{os.fspath(path)}.part")
    with part.open("w", encoding="utf-8", newline="") as file:
        for document in documents:
            file.write(json.dumps(_record(document), ensure_ascii=False) + "\n")
    part.replace(path)


def _record(document: Document) -> dict[str, object]:
    return {
        "id": document.id,
        "text": document.text,
        "mentions": [
            {"start": mention.start, "end": mention.end, "type": mention.type, "ids": mention.ids}
            | ({"names": mention.names} if mention.names else {})
            for mention in document.mentions
        ],
        "facts": [
            {"head": fact.head, "relation": fact.relation, "tail": fact.tail}
            | ({"extra": fact.extra} if fact.extra else {})
            for fact in document.facts
        ],
        **({"sections": document.sections} if document.sections else {}),
        "words": document.words,
        "sentences": [(sentence.start, sentence.end) for sentence in document.sentences],
    }


def _parse(raw: bytes) -> Mapping[str, object]:
    try:
        record = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"byte {error.start + 1} of the line is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"not JSON: {error}") from None
    if not isinstance(record, dict):
        raise InputError("the line: not a JSON object")
    return record


def _document(document_id: str, record: Mapping[str, object], segmenter: Segmenter) -> Document:
    _object(record, "the line", _FIELDS)
    text = _string(record, "text", "text")
    mentions = _list(record, "mentions", "mentions", lambda item, path: _mention(item, path, len(text)))
    known = {identifier for mention in mentions for identifier in mention.ids}
    facts = _list(record, "facts", "facts", lambda item, path: _fact(item, path, known))
    sections = _list(record, "sections", "sections", lambda item, path: _span(item, path, len(text)))
    if ("words" in record) != ("sentences" in record):
        raise InputError("words: words and sentences are given together or not at all")
    if "words" in record:
        words = _list(record, "words", "words", lambda item, path: _span(item, path, len(text), empty=False))
        spans = _list(record, "sentences", "sentences", lambda item, path: _span(item, path, len(words)))
        sentences = tuple(Sentence(*span) for span in spans)
    else:
        words, sentences = segmenter(text, [mention.span for mention in mentions], sections)
    return Document(document_id, text, words, sentences, mentions, facts, sections)


def _mention(item: object, path: str, length: int) -> Mention:
    record = _object(item, path, {"start", "end", "type", "ids", "names"})
    start, end = (_integer(_get(record, key, f"{path}.{key}"), f"{path}.{key}") for key in ("start", "end"))
    if not 0 <= start < end:
        raise InputError(f"{path}.start: {start} to {end} is empty or begins before the text")
    if end > length:
        raise InputError(f"{path}.end: {end} is after the text of {length} characters")
    _get(record, "ids", f"{path}.ids")
    ids, names = (_list(record, key, f"{path}.{key}", _text) for key in ("ids", "names"))
    return Mention(start, end, _string(record, "type", f"{path}.type"), ids, names)


def _fact(item: object, path: str, known: set[str]) -> Fact:
    record = _object(item, path, {"head", "relation", "tail", "extra"})
    head, relation, tail = (_string(record, key, f"{path}.{key}") for key in ("head", "relation", "tail"))
    for key, identifier in (("head", head), ("tail", tail)):
        if identifier not in known:
            raise InputError(f"{path}.{key}: no mention has '{identifier}'")
    return Fact(head, relation, tail, _list(record, "extra", f"{path}.extra", _text))


def _span(item: object, path: str, length: int, *, empty: bool = True) -> Span:
    if not isinstance(item, list) or len(item) != 2:
        raise InputError(f"{path}: not a list of start and end")
    start, end = _integer(item[0], f"{path}[0]"), _integer(item[1], f"{path}[1]")
    if not 0 <= start <= end <= length or (start == end and not empty):
        raise InputError(f"{path}: {start} to {end} is not inside 0 to {length}")
    return start, end


def _get(record: Mapping[str, object], key: str, path: str) -> object:
    if key not in record:
        raise InputError(f"{path}: missing")
    return record[key]


def _string(record: Mapping[str, object], key: str, path: str) -> str:
    return _text(_get(record, key, path), path)


def _text(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{path}: not a string")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:  # half of a pair of escapes, "\ud83d"
        raise InputError(f"{path}: character {error.start} is half of a surrogate pair") from None
    return value


def _integer(value: object, path: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError(f"{path}: not an integer")
    return value


def _object(value: object, path: str, fields: set[str]) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise InputError(f"{path}: not a JSON object")
    unknown = sorted(value.keys() - fields)
    if unknown:
        raise InputError(f"{path}: unknown field '{unknown[0]}'")
    return value


def _list(
    record: Mapping[str, object], key: str, path: str, read: Callable[[object, str], _T]
) -> tuple[_T, ...]:
    values = record.get(key, [])
    if not isinstance(values, list):
        raise InputError(f"{path}: not a list")
    return tuple(read(value, f"{path}[{index}]") for index, value in enumerate(values))
