"""Label Studio's JSON: predicted facts to be corrected by a person, and what the person made of them.

A task has ``data`` with the text, ``annotations`` of persons, and ``predictions`` that they begin with.
Either has a ``result``, a list of regions of the text (``labels``) and of relations between two regions. The
text is ``data.text``, or the only string in ``data`` but for ``id``, the identifier of the document; without
one it is the task's number.

Regions have no place for identifiers but their ``meta``, a text that a person sees and can change, as in
``"meta": {"text": ["D001241"]}``. A region without it is an entity of its own, unless it is ``["-"]``: then
it belongs to no entity. Offsets count characters or, in files of old versions, UTF-16 units: where the text
of the region is.

Of several annotations the one marked as ground truth is read, otherwise the first that was not cancelled. A
task that has none is read with its first prediction. Tasks of which all annotations were cancelled, relations
without label, and results that are no regions or relations are left out and counted.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate, product
from pathlib import Path
from typing import Any

from msgspec import Struct

from glre_pyg.data.document import Document, Fact, Mention, Span
from glre_pyg.data.explanation import PredictedFact
from glre_pyg.data.segmentation import Segmenter, segment
from glre_pyg.formats.checking import FACTS, check_references, check_span, note_counts, placed
from glre_pyg.formats.json_records import json_records, usable_record
from glre_pyg.formats.lossless import check_held_but_evidence, segments_of
from glre_pyg.formats.reading import Place, documents_at, reason_of
from glre_pyg.formats.writing import first_mentions, without_doubles, write_each
from glre_pyg.utils.compression import opened
from glre_pyg.utils.exceptions import ErrorHandler, InputError, leave_out
from glre_pyg.utils.json_fields import convert

_NONE = "-"
_ANNOTATED, _PREDICTED = "tasks with annotation", "tasks without annotation, whose prediction is read"
_OTHER = "results that are no regions or relations, which are left out"
_DIRECTIONS = {"right": (False,), "left": (True,), "bi": (False, True)}
"""Whether head and tail are exchanged in the facts of a relation, by its direction."""


class _Value(Struct):
    start: int | str | None = None
    end: int | str | None = None
    text: str | None = None
    labels: tuple[str, ...] = ()


class _Meta(Struct):
    text: str | tuple[str, ...] | None = None


class _Item(Struct):
    type: str
    id: str | None = None
    value: _Value | None = None
    meta: _Meta | None = None
    from_id: str | None = None
    to_id: str | None = None
    direction: str | None = None
    labels: tuple[str, ...] | None = None
    score: float | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """What a person sees of it: identifiers of a region, further columns of a relation."""
        given = self.meta.text if self.meta else None
        return (given,) if isinstance(given, str) else given or ()


class _Result(Struct):
    result: tuple[object, ...] = ()
    was_cancelled: bool = False
    ground_truth: bool = False


class _Task(Struct):
    data: dict[str, object]
    annotations: tuple[_Result, ...] | None = None
    predictions: tuple[_Result, ...] | None = None


def read_label_studio(
    path: str | os.PathLike[str], *, segmenter: Segmenter = segment, on_error: ErrorHandler | None = None
) -> Iterator[Document]:
    """Read documents one at a time.

    Args:
        path: A JSON file in UTF-8: a list of tasks, or a task a line.
        segmenter: Cuts the text into words and sentences.
        on_error: Callback for documents with an error, which are skipped; None raises.

    Raises:
        InputError: ``file: document 3: identifier: field: what is wrong``, tasks counted from 0; also if
            there is no task at all.
    """
    name = Path(path).name
    with opened(path) as file:
        raw = file.read()
    left_out: Counter[str] = Counter()
    places = (
        Place(place, None, value)
        if isinstance(value, InputError)
        else Place(place, _id_of(value, number), partial(_read, value, number, segmenter, left_out, on_error))
        for number, (place, value) in enumerate(json_records(raw, name, "data"))
        if not _is_cancelled(value, left_out)
    )
    yield from documents_at(name, places, on_error)
    if _ANNOTATED not in left_out:
        del left_out[_PREDICTED]  # tasks that are to be annotated yet
    del left_out[_ANNOTATED]
    note_counts(name, left_out)


def _is_cancelled(value: object, left_out: Counter[str]) -> bool:
    annotations = value.get("annotations") if isinstance(value, dict) else None
    if not isinstance(annotations, list) or not annotations:
        return False
    is_cancelled = all(isinstance(each, dict) and each.get("was_cancelled") is True for each in annotations)
    left_out.update({"tasks that were cancelled, which are left out": 1} if is_cancelled else {})
    return is_cancelled


def _id_of(value: object, number: int) -> str | None:
    """Return the identifier of a task's document; None if it has no valid one."""
    if not isinstance(value, dict) or not isinstance(value.get("data"), dict):
        return None
    found = value["data"].get("id", value.get("id", number))
    return str(found) if isinstance(found, str | int) else None


def _read(
    value: object,
    number: int,
    segmenter: Segmenter,
    left_out: Counter[str],
    on_error: ErrorHandler | None = None,
) -> Document:
    task = convert(value, _Task)
    identifier = _id_of(value, number)
    if identifier is None:
        raise InputError("data.id: neither a text nor a number")
    return _document(identifier, task, segmenter, left_out, on_error)


def _document(
    identifier: str,
    task: _Task,
    segmenter: Segmenter,
    left_out: Counter[str],
    on_error: ErrorHandler | None = None,
) -> Document:
    text = _text(task.data)
    sections = convert(task.data.get("sections", []), tuple[Span, ...], "data.sections")
    for index, section in enumerate(sections):
        check_span(section, f"data.sections[{index}]", len(text))
    counts: Counter[str] = Counter()
    items = _items(*_chosen(task, counts), counts, on_error)
    mentions = _mentions(items, text)
    facts = _facts(items, mentions, counts, on_error)
    words, sentences = segmenter(text, [mention.span for mention in mentions.values()], sections)
    document = Document(
        identifier, text, words, sentences, tuple(mentions.values()), facts, sections=sections
    )
    left_out.update(counts)
    return document


def _text(data: Mapping[str, object]) -> str:
    texts = [key for key, value in data.items() if isinstance(value, str) and key != "id"]
    key = "text" if "text" in texts else texts[0] if len(texts) == 1 else None
    if key is None:
        raise InputError(f"data: which of its fields is the text, {', '.join(texts) or 'none of them'}?")
    return str(data[key])


def _chosen(task: _Task, counts: Counter[str]) -> tuple[str, tuple[object, ...]]:
    """Return the path and the items of the annotation, or else the prediction, that is read."""
    annotations = [pair for pair in enumerate(task.annotations or ()) if not pair[1].was_cancelled]
    if annotations:
        counts[_ANNOTATED] += 1
        if len(annotations) > 1:
            counts["annotations besides the one of a task that is read"] += len(annotations) - 1
        number, chosen = next((pair for pair in annotations if pair[1].ground_truth), annotations[0])
        return f"annotations[{number}].result", chosen.result
    if task.predictions:
        counts[_PREDICTED] += 1
        return "predictions[0].result", task.predictions[0].result
    return "", ()


def _items(
    path: str, values: Sequence[object], counts: Counter[str], on_error: ErrorHandler | None
) -> dict[str, _Item]:
    """Return the regions and relations among the items of a result, by their path."""
    items: dict[str, _Item] = {}
    for number, value in enumerate(values):
        where = f"{path}[{number}]"
        kind = value.get("type") if isinstance(value, dict) else None
        if kind == "relation":
            item = usable_record(value, _Item, where, on_error)
        elif isinstance(kind, str) and not kind.endswith("labels"):
            item = None
        else:
            item = convert(value, _Item, where)
        if item is None or (item.value is None and kind != "relation"):
            counts.update({} if kind == "relation" else {_OTHER: 1})
        else:
            items[where] = item
    return items


def _mentions(items: Mapping[str, _Item], text: str) -> dict[str, Mention]:
    """Return the mention of each region."""
    try:
        return _mentions_at(items, text, range(len(text) + 1))
    except InputError:
        if text.isascii():
            raise
        lengths = (1 + (character > "\uffff") for character in text)
        places = {unit: place for place, unit in enumerate(accumulate(lengths, initial=0))}
        try:
            return _mentions_at(items, text, places)
        except InputError:
            pass
        raise


def _mentions_at(
    items: Mapping[str, _Item], text: str, places: Mapping[int, int] | Sequence[int]
) -> dict[str, Mention]:
    """Return the mention of each region, if their offsets are the keys of places of the text."""
    mentions: dict[str, Mention] = {}
    for where, item in items.items():
        value = item.value
        if item.type == "relation" or value is None:
            continue
        if not isinstance(value.start, int) or not isinstance(value.end, int) or value.text is None:
            raise InputError(f"{where}.value: not a region of a plain text, with start, end and text")
        if len(value.labels) != 1:
            raise InputError(f"{where}.value.labels: {len(value.labels)} labels, a mention has one type")
        name = item.id or where
        if name in mentions:
            raise InputError(f"{where}.id: region '{name}' is there twice")
        try:
            start, end = places[value.start], places[value.end]
        except LookupError:
            start = end = -1
        if not 0 <= value.start < value.end or not 0 <= start < end:
            raise InputError(f"{where}.value: {value.start} to {value.end} is empty or not inside the text")
        span = placed(value.text, [(start, end)], text, where)
        ids = tuple(dict.fromkeys(each.strip() for each in item.texts if each.strip())) or (name,)
        mentions[name] = Mention(*span, value.labels[0], () if ids == (_NONE,) else ids)
    return mentions


def _facts(
    items: Mapping[str, _Item],
    mentions: Mapping[str, Mention],
    counts: Counter[str],
    on_error: ErrorHandler | None,
) -> tuple[Fact, ...]:
    facts: dict[tuple[str, str, str], Fact] = {}
    for path, item in items.items():
        if item.type != "relation":
            continue
        ends = {"from_id": item.from_id, "to_id": item.to_id}
        if unknown := [key for key, end in ends.items() if end not in mentions]:
            reason = f"{path}.{unknown[0]}: there is no region '{ends[unknown[0]]}'"
            leave_out(FACTS, InputError(reason), on_error)
            continue
        if item.direction not in (None, *_DIRECTIONS):
            reason = f"{path}.direction: '{item.direction}' is not right, left or bi"
            leave_out(FACTS, InputError(reason), on_error)
            continue
        if not item.labels:
            counts["relations without label, which are left out"] += 1
        extra = item.texts if item.score is None else (f"{item.score:.6f}",)
        for is_turned, label in product(_DIRECTIONS[item.direction or "right"], item.labels or ()):
            sides = [mentions[str(end)].ids for end in ends.values()]
            for head, tail in product(*(reversed(sides) if is_turned else sides)):
                facts.setdefault((head, label, tail), Fact(head, label, tail, extra))
    return tuple(facts.values())


# Writing


def write_label_studio(
    documents: Iterable[Document],
    path: str | os.PathLike[str],
    *,
    lossy: bool = False,
    on_error: ErrorHandler | None = None,
) -> None:
    """Write tasks with the mentions and facts of documents as predictions that a person begins with.

    Args:
        documents, path, lossy, on_error: See :func:`~glre_pyg.formats.detection.write_documents`.
    """

    def task(document: Document) -> str:
        return "\n" + format_label_studio(document, lossy=lossy)

    write_each(documents, path, task, on_error, header="[", separator=",", footer="\n]\n")


def format_label_studio(document: Document, *, lossy: bool = False) -> str:
    """Return the task of a document as JSON.

    Raises:
        InputError: If the format cannot hold the document.
    """
    if lossy:
        document = without_doubles(document)
    check_references(document, ignored=False)
    first = first_mentions(document)
    result = [_region(document, mention, number) for number, mention in enumerate(document.mentions)]
    result += (
        {
            "type": "relation",
            "from_id": f"m{first[fact.head]}",
            "to_id": f"m{first[fact.tail]}",
            "direction": "right",
            "labels": [fact.relation],
        }
        | _columns(fact)
        for fact in document.facts
    )
    sections = {"sections": document.sections} if document.sections else {}
    task = {
        "data": {"id": document.id, "text": document.text, **sections},
        "predictions": [{"model_version": "glre_pyg", "result": result}],
    }
    text = json.dumps(task, ensure_ascii=False)
    _check(document, json.loads(text))
    return text


def _region(document: Document, mention: Mention, number: int) -> dict[str, Any]:
    value = {"start": mention.start, "end": mention.end, "labels": [mention.type]}
    return {
        "id": f"m{number}",
        "type": "labels",
        "from_name": "label",
        "to_name": "text",
        "value": {**value, "text": document.text[mention.start : mention.end]},
        "meta": {"text": mention.ids or [_NONE]},
    }


def _columns(fact: Fact) -> dict[str, Any]:
    if isinstance(fact, PredictedFact):
        return {"score": round(fact.probability, 6)}
    return {"meta": {"text": fact.extra}} if fact.extra else {}


def _check(document: Document, task: object) -> None:
    """Check that a task is read as the document that it was written for, but for words and evidence."""
    try:
        held = _read(task, 0, segments_of(document), Counter())
    except InputError as error:
        raise InputError(f"{document.id}: {reason_of(error, document.id)}") from None
    check_held_but_evidence(document, held, "Label Studio")
