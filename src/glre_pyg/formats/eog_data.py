"""The ``.data`` files of EoG (Christopoulou et al., 2019), which GLRE's code, ATLOP and DocuNet read, too.

Each line is a document, in columns separated by Tabs: its identifier; its text, words joined by spaces and
sentences by ``|``; then 17 columns for each candidate pair (:data:`COLUMNS`). The text of a document is its
words joined by spaces. Entities are given pair by pair, so those that are in no pair are missing.
"""

from __future__ import annotations

import math
import os
import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from functools import partial
from itertools import accumulate, zip_longest
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from glre_pyg.data.document import Document, Fact, Mention
from glre_pyg.formats.checking import FACTS
from glre_pyg.formats.layout import Layout
from glre_pyg.formats.reading import Line, Place, documents_at, lines_of
from glre_pyg.formats.writing import write_each
from glre_pyg.utils.compression import opened
from glre_pyg.utils.console import plural
from glre_pyg.utils.exceptions import ErrorHandler, InputError, leave_out

_ENTITY = ("id", "names", "type", "starts", "ends", "sentences")
COLUMNS = (
    "label",  # 1:CID:2 (the relation), 1:NR:2 (none) or not_include (left out of loss and score)
    "direction",  # L2R if the head's first mention comes first, else R2L
    "cross",  # NON-CROSS if a sentence has both, else CROSS
    "nearest[0]",  # start-end in words of the two nearest mentions: in the order of the text if L2R,
    "nearest[1]",  # else the later one first; so neither column is always the head's
    *(f"head.{name}" for name in _ENTITY),  # names joined by |, starts, ends (exclusive) and sentences by :
    *(f"tail.{name}" for name in _ENTITY),
)
"""The columns of a candidate pair."""

_HEAD, _TAIL = slice(5, 11), slice(11, 17)
_LABEL = re.compile(r"1:([^:]+):2")
_NONE, _IGNORED = "NR", "not_include"


def read_eog(path: str | os.PathLike[str], *, on_error: ErrorHandler | None = None) -> Iterator[Document]:
    """Read documents one at a time.

    Mentions are in the order in which the pairs of the file name their entities; **in the published CDR files
    that order reveals the labels**, because the filter wrote the true pairs first. ``Document.entities``,
    which everything else uses, follows the text. Direction, cross and nearest mentions are redundant and not
    kept.

    Args:
        path: A file in UTF-8, with or without a byte order mark.
        on_error: Callback for documents with an error, which are skipped; None raises.

    Raises:
        InputError: ``file:line: document: field: what is wrong``; also if there is no document at all.
    """
    name = Path(path).name
    with opened(path) as file:
        lines = (line for line in lines_of(file, name) if line.raw.strip())
        yield from documents_at(name, (_place(line, on_error) for line in lines), on_error)


def _place(line: Line, on_error: ErrorHandler | None) -> Place:
    document_id = line.raw.split(b"\t", 1)[0].strip().decode("utf-8", "replace")
    return Place(line.place, document_id, lambda: _document(line.text(), on_error))


def _document(line: str, on_error: ErrorHandler | None = None) -> Document:
    columns = line.split("\t")
    if len(columns) < 2 or (len(columns) - 2) % len(COLUMNS):
        raise InputError(
            f"a line has an identifier, a text and {len(COLUMNS)} columns a pair, this one "
            f"{len(columns)} {plural(len(columns), 'column')}"
        )
    layout = _layout(columns[1])
    entities: dict[str, tuple[list[str], list[Mention]]] = {}
    labels: dict[tuple[str, str], list[str]] = {}
    for number, start in enumerate(range(2, len(columns), len(COLUMNS))):
        row = columns[start : start + len(COLUMNS)]
        path = f"pair[{number}]"
        pair = row[_HEAD][0], row[_TAIL][0]
        _check_redundant(row, path)
        for side, part in (("head", _HEAD), ("tail", _TAIL)):
            _add_entity(row[part], f"{path}.{side}", layout, entities)
        before = labels.setdefault(pair, [])
        try:
            before.append(_label(row[0], path, pair, before))
        except InputError as error:
            leave_out(FACTS, error, on_error)
    labelled = [(pair, label) for pair, pair_labels in labels.items() for label in pair_labels]
    return Document(
        columns[0],
        layout.text,
        layout.words,
        layout.sentences,
        tuple(mention for _, mentions in entities.values() for mention in mentions),
        tuple(Fact(head, label, tail) for (head, tail), label in labelled if label not in (_NONE, _IGNORED)),
        tuple(pair for pair, label in labelled if label == _IGNORED),
    )


def _layout(text: str) -> Layout:
    sentences = [sentence.split(" ") for sentence in text.split("|")] if text else []
    words = [word for sentence in sentences for word in sentence]
    if "" in words:
        raise InputError(f"text: word {words.index('')} is empty")
    return Layout.of(sentences)


def _label(column: str, path: str, pair: tuple[str, str], before: list[str]) -> str:
    """Return the label of a pair that may have had others before."""
    match = _LABEL.fullmatch(column)
    if match is None and column != _IGNORED:
        raise InputError(f"{path}.label: '{column}' is neither '1:relation:2' nor '{_IGNORED}'")
    label = match[1] if match else _IGNORED
    if label in before or (before and {label, *before} & {_NONE, _IGNORED}):
        raise InputError(f"{path}.label: {pair[0]} and {pair[1]} were a pair before, as '{before[-1]}'")
    return label


def _check_redundant(row: list[str], path: str) -> None:
    for column, allowed in ((1, ("L2R", "R2L")), (2, ("CROSS", "NON-CROSS"))):
        if row[column] not in allowed:
            raise InputError(f"{path}.{COLUMNS[column]}: '{row[column]}' is not one of {', '.join(allowed)}")


def _add_entity(
    columns: list[str], path: str, layout: Layout, entities: dict[str, tuple[list[str], list[Mention]]]
) -> None:
    """Add an entity with its mentions, or check that it equals the one that was added before."""
    identifier, joined, kind = columns[:3]
    if not identifier:
        raise InputError(f"{path}.id: empty")
    if identifier in entities:
        for field, now, then in zip(_ENTITY, columns, entities[identifier][0], strict=True):
            if now != then:
                raise InputError(f"{path}.{field}: '{now}', but '{then}' in an earlier pair of {identifier}")
        return
    text, words, bounds = layout
    names = joined.split("|")
    places = [
        _numbers(column, f"{path}.{field}", len(names))
        for field, column in zip(_ENTITY[3:], columns[3:], strict=True)
    ]
    mentions = []
    for name, start, end, sentence in zip(names, *places, strict=True):
        if not 0 <= start < end <= len(words):
            raise InputError(f"{path}.ends: words {start} to {end} are not in a text of {len(words)}")
        if not 0 <= sentence < len(bounds) - 1:
            raise InputError(f"{path}.sentences: {sentence} is not one of {len(bounds) - 1}")
        if not bounds[sentence] <= start < end <= bounds[sentence + 1]:
            raise InputError(f"{path}.sentences: words {start} to {end} are not in sentence {sentence}")
        first, last = words[start][0], words[end - 1][1]
        found = text[first:last]
        if not _is_name(name, found.split(" ")):
            raise InputError(f"{path}.names: '{name}' is not what words {start} to {end} are, '{found}'")
        mentions.append(Mention(first, last, kind, (identifier,), () if name == found else (name,)))
    entities[identifier] = (columns, mentions)


def _is_name(name: str, words: list[str]) -> bool:
    """Return whether words are the fewest that contain a name, ignoring case and white space.

    In the published files of CDR they are the name itself, or the last word is longer: "5 - HT" at "5 - HT6".
    """
    if name == " ".join(words):
        return True
    wanted, *parts = map(_compact, ([name], words, words[1:], words[:-1]))
    return [wanted in part for part in parts] == [True, False, False]


def _compact(words: list[str]) -> str:
    return "".join("".join(words).split()).casefold()


def _numbers(column: str, path: str, count: int) -> list[int]:
    values = column.split(":")
    for value in values:
        if not re.fullmatch("[0-9]{1,9}", value):
            raise InputError(f"{path}: '{value}' is not a number")
    if len(values) != count:
        raise InputError(f"{path}: {len(values)} for {count} {plural(count, 'name')}")
    return [int(value) for value in values]


def write_eog(
    documents: Iterable[Document],
    path: str | os.PathLike[str],
    *,
    pair_types: Collection[tuple[str, str]] = (("Chemical", "Disease"),),
    on_error: ErrorHandler | None = None,
) -> None:
    """Write documents as :func:`format_eog` does; see :func:`~glre_pyg.formats.writing.write_each`."""
    write_each(documents, path, partial(format_eog, pair_types=pair_types), on_error)


class _Place(NamedTuple):
    """A mention: words ``[start, end)``, its sentence and its name."""

    start: int
    end: int
    sentence: int
    name: str


def format_eog(document: Document, pair_types: Collection[tuple[str, str]]) -> str:
    """Return the line of a document.

    Pairs are in the order of their entities' first mentions, and where two begin and end together in that of
    their identifiers: **never true pairs first**, so that the order reveals nothing of the labels.

    The format holds words, not the text between them; entities that are in a pair; no mention without
    identifier; no names but those that the words contain, which parts of a composite mention often are not;
    neither ``extra`` nor ``evidence`` of a fact.

    Args:
        document: The document.
        pair_types: (head type, tail type) of candidate pairs.

    Raises:
        InputError: If the format cannot hold the document.
    """
    if not document.id.strip() or document.id.startswith("\ufeff"):
        raise InputError(f"{document.id}: the format cannot hold this identifier")
    words = document.word_texts()
    sentences = [" ".join(words[sentence.start : sentence.end]) for sentence in document.sentences]
    places = _places(document, words)
    entities = document.entities
    types = {entity.id: entity.type for entity in entities}
    pairs = [(entities[head].id, entities[tail].id) for head, tail in document.pairs(pair_types)]
    labels = _labels(document, pairs)
    columns = [document.id, "|".join(sentences)]
    for head, tail in pairs:
        columns += [labels[head, tail], *_relative(places[head], places[tail])]
        columns += [*_entity_columns(head, types[head], places[head])]
        columns += [*_entity_columns(tail, types[tail], places[tail])]
    _check(document.id, words, columns)
    line = "\t".join(columns)
    try:
        held = _document(line)
    except InputError as error:
        raise InputError(f"{document.id}: the format cannot hold it: {error}") from None
    wanted = {(fact.head, fact.relation, fact.tail) for fact in document.facts}
    if wanted != {(fact.head, fact.relation, fact.tail) for fact in held.facts}:
        raise InputError(f"{document.id}: the format cannot hold its relations, which are read as others")
    return line + "\n"


def _labels(document: Document, pairs: list[tuple[str, str]]) -> dict[tuple[str, str], str]:
    none = f"1:{_NONE}:2"
    labels = dict.fromkeys(pairs, none) | dict.fromkeys(document.ignored, _IGNORED)
    for fact in document.facts:
        if labels.get((fact.head, fact.tail)) != none:
            raise InputError(
                f"{document.id}: fact {fact.head} {fact.relation} {fact.tail}: "
                "no candidate pair, left out, or the second fact of one pair"
            )
        labels[fact.head, fact.tail] = f"1:{fact.relation}:2"
    if unknown := labels.keys() - set(pairs):
        raise InputError(f"{document.id}: ignored: {' and '.join(min(unknown))} are no candidate pair")
    return labels


def _places(document: Document, words: list[str]) -> dict[str, list[_Place]]:
    """Return the mentions of each entity."""
    places: dict[str, list[_Place]] = {}
    for mention in sorted(document.mentions, key=attrgetter("span")):
        start, end = document.word_span(mention)
        sentence, text = document.sentence_of(mention), " ".join(words[start:end])
        for identifier, given in zip_longest(mention.ids, mention.names[: len(mention.ids)]):
            name = given if given and _is_name(given, words[start:end]) else text
            places.setdefault(identifier, []).append(_Place(start, end, sentence, name))
    return places


def _relative(heads: list[_Place], tails: list[_Place]) -> tuple[str, ...]:
    """Return direction, cross, and the spans of the two mentions with the fewest words between them."""
    direction = "L2R" if heads[0][:2] <= tails[0][:2] else "R2L"
    together = {place.sentence for place in heads} & {place.sentence for place in tails}
    spans = sorted((place.start, place.end) for place in _nearest(heads, tails))
    ordered = spans if direction == "L2R" else spans[::-1]
    return direction, "NON-CROSS" if together else "CROSS", *(f"{start}-{end}" for start, end in ordered)


def _nearest(heads: list[_Place], tails: list[_Place]) -> tuple[_Place, _Place]:
    """Return the two mentions with the fewest words between them; of equals, the first."""
    starts = [tail.start for tail in tails]
    last_ends = list(accumulate((tail.end for tail in tails), max))
    best: tuple[float, int, int] = (math.inf, 0, 0)
    for number, head in enumerate(heads):
        middle = bisect_left(starts, head.start)
        for index in range(middle, len(tails)):
            if starts[index] - head.end > best[0]:
                break
            best = min(best, (_words_between(head, tails[index]), number, index))
        for index in reversed(range(middle)):
            if head.start - last_ends[index] > best[0]:
                break
            best = min(best, (_words_between(head, tails[index]), number, index))
    return heads[best[1]], tails[best[2]]


def _words_between(one: _Place, other: _Place) -> int:
    """Return the number of words between two mentions, below 0 if they overlap."""
    return max(one.start, other.start) - min(one.end, other.end)


def _entity_columns(identifier: str, kind: str, places: list[_Place]) -> tuple[str, ...]:
    starts, ends, sentences = (":".join(str(place[field]) for place in places) for field in range(3))
    return identifier, "|".join(place.name for place in places), kind, starts, ends, sentences


def _check(document_id: str, words: list[str], columns: list[str]) -> None:
    for word in words:
        if not word or re.search(r"[ |]", word):
            raise InputError(f"{document_id}: the format cannot hold the word {word!r}")
    for column in columns:
        if (not column and column is not columns[1]) or re.search(r"[\t\r\n]", column):
            raise InputError(f"{document_id}: the format cannot hold {column[:80]!r}")
