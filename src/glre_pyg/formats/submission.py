"""What DocRED's hidden test labels are scored on: a zip file that holds ``result.json`` and nothing else.

It is a JSON list of facts, each ``{"title": ..., "h_idx": 0, "t_idx": 1, "r": "P17", "evidence": []}``: the
title of a document, two places in its ``vertexSet``, a relation, and the numbers of sentences that show it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from glre_pyg.data.document import Document
from glre_pyg.utils import json_fields as fields
from glre_pyg.utils.download import ARCHIVE_ERRORS
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import atomic_path

NAME = "result.json"
_LONGEST = 1 << 28  # bytes of result.json, which for a test split has a hundredth of them
_KEYS = ("title", "h_idx", "t_idx", "r", "evidence")


def submission_rows(documents: Iterable[Document]) -> list[dict[str, object]]:
    """A row for each fact of documents in DocRED's format.

    Raises:
        InputError: If the entities of a document are not numbered as in DocRED's format, or a fact names none
            of them.
    """
    rows: list[dict[str, object]] = []
    for document in documents:
        place = {str(number): number for number in range(len(document.entities))}
        for entity in document.entities:
            if entity.id not in place:
                raise InputError(f"{document.id}: entity '{entity.id}' has no place in a vertexSet")
        for number, fact in enumerate(document.facts):
            for key, identifier in (("head", fact.head), ("tail", fact.tail)):
                if identifier not in place:
                    raise InputError(f"{document.id}: facts[{number}].{key}: no mention has '{identifier}'")
            values = (document.id, place[fact.head], place[fact.tail], fact.relation, list(fact.evidence))
            rows.append(dict(zip(_KEYS, values, strict=True)))
    return rows


def check_submission(rows: object, documents: Iterable[Document], relations: Collection[str]) -> None:
    """Check every rule of the format.

    Args:
        rows: What ``result.json`` says.
        documents: The documents that were to be predicted.
        relations: The relations there are.

    Raises:
        InputError: ``result.json: row 3: field: what is wrong``, rows counted from 0; also if two of the
            documents have one title, which rows could not tell apart.
    """
    titles: dict[str, Document] = {}
    for document in documents:
        if titles.setdefault(document.id, document) is not document:
            raise InputError(f"{document.id}: two documents have this title")
    if not isinstance(rows, list):
        raise InputError(f"{NAME}: not a JSON list")
    seen: dict[tuple[object, ...], int] = {}
    for number, row in enumerate(rows):
        try:
            key = _check_row(row, titles, relations)
            if seen.setdefault(key, number) != number:
                raise InputError(f"the fact of row {seen[key]} again")
        except InputError as error:
            raise InputError(f"{NAME}: row {number}: {error}") from None


def _check_row(row: object, titles: Mapping[str, Document], relations: Collection[str]) -> tuple[object, ...]:
    record = fields.mapping(row, "the row", set(_KEYS))
    title = fields.string(record, "title", "title")
    if title not in titles:
        raise InputError(f"title: there is no document '{title}'")
    document = titles[title]
    head, tail = (fields.integer(fields.get(record, key, key), key) for key in ("h_idx", "t_idx"))
    for key, place in (("h_idx", head), ("t_idx", tail)):
        if not 0 <= place < len(document.entities):
            raise InputError(f"{key}: {place} is not one of {len(document.entities)} entities of '{title}'")
    if head == tail:
        raise InputError(f"t_idx: {tail} is the head too")
    relation = fields.string(record, "r", "r")
    if relation not in relations:
        raise InputError(f"r: '{relation}' is not one of {len(relations)} relations")
    fields.get(record, "evidence", "evidence")
    count = len(document.sentences)
    for index, sentence in enumerate(fields.rows(record, "evidence", "evidence", fields.integer)):
        if not 0 <= sentence < count:
            raise InputError(f"evidence[{index}]: {sentence} is not one of {count} sentences of '{title}'")
    return title, head, tail, relation


def write_submission(rows: Iterable[Mapping[str, object]], path: str | os.PathLike[str]) -> None:
    """Write the zip file; the same rows give the same bytes. The file appears when it is complete."""
    entry = ZipInfo(NAME, date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type, entry.create_system, entry.external_attr = ZIP_DEFLATED, 3, 0o644 << 16
    with atomic_path(path) as part, ZipFile(part, "w") as file:
        file.writestr(entry, json.dumps(list(rows), ensure_ascii=False) + "\n")


def read_submission(path: str | os.PathLike[str]) -> object:
    """What ``result.json`` in a zip file says; :func:`check_submission` tells whether it is right.

    Raises:
        InputError: If there is no such zip file, it holds anything else, or what it holds is not JSON.
    """
    name = Path(path).name
    try:
        with ZipFile(path) as file:
            names = file.namelist()
            if names != [NAME]:
                raise InputError(f"{name}: holds {', '.join(names) or 'nothing'}, and not {NAME} alone")
            with file.open(NAME) as opened:
                raw = opened.read(_LONGEST + 1)  # no more, whatever the archive says
    except InputError:
        raise
    except ARCHIVE_ERRORS as error:
        raise InputError(f"{name}: not a zip file that can be read: {error}") from None
    if len(raw) > _LONGEST:
        raise InputError(f"{name}: {NAME}: longer than {_LONGEST} bytes")
    try:
        return fields.parse(raw)
    except InputError as error:
        raise InputError(f"{name}: {NAME}: {error}") from None
