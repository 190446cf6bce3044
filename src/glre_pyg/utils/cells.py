"""Cells of tables that spreadsheets open: text that stays text.

A cell that a spreadsheet would run as a formula gets an apostrophe before the character that makes it one:

    >>> quoted('=HYPERLINK("http://example.org")')
    '\\'=HYPERLINK("http://example.org")'
    >>> quoted("aspirin; +codeine")
    "aspirin;' +codeine"

These characters are ``=``, ``+``, ``-`` and ``@`` and their full-width forms, after white space too, and a
tab or an end of line. They count where a cell begins and after a semicolon or a tab, at which spreadsheets of
some countries begin a new cell.
"""

from __future__ import annotations

import re

# White space and apostrophes in any order, so that an apostrophe more does not change what follows it.
_FORMULA = r"(?=[\s']*[=+\-@＝＋－＠]|'*[\t\r\n])"
_BEGINS = re.compile(rf"(^|[;\t]){_FORMULA}")
_QUOTED = re.compile(rf"(^|[;\t])'{_FORMULA}")


def quoted(text: str) -> str:
    """A text that no spreadsheet takes for a formula; :func:`unquoted` undoes it.

    Example:
        >>> quoted("=1+1"), quoted("'=1+1"), quoted("1-butanol")
        ("'=1+1", "''=1+1", '1-butanol')
    """
    return _BEGINS.sub(r"\1'", text)


def unquoted(text: str) -> str:
    """A text without the apostrophes that :func:`quoted` gave it."""
    return _QUOTED.sub(r"\1", text)
