"""Section 3.1: tokenizers, which add the only part of a graph that depends on the encoder.

``tokenizer(graph)`` adds three tensors: ``input_ids`` [T]; ``word_index`` [T], the word of each token;
``window_index`` [T], the window of each token. A document that is too long for the encoder is split into
overlapping windows; tokens in an overlap are in both, and T counts them twice. T does not include special
tokens, which the encoder adds around each window.
"""

from __future__ import annotations

import importlib.util
import json
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from inspect import signature
from itertools import chain
from pathlib import Path
from typing import Protocol, Self

import msgspec
import numpy as np
import tokenizers
import torch
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoTokenizer,
    BatchEncoding,
    BertTokenizer,
    PretrainedConfig,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.utils.exceptions import InputError, as_input_errors
from glre_pyg.utils.files import read_json, sha256_of
from glre_pyg.utils.json_fields import convert, walk
from glre_pyg.utils.ranges import NonNegativeInt, PositiveInt


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


def find_pretrained(name: str, package: str | None, folder: str, sha256: str | None) -> str:
    """Return the folder of a pretrained model in an installed Python package, else its hub name or folder.

    Args:
        name: Hub name or folder, returned if the package is not installed.
        package: Package that contains the model, or None.
        folder: Folder of the model in the package.
        sha256: Checksum of ``model.safetensors`` in the package.

    Raises:
        InputError: If the package has no weights, or weights with another checksum.
    """
    found = importlib.util.find_spec(package) if package else None
    if found is None or not found.submodule_search_locations:
        return name
    path = Path(found.submodule_search_locations[0]) / folder
    weights = path / "model.safetensors"
    if not weights.is_file():
        raise InputError(f"{weights}: the package {package} has no such file")
    digest = sha256_of(weights)
    if sha256 and digest != sha256:
        raise InputError(f"{weights}: sha256 is {digest}, expected {sha256}")
    return str(path)


def num_positions(config: PretrainedConfig) -> int | None:
    """Return the maximum input length of a model; None if there is no maximum (XLNet, DeBERTa-v3)."""
    count: int | None = getattr(config, "max_position_embeddings", None)
    if count is None or count < 0 or not getattr(config, "position_biased_input", True):
        return None
    return count - config.pad_token_id - 1 if config.model_type in _FROM_PADDING else count


def _config(place: str) -> PretrainedConfig:
    """Read the configuration of a model, without kernels from the hub that it may name."""
    config = AutoConfig.from_pretrained(place, trust_remote_code=False)
    config._attn_implementation = config._experts_implementation = None
    return config


def _tokenizer(place: str) -> PreTrainedTokenizerBase:
    tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
    vocabulary = tokenizer.get_vocab()
    if vocabulary.keys() <= set(tokenizer.all_special_tokens):
        raise OSError("there are no files of a tokenizer")  # transformers creates an empty one
    cased = any(token[2:3].isupper() for token in vocabulary if token.startswith("##"))
    if cased and tokenizer.tokenize("A") == tokenizer.tokenize("a"):
        # A cased WordPiece vocabulary without the setting do_lower_case=False (BioBERT 1.1).
        return AutoTokenizer.from_pretrained(place, do_lower_case=False, trust_remote_code=False)
    return tokenizer


def _saved_config(path: Path) -> PretrainedConfig:
    """Read the configuration of a text encoder that a run has saved.

    Only the fields that describe its layers are used: none that names a file, a repository or code, such as
    ``auto_map``, ``backbone``, ``quantization_config`` or ``_attn_implementation``.

    Raises:
        InputError: If it is not a text encoder, or a field is out of range.
    """
    saved = read_json(path)
    kind = _check_model_type(saved.get("model_type"))
    fields = signature(CONFIG_MAPPING[kind]).parameters.keys() - signature(PretrainedConfig).parameters.keys()
    known = {name: value for name, value in saved.items() if name in fields | _UNDECLARED_FIELDS}
    for place, _, value in walk(known):
        if isinstance(value, int | float) and not (math.isfinite(value) and abs(value) <= _MAX_SIZE):
            raise InputError(f"{path.name}: {place}: {value} is out of range")
    return CONFIG_MAPPING[kind](**known)


def _check_model_type(kind: object) -> str:
    if not isinstance(kind, str) or kind not in _TEXT_ENCODERS:
        raise InputError(f"encoder: model_type: '{kind}' is not one of {', '.join(sorted(_TEXT_ENCODERS))}")
    return kind


def _saved_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Read the tokenizer of a run from its ``tokenizer.json``; its class plays no role."""
    settings = read_json(folder / "tokenizer_config.json")
    names = {name: _content(settings.get(name)) for name in _SPECIAL_TOKENS}
    backend = tokenizers.Tokenizer.from_buffer((folder / "tokenizer.json").read_bytes())
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


def _content(token: object) -> str | None:
    """Return the text of a special token, which is saved alone or with its options."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


class _WindowSizes(msgspec.Struct):
    max_length: PositiveInt
    overlap: NonNegativeInt


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
    ) -> None:
        self.tokenizer, self.config, self.source = tokenizer, config, source
        self.max_length, self.overlap = max_length, overlap
        if not tokenizer.is_fast:
            raise InputError(f"encoder: {type(tokenizer).__name__} does not map tokens to words")
        _check_model_type(config.model_type)
        probe = tokenizer("a", return_special_tokens_mask=True, return_token_type_ids=True)
        ids, special = probe["input_ids"], probe["special_tokens_mask"]
        end = len(ids) - special[::-1].index(0)
        self.prefix: list[int] = ids[: special.index(0)]
        self.suffix: list[int] = ids[end:]
        self.suffix_types: list[int] = probe["token_type_ids"][end:]
        fallbacks = (tokenizer.unk_token_id, tokenizer.mask_token_id, tokenizer.pad_token_id, 0)
        self.unknown_id: int = next(number for number in fallbacks if number is not None)
        self.pad_id: int = tokenizer.pad_token_id or 0
        self.mask_id: int | None = tokenizer.mask_token_id
        self._cached_ids: dict[str, list[int]] = {}
        # Byte-level tokenizers recognize the beginning of a word by the space before it.
        text = tokenizer("a a", add_special_tokens=False)["input_ids"]
        self._space = "" if self._encode(["a", "a"])["input_ids"] == text else " "
        positions, rows = num_positions(config), config.vocab_size
        highest = max(chain(tokenizer.get_vocab().values(), self.prefix, self.suffix))
        if highest >= rows:
            raise InputError(f"encoder: the tokenizer has the id {highest}, and the model {rows} embeddings")
        if positions is not None and max_length > positions:
            raise InputError(f"encoder: max_length {max_length} exceeds the model's {positions} positions")
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
    ) -> Self:
        """Load the tokenizer of a pretrained model; see :func:`find_pretrained` for its location."""
        source = find_pretrained(name, package, folder, sha256)
        try:
            config, tokenizer = _config(source), _tokenizer(source)
        except (OSError, ValueError, ImportError) as error:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            hint = (
                "" if importlib.util.find_spec("sentencepiece") else " (is the extra sentencepiece missing?)"
            )
            raise InputError(f"encoder: no model '{source}': {reason}{hint}") from error
        return cls(tokenizer, config, max_length=max_length, overlap=overlap, source=source)

    @classmethod
    def train(
        cls,
        words: Iterable[list[str]],
        *,
        vocab_size: PositiveInt,
        config: dict[str, str | int | float],
        max_length: PositiveInt,
        overlap: NonNegativeInt,
    ) -> Self:
        """Build a WordPiece vocabulary of characters and frequent words, for an untrained model.

        The vocabulary depends on the words only, which makes runs reproducible.
        """
        counts = Counter(word.lower() for document in words for word in document)
        characters = sorted({character for word in counts for character in word})
        frequent = sorted(counts, key=lambda word: (-counts[word], word))
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        tokens = dict.fromkeys([*special, *characters, *(f"##{c}" for c in characters), *frequent])
        tokenizer = BertTokenizer(
            vocab={token: number for number, token in enumerate([*tokens][:vocab_size])}
        )
        sizes = {"vocab_size": len(tokenizer), "max_position_embeddings": max_length}
        with as_input_errors("encoder.tokenizer.config"):
            model = AutoConfig.for_model(**config, **sizes)
        return cls(tokenizer, model, max_length=max_length, overlap=overlap, source=None)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the tokenizer and the model's configuration from a run."""
        sizes = convert(read_json(folder / "pieces.json"), _WindowSizes, "pieces.json")
        config, tokenizer = _saved_config(folder / "config.json"), _saved_tokenizer(folder)
        return cls(tokenizer, config, max_length=sizes.max_length, overlap=sizes.overlap, source=None)

    def save(self, folder: Path) -> None:
        """Write the tokenizer, the model's configuration and the window sizes."""
        self.tokenizer.save_pretrained(folder)
        self.config.save_pretrained(folder)
        windows = {"max_length": self.max_length, "overlap": self.overlap}
        (folder / "pieces.json").write_text(json.dumps(windows), encoding="utf-8")

    def __call__(self, graph: DocumentGraph) -> DocumentGraph:
        """Add ``input_ids``, ``word_index`` and ``window_index`` to the graph."""
        rows = self._token_ids(graph.words)
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

    def _token_ids(self, words: list[str]) -> list[list[int]]:
        """Return the ids of the tokens of each word, which do not depend on its context and are cached."""
        if len(self._cached_ids) > _CACHE_SIZE:
            self._cached_ids.clear()
        new = [*{word for word in words if word not in self._cached_ids}]
        if new:
            self._cached_ids |= {word: [] for word in new}
            encoding = self._encode([self._space + word for word in new])
            for token, index in zip(encoding["input_ids"], encoding.word_ids(), strict=True):
                self._cached_ids[new[index]].append(token)
        return [self._cached_ids[word] or [self.unknown_id] for word in words]

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


_CACHE_SIZE = 200_000
"""Maximum number of words whose tokens are cached; more than the vocabulary of a corpus of abstracts."""
_FROM_PADDING = {
    *("roberta", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "camembert", "data2vec-text"),
    *("ibert", "longformer", "luke", "mpnet", "xmod"),
}
"""Model types whose positions begin after the padding id: RoBERTa has 514 for 512 tokens."""
_TEXT_ENCODERS = {
    *("albert", "bert", "big_bird", "camembert", "convbert", "data2vec-text", "deberta", "deberta-v2"),
    *("distilbert", "electra", "ernie", "eurobert", "longformer", "megatron-bert", "mobilebert"),
    *(
        "modernbert",
        "mpnet",
        "nomic_bert",
        "nystromformer",
        "rembert",
        "roberta",
        "roberta-prelayernorm",
        "squeezebert",
    ),
    *("squeezebert", "xlm-roberta", "xlm-roberta-xl", "xlnet", "xmod"),
}
"""Model types of encoders: those that need nothing but their configuration and weights."""
_UNDECLARED_FIELDS = {
    *("attention_head_size", "conv_act", "conv_groups", "conv_kernel_size", "embedding_size", "head_dim"),
    *("norm_rel_ebd", "position_buckets", "position_embedding_type", "share_att_key", "talking_head"),
}
"""Fields that models of these types read, though the classes of their configurations do not declare them."""
_SPECIAL_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
_MAX_SIZE = 1 << 20
"""Maximum of a number in a saved configuration; the largest vocabularies have 250,000 tokens."""
