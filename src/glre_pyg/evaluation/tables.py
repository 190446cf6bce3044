"""Section 4.1, Table 1: what a corpus holds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from glre_pyg.document import Document

Pairs = Collection[tuple[str, str]]
COLUMNS = ("documents", "sentences", "words", "mentions", "entities", "positive", "negative", "left out")


def count(
    documents: Sequence[Document],
    candidates: Callable[[Document], Pairs],
    ignored: Callable[[Document], Pairs],
) -> dict[str, int]:
    """Counts of one split.

    Args:
        documents: Its documents.
        candidates: Candidate pairs of a document, by entity identifiers.
        ignored: Those of them that the protocol leaves out.

    Returns:
        :data:`COLUMNS`. A mention counts once for each of its entities; a positive is a fact, a negative a
        candidate pair without any that is not left out.
    """
    total = dict.fromkeys(COLUMNS, 0)
    for document in documents:
        facts = {(fact.head, fact.relation, fact.tail) for fact in document.facts}
        left_out = set(ignored(document))
        related = {(head, tail) for head, _, tail in facts}
        row = (
            1,
            len(document.sentences),
            len(document.words),
            sum(len(entity.mentions) for entity in document.entities),
            len(document.entities),
            len(facts),
            len(set(candidates(document)) - related - left_out),
            len(left_out),
        )
        for column, value in zip(COLUMNS, row, strict=True):
            total[column] += value
    return total


def format_table(rows: Mapping[str, Mapping[str, int]]) -> str:
    """Counts by split as a table with a header, numbers with thousands separators.

    Example:
        >>> print(format_table({"train": {"documents": 1500, "positive": 7}}))
        split    documents    positive
        train        1,500           7
    """
    columns = list(next(iter(rows.values())))
    widths = [max(9, len(column)) + 3 for column in columns]
    lines = [
        "split".ljust(6) + "".join(name.rjust(width) for name, width in zip(columns, widths, strict=True))
    ]
    for split, row in rows.items():
        cells = (f"{row[name]:,}".rjust(width) for name, width in zip(columns, widths, strict=True))
        lines.append(split.ljust(6) + "".join(cells))
    return "\n".join(lines)
