"""Words and sentences of texts, for corpora that have neither (the graph of section 3.2 is built from them).

Sentences are split by pysbd, which modifies the text and returns strings. Its sentences are aligned with the
text by their non-white-space characters, so that offsets are exact; a sentence that cannot be aligned is
merged with the one before. Words are white-space tokens, split further by a regular expression.
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
"""From a text, spans of mentions and spans of sections to words and sentences, as :func:`segment`."""

# Punctuation and symbols: ASCII and Latin-1, general punctuation, currency, arrows to miscellaneous symbols
# and arrows, CJK and full-width forms, emoji. All other characters except white space (letters, digits, "_",
# combining marks, joiners, sub- and superscripts) are part of words.
_MARK = (
    r"!-/:-@\[-^`{-~¡-©«-±´¶-¸»¿×÷"
    r"\u2010-\u2027\u2030-\u205e\u20a0-\u20cf\u2190-\u2bff\u3001-\u3003\u3008-\u3020"
    r"\ufe50-\ufe6f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff3e\uff40\uff5b-\uff65\U0001f000-\U0001faff"
)
# Scripts without spaces between words, or with particles after them, have a word for each character, as in
# Unicode's rules of word breaks (UAX #29) for all but Hangul. So names are found wherever they stand.
# Thai and Lao, Myanmar, Khmer; Hangul; Chinese and Japanese; and the marks that follow their letters.
_SCRIPTS = (
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1100-\u11ff\u3130-\u318f\ua960-\ua97f\uac00-\ud7ff"
    r"\u2e80-\u2fdf\u3005-\u3007\u3021-\u302f\u3031-\u312f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    r"\uf900-\ufaff\uff66-\uffdc\U00020000-\U0003ffff"
)
_MARKS_OF_SCRIPTS = (
    r"\u0300-\u036f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u102b-\u103e"
    r"\u1056-\u1059\u17b4-\u17d3\u302a-\u302f\u3099\u309a\ufe00-\ufe0f\uff9e\uff9f"
)
_BODY = rf"[^\s{_MARK}{_SCRIPTS}]"
_WORD = re.compile(
    rf"[{_SCRIPTS}][{_MARKS_OF_SCRIPTS}]*"
    rf"|(?<!{_BODY})[^\W\d_](?:\.[^\W\d_])+\.?(?!{_BODY})"  # dotted abbreviations: i.v., e.g., U.S.A.
    rf"|(?<![\w.,])\.\d+(?!{_BODY})"  # .05
    rf"|{_BODY}+(?:(?<=\d)[.,](?=\d){_BODY}+)*"  # letters and digits; a point or comma between digits: 0.5
    rf"|([.*=~-])\1+|[{_MARK}]"  # a mark; a run of dots or lines
)
# What precedes a sentence; pysbd also splits before "2)" and after "mg." in "mg./ml".
_END = re.compile(
    r"(?:[.!?…](?:[\"'”’)\]}»]|\[[\d,\s-]+\])*(?:\d{1,3})?\s+|[。．！？][」』”’）]*\s*|[\r\n]\s*)$"
)
_END_LENGTH = 32  # characters

# Replacements before pysbd reads the text, of the same length, so that offsets are kept:
_PRIVATE = str.maketrans(dict.fromkeys("∯∮♨☝♬♭☉☇☈☄ȸȹ☏ƪ♟♝✂⌬⎋ᓰᓱᓳᓴᓷᓸ", "x"))  # markers of pysbd
_WRAP = re.compile(r"(?<![\r\n])(?:\r\n|\r|\n)(?=[^\S\r\n]*[a-zß-öø-ÿ])")  # line breaks within a sentence
# Long lists of references, "[10, 11, 12, 13]", after a full stop, which take pysbd exponential time.
_REFERENCES_AT_END = re.compile(r"\.\[[\d,\s\[\]-]{14,}\](?=\s[A-Z])")
_REFERENCES = re.compile(r"\[[\d,\s\[\]-]{14,}")

_FOLDED = re.compile("[ſıİ]")  # match s and i in patterns that ignore case, but are not lower-cased to them

_PART = 4_000  # characters; pysbd takes quadratic time in the length of a line
_SLACK = 8  # characters that pysbd may drop between two sentences


def segment(text: str, spans: Iterable[Span] = (), sections: Iterable[Span] = ()) -> Segments:
    """Split a text into words and sentences.

    Every non-white-space character is in exactly one word, every word in exactly one sentence.

    Args:
        text: The text.
        spans: Characters ``[start, end)`` of mentions, each of which will begin and end at words of one
            sentence.
        sections: Characters ``[start, end)`` of sections, which begin a sentence, except inside a mention.

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
    """Split a text whose words are known into sentences.

    Args:
        text: The text.
        words: Characters ``[start, end)`` of its words.
        spans: Characters ``[start, end)`` of mentions, each of which will be in one sentence.
        sections: Characters at which a sentence begins, except inside a mention, and the end of the text.
    """
    starts = [start for start, _ in words]
    breaks = {
        bisect_left(starts, start)
        for part in pairwise(sections or (0, len(text)))
        for start in _sentence_starts(text, *part)
    } - {0, len(words)}
    at = 0
    for start, end in sorted(spans):  # no break inside a mention
        at = max(at, bisect_left(starts, start) + 1)
        last = bisect_left(starts, end)
        breaks.difference_update(range(at, last))
        at = max(at, last)
    bounds = [0, *sorted(breaks), len(words)] if words else []
    return tuple(Sentence(*bound) for bound in pairwise(bounds))


def words_of(text: str) -> list[Span]:
    """Return the words ``[start, end)`` of a text, as :func:`segment` splits it without mentions."""
    return _words(text, ())


def _words(text: str, cuts: Iterable[int]) -> list[Span]:
    """Return words ``[start, end)``, none of which crosses a position of `cuts`."""
    ordered = sorted(cuts)
    words: list[Span] = []
    for match in _WORD.finditer(text):
        start, end = match.span()
        inside = ordered[bisect_right(ordered, start) : bisect_left(ordered, end)]
        words.extend(pairwise([start, *inside, end]) if inside else [(start, end)])
    return words


def _sentence_starts(text: str, start: int, end: int) -> Iterator[int]:
    """Yield the characters at which sentences of ``text[start:end]`` begin."""
    yield start
    plain, at = _plain(text[start:end]), 0
    while at < len(plain):
        part = plain[at : at + 2 * _PART]
        found = _align(part, _split(part))
        cut = len(part)
        if at + cut < len(plain) and found and found[-1] >= _PART:
            cut = found[-1]  # the last sentence is split again, together with what follows it
        for position in found:
            first = at + position
            if position < cut and _END.search(plain, max(0, first - _END_LENGTH), first):
                yield start + first
        at += cut


def _plain(text: str) -> str:
    """Replace what pysbd cannot handle, keeping the length of the text."""
    text = _WRAP.sub(lambda match: " " * len(match.group()), text.translate(_PRIVATE))
    text = _REFERENCES_AT_END.sub(lambda match: "x" * (len(match.group()) - 1) + ".", text)
    return _REFERENCES.sub(lambda match: "x" * len(match.group()), text)


def _align(text: str, sentences: Sequence[str]) -> list[int]:
    """Return the first characters of those `sentences` that are found in `text`.

    White space, which pysbd changes, is ignored. A sentence is searched from the end of the previous one, a
    few characters on; what is skipped or not found belongs to the previous sentence.
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
    """Split a text with pysbd, without its slow search for offsets."""
    return list(_splitter().processor(text.translate(_SEPARATORS)).process())


_SEPARATORS = dict.fromkeys(range(0x1C, 0x20), " ")
"""Control characters that are white space, after which pysbd fails to read the number of a list item."""


@lru_cache(maxsize=1)
def _splitter() -> pysbd.Segmenter:
    splitter = pysbd.Segmenter(language="en", clean=False)
    splitter.language_module = _English
    return splitter


class _English(English):
    class AbbreviationReplacer(English.AbbreviationReplacer):
        """Replacer that skips the abbreviations that no full stop follows, with the same result.

        pysbd marks the full stop after each abbreviation. Searching for two hundred of them took more than
        half of the time.
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
