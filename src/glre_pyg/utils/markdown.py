"""Plain text escaped for Markdown, in case studies, reports and model cards."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # control sequences of terminals
# Underscores between letters or digits are not markup; all others, and these characters, may be.
_MARKUP = re.compile(r"((?<=[^\W_])_+(?=[^\W_]))|([\\`*_\[\]<>&|~#$])")


def escape(text: str) -> str:
    """Return a text on one line in which nothing is Markdown, HTML or a control sequence of a terminal.

    Example:
        >>> print(escape("p < 0.05, see [3] * of dev_from_train"))
        p \\< 0.05, see \\[3\\] \\* of dev_from_train
    """
    return _MARKUP.sub(lambda found: found[1] or f"\\{found[2]}", _plain(text))


def code(text: str) -> str:
    """Return a text on one line as inline code.

    Example:
        >>> print(code("CID"), code("a`b"))
        `CID` ``a`b``
    """
    shown = _plain(text) or " "
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    room = " " if "`" in (shown[0], shown[-1]) else ""
    return f"{fence}{room}{shown}{room}{fence}"


def _plain(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", " ".join(text.split()))
