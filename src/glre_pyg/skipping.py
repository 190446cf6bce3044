"""What becomes of a document with an error: it ends the work, or it is named, counted and left out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tqdm import tqdm

from glre_pyg.document import Document, InputError, Refused


@dataclass
class Skipping:
    """Is told of documents with an error; see :data:`~glre_pyg.document.Refused`.

    Args:
        strict: Whether the first one is raised; else each has a line on standard error.
        count: How many there were.
        is_silent: Whether they are counted alone.
    """

    strict: bool
    count: int = 0
    is_silent: bool = False

    def __call__(self, error: InputError) -> None:
        """Be told of one."""
        if self.strict:
            raise error
        self.count += 1
        if not self.is_silent:
            tqdm.write(f"error: {error}", file=sys.stderr)


def read_all(
    read: Callable[[Refused], Iterable[Document]], name: str, *, strict: bool
) -> tuple[list[Document], int]:
    """All documents of a file that can be read, and how many cannot; one line says how many, if any.

    Args:
        read: Reads the file.
        name: Its name.
        strict: Whether one that cannot be read is raised.
    """
    refused = Skipping(strict)
    documents = list(read(refused))
    if refused.count:
        print(f"{name}: {refused.count} documents with an error are left out, {len(documents)} are read")
    return documents, refused.count


def is_strict(setting: object) -> bool:
    """What ``strict=`` of a command says.

    Raises:
        InputError: If that is neither true nor false.
    """
    if not isinstance(setting, bool):
        raise InputError(f"strict: '{setting}' is neither true nor false")
    return setting
