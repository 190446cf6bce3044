"""Cells of CSV files, quoted against formula injection.

Text that a spreadsheet would run as a formula gets an apostrophe before the character that makes it one:

    >>> quoted('=HYPERLINK("http://example.org")')
    '\\'=HYPERLINK("http://example.org")'
    >>> quoted("aspirin; +codeine")
    "aspirin;' +codeine"

These characters are ``=``, ``+``, ``-`` and ``@`` and their full-width forms, also after white space, and a
tab or an end of line. They matter at the start of a cell and after a semicolon or a tab, where spreadsheets
in some locales start a new cell.
"""

from __future__ import annotations

import re

# White space and apostrophes in any order, so that one more apostrophe does not change the rest.
_FORMULA = r"(?=[\s']*[=+\-@＝＋－＠]|'*[\t\r\n])"
_BEGINS = re.compile(rf"(^|[;\t]){_FORMULA}")
_QUOTED = re.compile(rf"(^|[;\t])'{_FORMULA}")


def quoted(text: str) -> str:
    """Quote a text so that no spreadsheet runs it as a formula; :func:`unquoted` is the inverse.

    Example:
        >>> quoted("=1+1"), quoted("'=1+1"), quoted("1-butanol")
        ("'=1+1", "''=1+1", '1-butanol')
    """
    return _BEGINS.sub(r"\1'", text)


def unquoted(text: str) -> str:
    """Remove the apostrophes that :func:`quoted` added."""
    return _QUOTED.sub(r"\1", text)
