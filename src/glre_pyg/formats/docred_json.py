"""DocRED's format, a JSON list of documents (Yao et al., ACL 2019; section 4.1): to documents and back.

A document has ``title``, ``sents`` (lists of words), ``vertexSet`` (a list of mentions for each entity, a
mention with ``name``, ``pos`` ``[start, end)`` in its sentence, ``sent_id`` and ``type``) and, where they are
known, ``labels`` (``h`` and ``t`` into ``vertexSet``, ``r``, ``evidence``).

The text of a document is its words with a space between any two; an entity's identifier is its place in
``vertexSet``, as a string. Sentences without words are left out, and the others counted anew. Further keys,
such as a mention's ``global_pos`` and ``index`` in Re-DocRED, say the same again and are not kept. A label
may have ``extra``, a list of strings, which is this project's own: a prediction has its probability there.

A file of which no document has a fact is written without ``labels``, as unlabelled files are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path

from glre_pyg.data.document import Document, Fact, Mention, Sentence, Span
from glre_pyg.data.segmentation import sentences_of
from glre_pyg.formats.lossless import check_held
from glre_pyg.formats.reading import Place, documents_at, failing, opened
from glre_pyg.formats.writing import formatted
from glre_pyg.utils import json_fields as fields
from glre_pyg.utils.exceptions import ErrorHandler, InputError
from glre_pyg.utils.files import atomic_open


def read_docred(
    path: str | os.PathLike[str], *, resplit: bool = False, on_error: ErrorHandler | None = None
) -> Iterator[Document]:
    """Read documents one at a time. Two may have the same title.

    Args:
        path: A JSON file in UTF-8.
        resplit: Cut the text into sentences anew, for corpora that have each document as one (DWIE).
            Evidence, which counts the sentences of the file, is then left out.
        on_error: Is told of documents with an error, which are left out; None raises.

    Raises:
        InputError: ``file: document 3: title: field: what is wrong``, documents counted from 0; also if there
            is no document at all.
    """
    name = Path(path).name
    with opened(path) as file:
        raw = file.read()
    try:
        records = fields.parse(raw)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    if not isinstance(records, list) or not records:
        raise InputError(f"{name}: not a JSON list of documents, or an empty one")
    places = (_place(number, record, resplit) for number, record in enumerate(records))
    yield from documents_at(name, places, on_error, unique=False)


def _place(number: int, record: object, resplit: bool) -> Place:
    try:
        checked = fields.mapping(record, "the document")
        title = fields.string(checked, "title", "title")
    except InputError as error:
        return Place(f": document {number}", None, failing(error))
    return Place(f": document {number}", title, partial(_document, title, checked, resplit=resplit))


def _document(title: str, record: Mapping[str, object], *, resplit: bool) -> Document:
    for key in ("sents", "vertexSet"):
        fields.get(record, key, key)
    sents = fields.rows(record, "sents", "sents", _words)
    words = [word for sentence in sents for word in sentence]
    starts = [0, *accumulate(len(word) + 1 for word in words)]
    spans = tuple((start, start + len(word)) for start, word in zip(starts, words, strict=False))
    bounds = [0, *accumulate(map(len, sents))]
    text = " ".join(words)
    vertices = fields.rows(record, "vertexSet", "vertexSet", _vertex)
    mentions = tuple(
        _mention(item, f"vertexSet[{entity}][{number}]", str(entity), spans, bounds, text)
        for entity, vertex in enumerate(vertices)
        for number, item in enumerate(vertex)
    )
    numbers = _numbers(sents)
    facts = fields.rows(
        record, "labels", "labels", lambda item, path: _fact(item, path, len(vertices), numbers)
    )
    sentences = tuple(Sentence(*bound) for bound in pairwise(bounds) if bound[0] < bound[1])
    if resplit:
        sentences = sentences_of(text, spans, [mention.span for mention in mentions])
        facts = tuple(replace(fact, evidence=()) for fact in facts)
    return Document(title, text, spans, sentences, mentions, facts)


def _numbers(sents: Sequence[Sequence[str]]) -> list[int | None]:
    """The number of each sentence when those without words are not counted; None for these."""
    counts = accumulate(map(bool, sents))
    return [count - 1 if sentence else None for sentence, count in zip(sents, counts, strict=True)]


def _vertex(item: object, path: str) -> list[object]:
    if not isinstance(item, list) or not item:
        raise InputError(f"{path}: not a list of mentions, or an empty one")
    return item


def _words(item: object, path: str) -> tuple[str, ...]:
    if not isinstance(item, list):
        raise InputError(f"{path}: not a list of words")
    words = tuple(fields.text(word, f"{path}[{index}]") for index, word in enumerate(item))
    if not all(words):
        raise InputError(f"{path}[{words.index('')}]: an empty word")
    return words


def _mention(
    item: object, path: str, entity: str, words: tuple[Span, ...], bounds: list[int], text: str
) -> Mention:
    record = fields.mapping(item, path)
    sentence = fields.integer(fields.get(record, "sent_id", f"{path}.sent_id"), f"{path}.sent_id")
    if not 0 <= sentence < len(bounds) - 1:
        raise InputError(f"{path}.sent_id: {sentence} is not one of {len(bounds) - 1} sentences")
    first, length = bounds[sentence], bounds[sentence + 1] - bounds[sentence]
    start, end = fields.span(fields.get(record, "pos", f"{path}.pos"), f"{path}.pos", length, empty=False)
    characters = words[first + start][0], words[first + end - 1][1]
    name = fields.string(record, "name", f"{path}.name")
    names = () if name == text[slice(*characters)] else (name,)
    return Mention(*characters, fields.string(record, "type", f"{path}.type"), (entity,), names)


def _fact(item: object, path: str, entities: int, sentences: Sequence[int | None]) -> Fact:
    record = fields.mapping(item, path)
    ends = {}
    for key in ("h", "t"):
        ends[key] = fields.integer(fields.get(record, key, f"{path}.{key}"), f"{path}.{key}")
        if not 0 <= ends[key] < entities:
            raise InputError(f"{path}.{key}: {ends[key]} is not one of {entities} entities")
    relation = fields.string(record, "r", f"{path}.r")
    evidence = []
    for index, number in enumerate(fields.rows(record, "evidence", f"{path}.evidence", fields.integer)):
        place = sentences[number] if 0 <= number < len(sentences) else None
        if place is None:
            raise InputError(f"{path}.evidence[{index}]: {number} is not a sentence with words")
        evidence.append(place)
    extra = fields.rows(record, "extra", f"{path}.extra", fields.text)
    return Fact(str(ends["h"]), relation, str(ends["t"]), extra, tuple(evidence))


def write_docred(
    documents: Iterable[Document],
    path: str | os.PathLike[str],
    *,
    lossy: bool = False,
    on_error: ErrorHandler | None = None,
) -> None:
    """Write documents as :func:`read_docred` reads them; the file appears when it is complete.

    Args:
        documents: Documents.
        path: The file.
        lossy: See :func:`format_docred`.
        on_error: Is told of documents that the format cannot hold, which are left out; None raises.

    Raises:
        InputError: If the format cannot hold a document.
    """
    records = list(formatted(documents, partial(format_docred, lossy=lossy), on_error))
    if not any(record["labels"] for record in records):
        for record in records:
            del record["labels"]
    with atomic_open(path) as file:
        json.dump(records, file, ensure_ascii=False)


def format_docred(document: Document, *, lossy: bool = False) -> dict[str, object]:
    """The record of a document, with ``labels`` even if there are none.

    Args:
        document: A document.
        lossy: Write what the format can hold of a document that it cannot hold whole: words with a space
            between any two; mentions by entity, one of several entities once for each, one of none not at
            all; entities in the order of their first mention unless their identifiers are ``"0"``, ``"1"``
            and so on; neither sections nor ignored pairs.

    Raises:
        InputError: If reading the record would not give the same document, naming the first field that
            differs; also if the record could not be read, as of a fact of an entity that has no mention.
    """
    known = [entity.id for entity in document.entities]
    places = list(map(str, range(len(known))))
    place = {name: index for index, name in enumerate(places if set(places) == set(known) else known)}
    for number, fact in enumerate(document.facts):
        for key, identifier in (("head", fact.head), ("tail", fact.tail)):
            if identifier not in place:
                raise InputError(f"{document.id}: facts[{number}].{key}: no mention has '{identifier}'")
    words = document.word_texts()
    labels = [
        {"h": place[fact.head], "t": place[fact.tail], "r": fact.relation, "evidence": list(fact.evidence)}
        | ({"extra": list(fact.extra)} if fact.extra else {})
        for fact in document.facts
    ]
    record: dict[str, object] = {
        "title": document.id,
        "vertexSet": _vertices(document, place),
        "labels": labels,
        "sents": [words[sentence.start : sentence.end] for sentence in document.sentences],
    }
    try:
        held = _document(document.id, record, resplit=False)
    except InputError as error:
        raise InputError(f"{document.id}: {str(error).removeprefix(f'{document.id}: ')}") from None
    if not lossy:
        check_held(document, held, "DocRED's format")
    return record


def _vertices(document: Document, place: Mapping[str, int]) -> list[list[dict[str, object]]]:
    """The mentions of each entity."""
    vertices: list[list[dict[str, object]]] = [[] for _ in place]
    for mention in document.mentions:
        sentence = document.sentence_of(mention)
        offset = document.sentences[sentence].start
        start, end = document.word_span(mention)
        text = document.text[mention.start : mention.end]
        for number, identifier in enumerate(mention.ids):
            name = mention.names[number] if number < len(mention.names) else text
            pos = [start - offset, end - offset]
            vertices[place[identifier]].append(
                {"name": name, "pos": pos, "sent_id": sentence, "type": mention.type}
            )
    return vertices
