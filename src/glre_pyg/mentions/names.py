"""Normalization of names, so that different spellings compare equal.

White space between words, hyphens within them, typographic variants and the English plural are normalized,
and invisible characters are ignored.
Words are those of :mod:`glre_pyg.data.segmentation`.
"""

from __future__ import annotations

import unicodedata

import regex

from glre_pyg.data.document import Span
from glre_pyg.data.segmentation import words_of

_INVISIBLE = regex.compile(r"\p{Default_Ignorable_Code_Point}+")
"""Soft hyphens, zero-width spaces and joiners, byte order marks, direction marks, variation selectors."""
_HYPHENS = frozenset("-\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d")
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u2032", "'"))
_MIN_PLURAL = 4  # letters: "gas", "was" and "his" are not plurals


def spelled(text: str) -> tuple[list[Span], list[str]]:
    """Split a text into words, in Unicode's compatibility form (NFKC).

    Hyphens between two letters or digits are removed: "beta-blocker" and "beta blocker" have the same words.

    Returns:
        Characters ``[start, end)`` and spelling of each word.
    """
    if _INVISIBLE.search(text):
        places = [place for place, character in enumerate(text) if not _INVISIBLE.match(character)]
        spans, words = spelled("".join(text[place] for place in places))
        return [(places[start], places[end - 1] + 1) for start, end in spans], words
    spans, words = [], []
    for start, end in words_of(text):
        word = text[start:end]
        if word in _HYPHENS and text[start - 1 : start].isalnum() and text[end : end + 1].isalnum():
            continue
        spans.append((start, end))
        words.append(word if word.isascii() else _compatible(word))
    return spans, words


def visible(text: str) -> str:
    """Return a text without its invisible characters."""
    return _INVISIBLE.sub("", text)


def _compatible(word: str) -> str:
    # NFKC turns some marks into two characters, a blank and an accent.
    return "".join(unicodedata.normalize("NFKC", word).translate(_APOSTROPHES).split())


def stem(word: str) -> str:
    """Remove the English plural from a lower-case word: the S stemmer of Harman (1991).

    Donna Harman, "How effective is suffixing?", Journal of the American Society for Information Science
    42(1). The first of three rules that matches is applied: "ies" to "y", but not after "a" or "e"; "es" to
    "e", but not after "a", "e" or "o"; "s" to nothing, but not after "u" or "s".

    Here: words of three letters are kept, and "es" is removed after "sh", "ss" and "x".

    Example:
        >>> [stem(word) for word in ("arrests", "therapies", "diseases", "rashes", "virus", "loss", "gas")]
        ['arrest', 'therapy', 'disease', 'rash', 'virus', 'loss', 'gas']
    """
    if len(word) < _MIN_PLURAL or word[-1] != "s":
        return word
    if word.endswith(("shes", "sses", "xes")):
        return word[:-2]
    if word.endswith("ies") and word[-4] not in "ae":
        return word[:-3] + "y"
    if word.endswith("es") and word[-3] not in "aeo":
        return word[:-1]
    return word if word[-2] in "us" else word[:-1]


def acronym(name: str) -> str:
    """Remove the plural "s" from an acronym; other names are returned unchanged.

    Example:
        >>> acronym("CAs"), acronym("AIDS"), acronym("As"), acronym("cats")
        ('CA', 'AIDS', 'As', 'cats')
    """
    singular = name[:-1]
    is_plural = name.endswith("s") and singular.isupper() and sum(map(str.isupper, singular)) > 1
    return singular if is_plural else name


def name_key(name: str) -> str:
    """Return a key that all spellings of a name share, ignoring case and the plural of its last word.

    Example:
        >>> name_key("Beta-Blockers") == name_key("beta  blocker"), name_key("CAs") == name_key("CA")
        (True, True)
    """
    _, words = spelled(acronym(visible(name)))
    folded = [word.casefold() for word in words]
    if folded and not words[-1][-1].isupper():  # a final capital is not a plural: AIDS
        folded[-1] = stem(folded[-1])
    return " ".join(folded)
