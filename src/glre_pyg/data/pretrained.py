"""Section 3.1: tokenizers and configurations of pretrained models, and what an encoder requires of them."""

from __future__ import annotations

import importlib.util
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from inspect import signature
from itertools import chain
from pathlib import Path

import tokenizers
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoTokenizer,
    BertTokenizer,
    PretrainedConfig,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import check_files, read_bytes, read_json, sha256_of
from glre_pyg.utils.json_fields import walk

_FROM_PADDING = {
    *("roberta", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "camembert", "data2vec-text"),
    *("ibert", "longformer", "luke", "mpnet", "xmod"),
}
"""Model types whose positions begin after the padding id: RoBERTa has 514 for 512 tokens."""
_TEXT_ENCODERS = {
    *("albert", "bert", "big_bird", "camembert", "convbert", "data2vec-text", "deberta", "deberta-v2"),
    *("distilbert", "electra", "ernie", "eurobert", "longformer", "megatron-bert", "mobilebert"),
    *("modernbert", "mpnet", "nomic_bert", "nystromformer", "rembert", "roberta", "roberta-prelayernorm"),
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


def read_pretrained(source: str) -> tuple[PreTrainedTokenizerBase, PretrainedConfig]:
    """Read tokenizer and configuration of a pretrained model.

    Raises:
        InputError: If there are none, or a file is a pipe, a device or a socket.
    """
    check_files(Path(source))
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
        config._attn_implementation = config._experts_implementation = None  # it may name kernels on the hub
        return _pretrained_tokenizer(source), config
    except (OSError, ValueError, ImportError) as error:
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        hint = "" if importlib.util.find_spec("sentencepiece") else " (is the extra sentencepiece missing?)"
        raise InputError(f"encoder: no model '{source}': {reason}{hint}") from error


def _pretrained_tokenizer(source: str) -> PreTrainedTokenizerBase:
    tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    vocabulary = tokenizer.get_vocab()
    if vocabulary.keys() <= set(tokenizer.all_special_tokens):
        raise OSError("there are no files of a tokenizer")  # transformers creates an empty one
    cased = any(token[2:3].isupper() for token in vocabulary if token.startswith("##"))
    if cased and tokenizer.tokenize("A") == tokenizer.tokenize("a"):
        # A cased WordPiece vocabulary without the setting do_lower_case=False (BioBERT 1.1).
        return AutoTokenizer.from_pretrained(source, do_lower_case=False, trust_remote_code=False)
    return tokenizer


def train_tokenizer(words: Iterable[list[str]], vocab_size: int) -> PreTrainedTokenizerBase:
    """Build a WordPiece vocabulary of characters and frequent words, which depends on the words only."""
    counts = Counter(word.lower() for document in words for word in document)
    characters = sorted({character for word in counts for character in word})
    frequent = sorted(counts, key=lambda word: (-counts[word], word))
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens = dict.fromkeys([*special, *characters, *(f"##{c}" for c in characters), *frequent])
    return BertTokenizer(vocab={token: number for number, token in enumerate([*tokens][:vocab_size])})


def read_saved(folder: Path) -> tuple[PreTrainedTokenizerBase, PretrainedConfig]:
    """Read tokenizer and configuration that a run has saved; see :func:`_saved_config` for what is used."""
    return _saved_tokenizer(folder), _saved_config(folder / "config.json")


def check_encoder(
    tokenizer: PreTrainedTokenizerBase,
    config: PretrainedConfig,
    *,
    special_ids: Sequence[int],
    max_length: int,
) -> None:
    """Check that a tokenizer maps tokens to words, and fits a model that is a text encoder.

    Args:
        tokenizer: The tokenizer.
        config: Configuration of the model.
        special_ids: Ids of the special tokens around a window.
        max_length: Maximum length of a window.

    Raises:
        InputError: If they do not.
    """
    if not tokenizer.is_fast:
        raise InputError(f"encoder: {type(tokenizer).__name__} does not map tokens to words")
    _check_model_type(config.model_type)
    highest, rows = max(chain(tokenizer.get_vocab().values(), special_ids)), config.vocab_size
    if highest >= rows:
        raise InputError(f"encoder: the tokenizer has the id {highest}, and the model {rows} embeddings")
    positions = num_positions(config)
    if positions is not None and max_length > positions:
        raise InputError(f"encoder: max_length {max_length} exceeds the model's {positions} positions")


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
    backend = tokenizers.Tokenizer.from_buffer(read_bytes(folder / "tokenizer.json"))
    return PreTrainedTokenizerFast(tokenizer_object=backend, **names)


def _content(token: object) -> str | None:
    """Return the text of a special token, which is saved alone or with its options."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None
