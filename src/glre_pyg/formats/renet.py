"""GDA, gene-disease associations, as published with RENET (Wu et al., 2019).

A folder (``training_data`` or ``testing_data`` of their repository *gda-extraction*) with three files::

    abstracts.txt   10000001
                    The title.
                    The abstract.

    anns.txt        10000001<Tab>0<Tab>4<Tab>GEN1<Tab>Gene<Tab>672
                    10000001<Tab>9<Tab>14<Tab>tumor<Tab>Disease<Tab>D009369

    labels.csv      pmid,geneId,diseaseId,label
                    10000001,672,D009369,1

``abstracts.txt`` has an identifier (digits), a title, an abstract and a blank line for each document.
``anns.txt`` has PubTator's mention lines: identifier, start, end, text, type, identifiers joined by ``|``;
offsets count characters of ``title + " " + abstract``. ``labels.csv`` has a header and a row for each pair;
only those labelled 1 are facts.

This description is based on programs that read these files (EoG's conversion, RENET and RENET2), not on the
files, which were not available. Uncertain are the names in the header of ``labels.csv`` (without ``geneId``
and ``diseaseId`` the gene is expected first, as in EoG's conversion), and the placeholder of a missing
identifier (``-1`` and ``None`` are both recognised).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from glre_pyg.data.document import Document, Fact, Mention
from glre_pyg.data.segmentation import Segmenter, segment
from glre_pyg.formats.checking import FACTS
from glre_pyg.formats.pubtator import read_mention, titled
from glre_pyg.formats.reading import Line, Place, PlacedError, documents_at, lines_of
from glre_pyg.utils.compression import opened
from glre_pyg.utils.console import plural
from glre_pyg.utils.exceptions import ErrorHandler, InputError, handle_error, leave_out

ABSTRACTS, ANNOTATIONS, LABELS = FILES = ("abstracts.txt", "anns.txt", "labels.csv")
"""The files of a folder."""
RELATION = "GDA"

_UNLINKED = ("", "-1", "None")
_DIGITS = re.compile("[0-9]+")
_TRUE, _FALSE = ("1", "1.0"), ("0", "0.0")
_ORDER = ["pmid", "geneId", "diseaseId", "label"]


class _Row(NamedTuple):
    """A line in columns; a fault is an error that is raised with the document of the line."""

    line: Line
    columns: list[str]
    fault: str = ""


def read_gda(
    folder: str | os.PathLike[str], *, segmenter: Segmenter = segment, on_error: ErrorHandler | None = None
) -> Iterator[Document]:
    """Read documents one at a time; annotations and labels are read at once.

    Args:
        folder: Folder with :data:`FILES`.
        segmenter: Cuts the text into words and sentences.
        on_error: Callback for documents with an error, which are skipped; None raises.

    Raises:
        InputError: ``file:line: document: what is wrong``; also if a file is missing or empty.
    """
    folder, seen = Path(folder), set()
    annotations: dict[str, list[_Row]] = {}
    for row in _rows(folder, ANNOTATIONS, "\t"):
        annotations.setdefault(row.columns[0], []).append(row)
    labels = _labels(folder)

    def places() -> Iterator[Place]:
        for head, *texts in _blocks(folder):
            name = head.columns[0]
            seen.add(name)
            rows = annotations.get(name, []), labels.get(name, [])
            yield Place(head.line.place, name, partial(_document, head, texts, *rows, segmenter, on_error))

    yield from documents_at(ABSTRACTS, places(), on_error)
    for name, (row, *_) in chain(annotations.items(), labels.items()):
        if name not in seen:
            reason = f"no document of this identifier is in {ABSTRACTS}"
            handle_error(InputError(f"{row.line.place}: {name or '?'}: {reason}"), on_error)


def _rows(folder: Path, file: str, separator: str) -> Iterator[_Row]:
    """Read the lines that are not blank."""
    if not (folder / file).exists():
        raise InputError(f"{folder / file}: no such file")
    with opened(folder / file) as lines:
        for line in lines_of(lines, file):
            if line.raw.strip():
                try:
                    text, fault = line.text(), ""
                except PlacedError as error:
                    text, fault = line.raw.decode("utf-8", "replace").rstrip("\r\n"), f"line: {error.reason}"
                yield _Row(line, text.split(separator) if separator else [text], fault)


def _blocks(folder: Path) -> Iterator[list[_Row]]:
    """Group the lines of the abstracts by document: identifier, title and abstract, if there is one."""
    block: list[_Row] = []
    for row in _rows(folder, ABSTRACTS, ""):
        if _DIGITS.fullmatch(row.columns[0].strip()):
            if block:
                yield block
            block = [row._replace(columns=[row.columns[0].strip()])]
        elif not block:
            block = [row._replace(fault="id: the first line is not an identifier in digits")]
        else:
            block.append(row)
    if block:
        yield block


def _labels(folder: Path) -> dict[str, list[_Row]]:
    """Read the rows labelled 1, with columns as in :data:`_ORDER`."""
    rows: dict[str, list[_Row]] = {}
    places = list(range(len(_ORDER)))
    for index, row in enumerate(_rows(folder, LABELS, ",")):
        columns = [column.strip() for column in row.columns]
        if index == 0 and not _DIGITS.fullmatch(columns[0]):
            if row.fault:
                raise InputError(f"{row.line.place}: {columns[0]}: {row.fault}")
            if set(_ORDER) <= set(columns):
                places = [columns.index(name) for name in _ORDER]
            continue
        fault = row.fault
        if len(columns) <= max(places):
            fault = f"label: a row has {len(_ORDER)} columns, this one {len(columns)}"
        else:
            columns = [columns[place] for place in places]
            if columns[3] not in (*_TRUE, *_FALSE):
                fault = fault or f"label: '{columns[3]}' is neither 0 nor 1"
        if fault or columns[3] in _TRUE:
            rows.setdefault(columns[0], []).append(_Row(row.line, columns, fault))
    return rows


def _document(
    head: _Row,
    texts: list[_Row],
    annotations: list[_Row],
    labels: list[_Row],
    segmenter: Segmenter,
    on_error: ErrorHandler | None,
) -> Document:
    for row in (head, *texts, *annotations):
        if row.fault:
            raise row.line.error(row.fault)
    if not 1 <= len(texts) <= 2:
        raise head.line.error(f"text: {len(texts)} {plural(len(texts), 'line')}, not a title and an abstract")
    title, *rest = (row.columns[0].rstrip() for row in texts)
    text, sections = titled(title, *rest)
    mentions = tuple(_mention(row, text) for row in annotations)
    known = {(identifier, mention.type) for mention in mentions for identifier in mention.ids}
    facts = []
    for row in labels:
        try:
            facts.append(_fact(row, known))
        except InputError as error:
            leave_out(FACTS, error, on_error)
    words, sentences = segmenter(text, [mention.span for mention in mentions], sections)
    unique = tuple(dict.fromkeys(facts))
    return Document(head.columns[0], text, words, sentences, mentions, unique, sections=sections)


def _mention(row: _Row, text: str) -> Mention:
    if len(row.columns) not in (6, 7):
        raise row.line.error(f"a mention has 6 or 7 columns, this line {len(row.columns)}")
    columns = row.columns[:6]
    columns = [column.strip() if index == 5 else column for index, column in enumerate(columns)]
    mention = read_mention(row.line, columns, text, "|", _UNLINKED, ignore_case=True)
    name = columns[3]
    if not mention.type:
        raise row.line.error(f"mention '{name}' has no type")
    is_same = name == text[mention.start : mention.end]
    return mention if is_same else replace(mention, names=(name,) * len(mention.ids))


def _fact(row: _Row, known: set[tuple[str, str]]) -> Fact:
    if row.fault:
        raise row.line.error(row.fault)
    _, gene, disease, _ = row.columns
    for field, identifier, kind in (("geneId", gene, "Gene"), ("diseaseId", disease, "Disease")):
        if (identifier, kind) not in known:
            raise row.line.error(f"{field}: no mention of a {kind.lower()} has '{identifier}'")
    return Fact(gene, RELATION, disease)
