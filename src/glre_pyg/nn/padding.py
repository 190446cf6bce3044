"""Windows of many lengths as rows of few groups, so that a transformer gets little padding."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import numpy as np


@dataclass(frozen=True)
class Padding:
    """Where windows stand, one behind another, longest first, each padded to the longest of its group.

    Args:
        start: First cell of each window, in the order of the windows.
        groups: (windows, cells of each) of every group.
    """

    start: np.ndarray
    groups: list[tuple[int, int]]

    @classmethod
    def of(cls, lengths: np.ndarray, *, max_tokens: int | None, max_padding: float | None) -> Self:
        """As few groups as will do: cut where most padding is saved, then where a group is too large.

        Args:
            lengths: Tokens of each window, special tokens included.
            max_tokens: Cells of a group; a window that is longer by itself is a group of its own. None for
                no limit.
            max_padding: Share of the cells that may be padding; None for no limit.

        Example:
            >>> Padding.of(np.array([10, 500, 480]), max_tokens=None, max_padding=0.1)
            Padding(start=array([1000,    0,  500]), groups=[(2, 500), (1, 10)])
        """
        order = np.argsort(-lengths, kind="stable")
        ranked = lengths[order]
        cuts = _cuts(ranked, 1.0 if max_padding is None else max_padding)
        groups = []
        for first, last in pairwise(cuts):
            most = last - first if max_tokens is None else max(1, max_tokens // int(ranked[first]))
            groups += [(min(most, last - row), int(ranked[row])) for row in range(first, last, most)]
        widths = np.repeat([width for _, width in groups], [rows for rows, _ in groups])
        start = np.empty_like(lengths)
        start[order] = widths.cumsum() - widths
        return cls(start, groups)

    @property
    def cells(self) -> int:
        """Cells of all groups."""
        return sum(rows * width for rows, width in self.groups)


def _cuts(ranked: np.ndarray, max_padding: float) -> list[int]:
    """Bounds of groups of descending lengths whose padding is at most a share of their cells."""
    count, real = len(ranked), ranked.sum()
    cuts = [0, count]
    while True:
        bounds = np.array(cuts)
        width = ranked[bounds[:-1]].repeat(np.diff(bounds))
        if width.sum() - real <= max_padding * width.sum():
            return cuts
        behind = bounds[1:].repeat(np.diff(bounds)) - np.arange(count)  # windows from here to the group's end
        cuts = sorted([*cuts, int(((width - ranked) * behind).argmax())])
