"""What the writers of forms share: a document at a time, into a file that appears when it is done."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

from glre_pyg.document import Document, InputError, Refused, refuse

_T = TypeVar("_T")


@contextmanager
def replacing(path: str | os.PathLike[str], *, encoding: str = "utf-8") -> Iterator[IO[str]]:
    """A text file with plain line ends; it takes the place of ``path`` when all is written."""
    part = Path(f"{os.fspath(path)}.part")
    try:
        with part.open("w", encoding=encoding, newline="") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def formatted(
    documents: Iterable[Document], form: Callable[[Document], _T], refused: Refused | None
) -> Iterator[_T]:
    """Documents as a form has them.

    Args:
        documents: The documents.
        form: What makes the form of one.
        refused: Is told of documents that the form cannot hold, which are left out; None raises.

    Raises:
        InputError: If the form cannot hold a document.
    """
    for document in documents:
        try:
            made = form(document)
        except InputError as error:
            refuse(error, refused)
        else:
            yield made
