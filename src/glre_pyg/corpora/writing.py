"""What the writers of forms share: a document at a time, into a file that appears when it is done."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar

from glre_pyg.document import Document, InputError, Refused, refuse

_T = TypeVar("_T")


@contextmanager
def replacing_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A place to write a file to; it takes the place of ``path`` when all is written, and is removed if not.

    Raises:
        InputError: If the file cannot be written.
    """
    part = Path(f"{os.fspath(path)}.part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise InputError(f"{os.fspath(path)}: cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def replacing(path: str | os.PathLike[str], *, encoding: str = "utf-8") -> Iterator[IO[str]]:
    """The same as a text file with plain line ends."""
    with replacing_file(path) as part, part.open("w", encoding=encoding, newline="") as file:
        yield file


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
