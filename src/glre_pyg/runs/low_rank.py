"""Small saved models: of the encoder, they store how it differs from the pretrained one.

The difference of a matrix is approximated by one of low rank, the product of two narrow matrices (a truncated
singular value decomposition); the rest is stored in half precision. When such a model is loaded, the
pretrained encoder comes from its Python package or from the hub.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import copy
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from glre_pyg.data.pretrained import find_pretrained
from glre_pyg.data.tokenizer import SubwordTokenizer, Tokenizer
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.encoder import TransformerEncoder
from glre_pyg.nn.transformer import build_transformer
from glre_pyg.runs.encoder_cache import weights_key
from glre_pyg.runs.weights import Header, check_weights, read_header
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import WriteError

BASE, BASE_KEY = "base", "base_weights"
"""Metadata of the weights: name of the encoder in ``conf/encoder``, and hash of its pretrained weights."""
_LEFT, _RIGHT = ".left", ".right"
_PREFIX = "encoder.transformer."


def pretrained_weights(name: str, tokenizer: Tokenizer) -> dict[str, Tensor]:
    """Return the pretrained weights of an encoder, by their names in a model.

    Args:
        name: Name of the encoder in ``conf/encoder``.
        tokenizer: The tokenizer of the model.

    Raises:
        InputError: If there is no such encoder, or its weights cannot be found.
    """
    file = Path(config_dir(), "encoder", f"{name}.yaml")
    settings: Any = {}
    if re.fullmatch(r"\w+", name) and file.is_file():
        settings = yaml.safe_load(file.read_text(encoding="utf-8")).get("tokenizer", {})
    source = settings.get("name", "???")
    if not isinstance(tokenizer, SubwordTokenizer) or source == "???":
        raise InputError(f"encoder: '{name}' is not a pretrained encoder of conf/encoder")
    tokenizer = copy(tokenizer)
    package, folder, sha256 = (settings.get(key) for key in ("package", "folder", "sha256"))
    tokenizer.source = find_pretrained(source, package, folder or "", sha256)
    transformer = build_transformer(tokenizer, dropout=None, attention_dropout=None)
    return {f"{_PREFIX}{key}": value for key, value in transformer.state_dict().items()}


def compressed(model: RelationModel, base: Mapping[str, Tensor], rank: int) -> dict[str, Tensor]:
    """Return what is stored of the weights of a model.

    Args:
        model: The model, with a fine-tuned transformer as encoder.
        base: Pretrained weights of its encoder; see :func:`pretrained_weights`.
        rank: Rank of the differences of its matrices.

    Raises:
        InputError: If the model has no transformer as encoder, or another one.
    """
    if not isinstance(getattr(model, "encoder", None), TransformerEncoder):
        raise InputError("run: only models with a transformer can be compressed")
    weights = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    if not base.keys() <= weights.keys() or any(weights[name].shape != base[name].shape for name in base):
        raise InputError("run: the encoder of the model is not the pretrained one")
    stored: dict[str, Tensor] = {}
    for name, value in weights.items():
        if name not in base:
            stored[name] = _half(value)
        elif torch.equal(value, base[name]):
            continue
        elif value.ndim == 2 and rank * sum(value.shape) < value.numel():
            left, scale, right = torch.linalg.svd(value - base[name], full_matrices=False)
            root = scale[:rank].sqrt()
            stored[name + _LEFT] = (left[:, :rank] * root).half()
            stored[name + _RIGHT] = (root[:, None] * right[:rank]).half()
        else:
            stored[name] = _half(value)
    return {name: value.contiguous() for name, value in sorted(stored.items())}


def _half(value: Tensor) -> Tensor:
    """Return a matrix in half precision; vectors, such as biases, take little room as they are."""
    return value.half() if value.is_floating_point() and value.ndim > 1 else value


def restored(stored: Mapping[str, Tensor], base: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a model; see :func:`compressed`."""
    weights = {**base}
    for name, value in stored.items():
        plain = name.removesuffix(_LEFT)
        if plain != name and (right := stored.get(plain + _RIGHT)) is not None:
            weights[plain] = base[plain] + value.float() @ right.float()
        elif not name.endswith(_RIGHT):
            weights[name] = value.float() if value.is_floating_point() else value
    return weights


def save_compressed(stored: dict[str, Tensor], name: str, base: Mapping[str, Tensor], path: Path) -> None:
    """Write compressed weights.

    Args:
        stored: See :func:`compressed`.
        name: Name of the encoder.
        base: Its pretrained weights.
        path: The file.

    Raises:
        WriteError: If it cannot be written.
    """
    try:
        save_file(stored, path, {BASE: name, BASE_KEY: _key_of(base)})
    except (SafetensorError, OSError) as error:
        raise WriteError.from_error(path, error) from error


def _key_of(base: Mapping[str, Tensor]) -> str:
    """Return a hash of pretrained weights."""
    holder = nn.Module()
    for number, (_, value) in enumerate(sorted(base.items())):
        holder.register_buffer(str(number), value)
    return weights_key(holder)


def is_compressed(metadata: Mapping[str, str]) -> bool:
    """Whether the metadata of weights are those of compressed ones."""
    return BASE in metadata


def load_compressed(
    make_model: Callable[[], RelationModel], path: Path, tokenizer: Tokenizer
) -> RelationModel:
    """Load a model with compressed weights.

    Args:
        make_model: Makes the model.
        path: The weights.
        tokenizer: The tokenizer of the model.

    Raises:
        InputError: If the weights do not fit the model, are not finite, or the pretrained encoder cannot be
            found or is another one.
    """
    header, metadata = read_header(path)
    check_weights(make_model, path, _restored_header(path, header), may_lack=_PREFIX)
    base = pretrained_weights(metadata[BASE], tokenizer)
    if _key_of(base) != metadata.get(BASE_KEY):
        raise InputError(f"{path}: is of other weights of the encoder {metadata[BASE]}")
    weights = restored(load_file(path), base)
    for name, value in weights.items():
        if not value.isfinite().all():
            raise InputError(f"{path}: {name}: not finite")
    model = make_model()
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"{path}: not the weights of the model in config.yaml: {error}") from None
    return model


def _restored_header(path: Path, header: Header) -> Header:
    """Return shapes and types of weights once they are restored, from those of compressed ones."""
    found: Header = {}
    for name, (shape, dtype) in header.items():
        dtype = "F32" if dtype == "F16" else dtype
        if name.endswith(_RIGHT) and name.removesuffix(_RIGHT) + _LEFT in header:
            continue
        if name.endswith(_LEFT):
            right = header.get(name.removesuffix(_LEFT) + _RIGHT, ((), ""))[0]
            if len(shape) != 2 or len(right) != 2 or shape[1] != right[0]:
                raise InputError(f"{path}: {name}: does not belong to a product of two matrices")
            name, shape = name.removesuffix(_LEFT), (shape[0], right[1])
        found[name] = (shape, dtype)
    return found
