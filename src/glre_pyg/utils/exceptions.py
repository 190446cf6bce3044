"""Errors in input, the one line that each of them is, and what is told of a document that has one."""

from __future__ import annotations

from collections.abc import Callable


class InputError(ValueError):
    """Input that cannot be read: one line that names the file, the document and the field.

    What a file says stands in such lines. So that they stay one line, of a length that can be read, and mean
    nothing to a terminal, what cannot be printed is escaped, and a long line is cut in its middle.

    >>> print(InputError("a.txt:1: 7: 'two\\nlines'"))
    a.txt:1: 7: 'two\\nlines'
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def printable(text: str, *, longest: int = 1000) -> str:
    """A text on one line, without characters that cannot be printed; the middle of a long one is cut."""
    if len(text) > longest:
        text = f"{text[: longest // 2]}…{text[-(longest // 2) :]}"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def shown(text: str) -> str:
    """As much of a text as a line has room for that says what is wrong with it.

    >>> shown("aspirin"), len(shown("aspirin " * 100))
    ('aspirin', 61)
    """
    return printable(text, longest=60)


ErrorHandler = Callable[[InputError], None]
"""Is told of a document that cannot be read or worked on; what takes one goes on with the others."""


def handle_error(error: InputError, on_error: ErrorHandler | None) -> None:
    """Tell of a document that cannot be read or worked on, or raise where nobody is to be told."""
    if on_error is None:
        raise error from None
    on_error(error)
