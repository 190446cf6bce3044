"""Words and sentences of a text, for corpora that give neither (the nodes of section 3.2 stand on them).

Sentences are pysbd's. pysbd rewrites a text while it works and returns strings, so its sentences are
found again in the text by their characters that are not white space: offsets stay exact, and what
cannot be found joins its neighbour. Words are white-space tokens cut by one regular expression.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import pysbd
from pysbd.lang.english import English

from glre_pyg.data.document import Sentence, Span

Segments = tuple[tuple[Span, ...], tuple[Sentence, ...]]
Segmenter = Callable[[str, Iterable[Span], Iterable[Span]], Segments]
"""Text, mentions' spans and sections' spans to words and sentences: :func:`segment`, or one's own."""

# Punctuation and symbols: ASCII and Latin-1, general punctuation, currency, arrows to miscellaneous symbols
# and arrows, CJK and full-width forms. Everything else that is not white space (letters, digits, "_",
# combining marks, joiners, sub- and superscripts, emoji) is part of a word.
_MARK = (
    r"!-/:-@\[-^`{-~¡-©«-±´¶-¸»¿×÷"
    r"\u2010-\u2027\u2030-\u205e\u20a0-\u20cf\u2190-\u2bff\u3001-\u3003\u3008-\u3020"
    r"\uff01-\uff0f\uff1a-\uff20\uff3b-\uff3e\uff40\uff5b-\uff65"
)
_BODY = rf"[^\s{_MARK}]"
_WORD = re.compile(
    rf"(?<!{_BODY})[^\W\d_](?:\.[^\W\d_])+\.?(?!{_BODY})"  # dotted abbreviations: i.v., e.g., U.S.A.
    rf"|(?<![\w.,])\.\d+(?!{_BODY})"  # .05
    rf"|{_BODY}+(?:(?<=\d)[.,](?=\d){_BODY}+)*"  # letters and digits; a point or comma between digits: 0.5
    rf"|([.*=~-])\1+|[{_MARK}]"  # a mark; a run of dots or lines
)
# What stands before a sentence; pysbd also breaks before "2)" and after "mg." in "mg./ml".
_END = re.compile(
    r"(?:[.!?…](?:[\"'”’)\]}»]|\[[\d,\s-]+\])*(?:\d{1,3})?\s+|[。．！？][」』”’）]*\s*|[\r\n]\s*)$"
)
_END_LENGTH = 32  # characters

# What pysbd reads instead, character for character, so that offsets carry over:
_PRIVATE = str.maketrans(dict.fromkeys("∯∮♨☝♬♭☉☇☈☄ȸȹ☏ƪ♟♝✂⌬⎋ᓰᓱᓳᓴᓷᓸ", "x"))  # its own markers
_WRAP = re.compile(r"(?<![\r\n])(?:\r\n|\r|\n)(?=[^\S\r\n]*[a-zß-öø-ÿ])")  # a line that goes on in lower case
# Many references, "[10, 11, 12, 13]", after a full stop: pysbd's time on them grows exponentially.
_REFERENCES_AT_END = re.compile(r"\.\[[\d,\s\[\]-]{14,}\](?=\s[A-Z])")
_REFERENCES = re.compile(r"\[[\d,\s\[\]-]{14,}")

_FOLDED = re.compile("[ſıİ]")  # letters that a pattern takes for s and i, but that are no such in lower case

_PART = 4_000  # characters: pysbd's time grows with the square of a line's length
_SLACK = 8  # characters that pysbd may drop between two sentences


def segment(text: str, spans: Iterable[Span] = (), sections: Iterable[Span] = ()) -> Segments:
    """Cut a text into words and sentences.

    Every character that is not white space is in exactly one word, every word in exactly one sentence.

    Args:
        text: The text.
        spans: Characters ``[start, end)`` of the mentions: each will begin and end at words, in one sentence.
        sections: Characters ``[start, end)`` of parts that begin a sentence, except inside a mention.

    Returns:
        Words as characters ``[start, end)``, and sentences as words ``[start, end)``.
    """
    spans = list(spans)
    parts = sorted({0, len(text), *(position for section in sections for position in section)})
    words = _words(text, {position for span in spans for position in span}.union(parts))
    return tuple(words), sentences_of(text, words, spans, sections=parts)


def sentences_of(
    text: str, words: Sequence[Span], spans: Iterable[Span] = (), *, sections: Sequence[int] = ()
) -> tuple[Sentence, ...]:
    """Sentences of a text whose words are given.

    Args:
        text: The text.
        words: Characters ``[start, end)`` of its words.
        spans: Characters ``[start, end)`` of the mentions: each will be in one sentence.
        sections: Characters at which a sentence begins, except inside a mention, and the end of the text.
    """
    starts = [start for start, _ in words]
    breaks = sorted(
        {
            bisect_left(starts, start)
            for part in pairwise(sections or (0, len(text)))
            for start in _sentence_starts(text, *part)
        }
        - {0, len(words)}
    )
    for start, end in spans:  # no break inside a mention
        first, last = bisect_left(starts, start), bisect_left(starts, end)
        del breaks[bisect_right(breaks, first) : bisect_left(breaks, last)]
    bounds = [0, *breaks, len(words)] if words else []
    return tuple(Sentence(*bound) for bound in pairwise(bounds))


def words_of(text: str) -> list[Span]:
    """Words ``[start, end)`` of a text, as :func:`segment` cuts it where there is no mention."""
    return _words(text, ())


def _words(text: str, cuts: Iterable[int]) -> list[Span]:
    """Words ``[start, end)``, none of them across a position of `cuts`."""
    ordered = sorted(cuts)
    words: list[Span] = []
    for match in _WORD.finditer(text):
        start, end = match.span()
        inside = ordered[bisect_right(ordered, start) : bisect_left(ordered, end)]
        words.extend(pairwise([start, *inside, end]) if inside else [(start, end)])
    return words


def _sentence_starts(text: str, start: int, end: int) -> Iterator[int]:
    """Characters of `text` at which a sentence of ``text[start:end]`` begins."""
    yield start
    plain, at = _plain(text[start:end]), 0
    while at < len(plain):
        part = plain[at : at + 2 * _PART]
        found = _align(part, _split(part))
        cut = len(part)
        if at + cut < len(plain) and found and found[-1] >= _PART:
            cut = found[-1]  # what follows the last break is cut again, with what comes after it
        for position in found:
            first = at + position
            if position < cut and _END.search(plain, max(0, first - _END_LENGTH), first):
                yield start + first
        at += cut


def _plain(text: str) -> str:
    """A text of the same length that pysbd can cut."""
    text = _WRAP.sub(lambda match: " " * len(match.group()), text.translate(_PRIVATE))
    text = _REFERENCES_AT_END.sub(lambda match: "x" * (len(match.group()) - 1) + ".", text)
    return _REFERENCES.sub(lambda match: "x" * len(match.group()), text)


def _align(text: str, sentences: Sequence[str]) -> list[int]:
    """First characters of `sentences` in `text`; of those that are not found, none.

    Sentences are compared without white space, which pysbd changes. A sentence is looked for where the last
    one ended and a few characters on; what is skipped or not found belongs to the sentence before.
    """
    places = [place for place, character in enumerate(text) if not character.isspace()]
    solid = "".join(text.split())
    found: list[int] = []
    at, lost = 0, 0
    for sentence in sentences:
        wanted = "".join(sentence.split())
        position = solid.find(wanted, at, at + lost + len(wanted) + _SLACK) if wanted else -1
        if position < 0:
            lost += len(wanted) + _SLACK
            continue
        found.append(places[position])
        at, lost = position + len(wanted), 0
    return found


def _split(text: str) -> list[str]:
    """pysbd's sentences, without its own slower search for their offsets."""
    return list(_splitter().processor(text).process())


@lru_cache(maxsize=1)
def _splitter() -> pysbd.Segmenter:
    splitter = pysbd.Segmenter(language="en", clean=False)
    splitter.language_module = _English
    return splitter


class _English(English):
    class AbbreviationReplacer(English.AbbreviationReplacer):
        """pysbd's, to the same end, without looking for abbreviations that no full stop follows.

        All that it does with an abbreviation is to mark the full stop behind it. Looking for each of two
        hundred took more than half the time of cutting a text.
        """

        lang: Any

        def search_for_abbreviations_in_string(self, text: str) -> str:
            language, lowered = self.lang, text.lower()
            if not _FOLDED.search(text):
                known = [
                    name
                    for name in language.Abbreviation.ABBREVIATIONS
                    if not name.strip().isalnum() or f"{name.strip()}." in lowered
                ]
                followed = type("Followed", (language.Abbreviation,), {"ABBREVIATIONS": known})
                self.lang = type("Language", (language,), {"Abbreviation": followed})
            try:
                return str(super().search_for_abbreviations_in_string(text))
            finally:
                self.lang = language
