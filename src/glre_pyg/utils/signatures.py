"""Whether a config fits the signatures of the classes that it names, checked before anything is called."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import is_dataclass
from importlib import import_module
from inspect import Parameter, isclass, signature
from typing import Any, get_args, get_origin, get_type_hints

from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.json_fields import convert

_HYDRA = {"_target_", "_partial_", "_convert_", "_recursive_"}
_CHECKED = ("glre_pyg.", "torch.")
"""Packages whose classes have to be of the expected type; those of others may be duck-typed."""


def check_call(node: object, type: Any, place: str, *, is_partial: bool) -> None:
    """Refuse a part of a config that does not make an object of a type.

    Args:
        node: Mapping with ``_target_`` and its arguments.
        type: Class or protocol of the object.
        place: Place of the mapping in the config.
        is_partial: Whether further arguments are given later (``_partial_``).

    Raises:
        InputError: If the target is not of the type, or an argument is missing, not known, or neither finite
            nor of the type of its parameter. A class as the type of a parameter needs a mapping with
            ``_target_``, a ``Callable`` that returns one a partial call.
    """
    if not isinstance(node, dict) or "_target_" not in node:
        raise InputError(f"{place}: expected a mapping with _target_, got '{node}'")
    target = locate(node["_target_"], f"{place}._target_")
    if bool(node.get("_partial_")) is not is_partial:
        raise InputError(f"{place}._partial_: expected {str(is_partial).lower()}")
    is_checked = str(getattr(target, "__module__", "")).startswith(_CHECKED)
    if not callable(target) or (is_checked and not _is_a(target, type)):
        raise InputError(f"{place}._target_: '{node['_target_']}' is not a {type.__name__}")
    parameters = signature(target).parameters
    if all(parameter.kind is not Parameter.VAR_KEYWORD for parameter in parameters.values()):
        for name in node.keys() - parameters.keys() - _HYDRA:
            raise InputError(f"{place}.{name}: {target.__name__} has no such argument")
    for name, parameter in parameters.items():
        is_required = parameter.kind is Parameter.KEYWORD_ONLY and parameter.default is Parameter.empty
        if is_required and name not in node:
            raise InputError(f"{place}.{name}: missing")
    described = target.__init__ if isclass(target) and not is_dataclass(target) else target
    hints = get_type_hints(described, include_extras=True) if is_checked else {}
    for name, value in node.items():
        if name in hints:
            _check_argument(value, hints[name], f"{place}.{name}")


def _check_argument(value: object, type: Any, place: str) -> None:
    if get_origin(type) is Callable:
        check_call(value, get_args(type)[1], place, is_partial=True)
    elif isclass(type) and type.__module__.startswith(_CHECKED):
        check_call(value, type, place, is_partial=False)
    else:
        convert(value, type, place)
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{place}: {value} is not finite")


def _is_a(target: Any, type: Any) -> bool:
    """Whether a class is a subclass of another, or has the methods of a protocol."""
    if not getattr(type, "_is_protocol", False):
        return isclass(target) and issubclass(target, type)
    methods = [name for name in vars(type) if not name.startswith("_") and callable(getattr(type, name))]
    return isclass(target) and all(hasattr(target, name) for name in methods)


def locate(target: object, place: str) -> Any:
    """Find an object by its dotted name as Hydra does: attributes before modules.

    Raises:
        InputError: If there is no such object.
    """
    try:
        first, *names = str(target).split(".")
        value, module = import_module(first), first
        for name in names:
            module = f"{module}.{name}"
            value = getattr(value, name) if hasattr(value, name) else import_module(module)
    except (ImportError, ValueError):
        raise InputError(f"{place}: there is no '{target}' here") from None
    return value
