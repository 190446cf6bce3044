"""Errors in input, each of them one line, and what to do about a document that has one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from textwrap import shorten

from glre_pyg.utils.console import echo_error, printable


class InputError(ValueError):
    """Input that cannot be read: one line that names the file, the document and the field.

    Messages quote the contents of files. To keep them on one line, readable, and harmless to a terminal,
    characters that are not printable are escaped and the middle of a long message is cut out.

    >>> print(InputError("a.txt:1: 7: 'two\\nlines'"))
    a.txt:1: 7: 'two\\nlines'
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


@contextmanager
def as_input_errors(place: object) -> Iterator[None]:
    """Raise every error as an :class:`InputError` that names the place: files can be wrong in any way."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    except OSError as error:
        raise InputError(f"{error.filename or place}: {error.strerror or error}") from error
    except Exception as error:
        raise InputError(f"{place}: {shorten(f'{type(error).__name__}: {error}', 300)}") from error


@cache
def note(line: str) -> None:
    """Print a line about what was read on standard error, once, though a file may be read twice."""
    echo_error(f"note: {line}")


ErrorHandler = Callable[[InputError], None]
"""Callback for documents with an error; after it returns, work continues with the next document."""


def handle_error(error: InputError, on_error: ErrorHandler | None) -> None:
    """Pass an error to a handler, or raise it if there is none."""
    if on_error is None:
        raise error from None
    on_error(error)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python, NumPy or torch could not allocate memory, on a GPU or a CPU."""
    is_torch = type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error)
    return isinstance(error, MemoryError) or is_torch


@dataclass
class SkippedDocuments:
    """Error handler that skips documents with an error and counts them.

    Args:
        strict: Whether to raise the first error; otherwise errors are printed to standard error.
        count: Number of documents skipped so far.
        is_silent: Whether to count without printing.
    """

    strict: bool
    count: int = 0
    is_silent: bool = False

    def __call__(self, error: InputError) -> None:
        """Handle the error of one document."""
        if self.strict:
            raise error
        self.count += 1
        if not self.is_silent:
            echo_error(f"error: {error}")


@dataclass
class WithoutFacts:
    """Error handler that counts facts, ignored pairs and evidence that cannot be used, which are not needed.

    Args:
        on_error: Handler of the errors of documents.
        left_out: Number of what was left out, by kind.
    """

    on_error: ErrorHandler | None
    left_out: Counter[str]

    def __call__(self, error: InputError) -> None:
        """Handle the error of one document."""
        handle_error(error, self.on_error)


def leave_out(kind: str, error: InputError, on_error: ErrorHandler | None) -> None:
    """Count what cannot be used of a document's facts, if a handler counts this; otherwise raise its error.

    Args:
        kind: What it is, in the plural.
        error: What is wrong with it.
        on_error: Handler of the documents.
    """
    if not isinstance(on_error, WithoutFacts):
        raise error
    on_error.left_out[kind] += 1
