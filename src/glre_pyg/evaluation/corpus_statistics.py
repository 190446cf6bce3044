"""Statistics of a corpus (Section 4.1, Table 1), and where they differ from the published ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from glre_pyg.data.document import Document
from glre_pyg.utils.console import plural
from glre_pyg.utils.table import Table

if TYPE_CHECKING:
    from glre_pyg.data.labels import Labels

Pairs = Collection[tuple[str, str]]
COLUMNS = ("documents", "sentences", "words", "mentions", "entities", "positive", "negative", "left out")
LABELLED = ("positive", "negative", "left out")
"""Columns that are unknown for splits whose facts are hidden."""

_SINGULAR = {
    "entities": "entity",
    "positive": "fact",
    "negative": "negative pair",
    "left out": "pair left out",
}
_PLURAL = {"positive": "facts", "negative": "negative pairs", "left out": "pairs left out"}


def count(
    documents: Sequence[Document],
    candidates: Callable[[Document], Pairs],
    *,
    directed: bool = True,
    labelled: bool = True,
) -> dict[str, int | None]:
    """Compute the statistics of a split.

    Args:
        documents: Its documents.
        candidates: Returns the candidate pairs of a document, by entity identifiers.
        directed: Whether (a, b) and (b, a) are two pairs.
        labelled: Whether facts are known; if not, the columns of :data:`LABELLED` are None.

    Returns:
        A count for each of :data:`COLUMNS`. A mention counts once for each of its entities. Positives are
        facts; negatives are candidate pairs without a fact that are not left out.
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


def facts_outside(split: str, documents: Sequence[Document], labels: Labels) -> list[str]:
    """Return a line that says how many facts of a split are of no candidate pair, if any are."""
    total = sum(len(document.facts) for document in documents)
    inside = sum(len(labels.candidate_facts(document)) for document in documents)
    facts_are = f"{plural(total, 'fact')} {plural(total - inside, 'is', 'are')}"
    line = f"{split}: {total - inside:,} of {total:,} {facts_are} of no candidate pair"
    return [line] if inside < total else []


def related_pairs(document: Document, candidates: Pairs, *, directed: bool = True) -> set[tuple[str, str]]:
    """Return the pairs (head, tail) with a fact; undirected pairs in the order of the candidates."""
    related = {(fact.head, fact.tail) for fact in document.facts}
    if directed:
        return related
    return {(head, tail) if (head, tail) in candidates else (tail, head) for head, tail in related}


def format_table(rows: Mapping[str, Mapping[str, int | None]]) -> str:
    """Format counts by split as a table, with thousands separators and ``-`` for unknown counts.

    Example:
        >>> rows = {"train": {"documents": 1500, "positive": 7}, "test": {"documents": 1, "positive": None}}
        >>> print(format_table(rows))
        split  documents  positive
        train      1,500         7
        test           1         -
    """
    columns = list(next(iter(rows.values())))
    cells = [[split, *(_format(row[column]) for column in columns)] for split, row in rows.items()]
    return Table(["split", *columns], cells).to_text()


def differences(
    rows: Mapping[str, Mapping[str, int | None]],
    published: Mapping[str, Mapping[str, int]],
    source: str = "",
) -> list[str]:
    """Compare counts with the published ones.

    Args:
        rows: Counts by split, from :func:`count`.
        published: Published counts by split; only counts that are in both are compared.
        source: Where they were published.

    Returns:
        A line for each count that differs, or one line that says that all agree.

    Example:
        >>> differences({"dev": {"positive": 12275}}, {"dev": {"positive": 12332}}, "paper, Table 1")
        ['dev: 12,275 facts, published 12,332 (paper, Table 1)']
    """
    suffix = f" ({source})" if source else ""
    compared = [
        (split, column, row[column], value)
        for split, row in rows.items()
        for column, value in published.get(split, {}).items()
        if row.get(column) is not None
    ]
    lines = [
        f"{split}: {_format(actual)} {_noun(actual, column)}, published {value:,}{suffix}"
        for split, column, actual, value in compared
        if actual != value
    ]
    if lines or not compared:
        return lines
    return [f"all published counts agree: {len(compared)}{suffix}"]


def _noun(number: int | None, column: str) -> str:
    """Return what a column counts, as it is called beside a number."""
    return plural(number or 0, _SINGULAR.get(column, column.removesuffix("s")), _PLURAL.get(column, column))


def _format(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
