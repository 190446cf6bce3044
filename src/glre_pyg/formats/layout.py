"""The text of formats that have words only."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain, pairwise
from typing import NamedTuple

from glre_pyg.data.document import Sentence, Span


class Layout(NamedTuple):
    """A text of words joined by spaces.

    Args:
        text: The text.
        words: Characters ``[start, end)`` of its words.
        bounds: First word of each sentence, and the number of words.
    """

    text: str
    words: tuple[Span, ...]
    bounds: tuple[int, ...]

    @classmethod
    def of(cls, sentences: Sequence[Sequence[str]]) -> Layout:
        """Join sentences, given as words."""
        words = list(chain.from_iterable(sentences))
        starts = accumulate((len(word) + 1 for word in words), initial=0)
        spans = tuple((start, start + len(word)) for start, word in zip(starts, words, strict=False))
        return cls(" ".join(words), spans, tuple(accumulate(map(len, sentences), initial=0)))

    @property
    def sentences(self) -> tuple[Sentence, ...]:
        """The sentences that have words."""
        return tuple(Sentence(start, end) for start, end in pairwise(self.bounds) if start < end)
