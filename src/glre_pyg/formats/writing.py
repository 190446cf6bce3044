"""What all writers share: documents are converted one at a time, and those that do not fit are skipped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import product
from typing import TypeVar

from glre_pyg.data.document import Document
from glre_pyg.utils.exceptions import ErrorHandler, InputError, handle_error
from glre_pyg.utils.files import atomic_open

_T = TypeVar("_T")


def converted(
    documents: Iterable[Document], convert: Callable[[Document], _T], on_error: ErrorHandler | None
) -> Iterator[_T]:
    """Convert documents to a format.

    Args:
        documents: The documents.
        convert: Converts a document; raises :class:`InputError` if the format cannot hold it.
        on_error: Callback for documents that the format cannot hold, which are skipped; None raises.
    """
    for document in documents:
        try:
            result = convert(document)
        except InputError as error:
            handle_error(error, on_error)
        else:
            yield result


def write_each(
    documents: Iterable[Document],
    path: str | os.PathLike[str],
    convert: Callable[[Document], str],
    on_error: ErrorHandler | None,
    *,
    header: str = "",
    separator: str = "",
    footer: str = "",
) -> None:
    """Write the text of one document after the other; the file appears when it is complete.

    Args:
        documents: The documents; one is in memory at a time.
        path: The file.
        convert: Converts a document to text; raises :class:`InputError` if the format cannot hold it.
        on_error: Callback for documents that the format cannot hold, which are skipped; None raises.
        header: Text at the beginning of the file.
        separator: Text between documents.
        footer: Text at the end of the file.
    """
    with atomic_open(path) as file:
        file.write(header)
        for number, text in enumerate(converted(documents, convert, on_error)):
            file.write(separator + text if number else text)
        file.write(footer)


def first_mentions(document: Document) -> dict[str, int]:
    """Return the number of a mention of each entity: the first of it alone, otherwise the first."""
    mentions = list(enumerate(document.mentions))
    first: dict[str, int] = {}
    for number, mention in sorted(mentions, key=lambda pair: len(pair[1].ids) != 1):
        for identifier in mention.ids:
            first.setdefault(identifier, number)
    return first


def without_doubles(document: Document) -> Document:
    """Return a document without names, ignored pairs, and facts that are double or of no mention.

    Facts are in the order in which relations between :func:`first_mentions` are read, which are of all
    entities of a mention at once.
    """
    known = document.entity_numbers
    facts = {
        (fact.head, fact.relation, fact.tail): fact
        for fact in reversed(document.facts)
        if fact.head in known and fact.tail in known
    }
    first = first_mentions(document)
    read = (
        (head, relation, tail)
        for fact_head, relation, fact_tail in reversed(facts)
        for head, tail in product(*(document.mentions[first[end]].ids for end in (fact_head, fact_tail)))
    )
    ordered = tuple(facts[key] for key in dict.fromkeys(read) if key in facts)
    mentions = tuple(replace(mention, names=()) for mention in document.mentions)
    return replace(document, mentions=mentions, facts=ordered, ignored=())
