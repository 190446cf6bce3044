"""Section 3.1: tokenizers, which add the only part of a graph that depends on the encoder.

``tokenizer(graph)`` adds three tensors: ``input_ids`` [T]; ``word_index`` [T], the word of each token;
``window_index`` [T], the window of each token. A document that is too long for the encoder is split into
overlapping windows; tokens in an overlap are in both, and T counts them twice. T does not include special
tokens, which the encoder adds around each window.

With ``marker``, mentions have a marker token before and after them, and the graph has ``marker_index``
[2, K]: the token of the first marker and its mention, for each window that contains it, ascending by token.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Protocol, Self

import msgspec
import numpy as np
import torch
from transformers import AutoConfig, BatchEncoding, PretrainedConfig, PreTrainedTokenizerBase

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.data.pretrained import (
    check_encoder,
    find_pretrained,
    read_pretrained,
    read_saved,
    train_tokenizer,
)
from glre_pyg.utils.exceptions import InputError, as_input_errors
from glre_pyg.utils.files import read_json
from glre_pyg.utils.json_fields import convert
from glre_pyg.utils.ranges import NonNegativeInt, PositiveInt

_CACHE_SIZE = 200_000
"""Maximum number of words whose tokens are cached; more than the vocabulary of a corpus of abstracts."""


class Tokenizer(Protocol):
    """Protocol of tokenizers, which map the words of a graph to ids and are saved with a run."""

    def __call__(self, graph: DocumentGraph) -> DocumentGraph:
        """Add ``input_ids``, ``word_index`` and ``window_index`` to the graph."""
        ...

    def save(self, folder: Path) -> None:
        """Write the files that :meth:`load` reads to a folder."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the files that :meth:`save` has written."""
        ...


class _Settings(msgspec.Struct):
    max_length: PositiveInt
    overlap: NonNegativeInt
    marker: str | None = None


class SubwordTokenizer:
    """Subword tokens of a Hugging Face tokenizer, in windows; each word is tokenized on its own.

    A word without tokens becomes the unknown token, so that every word has one. Names of special tokens have
    no meaning in a text: a word ``[SEP]`` is tokenized like any other.

    Args:
        tokenizer: A fast tokenizer.
        config: Configuration of the model.
        max_length: Maximum length of a window, including special tokens.
        overlap: Minimum number of tokens that consecutive windows share.
        source: Folder or hub name of the pretrained weights; None if there are none.
        marker: Text of the marker before and after each mention, such as ``"*"``, which is part of the
            mention's first or last word; None for no markers. Mentions that begin with the same word share
            their first marker.

    Raises:
        InputError: If the model is not a text encoder, the tokenizer is not a fast one, has tokens without an
            embedding, or the windows do not fit the model.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        config: PretrainedConfig,
        *,
        max_length: PositiveInt,
        overlap: NonNegativeInt,
        source: str | None,
        marker: str | None = None,
    ) -> None:
        self.tokenizer, self.config, self.source = tokenizer, config, source
        self.max_length, self.overlap, self.marker = max_length, overlap, marker
        probe = tokenizer("a", return_special_tokens_mask=True, return_token_type_ids=True)
        ids, special = probe["input_ids"], probe["special_tokens_mask"]
        end = len(ids) - special[::-1].index(0)
        self.prefix: list[int] = ids[: special.index(0)]
        self.suffix: list[int] = ids[end:]
        self.suffix_types: list[int] = probe["token_type_ids"][end:]
        check_encoder(tokenizer, config, special_ids=self.prefix + self.suffix, max_length=max_length)
        fallbacks = (tokenizer.unk_token_id, tokenizer.mask_token_id, tokenizer.pad_token_id, 0)
        self.unknown_id: int = next(number for number in fallbacks if number is not None)
        self.pad_id: int = tokenizer.pad_token_id or 0
        self.mask_id: int | None = tokenizer.mask_token_id
        self._cached_ids: dict[str, list[int]] = {}
        # Byte-level tokenizers recognize the beginning of a word by the space before it.
        text = tokenizer("a a", add_special_tokens=False)["input_ids"]
        self._space = "" if self._encode(["a", "a"])["input_ids"] == text else " "
        self._marker_ids = self._token_ids([marker])[0] if marker else []
        if self.capacity <= overlap:
            raise InputError(
                f"encoder: max_length {max_length} leaves no room beside an overlap of {overlap}"
            )

    @property
    def capacity(self) -> int:
        """Maximum number of tokens of a window, without special tokens."""
        return self.max_length - len(self.prefix) - len(self.suffix)

    @classmethod
    def build(
        cls,
        words: Iterable[list[str]],
        *,
        name: str,
        max_length: PositiveInt,
        overlap: NonNegativeInt,
        package: str | None = None,
        folder: str = "",
        sha256: str | None = None,
        marker: str | None = None,
    ) -> Self:
        """Load the tokenizer of a pretrained model; see :func:`find_pretrained` for its location."""
        source = find_pretrained(name, package, folder, sha256)
        tokenizer, model = read_pretrained(source)
        return cls(tokenizer, model, max_length=max_length, overlap=overlap, source=source, marker=marker)

    @classmethod
    def train(
        cls,
        words: Iterable[list[str]],
        *,
        vocab_size: PositiveInt,
        config: dict[str, str | int | float],
        max_length: PositiveInt,
        overlap: NonNegativeInt,
        marker: str | None = None,
    ) -> Self:
        """Build a vocabulary and the configuration of an untrained model; see :func:`train_tokenizer`."""
        tokenizer = train_tokenizer(chain(words, [[marker]] if marker else []), vocab_size)
        sizes = {"vocab_size": len(tokenizer), "max_position_embeddings": max_length}
        with as_input_errors("encoder.tokenizer.config"):
            model = AutoConfig.for_model(**config, **sizes)
        return cls(tokenizer, model, max_length=max_length, overlap=overlap, source=None, marker=marker)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the tokenizer and the model's configuration from a run."""
        settings = convert(read_json(folder / "pieces.json"), _Settings, "pieces.json")
        tokenizer, model = read_saved(folder)
        return cls(tokenizer, model, source=None, **msgspec.structs.asdict(settings))

    def save(self, folder: Path) -> None:
        """Write the tokenizer, the model's configuration and the settings of windows and markers."""
        self.tokenizer.save_pretrained(folder)
        self.config.save_pretrained(folder)
        settings: dict[str, int | str] = {"max_length": self.max_length, "overlap": self.overlap}
        if self.marker:
            settings["marker"] = self.marker
        (folder / "pieces.json").write_text(json.dumps(settings), encoding="utf-8")

    def __call__(self, graph: DocumentGraph) -> DocumentGraph:
        """Add ``input_ids``, ``word_index`` and ``window_index`` to the graph; with markers, their index."""
        rows = self._token_ids(graph.words)
        mentions = graph["mention"].span.numpy()  # [M, 2]
        if self._marker_ids:
            for word in {*mentions[:, 0].tolist()}:
                rows[word] = self._marker_ids + rows[word]
            for end in {*mentions[:, 1].tolist()}:
                rows[end - 1] = rows[end - 1] + self._marker_ids
        sizes = np.fromiter(map(len, rows), np.int64, len(rows))
        ids = np.fromiter(chain.from_iterable(rows), np.int64, sizes.sum())
        words = np.arange(len(rows)).repeat(sizes)
        breaks = set(graph["sentence"].span[:, 0].tolist())
        spans = windows(words, breaks, capacity=self.capacity, overlap=self.overlap)
        inside = np.concatenate([np.arange(0), *(np.arange(start, end) for start, end in spans)])
        window = np.arange(len(spans)).repeat([end - start for start, end in spans])
        graph.input_ids, graph.word_index = torch.from_numpy(ids[inside]), torch.from_numpy(words[inside])
        graph.window_index = torch.from_numpy(window)
        if self._marker_ids:
            first = (sizes.cumsum() - sizes)[mentions[:, 0]]  # first token of each mention
            graph.marker_index = torch.from_numpy(_occurrences(inside, first))
        return graph

    def _token_ids(self, words: list[str]) -> list[list[int]]:
        """Return the ids of the tokens of each word, which do not depend on its context and are cached."""
        # Several threads may share the tokenizer: only complete rows are put into the cache.
        known = self._cached_ids = {} if len(self._cached_ids) > _CACHE_SIZE else self._cached_ids
        new = [*{word for word in words if word not in known}]
        if new:
            rows: dict[str, list[int]] = {word: [] for word in new}
            encoding = self._encode([self._space + word for word in new])
            for token, index in zip(encoding["input_ids"], encoding.word_ids(), strict=True):
                rows[new[index]].append(token)
            known |= rows
        return [known[word] or [self.unknown_id] for word in words]

    def _encode(self, words: list[str]) -> BatchEncoding:
        with as_input_errors("encoder: tokenizer"):
            return self.tokenizer(
                words,
                is_split_into_words=True,
                add_special_tokens=False,
                split_special_tokens=True,
                truncation=False,
                verbose=False,
            )


def _occurrences(tokens: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return where each of the wanted tokens occurs: positions and indices of wanted tokens [2, K].

    >>> _occurrences(np.array([5, 6, 7, 6]), np.array([6, 5, 6])).tolist()
    [[0, 1, 1, 3, 3], [1, 0, 2, 0, 2]]
    """
    position = np.isin(tokens, wanted).nonzero()[0]
    order = wanted.argsort(kind="stable")
    start, end = (wanted[order].searchsorted(tokens[position], side) for side in ("left", "right"))
    count = end - start
    offset = (start - (count.cumsum() - count)).repeat(count)
    return np.stack([position.repeat(count), order[np.arange(count.sum()) + offset]])


def windows(
    words: Sequence[int] | np.ndarray, breaks: set[int], *, capacity: int, overlap: int
) -> list[tuple[int, int]]:
    """Split the tokens of a document into windows ``[start, end)``, none of which is within another.

    A window ends at the last sentence boundary in its second half, else between two words, else (in a word
    longer than the window) at its maximum length; the next begins at least ``overlap`` tokens before that.

    Args:
        words: Word of each token.
        breaks: First words of sentences.
        capacity: Maximum number of tokens of a window.
        overlap: Minimum number of tokens that consecutive windows share.

    Example:
        >>> windows([0, 1, 1, 2, 3, 4], {0, 2}, capacity=4, overlap=1)
        [(0, 3), (1, 5), (4, 6)]
    """
    index = np.asarray(words)
    between = (index[1:] != index[:-1]).nonzero()[0] + 1
    cuts: list[int] = between.tolist()
    sentences = between[np.isin(index[between], [*breaks])].tolist()
    spans = []
    start, end = 0, overlap
    while len(index) - start > capacity:
        full = start + capacity
        boundary = _last(sentences, after=max(end, start + capacity // 2), up_to=full)
        end = boundary or _last(cuts, after=end, up_to=full) or full
        spans.append((start, end))
        start = _last(cuts, after=start, up_to=end - overlap) or end - overlap
    return [*spans, (start, len(index))] if len(index) else []


def _last(cuts: list[int], *, after: int, up_to: int) -> int | None:
    """Return the last cut in ``(after, up_to]``; None if there is none."""
    count = bisect_right(cuts, up_to)
    return cuts[count - 1] if count and cuts[count - 1] > after else None
