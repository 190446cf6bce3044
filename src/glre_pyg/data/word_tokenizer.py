"""Table 4, "w/o BERT": the tokenizer of word embeddings."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import msgspec
import torch

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.data.word_vectors import WordVectors
from glre_pyg.utils.files import read_json
from glre_pyg.utils.json_fields import convert
from glre_pyg.utils.ranges import NonNegativeInt, PositiveInt


class _Vocabulary(msgspec.Struct):
    words: list[str]
    lowercase: bool
    width: PositiveInt | None = None


class WordTokenizer:
    """Tokenizer with one token per word and one window per document (Table 4, "w/o BERT").

    Args:
        words: Vocabulary; the id of a word is its position plus one, and 0 is the unknown word.
        lowercase: Whether to lowercase words.
        vectors: Pretrained vectors of the first words of the vocabulary, or None.
        width: Width of the pretrained vectors if they are in the weights of a trained model, or None.
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
        min_count: NonNegativeInt,
        lowercase: bool,
        vectors: str | None,
        max_vectors: PositiveInt | None,
    ) -> Self:
        """Build a vocabulary: the words of the vector file, then other words of the training documents.

        Args:
            words: Words of the training documents.
            min_count: Minimum number of occurrences of words without a pretrained vector.
            lowercase: Whether to lowercase words.
            vectors: GloVe or word2vec file, text or binary; None trains all vectors from scratch.
            max_vectors: Maximum number of vectors to read from the file.
        """
        pretrained = WordVectors.read(Path(vectors), limit=max_vectors) if vectors else None
        known = dict.fromkeys(pretrained.words if pretrained else ())
        counts = Counter(word.lower() if lowercase else word for document in words for word in document)
        new = sorted(word for word, count in counts.items() if count >= min_count and word not in known)
        return cls([*known, *new], lowercase=lowercase, vectors=pretrained)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the vocabulary from a run."""
        saved = convert(read_json(folder / "vocabulary.json"), _Vocabulary, "vocabulary.json")
        return cls(saved.words, lowercase=saved.lowercase, width=saved.width)

    def save(self, folder: Path) -> None:
        """Write the vocabulary; its vectors are in the weights of the model."""
        state = {"words": self.words, "lowercase": self.lowercase, "width": self.width}
        (folder / "vocabulary.json").write_text(json.dumps(state), encoding="utf-8")

    def __call__(self, graph: DocumentGraph) -> DocumentGraph:
        """Add ``input_ids``, ``word_index`` and ``window_index`` to the graph."""
        words = [word.lower() if self.lowercase else word for word in graph.words]
        graph.input_ids = torch.tensor([self._number.get(word, 0) for word in words], dtype=torch.long)
        graph.word_index = torch.arange(len(words))
        graph.window_index = torch.zeros(len(words), dtype=torch.long)
        return graph
