"""Submissions to DocRED's leaderboard, which has the test labels: a zip file with ``result.json`` alone.

It is a JSON list of facts, each ``{"title": ..., "h_idx": 0, "t_idx": 1, "r": "P17", "evidence": []}``: the
title of a document, two indices into its ``vertexSet``, a relation, and the sentences with evidence.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from msgspec import Struct

from glre_pyg.data.document import Document
from glre_pyg.formats.checking import check_references
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import atomic_path
from glre_pyg.utils.json_fields import convert

NAME = "result.json"


class _Row(Struct, forbid_unknown_fields=True):
    title: str
    h_idx: int
    t_idx: int
    r: str
    evidence: list[int]


def submission_rows(documents: Iterable[Document]) -> list[dict[str, object]]:
    """Return a row for each fact of documents in DocRED's format.

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
        check_references(document, ignored=False)
        rows += (
            {
                "title": document.id,
                "h_idx": place[fact.head],
                "t_idx": place[fact.tail],
                "r": fact.relation,
                "evidence": list(fact.evidence),
            }
            for fact in document.facts
        )
    return rows


def check_submission(rows: object, documents: Iterable[Document], relations: Collection[str]) -> None:
    """Check every rule of the format.

    Args:
        rows: Contents of ``result.json``.
        documents: The documents of the test split.
        relations: All relations.

    Raises:
        InputError: ``result.json: row 3: field: what is wrong``, rows counted from 0; also if two documents
            have the same title, which rows could not tell apart.
    """
    titles: dict[str, Document] = {}
    for document in documents:
        if titles.setdefault(document.id, document) is not document:
            raise InputError(f"{document.id}: two documents have this title")
    if not isinstance(rows, list):
        raise InputError(f"{NAME}: not a JSON list")
    seen: dict[tuple[str, int, int, str], int] = {}
    for number, row in enumerate(rows):
        try:
            fact = _check_row(row, titles, relations)
            key = fact.title, fact.h_idx, fact.t_idx, fact.r
            if seen.setdefault(key, number) != number:
                raise InputError(f"the fact of row {seen[key]} again")
        except InputError as error:
            raise InputError(f"{NAME}: row {number}: {error}") from None


def _check_row(value: object, titles: Mapping[str, Document], relations: Collection[str]) -> _Row:
    row = convert(value, _Row)
    if row.title not in titles:
        raise InputError(f"title: there is no document '{row.title}'")
    document = titles[row.title]
    for key, place in (("h_idx", row.h_idx), ("t_idx", row.t_idx)):
        if not 0 <= place < len(document.entities):
            raise InputError(
                f"{key}: {place} is not one of {len(document.entities)} entities of '{row.title}'"
            )
    if row.h_idx == row.t_idx:
        raise InputError(f"t_idx: {row.t_idx} is the head too")
    if row.r not in relations:
        raise InputError(f"r: '{row.r}' is not one of {len(relations)} relations")
    count = len(document.sentences)
    for index, sentence in enumerate(row.evidence):
        if not 0 <= sentence < count:
            raise InputError(
                f"evidence[{index}]: {sentence} is not one of {count} sentences of '{row.title}'"
            )
    return row


def write_submission(rows: Iterable[Mapping[str, object]], path: str | os.PathLike[str]) -> None:
    """Write the zip file; the same rows give the same bytes. The file appears when it is complete."""
    entry = ZipInfo(NAME, date_time=(1980, 1, 1, 0, 0, 0))
    entry.compress_type, entry.create_system, entry.external_attr = ZIP_DEFLATED, 3, 0o644 << 16
    with atomic_path(path) as part, ZipFile(part, "w") as file:
        file.writestr(entry, json.dumps(list(rows), ensure_ascii=False) + "\n")
