"""What the ``tokenizer.json`` of somebody else's model may ask for, before it is used.

A regular expression in it may take for ever, and a few replacements one after another can make a word longer
than the memory: ``a`` to ``aa``, forty times. So the regular expressions are those of known text encoders,
and each step happens once and makes a text only a little longer.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from glre_pyg.utils.exceptions import InputError, as_input_errors
from glre_pyg.utils.files import read_json
from glre_pyg.utils.json_fields import walk

PATTERNS = {
    # sentencepiece: ALBERT, BigBird, CamemBERT, RemBERT, XLM-R, XLNet and DeBERTa
    *(" {2,}", r"\s{2,}|[\n\r\t]", r"\s+", r"[\n\r\t]", r"\n"),
    # byte-level pieces: RoBERTa and ModernBERT, EuroBERT
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+",
}
"""Regular expressions of known text encoders, whose time grows with the length of a text alone."""
_PARTS = ("normalizer", "pre_tokenizer", "post_processor", "decoder")
_REPEATED = ("Sequence", "Replace", "Split")
"""Steps that may happen more than once: they make no text longer."""
_MAX_STEPS, _MAX_TEXT, _MAX_WORD, _MAX_TOKEN = 16, 64, 1000, 1000


def check_tokenizer(path: Path) -> None:
    """Refuse a ``tokenizer.json`` that could take much more time or memory than its text.

    Raises:
        InputError: If it could, or cannot be read.
    """
    content = read_json(path)
    with as_input_errors(path):
        for part in _PARTS:
            for place, problem in _problems(content.get(part)):
                raise InputError(f"{f'{part}.{place}'.rstrip('.')}: {problem}")
        _check_model(content.get("model"))


def _problems(part: Any) -> Iterator[tuple[str, str]]:
    """Yield place and description of what a part of a tokenizer may not be."""
    steps: Counter[object] = Counter()
    for place, key, value in walk([part]):
        place = place.removeprefix("0").removeprefix(".")
        if key == "Regex" and value not in PATTERNS:
            yield place, f"'{value}' is not a regular expression of a known text encoder"
        elif key == "precompiled_charsmap" and isinstance(value, str) and _longest(value) > _MAX_TEXT:
            yield place, "replaces a character by a long text"
        elif (
            isinstance(value, str) and len(value) > _MAX_TEXT and key not in ("precompiled_charsmap", "Regex")
        ):
            yield place, f"a text of {len(value)} characters"
        elif isinstance(value, list | dict) and len(value) > _MAX_STEPS:
            yield place, f"{len(value)} values"
        if isinstance(value, dict):
            steps[value.get("type")] += "type" in value and value["type"] not in _REPEATED
            if value.get("type") == "Replace" and _is_longer(value):
                yield place, "replaces a text by a longer one"
            if value.get("type") == "Prepend" and len(str(value.get("prepend"))) > 1:
                yield place, "adds more than a character to each word"
    if repeated := [step for step, count in steps.items() if count > 1]:
        yield "", f"{repeated[0]} is there more than once"


def _is_longer(replace: dict[str, Any]) -> bool:
    """Whether a step of replacement makes texts longer; what a regular expression finds is not empty."""
    pattern = replace.get("pattern")
    text = pattern.get("String") if isinstance(pattern, dict) else None
    return len(str(replace.get("content"))) > (len(text) if isinstance(text, str) else 1)


def _longest(charsmap: str) -> int:
    """Return the length in bytes of the longest replacement in a map of characters of sentencepiece."""
    raw = base64.b64decode(charsmap)
    start = 4 + int.from_bytes(raw[:4], "little")  # after the trie of what is replaced
    return max(map(len, raw[start:].split(b"\0")))


def _check_model(model: Any) -> None:
    """Refuse pieces that make the time for a word grow with more than its length."""
    if not isinstance(model, dict):
        raise InputError("model: missing")
    for key, value in model.items():
        if isinstance(value, str) and len(value) > _MAX_TEXT:
            raise InputError(f"model.{key}: a text of {len(value)} characters")
    longest = model.get("max_input_chars_per_word", 0)
    if not isinstance(longest, int) or longest > _MAX_WORD:
        raise InputError(f"model.max_input_chars_per_word: '{longest}' is not a number up to {_MAX_WORD}")
    vocabulary = model.get("vocab") or ()
    tokens = (entry[0] if isinstance(entry, list) and entry else entry for entry in vocabulary)
    if any(isinstance(token, str) and len(token) > _MAX_TOKEN for token in tokens):
        raise InputError(f"model.vocab: a token of more than {_MAX_TOKEN} characters")
