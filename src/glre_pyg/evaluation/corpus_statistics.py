"""Section 4.1, Table 1: what a corpus holds, and where that is not what was published."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from glre_pyg.data.document import Document

Pairs = Collection[tuple[str, str]]
COLUMNS = ("documents", "sentences", "words", "mentions", "entities", "positive", "negative", "left out")
LABELLED = ("positive", "negative", "left out")
"""The columns that are not known where facts are not."""

_NOUNS = {"positive": "facts", "negative": "negative pairs", "left out": "pairs left out"}


def count(
    documents: Sequence[Document],
    candidates: Callable[[Document], Pairs],
    *,
    directed: bool = True,
    labelled: bool = True,
) -> dict[str, int | None]:
    """Counts of one split.

    Args:
        documents: Its documents.
        candidates: Candidate pairs of a document, by entity identifiers.
        directed: Whether (a, b) and (b, a) are two pairs.
        labelled: Whether facts are known; else the columns of :data:`LABELLED` are None.

    Returns:
        :data:`COLUMNS`. A mention counts once for each of its entities; a positive is a fact, a negative a
        candidate pair without any that is not left out.
    """
    total = dict.fromkeys(COLUMNS, 0)
    for document in documents:
        facts = {(fact.head, fact.relation, fact.tail) for fact in document.facts}
        left_out = set(document.ignored)
        pairs = set(candidates(document))
        row = (
            1,
            len(document.sentences),
            len(document.words),
            sum(len(entity.mentions) for entity in document.entities),
            len(document.entities),
            len(facts),
            len(pairs - related_pairs(document, pairs, directed=directed) - left_out),
            len(left_out),
        )
        for column, value in zip(COLUMNS, row, strict=True):
            total[column] += value
    return {column: value if labelled or column not in LABELLED else None for column, value in total.items()}


def related_pairs(document: Document, candidates: Pairs, *, directed: bool = True) -> set[tuple[str, str]]:
    """Pairs (head, tail) with a fact; without direction, each as it stands among the candidates."""
    related = {(fact.head, fact.tail) for fact in document.facts}
    if directed:
        return related
    return {(head, tail) if (head, tail) in candidates else (tail, head) for head, tail in related}


def format_table(rows: Mapping[str, Mapping[str, int | None]]) -> str:
    """Counts by split as a table with a header, numbers with thousands separators, ``-`` for unknown ones.

    Example:
        >>> rows = {"train": {"documents": 1500, "positive": 7}, "test": {"documents": 1, "positive": None}}
        >>> print(format_table(rows))
        split    documents    positive
        train        1,500           7
        test             1           -
    """
    columns = list(next(iter(rows.values())))
    widths = [max(9, len(column)) + 3 for column in columns]
    lines = [
        "split".ljust(6) + "".join(name.rjust(width) for name, width in zip(columns, widths, strict=True))
    ]
    for split, row in rows.items():
        cells = (_cell(row[name]).rjust(width) for name, width in zip(columns, widths, strict=True))
        lines.append(split.ljust(6) + "".join(cells))
    return "\n".join(lines)


def _cell(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def differences(
    rows: Mapping[str, Mapping[str, int | None]],
    published: Mapping[str, Mapping[str, int]],
    source: str = "",
) -> list[str]:
    """A line for each count that is not the published one, or one that says that all are.

    Args:
        rows: Counts by split, as :func:`count` gives them.
        published: Published counts by split; only those that are in both are compared.
        source: Where they are published.

    Example:
        >>> differences({"dev": {"positive": 12275}}, {"dev": {"positive": 12332}}, "paper, Table 1")
        ['dev: 12,275 facts, published 12,332 (paper, Table 1)']
    """
    behind = f" ({source})" if source else ""
    compared = [
        (split, column, row[column], value)
        for split, row in rows.items()
        for column, value in published.get(split, {}).items()
        if row.get(column) is not None
    ]
    lines = [
        f"{split}: {_cell(found)} {_NOUNS.get(column, column)}, published {value:,}{behind}"
        for split, column, found, value in compared
        if found != value
    ]
    if lines or not compared:
        return lines
    return [f"all published counts agree: {len(compared)}{behind}"]
