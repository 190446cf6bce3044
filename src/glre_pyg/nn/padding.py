"""Grouping of windows by length, which limits padding in the input of a transformer."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np


@dataclass(frozen=True)
class Padding:
    """Layout of windows in a flat array of cells: longest first, padded to the longest window of their group.

    Args:
        start: First cell of each window, in the original order of the windows.
        groups: (number of windows, padded length) of each group.
    """

    start: np.ndarray
    groups: list[tuple[int, int]]

    @classmethod
    def from_lengths(cls, lengths: np.ndarray, *, max_tokens: int | None, max_padding: float | None) -> Self:
        """Build as few groups as the limits allow, split where that saves the most padding.

        Args:
            lengths: Number of tokens of each window, including special tokens.
            max_tokens: Maximum number of cells of a group; a longer window forms its own group. None for no
                limit.
            max_padding: Maximum share of padding; None for no limit.

        Example:
            >>> Padding.from_lengths(np.array([10, 500, 480]), max_tokens=None, max_padding=0.1)
            Padding(start=array([1000,    0,  500]), groups=[(2, 500), (1, 10)])
        """
        order = np.argsort(-lengths, kind="stable")
        ranked = lengths[order]
        cuts = _cuts(ranked, 1.0 if max_padding is None else max_padding)
        groups = []
        for first, last in pairwise(cuts):
            limit = last - first if max_tokens is None else max(1, max_tokens // int(ranked[first]))
            groups += [(min(limit, last - row), int(ranked[row])) for row in range(first, last, limit)]
        widths = np.repeat([width for _, width in groups], [rows for rows, _ in groups])
        start = np.empty_like(lengths)
        start[order] = widths.cumsum() - widths
        return cls(start, groups)

    @property
    def cells(self) -> int:
        """Total number of cells."""
        return sum(rows * width for rows, width in self.groups)


def _cuts(ranked: np.ndarray, max_padding: float) -> list[int]:
    """Return the boundaries of groups of descending lengths with at most the given share of padding."""
    count, real = len(ranked), ranked.sum()
    cuts = [0, count]
    while True:
        bounds = np.array(cuts)
        width = ranked[bounds[:-1]].repeat(np.diff(bounds))
        if width.sum() - real <= max_padding * width.sum():
            return cuts
        behind = bounds[1:].repeat(np.diff(bounds)) - np.arange(count)  # windows up to the group's end
        cuts = sorted([*cuts, int(((width - ranked) * behind).argmax())])
