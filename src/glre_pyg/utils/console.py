"""Text for the terminal: whatever files contain, lines stay lines, harmless and in the right encoding."""

from __future__ import annotations

import sys
from typing import TextIO

from tqdm import tqdm


def printable(text: str, *, longest: int = 1000) -> str:
    """Return a text on one line: unprintable characters are escaped, the middle of a long text is cut out."""
    if len(text) > longest:
        text = f"{text[: longest // 2]}…{text[-(longest // 2) :]}"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def shown(text: str) -> str:
    """Shorten a text so that it can be quoted in an error message.

    >>> shown("aspirin"), len(shown("aspirin " * 100))
    ('aspirin', 61)
    """
    return printable(text, longest=60)


def plural(number: int, noun: str, several: str = "") -> str:
    """Return the form of a word that goes with a number: by default, the plural of a noun ends in ``s``.

    >>> f"1 {plural(1, 'fact')}, 2 {plural(2, 'fact')}, 0 {plural(0, 'entity', 'entities')}"
    '1 fact, 2 facts, 0 entities'
    """
    return noun if number == 1 else several or f"{noun}s"


def echo(*lines: str) -> None:
    """Print lines to standard output, as :func:`printable`.

    Raises:
        OSError: If it cannot be written, as on a full disk; the error names it.
    """
    try:
        print("\n".join(_encodable(line, sys.stdout) for line in lines), flush=True)
    except OSError as error:
        error.filename = "standard output"
        raise


def echo_error(line: str) -> None:
    """Print a line to standard error, above a progress bar if there is one."""
    tqdm.write(_encodable(line, sys.stderr), file=sys.stderr)


def _encodable(line: str, stream: TextIO) -> str:
    """Return a printable line that the encoding of a stream has; other characters are escaped."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return printable(line, longest=sys.maxsize).encode(encoding, "backslashreplace").decode(encoding)
