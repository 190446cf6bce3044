"""One's own documents as JSON Lines, one object a line: to documents and back, nothing lost.

A line has ``id`` and ``text`` and, where there are any, ``mentions`` and ``facts``::

    {"id": "1", "text": "Aspirin may cause asthma.",
     "mentions": [{"start": 0, "end": 7, "type": "Chemical", "ids": ["D001241"]},
                  {"start": 18, "end": 24, "type": "Disease", "ids": ["D001249"]}],
     "facts": [{"head": "D001241", "relation": "CID", "tail": "D001249"}]}

Offsets count characters, end exclusive. Mentions may have ``names``, facts ``extra`` (both lists of strings)
and ``evidence`` (numbers of sentences, from 0); ``ignored`` is a list of ``[head, tail]``, pairs that are
left out of loss and score. ``sections``, ``words`` and ``sentences`` are lists of ``[start, end]``: sections
and words in characters, sentences in words. Without words and sentences the text is segmented.

Predicted facts are written with ``probability`` and ``threshold`` and, where they were requested,
``reasons`` and ``sentence_ablation``, as in :class:`~glre_pyg.data.explanation.PredictedFact`. They are read
as predicted facts, without the last two.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from glre_pyg.data.document import Document, Fact, Mention, Sentence
from glre_pyg.data.explanation import PredictedFact
from glre_pyg.data.segmentation import Segmenter, segment
from glre_pyg.formats.reading import Place, documents_at, failing, opened
from glre_pyg.formats.writing import check_whole, formatted
from glre_pyg.utils import json_fields as fields
from glre_pyg.utils.exceptions import ErrorHandler, InputError
from glre_pyg.utils.files import atomic_open

_SAID = {"probability", "threshold", "reasons", "sentence_ablation"}
_FIELDS = {"id", "text", "mentions", "facts", "ignored", "sections", "words", "sentences"}


def read_jsonl(
    path: str | os.PathLike[str], *, segmenter: Segmenter = segment, on_error: ErrorHandler | None = None
) -> Iterator[Document]:
    """Read documents one at a time; blank lines are skipped.

    Args:
        path: A file in UTF-8.
        segmenter: Makes words and sentences for lines that have none.
        on_error: Is told of documents with an error, which are left out; None raises.

    Raises:
        InputError: ``file:line: document: field: what is wrong``; also if there is no document at all.
    """
    with opened(path) as file:
        places = (_place(number, raw, segmenter) for number, raw in enumerate(file, start=1) if raw.strip())
        yield from documents_at(Path(path).name, places, on_error)


def _place(number: int, raw: bytes, segmenter: Segmenter) -> Place:
    try:
        record = fields.mapping(fields.parse(raw), "the line")
        document_id = fields.string(record, "id", "id")
    except InputError as error:
        return Place(f":{number}", None, failing(error))
    return Place(f":{number}", document_id, partial(_document, document_id, record, segmenter))


def write_jsonl(
    documents: Iterable[Document], path: str | os.PathLike[str], *, on_error: ErrorHandler | None = None
) -> None:
    """Write documents as :func:`read_jsonl` reads them; the file appears when it is complete."""
    with atomic_open(path) as file:
        file.writelines(formatted(documents, format_jsonl, on_error))


def format_jsonl(document: Document) -> str:
    """The line of a document.

    Raises:
        InputError: If it could not be read: a fact names what no mention has, or a sentence that is not
            there.
    """
    check_whole(document)
    return json.dumps(_record(document), ensure_ascii=False) + "\n"


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
            | ({"evidence": fact.evidence} if fact.evidence else {})
            | (_said(fact) if isinstance(fact, PredictedFact) else {})
            for fact in document.facts
        ],
        **({"ignored": document.ignored} if document.ignored else {}),
        **({"sections": document.sections} if document.sections else {}),
        "words": document.words,
        "sentences": [(sentence.start, sentence.end) for sentence in document.sentences],
    }


def _said(fact: PredictedFact) -> dict[str, object]:
    """What a model says of a fact, in :data:`_SAID`."""
    said: dict[str, object] = {"probability": fact.probability, "threshold": fact.threshold}
    if fact.reasons is not None:
        reasons = asdict(fact.reasons)
        said["reasons"] = {name: value for name, value in reasons.items() if name not in ("head", "tail")}
    if fact.sentence_ablation is not None:
        said["sentence_ablation"] = [asdict(ablation) for ablation in fact.sentence_ablation]
    return said


def _document(document_id: str, record: Mapping[str, object], segmenter: Segmenter) -> Document:
    fields.mapping(record, "the line", _FIELDS)
    text = fields.string(record, "text", "text")
    mentions = fields.rows(record, "mentions", "mentions", lambda item, path: _mention(item, path, len(text)))
    known = {identifier for mention in mentions for identifier in mention.ids}
    facts = fields.rows(record, "facts", "facts", lambda item, path: _fact(item, path, known))
    ignored = fields.rows(record, "ignored", "ignored", lambda item, path: _pair(item, path, known))
    sections = fields.rows(
        record, "sections", "sections", lambda item, path: fields.span(item, path, len(text))
    )
    if ("words" in record) != ("sentences" in record):
        raise InputError("words: words and sentences are given together or not at all")
    if "words" in record:
        words = fields.rows(
            record, "words", "words", lambda item, path: fields.span(item, path, len(text), empty=False)
        )
        spans = fields.rows(
            record, "sentences", "sentences", lambda item, path: fields.span(item, path, len(words))
        )
        sentences = tuple(Sentence(*span) for span in spans)
    else:
        words, sentences = segmenter(text, [mention.span for mention in mentions], sections)
    for index, fact in enumerate(facts):
        fields.check_evidence(fact.evidence, f"facts[{index}].evidence", len(sentences))
    document = Document(document_id, text, words, sentences, mentions, facts, ignored, sections)
    said = fields.rows(record, "facts", "facts", _prediction)
    return replace(document, facts=_predicted(document, said)) if any(said) else document


def _mention(item: object, path: str, length: int) -> Mention:
    record = fields.mapping(item, path, {"start", "end", "type", "ids", "names"})
    start, end = (
        fields.integer(fields.get(record, key, f"{path}.{key}"), f"{path}.{key}") for key in ("start", "end")
    )
    if not 0 <= start < end:
        raise InputError(f"{path}.start: {start} to {end} is empty or begins before the text")
    if end > length:
        raise InputError(f"{path}.end: {end} is after the text of {length} characters")
    fields.get(record, "ids", f"{path}.ids")
    ids, names = (fields.rows(record, key, f"{path}.{key}", fields.text) for key in ("ids", "names"))
    return Mention(start, end, fields.string(record, "type", f"{path}.type"), ids, names)


def _fact(item: object, path: str, known: set[str]) -> Fact:
    record = fields.mapping(item, path, {"head", "relation", "tail", "extra", "evidence"} | _SAID)
    head, relation, tail = (
        fields.string(record, key, f"{path}.{key}") for key in ("head", "relation", "tail")
    )
    fields.check_known(head, f"{path}.head", known)
    fields.check_known(tail, f"{path}.tail", known)
    extra = fields.rows(record, "extra", f"{path}.extra", fields.text)
    evidence = fields.rows(record, "evidence", f"{path}.evidence", fields.integer)
    return Fact(head, relation, tail, extra, evidence)


def _prediction(item: object, path: str) -> tuple[float, float] | None:
    """Probability and threshold of a fact that a model has found."""
    record = fields.mapping(item, path)
    if "probability" not in record and "threshold" not in record:
        return None
    probability, threshold = (
        fields.share(fields.get(record, key, f"{path}.{key}"), f"{path}.{key}")
        for key in ("probability", "threshold")
    )
    return probability, threshold


def _predicted(document: Document, said: Sequence[tuple[float, float] | None]) -> tuple[Fact, ...]:
    """The facts of a document, with what a model has said of them."""
    entities = {entity.id: entity for entity in document.entities}
    return tuple(
        fact
        if numbers is None
        else replace(
            PredictedFact.between(
                entities[fact.head],
                fact.relation,
                entities[fact.tail],
                probability=numbers[0],
                threshold=numbers[1],
                evidence=fact.evidence,
            ),
            extra=fact.extra,
        )
        for fact, numbers in zip(document.facts, said, strict=True)
    )


def _pair(item: object, path: str, known: set[str]) -> tuple[str, str]:
    head, tail = fields.pair(item, path)
    for identifier in (head, tail):
        fields.check_known(identifier, path, known)
    return head, tail
