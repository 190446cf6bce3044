"""brat's standoff form: a text in ``NAME.txt`` and what is marked in it in ``NAME.ann``, a line each.

``T1<Tab>Chemical 0 7<Tab>Aspirin``
    A mention; further pieces follow a semicolon, and the mention is read from the first piece to the last.
``R1<Tab>CID Arg1:T1 Arg2:T2``
    A relation between the entities of two mentions.
``*<Tab>Equiv T1 T3``
    Mentions of one entity.
``N1<Tab>Reference T1 MESH:D001241<Tab>Aspirin``
    An identifier of the mention; several are several entities. This project writes an identifier without a
    resource as one of ``id``, ``id:D001241``.
``A1<Tab>Unlinked T3``
    A mention that belongs to no entity; brat has no such attribute unless it is configured.
``#1<Tab>AnnotatorNotes R1<Tab>0.987``
    A note; that of a relation is kept in ``Fact.extra``.

A mention without identifier is an entity of its own, ``T1``. Events, relations of events and other lines are
left out and counted.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from itertools import product
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from glre_pyg.data.document import Document, Fact, Mention
from glre_pyg.data.segmentation import Segmenter, segment
from glre_pyg.formats.checking import FACTS, IN_PIECES, check_references, note_counts, placed
from glre_pyg.formats.lossless import check_held_but_evidence, segments_of
from glre_pyg.formats.reading import Line, Place, PlacedError, documents_at, lines_of, reason_of
from glre_pyg.formats.writing import converted, first_mentions, without_doubles
from glre_pyg.utils.compression import opened
from glre_pyg.utils.exceptions import ErrorHandler, InputError, leave_out
from glre_pyg.utils.files import atomic_path, is_gzip

_LINES = {
    "T": re.compile(r"(T\S*)\t(\S+) ([0-9]{1,18} [0-9]{1,18}(?:;[0-9]{1,18} [0-9]{1,18})*)\t(.*)"),
    "R": re.compile(r"(R\S*)\t(\S+) [^\s:]+:(\S+) [^\s:]+:(\S+)\s*"),
    "*": re.compile(r"\*\t(\S+)((?: \S+)+)\s*"),
    "N": re.compile(r"N\S*\t\S+ (\S+) ([^\s:]+:\S+)(?:\t.*)?"),
    "A": re.compile(r"A\S*\t(\S+) (\S+)(?: .*)?"),
    "E": re.compile(r"(E\S*)\t[^\s:]+:(\S+)(?: \S+)*\s*"),
    "#": re.compile(r"#\S*\t\S+ (\S+)\t(.*)"),
}
"""Regular expressions of lines by their first character."""
_IGNORED = ("M",)
_LABEL = re.compile(r"[^\s:;]+")
_FILE_NAME = re.compile(r'[^./\\:*?"<>|\0-\x1f][^/\\:*?"<>|\0-\x1f]{0,150}')
_OWN = "id:"


def read_brat(
    path: str | os.PathLike[str], *, segmenter: Segmenter = segment, on_error: ErrorHandler | None = None
) -> Iterator[Document]:
    """Read documents one at a time; a document has the name of its file.

    Args:
        path: An ``.ann`` file, the ``.txt`` file beside it, or a folder of such files.
        segmenter: Cuts the text into words and sentences.
        on_error: Callback for documents with an error, which are skipped; None raises.

    Raises:
        InputError: ``file:line: document: what is wrong``; also if the folder has no document at all.
    """
    path = Path(path)
    files = sorted(filter(is_annotations, path.iterdir())) if path.is_dir() else [path]
    left_out: Counter[str] = Counter()
    places = (
        Place(file.name, stem, partial(_read, *pair_of(file), stem, segmenter, left_out, on_error))
        for file in files
        for stem in [os.fsencode(_bare(file).stem).decode("utf-8", "replace")]
    )
    yield from documents_at(path.name, places, on_error)
    note_counts(path.name, left_out)


def is_annotations(path: Path) -> bool:
    """Return whether a file has annotations, by its name."""
    return _bare(path).suffix == ".ann"


def pair_of(path: Path) -> tuple[Path, Path]:
    """Return the files of text and annotations that a file is one of; each may be a gzip file."""
    text, annotations = (_bare(path).with_suffix(suffix) for suffix in (".txt", ".ann"))
    return _existing(text), _existing(annotations)


def _existing(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    return packed if packed.exists() and not path.exists() else path


def _bare(path: Path) -> Path:
    return path.with_suffix("") if is_gzip(path) else path


def _read(
    text_file: Path,
    annotations: Path,
    identifier: str,
    segmenter: Segmenter,
    left_out: Counter[str],
    on_error: ErrorHandler | None,
) -> Document:
    if not text_file.exists():
        raise InputError(f"its text, {text_file.name}, is not beside it")
    with opened(text_file) as file:
        raw = file.read()
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise InputError(f"byte {error.start + 1} of {text_file.name} is not UTF-8") from None
    with opened(annotations) as file:
        lines = list(lines_of(file, annotations.name))
    parsed: Counter[str] = Counter()
    said = _parse(lines, parsed, on_error)
    counts = parsed.copy()
    try:
        document = _document(identifier, text, said, segmenter, counts, on_error)
    except PlacedError:
        if "\r\n" not in text:
            raise
        counts = parsed
        document = _document(identifier, text.replace("\r\n", "\n"), said, segmenter, counts, on_error)
    left_out.update(counts)
    return document


class _Annotations(NamedTuple):
    """What the lines of a file say: lines of mentions and relations, and the rest by identifier of a line."""

    mentions: dict[str, tuple[Line, re.Match[str]]]
    relations: list[tuple[Line, re.Match[str]]]
    identifiers: Mapping[str, list[str]]
    equivalent: list[list[str]]
    unlinked: set[str]
    triggers: set[str]
    events: set[str]
    notes: dict[str, tuple[str, ...]]


def _document(
    identifier: str,
    text: str,
    said: _Annotations,
    segmenter: Segmenter,
    counts: Counter[str],
    on_error: ErrorHandler | None = None,
) -> Document:
    ids = _identifiers(said)
    mentions = {
        name: _mention(line, match, text, ids[name], counts)
        for name, (line, match) in said.mentions.items()
        if name not in said.triggers
    }
    facts: dict[tuple[str, str, str], Fact] = {}
    for line, match in said.relations:
        name, relation, *ends = match.groups()
        if {*ends} & (said.triggers | said.events):
            counts["relations of events, which are left out"] += 1
            continue
        if unknown := [end for end in ends if end not in mentions]:
            leave_out(FACTS, line.error(f"there is no mention '{unknown[0]}'"), on_error)
            continue
        for head, tail in product(*(mentions[end].ids for end in ends)):
            facts.setdefault((head, relation, tail), Fact(head, relation, tail, said.notes.get(name, ())))
    spans = [mention.span for mention in mentions.values()]
    return Document(
        identifier, text, *segmenter(text, spans, ()), tuple(mentions.values()), tuple(facts.values())
    )


def _parse(lines: Iterable[Line], counts: Counter[str], on_error: ErrorHandler | None = None) -> _Annotations:
    said = _Annotations({}, [], defaultdict(list), [], set(), set(), set(), {})
    for line in lines:
        content = line.text()
        if not content.strip() or content.startswith(_IGNORED):
            continue
        kind = content[0]
        match = _LINES[kind].fullmatch(content) if kind in _LINES else None
        if match is None:
            error = line.error("not a line of brat's form, or the wrong number of fields")
            if kind in "REA":
                leave_out("attributes" if kind == "A" else FACTS, error, on_error)
            elif kind != "#":
                raise error
            continue
        groups = match.groups()
        if kind == "T":
            if groups[0] in said.mentions:
                raise line.error(f"mention '{groups[0]}' is there twice")
            said.mentions[groups[0]] = line, match
        elif kind == "R":
            said.relations.append((line, match))
        elif kind == "N":
            said.identifiers[groups[0]].append(groups[1].removeprefix(_OWN))
        elif kind == "A" and groups[0] == "Unlinked":
            said.unlinked.add(groups[1])
        elif kind == "*" and groups[0] == "Equiv":
            said.equivalent.append(groups[1].split())
        elif kind == "E":
            counts["events, which are left out"] += 1
            said.events.add(groups[0])
            said.triggers.add(groups[1])
        elif kind == "#":
            said.notes[groups[0]] = tuple(groups[1].split("\t"))
        else:
            counts["attributes and relations without arguments, which are left out"] += 1
    known = [name for names in said.equivalent for name in names]
    for name in [*said.identifiers, *known, *said.triggers]:
        if name not in said.mentions and name not in said.events:
            raise InputError(f"there is no mention '{name}', which another line names")
    return said


def _identifiers(said: _Annotations) -> dict[str, tuple[str, ...]]:
    """Return the identifiers of each mention."""
    ids = {
        name: () if name in said.unlinked else tuple(dict.fromkeys(said.identifiers.get(name, [name])))
        for name in said.mentions
    }
    groups: list[set[str]] = []
    for names in map(set, said.equivalent):
        joined = names.union(*(group for group in groups if group & names))
        groups = [*(group for group in groups if not group & names), joined]
    for group in groups:
        members = [name for name in said.mentions if name in group]
        named = [name for name in members if name in said.identifiers] or members
        ids.update((name, ids[named[0]][:1]) for name in members)
    return ids


def _mention(
    line: Line, match: re.Match[str], text: str, ids: tuple[str, ...], counts: Counter[str]
) -> Mention:
    _, kind, offsets, name = match.groups()
    spans = []
    for piece in offsets.split(";"):
        start, end = map(int, piece.split(" "))
        if not start < end <= len(text):
            raise line.error(f"mention '{name}' at {start} to {end} is empty or ends after the text")
        spans.append((start, end))
    if len(spans) > 1:
        counts[IN_PIECES] += 1
    try:
        span = placed(name, sorted(spans), text, "")
    except InputError as error:
        raise line.error(str(error).removeprefix(": ")) from None
    return Mention(*span, kind, ids)


# Writing


def write_brat(
    documents: Iterable[Document],
    path: str | os.PathLike[str],
    *,
    lossy: bool = False,
    on_error: ErrorHandler | None = None,
) -> None:
    """Write documents to a new folder, two files each; the folder appears when it is complete.

    Args:
        documents, path, lossy, on_error: See :func:`~glre_pyg.formats.detection.write_documents`.
    """
    names: set[str] = set()
    with atomic_path(path) as folder:
        folder.unlink()
        folder.mkdir()
        for name, text, lines in converted(documents, partial(_files, names=names, lossy=lossy), on_error):
            names.add(name.lower())
            for suffix, content in ((".txt", text), (".ann", lines)):
                (folder / f"{name}{suffix}").write_text(content, encoding="utf-8", newline="")


def _files(document: Document, *, names: Collection[str], lossy: bool) -> tuple[str, str, str]:
    """Return the name of a document's files, and their contents."""
    name = document.id
    if lossy:
        document = replace(without_doubles(document), sections=())
        name = quote(name, safe=" !#$&'()+,;=@[]{}^~").replace(".", "%2E", name.startswith("."))[:150]
    if not _FILE_NAME.fullmatch(name):
        raise InputError(
            f"{document.id}: brat cannot hold this identifier, which would be the name of a file"
        )
    if name.lower() in names:
        raise InputError(f"{document.id}: another document has this identifier, the name of its files")
    text = "".join(_lines(document))
    _check(document, text)
    return name, document.text, text


def _lines(document: Document) -> Iterator[str]:
    check_references(document, ignored=False)
    for label in (*(each.type for each in document.mentions), *(each.relation for each in document.facts)):
        if not _LABEL.fullmatch(label):
            raise InputError(f"{document.id}: brat cannot hold type or relation '{label}'")
    first = first_mentions(document)
    number = unlinked = 0
    for index, mention in enumerate(document.mentions, start=1):
        text = re.sub(r"\s", " ", document.text[mention.start : mention.end])
        yield f"T{index}\t{mention.type} {mention.start} {mention.end}\t{text}\n"
        for identifier in mention.ids:
            number += 1
            has_resource = re.match(r"[^\s:]+:\S", identifier) and not identifier.startswith(_OWN)
            yield f"N{number}\tReference T{index} {'' if has_resource else _OWN}{identifier}\t{text}\n"
        if not mention.ids:
            unlinked += 1
            yield f"A{unlinked}\tUnlinked T{index}\n"
    for index, fact in enumerate(document.facts, start=1):
        head, tail = first[fact.head] + 1, first[fact.tail] + 1
        yield f"R{index}\t{fact.relation} Arg1:T{head} Arg2:T{tail}\n"
        if fact.extra:
            yield "\t".join([f"#{index}", f"AnnotatorNotes R{index}", *fact.extra]) + "\n"


def _check(document: Document, text: str) -> None:
    """Check that lines are read as the document that they were written for, but for words and evidence."""
    lines: Sequence[Line] = list(lines_of(BytesIO(text.encode()), ""))
    try:
        said = _parse(lines, Counter())
        held = _document(document.id, document.text, said, segments_of(document), Counter())
    except InputError as error:
        raise InputError(f"{document.id}: brat cannot hold it: {reason_of(error, document.id)}") from None
    check_held_but_evidence(document, held, "brat")
