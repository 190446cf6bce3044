"""GDA, gene-disease associations (RENET, 2019), in the format that its authors published.

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

What is said here was taken from the programs that read these files (EoG's conversion, RENET and RENET2), not
from the files, which were not at hand. Not certain: the names in the header of ``labels.csv`` (``geneId`` and
``diseaseId`` are looked for in it; without them a gene is taken to come first, as EoG's conversion needs it),
and what a mention without identifier has in its place (``-1`` and ``None`` are both taken for it).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from glre_pyg.data.document import Document, Fact, Mention
from glre_pyg.data.segmentation import Segmenter, segment
from glre_pyg.formats.reading import opened
from glre_pyg.utils.exceptions import ErrorHandler, InputError, handle_error, shown

ABSTRACTS, ANNOTATIONS, LABELS = FILES = ("abstracts.txt", "anns.txt", "labels.csv")
"""The files of a folder."""
RELATION = "GDA"

_UNLINKED = {"", "-1", "None"}
_DIGITS = re.compile("[0-9]+")
_TRUE, _FALSE = ("1", "1.0"), ("0", "0.0")
_ORDER = ["pmid", "geneId", "diseaseId", "label"]


class _Line(NamedTuple):
    """A line; what is wrong with it, by field, is told with its document."""

    file: str
    number: int
    columns: list[str]
    fault: tuple[str, str] | None = None

    def error(self, field: str, message: str) -> InputError:
        return InputError(f"{self.file}:{self.number}: {self.columns[0]}: {field}: {message}")


def read_gda(
    folder: str | os.PathLike[str], *, segmenter: Segmenter = segment, on_error: ErrorHandler | None = None
) -> Iterator[Document]:
    """Read documents one at a time; annotations and labels are read at once.

    Args:
        folder: Folder with :data:`FILES`.
        segmenter: Makes words and sentences.
        on_error: Is told of documents with an error, which are left out; None raises.

    Raises:
        InputError: ``file:line: document: field: what is wrong``; also if a file is not there, or empty.
    """
    folder, seen = Path(folder), set()
    mentions, labels = _annotations(folder), _labels(folder)
    for block in _blocks(folder):
        document_id = block[0].columns[0]
        try:
            if document_id in seen:
                raise block[0].error("id", "a document of this identifier was in the file before")
            document = _document(block, mentions.get(document_id, []), labels.get(document_id, []), segmenter)
        except InputError as error:
            handle_error(error, on_error)
        else:
            yield document
        seen.add(document_id)
    if not seen:
        raise InputError(f"{ABSTRACTS}: there are no documents in this file")
    for document_id, lines in [*mentions.items(), *labels.items()]:
        if document_id not in seen:
            handle_error(lines[0].error("id", f"no document of this identifier is in {ABSTRACTS}"), on_error)


def _lines(folder: Path, file: str, separator: str) -> Iterator[_Line]:
    """Lines that are not blank, in columns."""
    if not (folder / file).is_file():
        raise InputError(f"{folder / file}: no such file")
    with opened(folder / file) as lines:
        for number, raw in enumerate(lines, start=1):
            raw = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
            if raw.strip():
                fault = None
                try:
                    text = raw.decode("utf-8")
                except UnicodeDecodeError as error:
                    text = raw.decode("utf-8", "replace")
                    fault = "line", f"byte {error.start + 1} of the line is not UTF-8"
                text = text.rstrip("\r\n")
                yield _Line(file, number, text.split(separator) if separator else [text], fault)


def _blocks(folder: Path) -> Iterator[list[_Line]]:
    """The lines of each document of the abstracts: identifier, title and abstract, where there is one."""
    block: list[_Line] = []
    for line in _lines(folder, ABSTRACTS, ""):
        if _DIGITS.fullmatch(line.columns[0].strip()):
            if block:
                yield block
            block = [line._replace(columns=[line.columns[0].strip()])]
        elif not block:
            block = [line._replace(fault=("id", "the first line is not an identifier in digits"))]
        else:
            block.append(line)
    if block:
        yield block


def _annotations(folder: Path) -> dict[str, list[_Line]]:
    rows: dict[str, list[_Line]] = {}
    for line in _lines(folder, ANNOTATIONS, "\t"):
        rows.setdefault(line.columns[0], []).append(line)
    return rows


def _labels(folder: Path) -> dict[str, list[_Line]]:
    """The rows labelled 1, their columns as in :data:`_ORDER`."""
    rows: dict[str, list[_Line]] = {}
    places = list(range(len(_ORDER)))
    for index, line in enumerate(_lines(folder, LABELS, ",")):
        columns = [column.strip() for column in line.columns]
        if index == 0 and not _DIGITS.fullmatch(columns[0]):
            if line.fault:
                raise line.error(*line.fault)
            if set(_ORDER) <= set(columns):
                places = [columns.index(name) for name in _ORDER]
            continue
        if len(columns) <= max(places):
            fault = "label", f"a row has {len(_ORDER)} columns, this one {len(columns)}"
            rows.setdefault(columns[0], []).append(line._replace(fault=fault))
            continue
        ordered = line._replace(columns=[columns[place] for place in places])
        if ordered.columns[3] not in (*_TRUE, *_FALSE):
            fault = "label", f"'{ordered.columns[3]}' is neither 0 nor 1"
            ordered = ordered._replace(fault=line.fault or fault)
        if ordered.fault or ordered.columns[3] not in _FALSE:
            rows.setdefault(ordered.columns[0], []).append(ordered)
    return rows


def _document(
    block: list[_Line], annotations: list[_Line], labels: list[_Line], segmenter: Segmenter
) -> Document:
    head, *texts = block
    for line in (*block, *annotations, *labels):
        if line.fault:
            raise line._replace(columns=head.columns).error(*line.fault)
    if not 1 <= len(texts) <= 2:
        raise head.error("text", f"{len(texts)} lines, not a title and an abstract")
    title, *rest = (line.columns[0].rstrip() for line in texts)
    text = " ".join([title, *rest])
    sections = ((0, len(title)), (len(title) + 1, len(text))) if rest else ((0, len(title)),)
    mentions = tuple(_mention(line, text) for line in annotations)
    known = {(identifier, mention.type) for mention in mentions for identifier in mention.ids}
    facts = tuple(dict.fromkeys(_fact(line, known) for line in labels))
    words, sentences = segmenter(text, [mention.span for mention in mentions], sections)
    try:
        return Document(head.columns[0], text, words, sentences, mentions, facts, sections=sections)
    except InputError as error:
        raise head.error("mentions", str(error).removeprefix(f"{head.columns[0]}: ")) from None


def _mention(line: _Line, text: str) -> Mention:
    if len(line.columns) not in (6, 7):
        raise line.error("mention", f"it has 6 or 7 columns, this line {len(line.columns)}")
    _, first, last, name, kind, identifiers = line.columns[:6]
    for field, value in (("start", first), ("end", last)):
        if not re.fullmatch("[0-9]{1,9}", value):
            raise line.error(field, f"'{value}' of mention '{name}' is not a number")
    start, end = int(first), int(last)
    if not start < end <= len(text):
        raise line.error(
            "end", f"{start} to {end} of mention '{name}' is not in a text of {len(text)} characters"
        )
    if text[start:end].casefold() != name.casefold():
        raise line.error(
            "text", f"mention '{name}' is not at {start} to {end}, there is '{shown(text[start:end])}'"
        )
    if not kind:
        raise line.error("type", f"mention '{name}' has none")
    ids = tuple(part for part in identifiers.strip().split("|") if part not in _UNLINKED)
    return Mention(start, end, kind, ids, () if name == text[start:end] else (name,) * len(ids))


def _fact(line: _Line, known: set[tuple[str, str]]) -> Fact:
    _, gene, disease, _ = line.columns
    for field, identifier, kind in (("geneId", gene, "Gene"), ("diseaseId", disease, "Disease")):
        if (identifier, kind) not in known:
            raise line.error(field, f"no mention of a {kind.lower()} has '{identifier}'")
    return Fact(gene, RELATION, disease)
