"""Words and sentences of texts, for corpora that have neither (the graph of section 3.2 is built from them).

Sentences are split by pysbd or by sentencex. Both only say where a sentence may begin: one begins there if a
mark that ends sentences and white space precede, and no mention lies across. Words are white-space tokens,
split further by a regular expression.

pysbd modifies the text and returns strings. Its sentences are aligned with the text by their non-white-space
characters, so that offsets are exact; a sentence that cannot be aligned is merged with the one before.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any, Literal

import pysbd
from pysbd.lang.english import English

from glre_pyg.data.document import Sentence, Span
from glre_pyg.utils.exceptions import InputError

Segments = tuple[tuple[Span, ...], tuple[Sentence, ...]]
Segmenter = Callable[[str, Iterable[Span], Iterable[Span]], Segments]
"""From a text, spans of mentions and spans of sections to words and sentences, as :func:`segment`."""
Splitter = Literal["pysbd", "sentencex"]
"""Name of what splits sentences, which is that of its package; sentencex needs the extra ``sentencex``."""

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
    r"[A-Za-z]{2,}+(?=[\s!-/:-@\[-^`{-~])"  # most words: what follows says so too, but takes twice the time
    rf"|[{_SCRIPTS}][{_MARKS_OF_SCRIPTS}]*"
    rf"|(?<!{_BODY})[^\W\d_](?:\.[^\W\d_])+\.?(?!{_BODY})"  # dotted abbreviations: i.v., e.g., U.S.A.
    rf"|(?<![\w.,])\.\d+(?!{_BODY})"  # .05
    rf"|{_BODY}+(?:(?<=\d)[.,](?=\d){_BODY}+)*"  # letters and digits; a point or comma between digits: 0.5
    rf"|([.*=~-])\1+|[{_MARK}]"  # a mark; a run of dots or lines
)
# What precedes a sentence; pysbd also splits before "2)", and both after "mg." in "mg./ml".
_END = re.compile(
    r"[.!?…。．！？\r\n](?:"  # all ends begin with one of these, so that a search is fast
    r"(?<=[.!?…])(?:[\"'”’)\]}»]|\[[\d,\s-]+\])*(?:\d{1,3})?\s+|(?<=[。．！？])[」』”’）]*\s*|(?<=[\r\n])\s*)$"
)
_END_LENGTH = 32  # characters

# Replacements before a splitter reads the text, of the same length, so that offsets are kept:
_REPLACED = str.maketrans(dict.fromkeys("∯∮♨☝♬♭☉☇☈☄ȸȹ☏ƪ♟♝✂⌬⎋ᓰᓱᓳᓴᓷᓸ", "x"))  # markers of pysbd
_REPLACED |= dict.fromkeys(range(0x1C, 0x20), " ")  # white space that both do not know as such
_WRAP = re.compile(r"(?<![\r\n])(?:\r\n|\r|\n)(?=[^\S\r\n]*[a-zß-öø-ÿ])")  # line breaks within a sentence
# Long lists of references, "[10, 11, 12, 13]", after a full stop, which take pysbd exponential time.
_REFERENCES_AT_END = re.compile(r"\.\[[\d,\s\[\]-]{14,}\](?=\s[A-Z])")
_REFERENCES = re.compile(r"\[[\d,\s\[\]-]{14,}")

_FOLDED = re.compile("[ſıİ]")  # match s and i in patterns that ignore case, but are not lower-cased to them

_REFERENCE_AT_END = re.compile(r"[.!?]\[[\d,\s-]+\](?=\s+[A-Z])")  # sentencex breaks before the bracket
_LINE = re.compile(r"[^\r\n]+")

_PART = 4_000  # characters; both take quadratic time in the length of some lines
_SLACK = 8  # characters that pysbd may drop between two sentences


def segment(
    text: str,
    spans: Iterable[Span] = (),
    sections: Iterable[Span] = (),
    *,
    splitter: Splitter = "pysbd",
) -> Segments:
    """Split a text into words and sentences.

    Every non-white-space character is in exactly one word, every word in exactly one sentence.

    Args:
        text: The text.
        spans: Characters ``[start, end)`` of mentions, each of which will begin and end at words of one
            sentence.
        sections: Characters ``[start, end)`` of sections, which begin a sentence, except inside a mention.
        splitter: What splits sentences.

    Returns:
        Words as characters ``[start, end)``, and sentences as words ``[start, end)``.

    Raises:
        InputError: If the package of the splitter is not installed.
    """
    spans = list(spans)
    parts = sorted({0, len(text), *(position for section in sections for position in section)})
    words = _words(text, {position for span in spans for position in span}.union(parts))
    return tuple(words), sentences_of(text, words, spans, sections=parts, splitter=splitter)


def segmenter_of(splitter: Splitter) -> Segmenter:
    """Return :func:`segment` with a splitter.

    Raises:
        InputError: If there is no such splitter, or its package is not installed.
    """
    if splitter not in _SPLITTERS:
        raise InputError(f"sentences: '{splitter}' is not one of {', '.join(_SPLITTERS)}")
    _SPLITTERS[splitter]("")  # raises the error now, and not for the first document
    return partial(segment, splitter=splitter)


def sentences_of(
    text: str,
    words: Sequence[Span],
    spans: Iterable[Span] = (),
    *,
    sections: Sequence[int] = (),
    splitter: Splitter = "pysbd",
) -> tuple[Sentence, ...]:
    """Split a text whose words are known into sentences.

    Args:
        text: The text.
        words: Characters ``[start, end)`` of its words.
        spans: Characters ``[start, end)`` of mentions, each of which will be in one sentence.
        sections: Characters at which a sentence begins, except inside a mention, and the end of the text.
        splitter: What splits sentences.

    Raises:
        InputError: If the package of the splitter is not installed.
    """
    breaks = {
        bisect_left(words, (start,))
        for part in pairwise(sections or (0, len(text)))
        for start in _sentence_starts(text, *part, _SPLITTERS[splitter])
    } - {0, len(words)}
    at = 0
    for start, end in sorted(spans):  # no break inside a mention
        at = max(at, bisect_left(words, (start,)) + 1)
        last = bisect_left(words, (end,))
        breaks.difference_update(range(at, last))
        at = max(at, last)
    bounds = [0, *sorted(breaks), len(words)] if words else []
    return tuple(Sentence(*bound) for bound in pairwise(bounds))


def words_of(text: str) -> list[Span]:
    """Return the words ``[start, end)`` of a text, as :func:`segment` splits it without mentions."""
    return _words(text, ())


def _words(text: str, cuts: Iterable[int]) -> list[Span]:
    """Return words ``[start, end)``, none of which crosses a position of `cuts`."""
    words = [match.span() for match in _WORD.finditer(text)]
    for cut in cuts:  # of which few are inside a word
        index = bisect_left(words, (cut,)) - 1
        if index >= 0 and cut < words[index][1]:
            start, end = words[index]
            words[index : index + 1] = (start, cut), (cut, end)
    return words


def _sentence_starts(text: str, start: int, end: int, split: Callable[[str], Sequence[int]]) -> Iterator[int]:
    """Yield the characters at which sentences of ``text[start:end]`` begin."""
    yield start
    plain, at = _plain(text[start:end]), 0
    while at < len(plain):
        part = plain[at : at + 2 * _PART]
        found = split(part)
        cut = len(part)
        if at + cut < len(plain) and found and found[-1] >= _PART:
            cut = found[-1]  # the last sentence is split again, together with what follows it
        for position in found:
            first = at + position
            if position < cut and _END.search(plain, max(0, first - _END_LENGTH), first):
                yield start + first
        at += cut


def _plain(text: str) -> str:
    """Replace what splitters cannot handle, keeping the length of the text."""
    text = text.translate(_REPLACED)
    if "\n" in text or "\r" in text:
        text = _WRAP.sub(lambda match: " " * len(match.group()), text)
    text = _REFERENCES_AT_END.sub(_with_full_stop_last, text)
    return _REFERENCES.sub(lambda match: "x" * len(match.group()), text)


def _with_full_stop_last(match: re.Match[str]) -> str:
    return "x" * (len(match.group()) - 1) + "."


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


def _sentencex(text: str) -> list[int]:
    """Return the characters at which sentencex begins a sentence in each line.

    In a text of several lines, it would find the end of a sentence only at empty ones.
    """
    try:
        from sentencex import get_sentence_boundaries
    except ImportError:
        raise InputError("sentences: sentencex is not installed: pip install 'glre_pyg[sentencex]'") from None
    text = _REFERENCE_AT_END.sub(_with_full_stop_last, text)
    return [
        line.start() + sentence["start_index"]
        for line in _LINE.finditer(text)
        for sentence in get_sentence_boundaries("en", line.group())
    ]


def _pysbd(text: str) -> list[int]:
    """Return the characters at which pysbd begins a sentence."""
    return _align(text, _split(text))


_SPLITTERS: Mapping[Splitter, Callable[[str], list[int]]] = {"pysbd": _pysbd, "sentencex": _sentencex}


def _split(text: str) -> list[str]:
    """Split a text with pysbd, without its slow search for offsets."""
    return list(_splitter().processor(text).process())


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
