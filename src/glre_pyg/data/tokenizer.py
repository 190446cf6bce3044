"""Words to encoder ids: the only part of a graph that depends on the encoder (Section 3.1).

``pieces(graph)`` adds three tensors: ``input_ids`` [T], the ids; ``word_index`` [T], the word of each
piece; ``window_index`` [T], the window of each piece. A document that the encoder cannot take at once
is cut into overlapping windows; pieces in an overlap stand in both, so T counts them twice.
Special tokens are no pieces: the encoder adds them around each window.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    BatchEncoding,
    BertTokenizer,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.data.word_vectors import WordVectors
from glre_pyg.utils.exceptions import InputError


class Tokenizer(Protocol):
    """What turns the words of a graph into ids, kept with a run so that the run can be loaded anywhere."""

    def __call__(self, graph: DocumentGraph) -> DocumentGraph:
        """Add ``input_ids``, ``word_index`` and ``window_index`` to the graph."""
        ...

    def save(self, folder: Path) -> None:
        """Write what :meth:`load` needs into a folder."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` wrote."""
        ...


def find_pretrained(name: str, package: str | None, folder: str, sha256: str | None) -> str:
    """Where a pretrained model is: inside an installed Python package, else its hub name or folder.

    Args:
        name: Hub name or folder, the answer where the package is not installed.
        package: Package that carries the model, or None.
        folder: The model's folder inside the package.
        sha256: Checksum of the package's ``model.safetensors``.

    Raises:
        InputError: If the package has no weights, or not the ones that the checksum names.
    """
    found = importlib.util.find_spec(package) if package else None
    if found is None or not found.submodule_search_locations:
        return name
    path = Path(found.submodule_search_locations[0]) / folder
    weights = path / "model.safetensors"
    if not weights.is_file():
        raise InputError(f"{weights}: the package {package} has no such file")
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if sha256 and digest != sha256:
        raise InputError(f"{weights}: sha256 is {digest}, expected {sha256}")
    return str(path)


def num_positions(config: PretrainedConfig) -> int | None:
    """Longest input that a model has positions for; None if any length will do (XLNet, DeBERTa-v3)."""
    count: int | None = getattr(config, "max_position_embeddings", None)
    if count is None or count < 0 or not getattr(config, "position_biased_input", True):
        return None
    return count - config.pad_token_id - 1 if config.model_type in _FROM_PADDING else count


def _config(place: str) -> PretrainedConfig:
    """The configuration of a model, without the code of the hub (``kernels``) that it may ask for."""
    config = AutoConfig.from_pretrained(place, trust_remote_code=False)
    config._attn_implementation = config._experts_implementation = None
    return config


def _tokenizer(place: str) -> PreTrainedTokenizerBase:
    tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
    vocabulary = tokenizer.get_vocab()
    if vocabulary.keys() <= set(tokenizer.all_special_tokens):
        raise OSError("there are no files of a tokenizer")  # transformers makes one that knows no word
    cased = any(piece[2:3].isupper() for piece in vocabulary if piece.startswith("##"))
    if cased and tokenizer.tokenize("A") == tokenizer.tokenize("a"):
        # A WordPiece vocabulary with capitals, but no setting that keeps them (BioBERT 1.1).
        return AutoTokenizer.from_pretrained(place, do_lower_case=False, trust_remote_code=False)
    return tokenizer


class SubwordTokenizer:
    """Pieces of a Hugging Face tokenizer, each word on its own, in windows.

    A word that the tokenizer maps to nothing becomes its unknown token, so that no word is lost. The names of
    special tokens mean nothing in a text: a word ``[SEP]`` is split as any other.

    Args:
        tokenizer: A fast tokenizer.
        config: Configuration of the model that the pieces are for.
        max_length: Longest encoder input, special tokens included.
        overlap: Pieces that two neighbouring windows share, at least.
        source: Folder or hub name of the pretrained weights; None if there are none.

    Raises:
        InputError: If the tokenizer is not a fast one, or the windows do not fit the model.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        config: PretrainedConfig,
        *,
        max_length: int,
        overlap: int,
        source: str | None,
    ) -> None:
        self.tokenizer, self.config, self.source = tokenizer, config, source
        self.max_length, self.overlap = max_length, overlap
        if not tokenizer.is_fast:
            raise InputError(f"encoder: {type(tokenizer).__name__} does not say which word a piece is of")
        probe = tokenizer("a", return_special_tokens_mask=True, return_token_type_ids=True)
        ids, special = probe["input_ids"], probe["special_tokens_mask"]
        end = len(ids) - special[::-1].index(0)
        self.prefix: list[int] = ids[: special.index(0)]
        self.suffix: list[int] = ids[end:]
        self.suffix_types: list[int] = probe["token_type_ids"][end:]
        stand_ins = (tokenizer.unk_token_id, tokenizer.mask_token_id, tokenizer.pad_token_id, 0)
        self.unknown_id: int = next(number for number in stand_ins if number is not None)
        self.pad_id: int = tokenizer.pad_token_id or 0
        self.mask_id: int | None = tokenizer.mask_token_id
        self._known: dict[str, list[int]] = {}
        # Byte-level tokenizers tell a word from the inside of one by the space before it.
        text = tokenizer("a a", add_special_tokens=False)["input_ids"]
        self._space = "" if self._encode(["a", "a"])["input_ids"] == text else " "
        positions = num_positions(config)
        if positions is not None and max_length > positions:
            raise InputError(f"encoder: max_length {max_length} exceeds the model's {positions} positions")
        if self.capacity <= overlap:
            raise InputError(
                f"encoder: max_length {max_length} leaves no room beside an overlap of {overlap}"
            )

    @property
    def capacity(self) -> int:
        """Pieces that one window holds."""
        return self.max_length - len(self.prefix) - len(self.suffix)

    @classmethod
    def build(
        cls,
        words: Iterable[list[str]],
        *,
        name: str,
        max_length: int,
        overlap: int,
        package: str | None = None,
        folder: str = "",
        sha256: str | None = None,
    ) -> Self:
        """Pieces of a pretrained model; see :func:`find_pretrained` for where it is looked for."""
        source = find_pretrained(name, package, folder, sha256)
        return cls._read(source, max_length=max_length, overlap=overlap, source=source)

    @classmethod
    def train(
        cls,
        words: Iterable[list[str]],
        *,
        vocab_size: int,
        config: dict[str, str | int | float],
        max_length: int,
        overlap: int,
    ) -> Self:
        """Pieces of a small WordPiece vocabulary, for an untrained model: characters, then frequent words.

        The vocabulary depends on the words alone, so that a run can be repeated.
        """
        counts = Counter(word.lower() for document in words for word in document)
        characters = sorted({character for word in counts for character in word})
        frequent = sorted(counts, key=lambda word: (-counts[word], word))
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        pieces = dict.fromkeys([*special, *characters, *(f"##{c}" for c in characters), *frequent])
        tokenizer = BertTokenizer(
            vocab={piece: number for number, piece in enumerate([*pieces][:vocab_size])}
        )
        model = AutoConfig.for_model(**config, vocab_size=len(tokenizer), max_position_embeddings=max_length)
        return cls(tokenizer, model, max_length=max_length, overlap=overlap, source=None)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the tokenizer and the model's configuration from a run."""
        windows = json.loads((folder / "pieces.json").read_text())
        return cls._read(str(folder), **windows, source=None)

    @classmethod
    def _read(cls, place: str, *, max_length: int, overlap: int, source: str | None) -> Self:
        try:
            config, tokenizer = _config(place), _tokenizer(place)
        except (OSError, ValueError, ImportError) as error:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            hint = (
                "" if importlib.util.find_spec("sentencepiece") else " (is the extra sentencepiece missing?)"
            )
            raise InputError(f"encoder: no model '{place}': {reason}{hint}") from error
        return cls(tokenizer, config, max_length=max_length, overlap=overlap, source=source)

    def save(self, folder: Path) -> None:
        """Write the tokenizer, the model's configuration and the window sizes."""
        self.tokenizer.save_pretrained(folder)
        self.config.save_pretrained(folder)
        windows = {"max_length": self.max_length, "overlap": self.overlap}
        (folder / "pieces.json").write_text(json.dumps(windows))

    def __call__(self, graph: DocumentGraph) -> DocumentGraph:
        """Add ``input_ids``, ``word_index`` and ``window_index`` to the graph."""
        rows = self._pieces(graph.words)
        sizes = np.fromiter(map(len, rows), np.int64, len(rows))
        ids = np.fromiter(chain.from_iterable(rows), np.int64, sizes.sum())
        words = np.arange(len(rows)).repeat(sizes)
        breaks = set(graph["sentence"].span[:, 0].tolist())
        spans = windows(words, breaks, capacity=self.capacity, overlap=self.overlap)
        inside = np.concatenate([np.arange(0), *(np.arange(start, end) for start, end in spans)])
        window = np.arange(len(spans)).repeat([end - start for start, end in spans])
        graph.input_ids, graph.word_index = torch.from_numpy(ids[inside]), torch.from_numpy(words[inside])
        graph.window_index = torch.from_numpy(window)
        return graph

    def _pieces(self, words: list[str]) -> list[list[int]]:
        """Ids of each word. They do not depend on its neighbours, so each word is looked up once."""
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        new = [*{word for word in words if word not in self._known}]
        if new:
            self._known |= {word: [] for word in new}
            encoding = self._encode([self._space + word for word in new])
            for piece, index in zip(encoding["input_ids"], encoding.word_ids(), strict=True):
                self._known[new[index]].append(piece)
        return [self._known[word] or [self.unknown_id] for word in words]

    def _encode(self, words: list[str]) -> BatchEncoding:
        return self.tokenizer(
            words,
            is_split_into_words=True,
            add_special_tokens=False,
            split_special_tokens=True,
            truncation=False,
            verbose=False,
        )


def windows(
    words: Sequence[int] | np.ndarray, breaks: set[int], *, capacity: int, overlap: int
) -> list[tuple[int, int]]:
    """Windows ``[start, end)`` over the pieces of a document: every piece in one, no window within another.

    A window ends at the last sentence break in its second half, else between two words, else (a word
    longer than the window) where it is full; the next begins at least ``overlap`` pieces before that.

    Args:
        words: The word of each piece.
        breaks: Words that begin a sentence.
        capacity: Pieces a window holds.
        overlap: Pieces that neighbouring windows share.

    Example:
        >>> windows([0, 1, 1, 2, 3, 4], {0, 2}, capacity=4, overlap=1)
        [(0, 3), (1, 5), (4, 6)]
    """
    index = np.asarray(words)
    between = (index[1:] != index[:-1]).nonzero()[0] + 1
    cuts: list[int] = between.tolist()
    sentences = between[np.isin(index[between], [*breaks])].tolist()
    spans = []
    start, done = 0, overlap
    while len(index) - start > capacity:
        full = start + capacity
        late = _last(sentences, after=max(done, start + capacity // 2), up_to=full)
        done = late or _last(cuts, after=done, up_to=full) or full
        spans.append((start, done))
        start = _last(cuts, after=start, up_to=done - overlap) or done - overlap
    return [*spans, (start, len(index))] if len(index) else []


def _last(cuts: list[int], *, after: int, up_to: int) -> int | None:
    found = bisect_right(cuts, up_to)
    return cuts[found - 1] if found and cuts[found - 1] > after else None


class WordTokenizer:
    """One id a word, for the encoder without BERT (Table 4, "w/o BERT"); one window a document.

    Args:
        words: Known words; a word's id is its position plus one, and 0 is any other word.
        lowercase: Whether words are looked up in lower case.
        vectors: Pretrained vectors of the first of these words, or None.
        width: Width of pretrained vectors that are not at hand because a trained model has them; or None.
    """

    def __init__(
        self,
        words: list[str],
        *,
        lowercase: bool,
        vectors: WordVectors | None = None,
        width: int | None = None,
    ) -> None:
        self.words, self.lowercase, self.vectors = words, lowercase, vectors
        self.width = width if vectors is None else vectors.table.shape[1]
        self._number = {word: index for index, word in enumerate(words, 1)}

    @classmethod
    def build(
        cls,
        words: Iterable[list[str]],
        *,
        min_count: int,
        lowercase: bool,
        vectors: str | None,
        max_vectors: int | None,
    ) -> Self:
        """The words of the vector file, then the other words of the training documents.

        Args:
            words: Words of the training documents.
            min_count: Occurrences that a word without a pretrained vector needs.
            lowercase: Whether words are looked up in lower case.
            vectors: GloVe or word2vec file, text or binary; None learns all vectors from scratch.
            max_vectors: Vectors read from the file at most.
        """
        pretrained = WordVectors.read(Path(vectors), limit=max_vectors) if vectors else None
        known = dict.fromkeys(pretrained.words if pretrained else ())
        counts = Counter(word.lower() if lowercase else word for document in words for word in document)
        new = sorted(word for word, count in counts.items() if count >= min_count and word not in known)
        return cls([*known, *new], lowercase=lowercase, vectors=pretrained)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the words from a run."""
        return cls(**json.loads((folder / "vocabulary.json").read_text()))

    def save(self, folder: Path) -> None:
        """Write the words; their vectors are among the model's weights."""
        state = {"words": self.words, "lowercase": self.lowercase, "width": self.width}
        (folder / "vocabulary.json").write_text(json.dumps(state))

    def __call__(self, graph: DocumentGraph) -> DocumentGraph:
        """Add ``input_ids``, ``word_index`` and ``window_index`` to the graph."""
        words = [word.lower() if self.lowercase else word for word in graph.words]
        graph.input_ids = torch.tensor([self._number.get(word, 0) for word in words], dtype=torch.long)
        graph.word_index = torch.arange(len(words))
        graph.window_index = torch.zeros(len(words), dtype=torch.long)
        return graph


_REMEMBERED = 200_000
"""Words whose pieces are kept at hand; more than an abstracts corpus has."""
_FROM_PADDING = {
    *("roberta", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "camembert", "data2vec-text"),
    *("ibert", "longformer", "luke", "mpnet", "xmod"),
}
"""Model types that number positions from behind the padding id: RoBERTa has 514 for 512 pieces."""
