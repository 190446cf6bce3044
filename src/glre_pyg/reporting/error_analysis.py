"""Error analysis (Section 4.5): a table of errors for manual labelling, and the shares of the labels.

In the table, S1 is the first sentence of a document.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from glre_pyg.data.document import Document
from glre_pyg.data.paths import names_of, one_line, passages
from glre_pyg.evaluation.scores import ScoredPairs, Threshold
from glre_pyg.utils.console import plural
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import read_bytes, write_text
from glre_pyg.utils.table import Table, unquoted

TYPES: dict[str, float | None] = {
    "logical reasoning": 40.9,
    "component missing": 28.8,
    "prior knowledge missing": 13.6,
    "coreference reasoning": 12.9,
    "other": None,
}
"""Types of errors, and their shares in percent of the 132 errors that the paper counts on CDR."""
_MARKS = {"target": "**{}**", "related": "*{}*", "": "{}"}


class Error(NamedTuple):
    """A row of the table.

    Args:
        document: Identifier of the document.
        head, head_names, tail, tail_names: Identifiers of the two entities, and their names in the document.
        relation: Name of the relation.
        kind: ``"missed"`` for a fact that is not predicted, ``"wrong"`` for a prediction that is not a fact.
        probability: Predicted probability; empty if the model does not know the relation.
        distance: Sentence distance of the two entities; empty if one of them has no mention.
        sentences: The sentences of their nearest mentions and of the path between them.
        type: One of :data:`TYPES`, to be filled in.
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


COLUMNS = tuple(name.replace("_", " ") for name in Error._fields)


def find_errors(
    documents: Sequence[Document], pairs: ScoredPairs, threshold: Threshold, *, inter_only: bool
) -> Iterator[Error]:
    """Yield the facts that are not predicted and the predictions that are not facts.

    They are in the order of the pairs. Their number is that of the filtered precision and recall.

    Args:
        documents: The documents that were scored.
        pairs: Their pairs.
        threshold: Probability above which a relation is predicted.
        inter_only: Whether to skip pairs mentioned in one sentence, or with an entity that has no mention.
    """
    by_id = {document.id: document for document in documents}
    scored = set(zip(pairs.documents, pairs.heads, pairs.tails, strict=True))
    predicted = pairs.predicted(threshold, filtered=True)
    is_error = predicted != pairs.is_fact
    selected = is_error.any(-1) | (pairs.other_facts > 0)
    if inter_only:
        selected &= pairs.distance > 0
    for row in np.flatnonzero(selected).tolist():
        document, head, tail = by_id[pairs.documents[row]], pairs.heads[row], pairs.tails[row]
        names = {entity.id: " | ".join(names_of(document, entity)) for entity in document.entities}
        distance = int(pairs.distance[row])
        place = (str(distance), _sentences(document, head, tail)) if distance >= 0 else ("", "")
        errors = [
            (
                pairs.relations[column],
                "wrong" if predicted[row, column] else "missed",
                f"{pairs.probability[row, column]:.4f}",
            )
            for column in np.flatnonzero(is_error[row]).tolist()
        ]
        if pairs.other_facts[row]:
            errors += [(name, "missed", "") for name in _unscored(document, head, tail, pairs, scored)]
        for error in errors:
            yield Error(document.id, head, names.get(head, ""), tail, names.get(tail, ""), *error, *place)


def check_output(path: Path) -> None:
    """Make sure that no labels would be overwritten.

    Raises:
        InputError: If the file exists and has labels, or is not such a table.
    """
    if path.exists() and any(read_types(path)):
        raise InputError(f"{path}: has labels in it; name another file, or delete it")


def write_errors(errors: Iterable[Error], path: Path) -> None:
    """Write the table as CSV; formulas are quoted (:mod:`glre_pyg.utils.table`), and unquoted when read.

    Raises:
        InputError: See :func:`check_output`.
    """
    check_output(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    table = Table(COLUMNS, list(errors))
    # With a byte order mark: without it Excel takes the file for Latin-1.
    write_text("\ufeff" + table.to_csv(), path)


def read_errors(path: Path) -> Iterator[tuple[int, Error]]:
    """Yield the rows of a table with their numbers in a spreadsheet, where the header is row 1.

    Empty rows are skipped. The delimiter may be a comma, a semicolon or a tab, as spreadsheets write it
    in different locales.

    Raises:
        InputError: If the file is not such a table.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
        delimiter = max(",;\t", key=text.partition("\n")[0].count)
        table = list(csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV file in UTF-8: {error}") from None
    names = [name.strip() for name in table[0]] if table else []
    if missing := [name for name in COLUMNS if name not in names]:
        raise InputError(f"{path}: row 1: there is no column '{missing[0]}'")
    for number, cells in enumerate(table[1:], start=2):
        if any(cell.strip() for cell in cells[len(names) :]):
            raise InputError(
                f"{path}: row {number}: {len(cells)} {plural(len(cells), 'cell')} for {len(names)} columns"
            )
        if any(cell.strip() for cell in cells):
            by_name = dict(zip(names, cells, strict=False))
            yield number, Error(*(unquoted(by_name.get(name, "")) for name in COLUMNS))


def read_types(path: Path) -> list[str]:
    """Read the label of each row, empty for unlabelled rows; case and white space are ignored.

    Raises:
        InputError: If the file is not such a table, or a label is not one of :data:`TYPES`.
    """
    labels = []
    for number, error in read_errors(path):
        label = one_line(error.type).lower()
        if label and label not in TYPES:
            raise InputError(
                f"{path}: row {number}: {error.document}: type '{label}' is not one of {', '.join(TYPES)}"
            )
        labels.append(label)
    return labels


def format_shares(labels: Sequence[str]) -> str:
    """Format the counts of labels and their shares, beside the paper's.

    Example:
        >>> print(format_shares(["other", "component missing", "", "component missing"]))
        3 of 4 rows are labelled
        type                     errors   share   paper
        logical reasoning             0   0.0 %  40.9 %
        component missing             2  66.7 %  28.8 %
        prior knowledge missing       0   0.0 %  13.6 %
        coreference reasoning         0   0.0 %  12.9 %
        other                         1  33.3 %
    """
    counts = Counter(label for label in labels if label)
    total = counts.total()
    rows = [
        [
            name,
            str(counts[name]),
            f"{100 * counts[name] / total:.1f} %" if total else "",
            "" if paper is None else f"{paper:.1f} %",
        ]
        for name, paper in TYPES.items()
    ]
    table = Table(["type", "errors", "share", "paper"], rows)
    rows_are = f"{plural(len(labels), 'row')} {plural(total, 'is', 'are')}"
    return f"{total} of {len(labels)} {rows_are} labelled\n{table.to_text()}"


def _sentences(document: Document, head: str, tail: str) -> str:
    lines = (
        f"[S{sentence + 1}] " + one_line("".join(_MARKS[role].format(text) for text, role in passage))
        for sentence, passage in passages(document, head, tail)
    )
    return " ".join(lines)


def _unscored(
    document: Document, head: str, tail: str, pairs: ScoredPairs, scored: set[tuple[str, str, str]]
) -> list[str]:
    """Return the facts of a pair with unknown relations; undirected pairs in both directions."""
    directions = {(head, tail)} | ({(tail, head)} if (document.id, tail, head) not in scored else set())
    relations = [fact.relation for fact in document.facts if (fact.head, fact.tail) in directions]
    return [name for name in dict.fromkeys(relations) if name not in pairs.relations]
