"""BioC, the format of PubTator3's exports and of many biomedical corpora, as XML and as JSON.

A collection has documents, a document passages (title, abstract, paragraphs), and a passage ``offset``,
``text`` and annotations, or sentences that have these. An annotation has ``infons`` with ``type`` and
``identifier`` (``MESH`` and ``OMIM`` in CDR), its text, and locations that count characters from the start of
the document. A relation has the infon ``type`` (``relation`` in CDR) and two entities:

- identifiers in ``role1`` and ``role2`` (PubTator3) or ``entity1`` and ``entity2`` (BioRED),
- nodes that refer to two annotations (the standard), or
- two other infons, whose values are identifiers (CDR).

Its other infons, such as a score, are kept in ``Fact.extra``. JSON is a collection (``documents``, or
``PubTator3`` in its exports), a list of documents, or a document a line.

Passages are placed at their offsets, and become the sections of a document; where these leave a wide gap or
overlap, one space stands between two passages. An annotation's place is that within its passage.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, pairwise, product, repeat
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct

from glre_pyg.data.document import Document, Fact, Mention, Span
from glre_pyg.data.explanation import PredictedFact
from glre_pyg.data.segmentation import Segmenter, segment
from glre_pyg.formats.checking import FACTS, IN_PIECES, check_references, note_counts, placed
from glre_pyg.formats.json_records import json_records, record_place, usable_records
from glre_pyg.formats.lossless import check_held_but_evidence, segments_of
from glre_pyg.formats.pubtator import UNLINKED, is_variant
from glre_pyg.formats.reading import documents_at, reason_of
from glre_pyg.formats.writing import write_each
from glre_pyg.utils.compression import opened
from glre_pyg.utils.exceptions import ErrorHandler, InputError, leave_out
from glre_pyg.utils.json_fields import convert

_GAP = 100  # spaces between passages; more are not text that is missing here, but other offsets
_IDENTIFIER_SEPARATORS = {"identifier": "[;,]", "MESH": r"\|", "OMIM": r"\|"}
_ENDS = (("role1", "role2"), ("entity1", "entity2"))
_LATER_ROLES = ("tail", "object", "arg2")
_TYPES = ("title", "abstract")


_Infon = str | int | float | bool | None | list[object] | dict[str, object]


class _Location(Struct):
    offset: int
    length: int


class _Annotation(Struct):
    text: str
    id: str | int | None = None
    infons: dict[str, _Infon] = {}
    locations: tuple[_Location, ...] = ()


class _Node(Struct):
    refid: str | int
    role: str | int | None = None


class _Relation(Struct):
    infons: dict[str, _Infon] = {}
    nodes: tuple[_Node, ...] = ()


class _Sentence(Struct):
    offset: int
    text: str | None = None
    infons: dict[str, _Infon] = {}
    annotations: tuple[_Annotation, ...] = ()
    relations: object = ()


class _Passage(_Sentence):
    sentences: tuple[_Sentence, ...] = ()


class Record(Struct):
    """A document in BioC."""

    id: str | int
    passages: tuple[_Passage, ...]
    annotations: tuple[_Annotation, ...] = ()
    relations: object = ()


def read_bioc_json(
    path: str | os.PathLike[str], *, segmenter: Segmenter = segment, on_error: ErrorHandler | None = None
) -> Iterator[Document]:
    """Read documents one at a time.

    Args:
        path: A file in UTF-8.
        segmenter: Cuts the text into words and sentences.
        on_error: Callback for documents with an error, which are skipped; None raises.

    Raises:
        InputError: ``file: document 3: identifier: field: what is wrong``, documents counted from 0, or
            ``file:line: ...``; also if there is no document at all.
    """
    name = Path(path).name
    with opened(path) as file:
        raw = file.read()
    left_out: Counter[str] = Counter()
    build = partial(document_of, segmenter=segmenter, left_out=left_out, on_error=on_error)
    places = (
        record_place(place, value, "id", Record, build)
        for place, value in json_records(raw, name, "passages", ("PubTator3", "documents"))
    )
    yield from documents_at(name, places, on_error)
    note_counts(name, left_out)


class _Unit(NamedTuple):
    """The text of a passage or sentence: its first character in the document and in the file, and itself."""

    start: int
    offset: int
    text: str


class _Placed(NamedTuple):
    """An annotation with its path in the record, all texts, and the first that it may be in."""

    path: str
    units: Sequence[_Unit]
    first: int
    annotation: _Annotation


def document_of(
    record: Record,
    *,
    segmenter: Segmenter,
    left_out: Counter[str],
    on_error: ErrorHandler | None = None,
) -> Document:
    """Return the document of a record.

    Args:
        record: The record.
        segmenter: Cuts the text into words and sentences.
        left_out: Counts what the document does not hold of the record.
        on_error: Handler that may count facts that cannot be used.

    Raises:
        InputError: ``field: what is wrong``.
    """
    text, sections, breaks, placed_annotations = _layout(record)
    relations = list(_relations(record, on_error))
    needed = {str(node.refid) for _, relation in relations for node in relation.nodes}
    mentions: list[Mention] = []
    by_annotation: dict[str, tuple[str, ...]] = {}
    for place in placed_annotations:
        mention = _mention(place, text, needed, left_out)
        if mention is not None:
            mentions.append(mention)
            by_annotation[str(place.annotation.id)] = mention.ids
    facts = _facts(relations, mentions, by_annotation, left_out, on_error)
    words, sentences = segmenter(text, [mention.span for mention in mentions], [*sections, *breaks])
    return Document(str(record.id), text, words, sentences, tuple(mentions), facts, sections=sections)


def _layout(record: Record) -> tuple[str, tuple[Span, ...], list[Span], list[_Placed]]:
    """Return the text, its sections and given sentences, and the annotations."""
    parts: list[str] = []
    sections: list[Span] = []
    breaks: list[Span] = []
    units: list[_Unit] = []
    annotations: list[_Placed] = []
    length = 0
    for number, passage in enumerate(record.passages):
        first = len(units)
        for each in [passage] if passage.text is not None else passage.sentences:
            if each.text is None:
                continue
            gap = each.offset - length
            parts += [" " * (gap if 0 <= gap <= _GAP else length > 0), each.text]
            units.append(_Unit(length + len(parts[-2]), each.offset, each.text))
            length = units[-1].start + len(each.text)
            if each is not passage:
                breaks.append((units[-1].start, length))
        if first < len(units):
            sections.append((units[first].start, length))
        annotations += (
            _Placed(f"passages[{number}].annotations[{index}]", units, first, annotation)
            for index, annotation in enumerate(
                each for holder in (passage, *passage.sentences) for each in holder.annotations
            )
        )
    annotations += (
        _Placed(f"annotations[{number}]", units, 0, annotation)
        for number, annotation in enumerate(record.annotations)
    )
    text = "".join(parts)
    if not text.strip():
        raise InputError("there is no text")
    if len(record.passages) == 1 and "type" not in record.passages[0].infons:
        sections = []
    return text, tuple(sections), breaks, annotations


def _relations(record: Record, on_error: ErrorHandler | None) -> Iterator[tuple[str, _Relation]]:
    """Yield path and relation of those of the document, its passages and their sentences."""
    yield from usable_records(record.relations, _Relation, "relations", on_error)
    for number, passage in enumerate(record.passages):
        for holder in (passage, *passage.sentences):
            path = f"passages[{number}].relations"
            yield from usable_records(holder.relations, _Relation, path, on_error)


def _mention(placement: _Placed, text: str, needed: set[str], left_out: Counter[str]) -> Mention | None:
    path, units, first, annotation = placement
    if not annotation.locations:
        left_out["annotations without a location, which are left out"] += 1
        return None
    kind, names = annotation.infons.get("type"), annotation.infons.get("names")
    if not isinstance(kind, str) or not kind:
        raise InputError(f"{path}.infons.type: missing, or not a text")
    spans = sorted(
        _located(location, units[first:], f"{path}.locations[{number}]")
        for number, location in enumerate(annotation.locations)
    )
    if len(spans) > 1:
        left_out[IN_PIECES] += 1
    start, end = placed(annotation.text, spans, text, path)
    ids = _ids(kind, annotation.infons, path)
    if not ids and str(annotation.id) in needed:
        ids = (str(annotation.id),)
    return Mention(start, end, kind, ids, tuple(names.split("|")) if isinstance(names, str) else ())


def _located(location: _Location, units: Sequence[_Unit], path: str) -> Span:
    """Return the characters of a location in the text of the document."""
    first, last = location.offset, location.offset + location.length - 1
    ends = [
        next((u.start + at - u.offset for u in units if 0 <= at - u.offset < len(u.text)), -1)
        for at in (first, last)
    ]
    if ends[0] < 0 or ends[1] < ends[0]:
        raise InputError(f"{path}: {first} to {last + 1} is empty or not inside the text")
    return ends[0], ends[1] + 1


def _ids(kind: str, infons: Mapping[str, object], path: str) -> tuple[str, ...]:
    for key, separator in _IDENTIFIER_SEPARATORS.items():
        value = infons.get(key)
        if isinstance(value, list | dict | float | bool):
            raise InputError(f"{path}.infons.{key}: not a text")
        if isinstance(value, str | int):
            if key == "identifier" and is_variant(kind, str(value)):
                separator = ","  # "tmVar:p|SUB|V|600|E;HGVS:p.V600E" is one variant
            parts = (part.strip() for part in re.split(separator, str(value)))
            return tuple(dict.fromkeys(part for part in parts if part not in UNLINKED))
    return ()


def _facts(
    relations: Sequence[tuple[str, _Relation]],
    mentions: Iterable[Mention],
    by_annotation: Mapping[str, tuple[str, ...]],
    left_out: Counter[str],
    on_error: ErrorHandler | None,
) -> tuple[Fact, ...]:
    known = {identifier: identifier for mention in mentions for identifier in mention.ids}
    for identifier in list(known):
        for name in identifier.split(";")[: None if ";" in identifier else 0]:  # names of a variant
            known.setdefault(name, identifier)
            known.setdefault(name.partition(":")[2], identifier)
    facts: list[Fact] = []
    for path, relation in relations:
        infons = relation.infons
        try:
            kind, used, ends = _ends(path, relation, known, by_annotation)
        except InputError as error:
            leave_out(FACTS, error, on_error)
            continue
        if len(ends) != 2 or not all(ends):
            left_out["relations that are not of two entities, which are left out"] += 1
            continue
        keys = infons.keys() - {"type", "relation", *used}
        extra = tuple(value for key, value in infons.items() if key in keys and isinstance(value, str))
        found = [Fact(head, kind, tail, extra) for head, tail in product(*ends)]
        facts += found if used else (fact for fact in found if fact not in facts)
    return tuple(facts)


def _ends(
    path: str,
    relation: _Relation,
    known: Mapping[str, str],
    by_annotation: Mapping[str, tuple[str, ...]],
) -> tuple[str, tuple[str, ...], list[tuple[str, ...]]]:
    """Return the name of a relation, the infons that are its ends, if any, and the identifiers of both."""
    infons = relation.infons
    kind = infons.get("type", infons.get("relation"))
    if not isinstance(kind, str) or not kind:
        raise InputError(f"{path}.infons.type: missing, or not a text")
    used: tuple[str, ...] = next((keys for keys in _ENDS if all(key in infons for key in keys)), ())
    if used:
        return kind, used, [(_resolve(infons[key], known, f"{path}.infons.{key}"),) for key in used]
    if relation.nodes:
        nodes = sorted(relation.nodes, key=lambda node: str(node.role).lower() in _LATER_ROLES)
        return kind, (), [by_annotation.get(str(node.refid), ()) for node in nodes]
    used = tuple(key for key, value in infons.items() if isinstance(value, str) and value in known)
    return kind, used, [(known[str(infons[key])],) for key in used]


def _resolve(end: object, known: Mapping[str, str], path: str) -> str:
    """Return the identifier of an end: ``"MESH:D1"``, ``"Disease|MESH:D1"`` or an object that has it."""
    name = str(end.get("identifier") if isinstance(end, dict) else end)
    found = known.get(name) or known.get(name.partition("|")[2])
    if found is None:
        raise InputError(f"{path}: no mention has '{name}'")
    return found


# Writing


def write_bioc_json(
    documents: Iterable[Document],
    path: str | os.PathLike[str],
    *,
    lossy: bool = False,
    on_error: ErrorHandler | None = None,
) -> None:
    """Write documents as :func:`read_bioc_json` reads them.

    Args:
        documents, path, lossy, on_error: See :func:`~glre_pyg.formats.detection.write_documents`.
    """
    header = '{"source": "glre_pyg", "date": "", "key": "", "infons": {}, "documents": ['
    record = partial(_checked_json, lossy=lossy)
    write_each(documents, path, record, on_error, header=header, separator=",", footer="\n]}\n")


def _checked_json(document: Document, *, lossy: bool) -> str:
    document = fitted(document) if lossy else document
    record = record_of(document)
    check_record(document, convert(record, Record))
    return "\n" + json.dumps(record, ensure_ascii=False)


def fitted(document: Document) -> Document:
    """Return a document without what BioC cannot hold.

    These are sections that are not passages, the order of mentions in different passages, names with a bar,
    and facts of entities that no mention has.
    """
    spans = _passages(document)
    mentions = tuple(
        replace(mention, names=()) if "|" in "".join(mention.names) else mention
        for mention in sorted(document.mentions, key=partial(_passage_of, spans))
    )
    known = document.entity_numbers
    facts = tuple(fact for fact in document.facts if fact.head in known and fact.tail in known)
    sections = spans if spans is document.sections else ()
    return replace(document, mentions=mentions, facts=facts, sections=sections)


def check_record(document: Document, record: Record) -> None:
    """Check that a record is read as the document that it was written for, but for words and evidence.

    Raises:
        InputError: If it is not.
    """
    try:
        held = document_of(record, segmenter=segments_of(document), left_out=Counter())
    except InputError as error:
        raise InputError(f"{document.id}: BioC cannot hold it: {reason_of(error, document.id)}") from None
    check_held_but_evidence(document, held, "BioC")


def record_of(document: Document) -> dict[str, Any]:
    """Return a document as JSON has it, with passages for its sections if they can be such.

    Raises:
        InputError: If no mention has an entity of a fact.
    """
    check_references(document, ignored=False)
    spans = _passages(document)
    kinds = chain(_TYPES if spans is document.sections else ("",), repeat("paragraph"))
    passages: list[dict[str, Any]] = [
        {
            "infons": {"type": kind} if kind else {},
            "offset": start,
            "text": document.text[start:end],
            "annotations": [],
            "relations": [],
        }
        for kind, (start, end) in zip(kinds, spans, strict=False)
    ]
    first: dict[str, str] = {}
    for number, mention in enumerate(document.mentions):
        annotations = passages[_passage_of(spans, mention)]["annotations"]
        annotations.append(_annotation(document, mention, str(number)))
        for identifier in mention.ids:
            first.setdefault(identifier, str(number))
    relations = [_relation(document, fact, f"R{number}", first) for number, fact in enumerate(document.facts)]
    return {
        "id": document.id,
        "infons": {},
        "passages": passages,
        "relations": relations,
    }


def _passage_of(spans: Sequence[Span], mention: Mention) -> int:
    return next(number for number, (start, end) in enumerate(spans) if start <= mention.start < end)


def _passages(document: Document) -> Sequence[Span]:
    """Return the sections, if they are passages that hold all text and mentions; otherwise the whole text."""
    end = len(document.text)
    edges = [(0, 0), *document.sections, (end, end)]
    gaps = [document.text[left[1] : right[0]] for left, right in pairwise(edges)]
    is_whole = (
        document.sections
        and all(left[1] <= right[0] for left, right in pairwise(edges))
        and all(gap == " " * len(gap) and len(gap) <= _GAP for gap in gaps)
        and not gaps[-1]
    )
    inside = (
        any(start <= mention.start < end for start, end in document.sections) for mention in document.mentions
    )
    return document.sections if is_whole and all(inside) else [(0, end)]


def _annotation(document: Document, mention: Mention, identifier: str) -> dict[str, Any]:
    names = {"names": "|".join(mention.names)} if mention.names else {}
    return {
        "id": identifier,
        "infons": {"type": mention.type, "identifier": ",".join(mention.ids) or "-", **names},
        "text": document.text[mention.start : mention.end],
        "locations": [{"offset": mention.start, "length": mention.end - mention.start}],
    }


def _relation(document: Document, fact: Fact, identifier: str, first: Mapping[str, str]) -> dict[str, Any]:
    is_predicted = isinstance(fact, PredictedFact)
    keys = ["score"] if is_predicted else [f"extra{number}" for number in range(len(fact.extra))]
    ends = {"role1": fact.head, "role2": fact.tail}
    roles = {
        role: {"identifier": end, "type": document.entities[document.entity_numbers[end]].type}
        for role, end in ends.items()
    }
    return {
        "id": identifier,
        "infons": {"type": fact.relation, **roles, **dict(zip(keys, fact.extra, strict=False))},
        "nodes": [{"refid": first[end], "role": role} for role, end in ends.items()],
    }
