"""How windows of many lengths are laid out for a transformer."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from glre_pyg.nn.padding import Padding

LENGTHS = st.lists(st.integers(3, 512), min_size=1, max_size=80).map(np.array)
TOKENS = st.one_of(st.none(), st.integers(1, 10_000))
SHARE = st.one_of(st.none(), st.floats(0, 1))


@given(LENGTHS, TOKENS, SHARE)
def test_every_window_has_its_cells_in_a_group_within_the_limits(lengths, tokens, share):
    padding = Padding.from_lengths(lengths, max_tokens=tokens, max_padding=share)
    assert sum(rows for rows, _ in padding.groups) == len(lengths)
    assert all(rows * width <= tokens or rows == 1 for rows, width in padding.groups if tokens is not None)
    starts, first = [], 0
    for rows, width in padding.groups:
        starts += [(first + row * width, width) for row in range(rows)]
        first += rows * width
    assert first == padding.cells
    room = dict(starts)
    assert sorted(padding.start.tolist()) == [start for start, _ in starts]
    assert all(length <= room[start] for start, length in zip(padding.start, lengths, strict=True))
    if share is not None:
        assert padding.cells - lengths.sum() <= share * padding.cells * (1 + 1e-9)


@given(LENGTHS, TOKENS)
def test_no_padding_at_all_makes_a_group_of_each_length(lengths, tokens):
    padding = Padding.from_lengths(lengths, max_tokens=tokens, max_padding=0.0)
    assert padding.cells == lengths.sum()
    if tokens is None:
        assert len(padding.groups) == len(set(lengths.tolist()))


@given(LENGTHS)
def test_without_limits_there_is_one_group(lengths):
    padding = Padding.from_lengths(lengths, max_tokens=None, max_padding=None)
    assert padding.groups == [(len(lengths), lengths.max())]
    assert padding.start[lengths.argmax()] == 0


@given(LENGTHS, st.floats(0, 0.9))
def test_one_group_where_that_is_padded_little_enough(lengths, share):
    padding = Padding.from_lengths(lengths, max_tokens=None, max_padding=share)
    together = 1 - lengths.sum() / (lengths.max() * len(lengths))
    assert (len(padding.groups) == 1) == (together <= share)


def test_the_first_cut_saves_most():
    """Three full windows and the rest of a long document: the rest goes by itself."""
    padding = Padding.from_lengths(np.array([512, 80, 500, 510]), max_tokens=None, max_padding=0.1)
    assert padding.groups == [(3, 512), (1, 80)]
    assert padding.start.tolist() == [0, 3 * 512, 2 * 512, 512]


def test_a_document_of_twenty_thousand_words():
    lengths = np.array([512] * 59 + [200])
    padding = Padding.from_lengths(lengths, max_tokens=8192, max_padding=0.1)
    assert padding.groups == [(16, 512)] * 3 + [(12, 512)]
