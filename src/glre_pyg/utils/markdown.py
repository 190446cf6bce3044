"""Text in Markdown that stays text: in case studies, reports and the cards of models."""

from __future__ import annotations

import re

from glre_pyg.data.paths import one_line

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # what a terminal may take for an order
# Underscores between letters or digits mean nothing; all others, and these characters, may.
_MEANS = re.compile(r"((?<=[^\W_])_+(?=[^\W_]))|([\\`*_\[\]<>&|~#$])")


def escape(text: str) -> str:
    """A text on one line, in which nothing means anything to Markdown, HTML or a terminal.

    Example:
        >>> print(escape("p < 0.05, see [3] * of dev_from_train"))
        p \\< 0.05, see \\[3\\] \\* of dev_from_train
    """
    return _MEANS.sub(lambda found: found[1] or f"\\{found[2]}", _plain(text))


def code(text: str) -> str:
    """A text on one line as code, whatever is in it.

    Example:
        >>> print(code("CID"), code("a`b"))
        `CID` ``a`b``
    """
    shown = _plain(text) or " "
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    room = " " if "`" in (shown[0], shown[-1]) else ""
    return f"{fence}{room}{shown}{room}{fence}"


def _plain(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", one_line(text))
