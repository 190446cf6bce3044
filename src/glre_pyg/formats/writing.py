"""What all writers share: documents are converted one at a time, and those that do not fit are skipped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
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
) -> None:
    """Write the text of one document after the other; the file appears when it is complete.

    Args:
        documents: The documents; one is in memory at a time.
        path: The file.
        convert: Converts a document to text; raises :class:`InputError` if the format cannot hold it.
        on_error: Callback for documents that the format cannot hold, which are skipped; None raises.
        header: Text at the beginning of the file.
    """
    with atomic_open(path) as file:
        file.write(header)
        file.writelines(converted(documents, convert, on_error))
