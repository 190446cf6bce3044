"""Abbreviations that a text defines: "cardiac arrest (CA)" and "CA (cardiac arrest)".

The algorithm of Ariel S. Schwartz and Marti A. Hearst, "A simple algorithm for identifying abbreviation
definitions in biomedical text", Pacific Symposium on Biocomputing 2003: from right to left, each letter and
digit of the short form is matched in the text before the bracket; the first one has to begin a word.

Here: square brackets count, too; text in brackets ends at a comma or semicolon, and text before them begins
with the sentence; short forms may be plurals ("cardiac arrest (CAs)"); a short form before the bracket has a
capital, as any word may precede a bracket. Both forms may be in the brackets: "tea (epigallocatechin gallate,
EGCG)"; if the short form comes first, it is also one of the word before them: "cisplatin (CDDP;
cis-diamminedichloroplatinum)". The time is linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, pairwise
from typing import NamedTuple

from glre_pyg.data.document import Span
from glre_pyg.mentions.names import acronym

# The paper's limits: a short form of 2 to 10 characters and at most two words, a long form of at most
# min(n + 5, 2 n) words, n being the characters of the short form.
_MIN_SHORT, _MAX_SHORT, _MAX_WORDS = 2, 10, 2
_EXTRA_WORDS = 5
_CAPITALS = 2  # of a short form beside its long form in brackets, where enumerations are as well
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
    return sorted(chain.from_iterable(_definitions(text, *bracket) for bracket in _brackets(text)))


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


def _definitions(text: str, start: int, end: int, outer: int) -> list[Abbreviation]:
    """Abbreviations defined by the brackets around ``text[start:end]``."""
    end = min(end, start + _MAX_LONG)
    inside = _stripped(text, start, _cut(text, start, end))
    low = max(outer, start - 1 - _MAX_LONG)
    ends = [match.end() for match in _SENTENCE_END.finditer(text, low, start - 1)]
    before = _stripped(text, ends[-1] if ends else low, start - 1)
    if _is_short(text[slice(*inside)]):
        long = _long_form(text, inside, before)
        if long is not None:
            return [Abbreviation(inside, long)]
    last = _last_word(text, before)
    if _is_short(text[slice(*last)]) and any(map(str.isupper, text[slice(*last)])):
        long = _long_form(text, last, inside)
        if long is not None:
            return [Abbreviation(last, long)]
    return _within(text, start, end, last)


def _within(text: str, start: int, end: int, last: Span) -> list[Abbreviation]:
    """Abbreviation of which both forms are in ``text[start:end]``, one behind the other, if any.

    If the short form comes first, it is also one of the name that ends with the word ``last``, a synonym.
    """
    cuts = [match.span() for match in _INSIDE_END.finditer(text, start, end)]
    firsts, stops = [start, *(after for _, after in cuts)], [*(at for at, _ in cuts), end]
    parts = [_stripped(text, first, stop) for first, stop in zip(firsts, stops, strict=True)]
    for one, other in pairwise(parts):
        for short, long_part in ((other, one), (one, other)):
            form = text[slice(*short)]
            if not _is_short(form) or sum(map(str.isupper, form)) < _CAPITALS:
                continue
            long = _long_form(text, short, long_part)
            if long is not None:
                of_name = [Abbreviation(short, last)] if short == parts[0] and last[0] < last[1] else []
                return [*of_name, Abbreviation(short, long)]
    return []


def _last_word(text: str, span: Span) -> Span:
    words = text[slice(*span)].rsplit(None, 1)
    return _stripped(text, span[1] - len(words[-1]) if words else span[1], span[1])


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
