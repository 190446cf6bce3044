"""Abbreviations that a text defines: "cardiac arrest (CA)" and "CA (cardiac arrest)".

The algorithm of Ariel S. Schwartz and Marti A. Hearst, "A simple algorithm for identifying abbreviation
definitions in biomedical text", Pacific Symposium on Biocomputing 2003: from right to left, each letter and
digit of the short form is matched in the text before the bracket; the first one has to begin a word.

Here: square brackets count, too; text in brackets ends at a comma or semicolon, and text before them begins
with the sentence; short forms may be plurals ("cardiac arrest (CAs)"); a short form before the bracket has a
capital, as any word may precede a bracket. The time is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from glre_pyg.data.document import Span
from glre_pyg.mentions.names import acronym

# The paper's limits: a short form of 2 to 10 characters and at most two words, a long form of at most
# min(n + 5, 2 n) words, n being the characters of the short form.
_MIN_SHORT, _MAX_SHORT, _MAX_WORDS = 2, 10, 2
_EXTRA_WORDS = 5
_MAX_LONG = 250  # characters of a long form: enough for the 15 words of the longest ones

_BRACKET = re.compile(r"[()\[\]]")
_CLOSED_BY = {")": "(", "]": "["}
_INSIDE_END = re.compile(r"[,;]\s")
_SENTENCE_END = re.compile(r"[!?;]\s|(?<=\w{3})\.\s|\n\s*\n")
_STRIPPED = " \t\r\n,:\"'\u2018\u2019\u201c\u201d"
_WORD = re.compile(r"\w+(?:-\w+)*")


class Abbreviation(NamedTuple):
    """A short form and its long form, as characters ``[start, end)``."""

    short: Span
    long: Span


def abbreviations_in(text: str) -> list[Abbreviation]:
    """Find the abbreviations that a text defines, in the order of their short forms.

    Example:
        >>> text = "Cardiac arrest (CA) was rare; TNF (tumor necrosis factor) was not measured (n = 5)."
        >>> for short, long in abbreviations_in(text):
        ...     print(text[slice(*short)], "is", text[slice(*long)])
        CA is Cardiac arrest
        TNF is tumor necrosis factor
    """
    definitions = (_definition(text, *bracket) for bracket in _brackets(text))
    return sorted(definition for definition in definitions if definition is not None)


def _brackets(text: str) -> Iterator[tuple[int, int, int]]:
    """Start and end of the text in each pair of brackets, and start of the brackets around the pair, or 0."""
    opened: dict[str, list[int]] = {"(": [], "[": []}
    for match in _BRACKET.finditer(text):
        kind, position = match.group(), match.start()
        if kind in opened:
            opened[kind].append(position)
        elif opened[_CLOSED_BY[kind]]:
            start = opened[_CLOSED_BY[kind]].pop() + 1
            outer = max(positions[-1] + 1 if positions else 0 for positions in opened.values())
            yield start, position, outer if outer < start else 0


def _definition(text: str, start: int, end: int, outer: int) -> Abbreviation | None:
    """Abbreviation defined by the brackets around ``text[start:end]``, if any."""
    inside = _stripped(text, start, _cut(text, start, min(end, start + _MAX_LONG)))
    low = max(outer, start - 1 - _MAX_LONG)
    ends = [match.end() for match in _SENTENCE_END.finditer(text, low, start - 1)]
    before = _stripped(text, ends[-1] if ends else low, start - 1)
    if _is_short(text[slice(*inside)]):
        long = _long_form(text, inside, before)
        if long is not None:
            return Abbreviation(inside, long)
    words = text[slice(*before)].rsplit(None, 1)
    short = _stripped(text, before[1] - len(words[-1]) if words else before[1], before[1])
    if _is_short(text[slice(*short)]) and any(map(str.isupper, text[slice(*short)])):
        long = _long_form(text, short, inside)
        if long is not None:
            return Abbreviation(short, long)
    return None


def _cut(text: str, start: int, end: int) -> int:
    match = _INSIDE_END.search(text, start, end)
    return end if match is None else match.start()


def _stripped(text: str, start: int, end: int) -> Span:
    """The span without white space and punctuation at its ends."""
    form = text[start:end].lstrip(_STRIPPED)
    return end - len(form), end - len(form) + len(form.rstrip(_STRIPPED))


def _is_short(form: str) -> bool:
    return (
        _MIN_SHORT <= len(form) <= _MAX_SHORT
        and len(form.split()) <= _MAX_WORDS
        and form[0].isalnum()
        and any(map(str.isalpha, form))
    )


def _long_form(text: str, short: Span, within: Span) -> Span | None:
    """The shortest long form that ends at the end of `within`."""
    form = text[slice(*short)]
    for spelling in dict.fromkeys((form, acronym(form))):
        start = _match(spelling, text, *within)
        if start is None:
            continue
        long = text[start : within[1]]
        contains_form = {form, spelling} & set(map(acronym, _WORD.findall(long)))
        limit = min(len(spelling) + _EXTRA_WORDS, 2 * len(spelling))
        if len(long) > len(form) and len(long.split()) <= limit and not contains_form:
            return start, within[1]
    return None


def _match(short: str, text: str, start: int, end: int) -> int | None:
    """Start of the long form that ends at `end`; None if there is none."""
    at = end
    for index in reversed(range(len(short))):
        character = short[index].lower()
        if not character.isalnum():
            continue
        at -= 1
        while at >= start and not (
            text[at].lower() == character and (index > 0 or at == start or not text[at - 1].isalnum())
        ):
            at -= 1
        if at < start:
            return None
    while at > start and not text[at - 1].isspace() and text[at - 1] not in "()[]/":
        at -= 1  # "5-hydroxytryptamine" begins before its "h"
    return at
