"""Documents as JSON Lines, one object per line: the format that holds everything.

A line has ``id`` and ``text`` and, where there are any, ``mentions`` and ``facts``::

    {"id": "1", "text": "Aspirin may cause asthma.",
     "mentions": [{"start": 0, "end": 7, "type": "Chemical", "ids": ["D001241"]},
                  {"start": 18, "end": 24, "type": "Disease", "ids": ["D001249"]}],
     "facts": [{"head": "D001241", "relation": "CID", "tail": "D001249"}]}

Offsets count characters, end exclusive. Mentions may have ``names`` (a list of strings) and ``text``, which
has to be the text at their offsets; without it, they may not begin or end with white space. Facts may have
``extra`` (a list of strings) and ``evidence`` (numbers of sentences, from 0); ``ignored`` is a list of
``[head, tail]``, pairs that are left out of loss and score. ``sections``, ``words`` and ``sentences`` are
lists of ``[start, end]``: sections and words in characters, sentences in words. Without words and sentences
the text is segmented.

Predicted facts are written with ``probability`` and ``threshold`` and, where they were requested,
``reasons`` and ``sentence_ablation``, as in :class:`~glre_pyg.data.explanation.PredictedFact`. They are read
as predicted facts, without the last two.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from msgspec import UNSET, Struct, UnsetType, convert, to_builtins

from glre_pyg.data.document import Document, Fact, Mention, Sentence, Span
from glre_pyg.data.explanation import PredictedFact, score_column
from glre_pyg.data.segmentation import Segmenter, segment
from glre_pyg.formats.checking import (
    PAIRS,
    FactFields,
    check_references,
    check_span,
    read_fact,
    usable_pairs,
)
from glre_pyg.formats.json_records import parsed, record_place, usable_records
from glre_pyg.formats.reading import documents_at
from glre_pyg.formats.writing import write_each
from glre_pyg.utils.compression import opened
from glre_pyg.utils.console import shown
from glre_pyg.utils.exceptions import ErrorHandler, InputError, note

_MOST = 0.25
"""Share of mentions that may begin or end within a word; if more do, offsets are probably wrong."""


class MentionRecord(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A mention as it is written."""

    start: int
    end: int
    type: str
    ids: tuple[str, ...] | UnsetType = UNSET
    names: tuple[str, ...] = ()
    text: str | UnsetType = UNSET


class FactRecord(FactFields, forbid_unknown_fields=True, omit_defaults=True):
    """A fact as it is written, with its reasons, which are not read."""

    reasons: object = None
    sentence_ablation: object = None


class Record(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A document as it is written."""

    id: str
    text: str
    mentions: tuple[MentionRecord, ...] = ()
    facts: object = ()
    ignored: object = ()
    sections: tuple[Span, ...] = ()
    words: tuple[Span, ...] | UnsetType = UNSET
    sentences: tuple[Span, ...] | UnsetType = UNSET


def read_jsonl(
    path: str | os.PathLike[str], *, segmenter: Segmenter = segment, on_error: ErrorHandler | None = None
) -> Iterator[Document]:
    """Read documents one at a time; blank lines are skipped.

    Args:
        path: A file in UTF-8.
        segmenter: Cuts the text of documents without words and sentences.
        on_error: Callback for documents with an error, which are skipped; None raises.

    Raises:
        InputError: ``file:line: document: field: what is wrong``; also if there is no document at all.
    """
    name = Path(path).name
    build = partial(build_document, segmenter=segmenter, on_error=on_error)
    with opened(path) as file:
        places = (
            record_place(f"{name}:{number}", parsed(raw), "id", Record, build)
            for number, raw in enumerate(file, start=1)
            if raw.strip()
        )
        total = cut = 0
        for document in documents_at(name, places, on_error):
            total += len(document.mentions)
            cut += sum(_cuts_a_word(document.text, mention) for mention in document.mentions)
            yield document
    if cut > _MOST * total:
        note(f"{name}: {cut} of {total} mentions begin or end within a word: are ends exclusive?")


def _cuts_a_word(text: str, mention: Mention) -> bool:
    around = (text[place - 1 : place + 1] for place in mention.span if place)
    return any(len(both) == 2 and both.isascii() and both.isalnum() for both in around)


def build_document(record: Record, *, segmenter: Segmenter, on_error: ErrorHandler | None) -> Document:
    """Build the document of a record.

    Args:
        record: The record.
        segmenter, on_error: See :func:`read_jsonl`.

    Raises:
        InputError: ``field: what is wrong``.
    """
    text = record.text
    for number, mention in enumerate(record.mentions):
        check_span((mention.start, mention.end), f"mentions[{number}]", len(text), empty=False)
        _check_text(mention, f"mentions[{number}]", text[mention.start : mention.end])
    for number, section in enumerate(record.sections):
        check_span(section, f"sections[{number}]", len(text))
    mentions = tuple(
        Mention(each.start, each.end, each.type, each.ids or (), each.names) for each in record.mentions
    )
    words, spans = record.words, record.sentences
    if words is UNSET and spans is UNSET:
        words, sentences = segmenter(text, [mention.span for mention in mentions], record.sections)
    elif words is UNSET or spans is UNSET:
        raise InputError("words: words and sentences are given together or not at all")
    else:
        sentences = tuple(Sentence(*span) for span in spans)
    given = usable_records(record.ignored, tuple[str, str], "ignored", on_error, kind=PAIRS)
    ignored = tuple(pair for _, pair in given)
    document = Document(
        record.id, text, words, sentences, mentions, ignored=ignored, sections=record.sections
    )
    facts = [
        read_fact(each, path, document, on_error)
        for path, each in usable_records(record.facts, FactRecord, "facts", on_error)
    ]
    return replace(document, facts=tuple(filter(None, facts)), ignored=usable_pairs(document, on_error))


def _check_text(mention: MentionRecord, path: str, found: str) -> None:
    """Check the text of a mention: what it says, otherwise that it has no white space around it."""
    place = f"{mention.start} to {mention.end}"
    if mention.text is UNSET:
        if found != found.strip():
            reason = f"'{shown(found)}' at {place} begins or ends with white space"
            raise InputError(f"{path}: {reason}; do the offsets count characters?")
    elif mention.text != found:
        raise InputError(f"{path}: '{shown(mention.text)}' is not at {place}, there is '{shown(found)}'")


def write_jsonl(
    documents: Iterable[Document], path: str | os.PathLike[str], *, on_error: ErrorHandler | None = None
) -> None:
    """Write documents as :func:`read_jsonl` reads them; see :func:`~glre_pyg.formats.writing.write_each`."""
    write_each(documents, path, format_jsonl, on_error)


def format_jsonl(document: Document) -> str:
    """Return the line of a document.

    Raises:
        InputError: See :func:`record_of`.
    """
    fields = {"id": "", "text": "", "mentions": (), "facts": (), **to_builtins(record_of(document))}
    for fact in fields["facts"]:
        if "reasons" in fact:
            del fact["reasons"]["head"], fact["reasons"]["tail"]
    return json.dumps(fields, ensure_ascii=False) + "\n"


def record_of(document: Document) -> Record:
    """Return the record of a document.

    Raises:
        InputError: If it could not be read again, as with a fact of an entity without mention.
    """
    check_references(document)
    return Record(
        document.id,
        document.text,
        mentions=tuple(_mention(document, mention) for mention in document.mentions),
        facts=tuple(map(_fact, document.facts)),
        ignored=document.ignored,
        sections=document.sections,
        words=document.words,
        sentences=tuple((sentence.start, sentence.end) for sentence in document.sentences),
    )


def _fact(fact: Fact) -> FactRecord:
    record = convert(fact, FactRecord, from_attributes=True)
    if isinstance(fact, PredictedFact) and fact.extra == score_column(fact.probability):
        record.extra = ()
    return record


def _mention(document: Document, mention: Mention) -> MentionRecord:
    text = document.text[mention.start : mention.end]
    return MentionRecord(
        mention.start,
        mention.end,
        mention.type,
        mention.ids,
        mention.names,
        UNSET if text == text.strip() else text,
    )
