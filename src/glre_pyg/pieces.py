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
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, Self

import torch
from transformers import AutoConfig, AutoTokenizer, PretrainedConfig, PreTrainedTokenizerBase

from glre_pyg.document import InputError
from glre_pyg.graph import DocumentGraph
from glre_pyg.vectors import WordVectors


class Pieces(Protocol):
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
        InputError: If the package's weights are not the ones that the checksum names.
    """
    found = importlib.util.find_spec(package) if package else None
    if found is None or not found.submodule_search_locations:
        return name
    path = Path(found.submodule_search_locations[0]) / folder
    digest = hashlib.sha256((path / "model.safetensors").read_bytes()).hexdigest()
    if sha256 and digest != sha256:
        raise InputError(f"{path / 'model.safetensors'}: sha256 is {digest}, expected {sha256}")
    return str(path)


class Subwords:
    """Pieces of a Hugging Face tokenizer, each word on its own, in windows.

    A word that the tokenizer maps to nothing becomes its unknown token, so that no word is lost.

    Args:
        tokenizer: A fast tokenizer that accepts words (``add_prefix_space`` where it is byte-level).
        config: Configuration of the model that the pieces are for.
        max_length: Longest encoder input, special tokens included.
        overlap: Pieces that two neighbouring windows share, at least.
        source: Folder or hub name of the pretrained weights; None if there are none.
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
        probe = tokenizer("a", return_special_tokens_mask=True)
        ids, special = probe["input_ids"], probe["special_tokens_mask"]
        self.prefix: list[int] = ids[: special.index(0)]
        self.suffix: list[int] = ids[len(ids) - special[::-1].index(0) :]
        self.pad_id: int = tokenizer.pad_token_id or 0
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
        """Pieces of a small WordPiece vocabulary learnt from the training words, for an untrained model."""
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
        from transformers import BertTokenizerFast

        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        learner = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        learner.normalizer = normalizers.BertNormalizer(lowercase=True)
        learner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(
            vocab_size=vocab_size, special_tokens=special, show_progress=False
        )
        learner.train_from_iterator((" ".join(document) for document in words), trainer)
        tokenizer = BertTokenizerFast(tokenizer_object=learner)
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
            config = AutoConfig.from_pretrained(place)
            tokenizer = AutoTokenizer.from_pretrained(place, use_fast=True, add_prefix_space=True)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"encoder: no model '{place}': {reason}") from error
        return cls(tokenizer, config, max_length=max_length, overlap=overlap, source=source)

    def save(self, folder: Path) -> None:
        """Write the tokenizer, the model's configuration and the window sizes."""
        self.tokenizer.save_pretrained(folder)
        self.config.save_pretrained(folder)
        windows = {"max_length": self.max_length, "overlap": self.overlap}
        (folder / "pieces.json").write_text(json.dumps(windows))

    def __call__(self, graph: DocumentGraph) -> DocumentGraph:
        """Add ``input_ids``, ``word_index`` and ``window_index`` to the graph."""
        ids, words = self._pieces(graph.words)
        breaks = set(graph["sentence"].span[:, 0].tolist())
        spans = windows(words, breaks, capacity=self.capacity, overlap=self.overlap)
        graph.input_ids = torch.tensor([i for start, end in spans for i in ids[start:end]], dtype=torch.long)
        graph.word_index = torch.tensor(
            [w for start, end in spans for w in words[start:end]], dtype=torch.long
        )
        sizes = torch.tensor([end - start for start, end in spans], dtype=torch.long)
        graph.window_index = torch.arange(len(spans)).repeat_interleave(sizes)
        return graph

    def _pieces(self, words: list[str]) -> tuple[list[int], list[int]]:
        if not words:
            return [], []
        encoding = self.tokenizer(
            words, is_split_into_words=True, add_special_tokens=False, truncation=False, verbose=False
        )
        ids: list[int] = []
        index: list[int] = []
        unknown: int = self.tokenizer.unk_token_id
        for piece, word in zip(encoding["input_ids"], encoding.word_ids(), strict=True):
            for missing in range(index[-1] + 1 if index else 0, word):
                ids.append(unknown)
                index.append(missing)
            ids.append(piece)
            index.append(word)
        missing = range(index[-1] + 1 if index else 0, len(words))
        return [*ids, *(unknown for _ in missing)], [*index, *missing]


def windows(words: list[int], breaks: set[int], *, capacity: int, overlap: int) -> list[tuple[int, int]]:
    """Windows ``[start, end)`` over the pieces of a document: none empty, every piece in one at least.

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
    spans = []
    start = 0
    while len(words) - start > capacity:
        full = start + capacity
        fits = [cut for cut in range(start + 1, full + 1) if words[cut] != words[cut - 1]]
        late = [cut for cut in fits if words[cut] in breaks and cut - start > max(overlap, capacity // 2)]
        end = (late or [cut for cut in fits if cut - start > overlap] or [full])[-1]
        spans.append((start, end))
        back = [cut for cut in fits if cut <= end - overlap]
        start = back[-1] if back else end - overlap
    return [*spans, (start, len(words))] if words else []


class Vocabulary:
    """One id a word, for the encoder without BERT (Table 4, "w/o BERT"); one window a document.

    Args:
        words: Known words; a word's id is its position plus one, and 0 is any other word.
        lowercase: Whether words are looked up in lower case.
        vectors: Pretrained vectors of some of these words, or None.
    """

    def __init__(self, words: list[str], *, lowercase: bool, vectors: WordVectors | None = None) -> None:
        self.words, self.lowercase, self.vectors = words, lowercase, vectors
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
        state = {"words": self.words, "lowercase": self.lowercase}
        (folder / "vocabulary.json").write_text(json.dumps(state))

    def __call__(self, graph: DocumentGraph) -> DocumentGraph:
        """Add ``input_ids``, ``word_index`` and ``window_index`` to the graph."""
        words = [word.lower() if self.lowercase else word for word in graph.words]
        graph.input_ids = torch.tensor([self._number.get(word, 0) for word in words], dtype=torch.long)
        graph.word_index = torch.arange(len(words))
        graph.window_index = torch.zeros(len(words), dtype=torch.long)
        return graph
