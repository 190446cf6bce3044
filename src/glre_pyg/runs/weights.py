"""Model weights as safetensors: reproducible files, checked before memory is allocated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from textwrap import shorten

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_model, save_file
from torch import Tensor, nn

from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import WriteError, check_regular

Header = dict[str, tuple[tuple[int, ...], str]]
"""Shape and type of tensors by name."""


def save_weights(model: nn.Module, path: Path) -> None:
    """Write the weights of a model; shared tensors are stored once, under the first of their names.

    Unlike ``safetensors.torch.save_model``, which records the other names in an order that differs between
    processes, equal weights give equal files. ``safetensors.torch.load_model`` reads both.

    Raises:
        WriteError: If the file cannot be written.
    """
    unique: dict[tuple[object, ...], tuple[str, Tensor]] = {}
    for name, tensor in sorted(model.state_dict().items()):
        memory = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride())
        unique.setdefault(memory if tensor.numel() else (name,), (name, tensor.contiguous()))
    try:
        save_file(dict(unique.values()), path)
    except (SafetensorError, OSError) as error:
        raise WriteError.from_error(path, error) from error


def load_weights(model: nn.Module, path: Path) -> None:
    """Load the weights of a model.

    Raises:
        InputError: If the file is damaged, or the weights are not finite or those of another model.
    """
    try:
        check_regular(path)
        load_model(model, path)
        for name, tensor in model.state_dict().items():
            if not tensor.isfinite().all():
                raise InputError(f"{path}: {name}: not finite")
    except (SafetensorError, OSError) as error:
        raise damaged(path, error) from error
    except RuntimeError as error:  # torch lists all mismatches, one in a line
        first = shorten(" ".join(str(error).splitlines()[1:]) or str(error), 200)
        raise _mismatch(path, first) from error


def read_header(path: Path) -> tuple[Header, dict[str, str]]:
    """Return shape and type of each tensor in a file, and the file's metadata.

    Raises:
        InputError: If the file is damaged.
    """
    try:
        check_regular(path)
        with safe_open(path, framework="pt") as file:
            names, metadata = file.keys(), file.metadata() or {}
            stored = {name: file.get_slice(name) for name in names}
            header = {name: (tuple(it.get_shape()), it.get_dtype()) for name, it in stored.items()}
    except (SafetensorError, OSError) as error:
        raise damaged(path, error) from error
    return header, metadata


def check_weights(
    make_model: Callable[[], nn.Module], path: Path, header: Header, *, may_lack: str | None = None
) -> None:
    """Refuse a model that its weights do not fit before it takes memory: a config can demand any amount.

    Args:
        make_model: Makes the model. It is called on the meta device, where tensors take no memory.
        path: Its weights.
        header: Shapes and types of the weights; see :func:`read_header`.
        may_lack: Prefix of the names of weights that may be missing.

    Raises:
        InputError: If the names, types and shapes in the header are not the model's.
    """
    with torch.device("meta"), _limited(100 * len(header) + 1000, path):
        model = make_model()
    sharing: dict[int, list[str]] = {}
    tensors = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    for name, tensor in model.state_dict(keep_vars=True).items():
        sharing.setdefault(id(tensor), []).append(name)
    if unexpected := header.keys() - set(chain.from_iterable(sharing.values())):
        raise _mismatch(path, f"the model has no {min(unexpected)}")
    for key, aliases in sharing.items():
        tensor, found = tensors[key], [header[name] for name in aliases if name in header]
        if not found:
            if may_lack and aliases[0].startswith(may_lack):
                continue
            raise _mismatch(path, f"{aliases[0]} is missing")
        expected = (tuple(tensor.shape), _DTYPES.get(tensor.dtype))
        for shape, dtype in found:
            if (shape, dtype) != expected:
                raise _mismatch(path, f"{aliases[0]} is {dtype} {shape}, not {expected[1]} {expected[0]}")
    temporary = sum(tensors[key].nbytes for key in tensors.keys() - sharing.keys())
    if temporary > _MAX_BUFFER_BYTES:
        raise _mismatch(path, f"{temporary:,} bytes of buffers")


@contextmanager
def _limited(count: int, path: Path) -> Iterator[None]:
    """Refuse a model of more than so many parameters, buffers and modules while it is being made."""
    remaining = iter(range(count))

    def register(*_: object) -> None:
        if next(remaining, None) is None:
            raise _mismatch(path, "the model has more layers")

    hooks = torch.nn.modules.module
    handles = [
        hooks.register_module_parameter_registration_hook(register),
        hooks.register_module_buffer_registration_hook(register),
        hooks.register_module_module_registration_hook(register),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def damaged(path: Path, error: Exception) -> InputError:
    """Return the error of a file that is not whole."""
    return InputError(f"{path}: not a whole file of safetensors: {getattr(error, 'strerror', None) or error}")


def _mismatch(path: Path, reason: str) -> InputError:
    return InputError(f"{path}: not the weights of the model in config.yaml: {reason}")


_DTYPES = {
    **{torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"},
    **{torch.int64: "I64", torch.int32: "I32", torch.uint8: "U8", torch.bool: "BOOL"},
}
"""Names of types in files of safetensors."""
_MAX_BUFFER_BYTES = 1 << 28
"""Maximum size of the tensors of a model that are not saved, such as the numbers of positions."""
