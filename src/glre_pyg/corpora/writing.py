"""What the writers of forms share: a document at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from glre_pyg.document import Document, InputError, Refused, refuse

_T = TypeVar("_T")


def check_place(path: Path) -> None:
    """Make sure that there is a folder for a file.

    Raises:
        InputError: If there is none, or the file is a folder itself.
    """
    if not path.parent.is_dir() or path.is_dir():
        raise InputError(f"{path}: cannot be written, its folder is missing or it is a folder")


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
