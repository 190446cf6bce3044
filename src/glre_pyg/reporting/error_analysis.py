"""Section 4.5, error analysis: wrong answers as a table for a person to label, and the shares of the labels.

In the table, S1 is the first sentence of a document.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from io import StringIO
from pathlib import Path

import numpy as np

from glre_pyg.data.document import Document
from glre_pyg.data.paths import names_of, one_line, passages
from glre_pyg.evaluation.scores import ScoredPairs, Threshold
from glre_pyg.utils.cells import quoted, unquoted
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import atomic_open

TYPES: dict[str, float | None] = {
    "logical reasoning": 40.9,
    "component missing": 28.8,
    "prior knowledge missing": 13.6,
    "coreference reasoning": 12.9,
    "other": None,
}
"""Types of error, and their shares in percent among the 132 errors that the paper counts on CDR."""
_MARKS = {"target": "**{}**", "related": "*{}*", "": "{}"}


@dataclass(frozen=True)
class Mistake:
    """A row of the table.

    Args:
        document: Identifier of the document.
        head: Identifier of the head.
        head_names: What the document calls it.
        tail: Identifier of the tail.
        tail_names: What the document calls it.
        relation: The relation.
        kind: ``"missed"``, a fact that is not predicted, or ``"wrong"``, a prediction that is none.
        probability: The model's probability of the relation; empty if it does not know the relation.
        distance: Sentences between nearest mentions; empty if one has no mention.
        sentences: Those of the nearest mentions and of the path between the two.
        type: One of :data:`TYPES`, for a person to fill in.
    """

    document: str
    head: str
    head_names: str
    tail: str
    tail_names: str
    relation: str
    kind: str
    probability: str
    distance: str
    sentences: str
    type: str = ""


COLUMNS = tuple(field.name.replace("_", " ") for field in fields(Mistake))


def mistakes(
    documents: Sequence[Document], pairs: ScoredPairs, threshold: Threshold, *, inter_only: bool
) -> Iterator[Mistake]:
    """Every fact that is not predicted, and every prediction that is no fact, in the order of the pairs.

    As many as precision and recall under the protocol's filter have.

    Args:
        documents: The documents that were scored.
        pairs: Their pairs.
        threshold: Probability above which a relation is predicted.
        inter_only: Whether to leave out pairs that a sentence names together, or that lack a mention.
    """
    by_id = {document.id: document for document in documents}
    rows = set(zip(pairs.documents, pairs.heads, pairs.tails, strict=True))
    predicted = pairs.predicted(threshold, filtered=True)
    wrong = predicted != pairs.is_fact
    chosen = wrong.any(-1) | (pairs.other_facts > 0)
    if inter_only:
        chosen &= pairs.distance > 0
    for row in np.flatnonzero(chosen).tolist():
        document, head, tail = by_id[pairs.documents[row]], pairs.heads[row], pairs.tails[row]
        found = [
            (
                pairs.relations[column],
                "wrong" if predicted[row, column] else "missed",
                f"{pairs.probability[row, column]:.4f}",
            )
            for column in np.flatnonzero(wrong[row]).tolist()
        ]
        if pairs.other_facts[row]:
            found += [(name, "missed", "") for name in _other_facts(document, head, tail, pairs, rows)]
        names = {entity.id: " | ".join(names_of(document, entity)) for entity in document.entities}
        distance = int(pairs.distance[row])
        sentences = _sentences(document, head, tail) if distance >= 0 else ""
        for relation, kind, probability in found:
            yield Mistake(
                document=document.id,
                head=head,
                head_names=names.get(head, ""),
                tail=tail,
                tail_names=names.get(tail, ""),
                relation=relation,
                kind=kind,
                probability=probability,
                distance=str(distance) if distance >= 0 else "",
                sentences=sentences,
            )


def check_output(path: Path) -> None:
    """Refuse to write over a person's work.

    Raises:
        InputError: If the file is there already and a label is filled in, or it is no such table.
    """
    if path.exists() and any(read_types(path)):
        raise InputError(f"{path}: has labels in it; name another file, or delete it")


def write_mistakes(rows: Iterable[Mistake], path: Path) -> None:
    """Write the table as CSV.

    No cell is a formula (:mod:`glre_pyg.utils.cells`); reading takes the apostrophes away.

    Raises:
        InputError: See :func:`check_output`.
    """
    check_output(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # With a byte order mark: without it Excel takes the file for Latin-1.
    with atomic_open(path, encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([quoted(cell) for cell in asdict(row).values()] for row in rows)


def read_mistakes(path: Path) -> Iterator[tuple[int, Mistake]]:
    """Rows of a table, as a spreadsheet numbers them: the header is row 1. Empty rows are left out.

    Commas, semicolons or tabs may stand between cells, as spreadsheets of different countries write them.

    Raises:
        InputError: If the file is no such table.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        header, _, _ = text.partition("\n")
        delimiter = max(",;\t", key=header.count)
        reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
        table = list(_rows_of(reader, path))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a CSV file in UTF-8: {error}") from None
    names = [name.strip() for name in table[0]] if table else []
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise InputError(f"{path}: row 1: there is no column '{missing[0]}'")
    columns = [names.index(name) for name in COLUMNS]
    for number, cells in enumerate(table[1:], start=2):
        if any(cell.strip() for cell in cells):
            if any(cell.strip() for cell in cells[len(names) :]):
                raise InputError(f"{path}: row {number}: {len(cells)} cells for {len(names)} columns")
            padded = [*cells, *[""] * (len(names) - len(cells))]
            yield number, Mistake(*(unquoted(padded[column]) for column in columns))


def _rows_of(reader: Iterable[list[str]], path: Path) -> Iterator[list[str]]:
    row = 0
    try:
        for row, cells in enumerate(reader, start=1):  # noqa: B007
            yield cells
    except csv.Error as error:
        raise InputError(f"{path}: not a CSV file in UTF-8: row {row + 1}: {error}") from None


def read_types(path: Path) -> list[str]:
    """The labels of a table, one a row, empty where there is none; case and spaces do not matter.

    Raises:
        InputError: If the file is no such table, or a label is none of :data:`TYPES`.
    """
    out = []
    for number, row in read_mistakes(path):
        label = one_line(row.type).lower()
        if label and label not in TYPES:
            raise InputError(
                f"{path}: row {number}: {row.document}: type '{label}' is not one of {', '.join(TYPES)}"
            )
        out.append(label)
    return out


def format_shares(labels: Sequence[str]) -> str:
    """Counts of labels and their shares, beside the paper's.

    Example:
        >>> print(format_shares(["other", "component missing", "", "component missing"]))
        3 of 4 rows are labelled, 1 is not
        type                     errors   share   paper
        logical reasoning             0   0.0 %  40.9 %
        component missing             2  66.7 %  28.8 %
        prior knowledge missing       0   0.0 %  13.6 %
        coreference reasoning         0   0.0 %  12.9 %
        other                         1  33.3 %
    """
    counts = Counter(label for label in labels if label)
    total = counts.total()
    rest = len(labels) - total
    lines = [f"{total} of {len(labels)} rows are labelled, {rest} {'is' if rest == 1 else 'are'} not"]
    lines.append(f"{'type':23s}  {'errors':>6s}  {'share':>6s}  {'paper':>6s}")
    for name, paper in TYPES.items():
        share = f"{100 * counts[name] / total:.1f} %" if total else ""
        beside = "" if paper is None else f"{paper:.1f} %"
        lines.append(f"{name:23s}  {counts[name]:6d}  {share:>6s}  {beside:>6s}".rstrip())
    return "\n".join(lines)


def _sentences(document: Document, head: str, tail: str) -> str:
    lines = (
        f"[S{sentence + 1}] " + one_line("".join(_MARKS[role].format(text) for text, role in passage))
        for sentence, passage in passages(document, head, tail)
    )
    return " ".join(lines)


def _other_facts(
    document: Document, head: str, tail: str, pairs: ScoredPairs, rows: set[tuple[str, str, str]]
) -> list[str]:
    """Relations of a pair that are not scored; where pairs have no direction, of either order."""
    ways = {(head, tail)} | ({(tail, head)} if (document.id, tail, head) not in rows else set())
    found = (fact.relation for fact in document.facts if (fact.head, fact.tail) in ways)
    return [name for name in dict.fromkeys(found) if name not in pairs.relations]
