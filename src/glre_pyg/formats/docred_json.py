"""DocRED's format, a JSON list of documents, or a document a line (Yao et al., ACL 2019; section 4.1).

A document has ``title``, ``sents`` (lists of words), ``vertexSet`` (a list of mentions for each entity, a
mention with ``name``, ``pos`` ``[start, end)`` in its sentence, ``sent_id`` and ``type``) and, if they are
known, ``labels`` (``h`` and ``t`` into ``vertexSet``, ``r``, ``evidence``).

The text of a document is its words joined by spaces; an entity's identifier is its index in ``vertexSet``, as
a string. Sentences without words are skipped, and the others renumbered. Redundant keys, such as a mention's
``global_pos`` and ``index`` in Re-DocRED, are ignored. A label may have ``extra``, a list of strings, which
this project adds: a prediction has its probability there.

A file in which no document has a fact is written without ``labels``, as unlabelled files are.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate, chain, repeat
from pathlib import Path
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, to_builtins

from glre_pyg.data.document import Document, Fact, Mention, Span
from glre_pyg.data.segmentation import Splitter, sentences_of
from glre_pyg.formats.checking import EVIDENCE, FACTS, check_references, check_span
from glre_pyg.formats.json_records import json_records, record_place, usable_records
from glre_pyg.formats.layout import Layout
from glre_pyg.formats.lossless import check_held
from glre_pyg.formats.reading import documents_at, reason_of
from glre_pyg.formats.writing import converted
from glre_pyg.utils.compression import opened
from glre_pyg.utils.console import plural, shown
from glre_pyg.utils.exceptions import ErrorHandler, InputError, handle_error, leave_out, note
from glre_pyg.utils.files import atomic_open, unpacked_name
from glre_pyg.utils.json_fields import convert

_FEW, _SHARE, _MOST = 5, 0.02, 0.25
"""Limits on names that differ from the words at their positions: a number or a share, and a share of any."""


class _MentionRecord(Struct):
    name: str
    pos: Span
    sent_id: int
    type: str


class _Label(Struct):
    h: int
    t: int
    r: str
    evidence: tuple[int, ...] = ()
    extra: tuple[str, ...] | UnsetType = UNSET


class _Record(Struct, kw_only=True):
    title: str
    vertexSet: list[Annotated[list[_MentionRecord], Meta(min_length=1)]]
    labels: object = ()
    sents: list[list[Annotated[str, Meta(min_length=1)]]]


def read_docred(
    path: str | os.PathLike[str], *, resplit: Splitter | None = None, on_error: ErrorHandler | None = None
) -> Iterator[Document]:
    """Read documents one at a time. Two may have the same title.

    Args:
        path: A JSON file in UTF-8: a list, or a document a line, as HacRED has them.
        resplit: What splits the text into sentences, for corpora that have each document as one (DWIE).
            Evidence, which counts the sentences of the file, is then left out. None keeps both.
        on_error: Callback for documents with an error, which are skipped; None raises.

    Raises:
        InputError: ``file: document 3: title: field: what is wrong``, documents counted from 0, or
            ``file:line: ...``; also if there is no document at all, or many names are not those at their
            positions, as where ends are meant to be inclusive. Case and white space may differ. A few names
            that differ are counted in a line.
    """
    name = Path(path).name
    with opened(path) as file:
        raw = file.read()
    records = list(json_records(raw, name, "sents"))
    left_out = _misnamed(name, records, on_error)
    build = partial(_document, resplit=resplit, on_error=on_error)
    places = (
        record_place(place, record, "title", _Record, build)
        for number, (place, record) in enumerate(records)
        if number not in left_out
    )
    yield from documents_at(name, places, on_error, unique=False)


def _misnamed(file: str, records: Sequence[tuple[str, object]], on_error: ErrorHandler | None) -> set[int]:
    """Return the numbers of documents to leave out, if many names of a file are not at their positions.

    Raises:
        InputError: If there are many, and no handler for the error, or no other document.
    """
    total, wrong, numbers, first = 0, 0, set[int](), ""
    for number, (place, value) in enumerate(records):
        try:
            record = convert(value, _Record)
        except InputError:  # which costs the document
            continue
        count, reasons = _misplaced(record)
        total, wrong = total + count, wrong + len(reasons)
        if reasons:
            numbers.add(number)
            first = first or f"{place}: {shown(record.title)}: {reasons[0]}"
    names_are = (
        f"{plural(total, 'name')} {plural(wrong, 'is not at its position', 'are not at their positions')}"
    )
    line = f"{wrong:,} of {total:,} {names_are}"
    if _are_many(wrong, total):
        handle_error(InputError(f"{first}; {line}"), None if len(numbers) == len(records) else on_error)
        return numbers
    if wrong:
        note(f"{file}: {line}")
    return set()


def _are_many(wrong: int, total: int) -> bool:
    return wrong > _MOST * total or (wrong >= _FEW and wrong > _SHARE * total)


def _misplaced(record: _Record) -> tuple[int, list[str]]:
    """Return the number of names of a record, and a line for each that is not at its position."""
    total, reasons = 0, []
    for (sentence, (start, end)), given in _names(record).items():
        if not (0 <= sentence < len(record.sents) and 0 <= start < end <= len(record.sents[sentence])):
            continue
        total += len(given)
        words = record.sents[sentence][start:end]
        others = [each for each in given if each[1] and _folded(each[1]) != _folded("".join(words))]
        # A mention of several entities has the name of a part of it in each.
        if others and (len(others) < len(given) or len(given) == 1):
            reasons += [
                f"{path}.name: '{shown(name)}' is not at {start} to {end}, "
                f"there is '{shown(' '.join(words))}'"
                for path, name in others
            ]
    return total, reasons


def _names(record: _Record) -> dict[tuple[int, Span], list[tuple[str, str]]]:
    """Return the paths and names of mentions by sentence and position."""
    names = defaultdict(list)
    for vertex, mentions in enumerate(record.vertexSet):
        for number, mention in enumerate(mentions):
            path = f"vertexSet[{vertex}][{number}]"
            names[mention.sent_id, mention.pos].append((path, mention.name))
    return names


def _folded(name: str) -> str:
    """Return a name without case and white space."""
    return "".join(name.split()).casefold()


def _document(record: _Record, *, resplit: Splitter | None, on_error: ErrorHandler | None = None) -> Document:
    layout = Layout.of(record.sents)
    mentions = tuple(
        _mention(mention, f"vertexSet[{entity}][{number}]", str(entity), layout)
        for entity, vertex in enumerate(record.vertexSet)
        for number, mention in enumerate(vertex)
    )
    numbers = _sentence_numbers(record.sents)
    labels = (
        _fact(label, path, len(record.vertexSet), numbers, on_error)
        for path, label in usable_records(record.labels, _Label, "labels", on_error)
    )
    facts = tuple(filter(None, labels))
    sentences = layout.sentences
    if resplit:
        spans = [mention.span for mention in mentions]
        sentences = sentences_of(layout.text, layout.words, spans, splitter=resplit)
        facts = tuple(replace(fact, evidence=()) for fact in facts)
    return Document(record.title, layout.text, layout.words, sentences, mentions, facts)


def _sentence_numbers(sents: Sequence[Sequence[str]]) -> list[int | None]:
    """Number the sentences that have words; the others are None."""
    counts = accumulate(map(bool, sents))
    return [count - 1 if sentence else None for sentence, count in zip(sents, counts, strict=True)]


def _mention(record: _MentionRecord, path: str, entity: str, layout: Layout) -> Mention:
    text, words, bounds = layout
    if not 0 <= record.sent_id < len(bounds) - 1:
        raise InputError(f"{path}.sent_id: {record.sent_id} is not one of {len(bounds) - 1} sentences")
    first, last = bounds[record.sent_id : record.sent_id + 2]
    check_span(record.pos, f"{path}.pos", last - first, empty=False)
    start, end = record.pos
    span = words[first + start][0], words[first + end - 1][1]
    return Mention(*span, record.type, (entity,), () if record.name == text[slice(*span)] else (record.name,))


def _fact(
    label: _Label,
    path: str,
    entities: int,
    sentences: Sequence[int | None],
    on_error: ErrorHandler | None,
) -> Fact | None:
    for key, entity in (("h", label.h), ("t", label.t)):
        if not 0 <= entity < entities:
            reason = f"{path}.{key}: {entity} is not one of {entities} entities"
            leave_out(FACTS, InputError(reason), on_error)
            return None
    evidence = []
    for index, number in enumerate(label.evidence):
        sentence = sentences[number] if 0 <= number < len(sentences) else None
        if sentence is None:
            reason = f"{path}.evidence[{index}]: {number} is not a sentence with words"
            leave_out(EVIDENCE, InputError(reason), on_error)
        else:
            evidence.append(sentence)
    return Fact(str(label.h), label.r, str(label.t), label.extra or (), tuple(evidence))


def write_docred(
    documents: Iterable[Document],
    path: str | os.PathLike[str],
    *,
    lossy: bool = False,
    on_error: ErrorHandler | None = None,
) -> None:
    """Write documents as :func:`read_docred` reads them; the file appears when it is complete.

    Args:
        documents: The documents.
        path: The file; if its name ends in ``.jsonl``, it has a document a line.
        lossy: See :func:`format_docred`.
        on_error: Callback for documents that the format cannot hold, which are skipped; None raises.
    """
    records = list(converted(documents, partial(format_docred, lossy=lossy), on_error))
    if not any(record["labels"] for record in records):
        for record in records:
            del record["labels"]
    with atomic_open(path) as file:
        if unpacked_name(path).endswith(".jsonl"):
            file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        else:
            json.dump(records, file, ensure_ascii=False)


def format_docred(document: Document, *, lossy: bool = False) -> dict[str, object]:
    """Return the record of a document, with ``labels`` even if there are none.

    Args:
        document: The document.
        lossy: Whether to write what the format can hold of a document that it cannot hold whole: words joined
            by spaces; a mention of several entities once for each, one of none not at all; entities in the
            order of their first mention unless their identifiers are ``"0"``, ``"1"`` and so on; the words of
            mentions for their names if many names are others; neither sections nor ignored pairs.

    Raises:
        InputError: If reading the record would not give the same document, naming the first field that
            differs; also if the record could not be read, as with a fact of an entity without mention.
    """
    check_references(document, ignored=False)
    known = [entity.id for entity in document.entities]
    places = list(map(str, range(len(known))))
    place = {name: index for index, name in enumerate(places if set(places) == set(known) else known)}
    words = document.word_texts()
    labels = [
        _Label(place[fact.head], place[fact.tail], fact.relation, fact.evidence, fact.extra or UNSET)
        for fact in document.facts
    ]
    record = _Record(
        title=document.id,
        vertexSet=_vertices(document, place),
        labels=labels,
        sents=[words[sentence.start : sentence.end] for sentence in document.sentences],
    )
    try:
        held = _document(record, resplit=None)
    except InputError as error:
        raise InputError(f"{document.id}: {reason_of(error, document.id)}") from None
    if not lossy:
        check_held(document, held, "DocRED's format")
    total, reasons = _misplaced(record)
    if _are_many(len(reasons), total):  # which would not be read
        if not lossy:
            raise InputError(f"{document.id}: DocRED's format cannot hold it: {reasons[0]}")
        for mention in chain.from_iterable(record.vertexSet):
            mention.name = " ".join(record.sents[mention.sent_id][slice(*mention.pos)])
    fields: dict[str, object] = to_builtins(record)
    return fields


def _vertices(document: Document, place: Mapping[str, int]) -> list[list[_MentionRecord]]:
    """Return the mentions of each entity."""
    vertices: list[list[_MentionRecord]] = [[] for _ in place]
    for mention in document.mentions:
        sentence = document.sentence_of(mention)
        offset = document.sentences[sentence].start
        start, end = document.word_span(mention)
        text = document.text[mention.start : mention.end]
        pos = start - offset, end - offset
        for identifier, name in zip(mention.ids, mention.names or repeat(text), strict=False):
            vertices[place[identifier]].append(_MentionRecord(name, pos, sentence, mention.type))
    return vertices
