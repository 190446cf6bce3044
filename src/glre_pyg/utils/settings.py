"""Validation of settings by the type hints of what they configure, before anything is read.

A ``TypedDict`` describes the settings of a command. A value with a ``_target_`` is described by the
parameters of its target: ``heads: PositiveInt`` in a layer is what the setting ``layer.local.heads`` may be.
So models and layers of other packages are checked by their own hints; what has no hint is accepted.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import is_dataclass
from os import PathLike
from pathlib import Path
from types import NoneType, SimpleNamespace, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from msgspec import ValidationError, convert
from omegaconf import DictConfig, OmegaConf

from glre_pyg.utils.console import shown
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.ranges import Rule
from glre_pyg.utils.signatures import locate


def check_settings(config: DictConfig, schema: type, overrides: Sequence[str] = ()) -> None:
    """Check the settings of a command.

    A number in place of a text becomes the text that was written: ``run=0`` names a folder.

    Args:
        config: The composed config.
        schema: ``TypedDict`` of the settings; others are checked if they have a ``_target_``.
        overrides: Overrides of the command line.

    Raises:
        InputError: If a setting is unknown or wrong: one line with its name, its value and what is allowed.
    """
    values: Any = OmegaConf.to_container(config, resolve=True)
    written = {name.lstrip("+"): text for name, _, text in (each.partition("=") for each in overrides)}
    raw: Any = OmegaConf.to_container(config)
    settings = _settings(values, _hints(schema), "")
    for name, value, hint in sorted(settings, key=lambda setting: _is_interpolated(setting[0], raw)):
        if value == "???" or _fits(value, hint):
            continue
        text = _as_text(value, written.get(name))
        if text is None or not _fits(text, hint) or _fits(False, hint):
            raise InputError(f"{name}: '{shown(_yaml(value))}' is not {_description(hint)}")
        if not _is_interpolated(name, raw):
            OmegaConf.update(config, name, text)


def _settings(
    values: Mapping[str, Any], hints: Mapping[str, Any], place: str
) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, value and type hint of the settings below a place."""
    if "_target_" in values:
        hints = _hints_of_target(values, place)
    for key, value in values.items():
        name, hint = f"{place}{key}", hints.get(key, Any)
        if isinstance(value, dict) and ("_target_" in value or hint is Any or typing.is_typeddict(hint)):
            yield from _settings(value, _hints(hint), f"{name}.")
        else:
            yield name, value, hint


def _is_interpolated(name: str, raw: Any) -> bool:
    """Whether the value of a setting is that of another one, which is then named in the error."""
    for key in name.split("."):
        if not isinstance(raw, dict):
            return True
        raw = raw.get(key)
    return isinstance(raw, str) and "${" in raw


def _hints_of_target(values: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    """Return the type hints of the parameters of a target, of which all settings have to be parameters."""
    target = str(values["_target_"])
    value = locate(target, f"{place}_target_")
    if not callable(value):
        raise InputError(f"{place}_target_: '{target}' is neither a class nor a function")
    try:
        parameters = inspect.signature(value).parameters
    except ValueError:  # it is written in C
        return {}
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        unknown = [name for name in values if not str(name).startswith("_") and name not in parameters]
        if unknown:
            allowed = ", ".join(parameters)
            raise InputError(f"{place}{unknown[0]}: is not a setting of {target}, which has {allowed}")
    return _hints(value)


def _hints(described: Any) -> Mapping[str, Any]:
    """Return the type hints of a ``TypedDict``, or of the parameters of a class or function."""
    if typing.is_typeddict(described) or is_dataclass(described):
        return typing.get_type_hints(described, include_extras=True)
    if isinstance(described, type):
        described = described.__init__  # type: ignore[misc]
    hints: dict[str, Any] = {}
    for name, hint in getattr(described, "__annotations__", {}).items():
        holder = SimpleNamespace(__annotations__={name: hint})
        with suppress(NameError):  # only type checkers know it
            hints |= typing.get_type_hints(holder, getattr(described, "__globals__", {}), include_extras=True)
    return hints


def _fits(value: object, hint: Any) -> bool:
    """Whether a value is one that a type hint allows; hints of other than plain values allow any."""
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, member) for member in get_args(hint))
    if get_origin(hint) is Mapping and isinstance(value, dict):
        key_hint, value_hint = get_args(hint)
        return all(_fits(key, key_hint) and _fits(item, value_hint) for key, item in value.items())
    try:
        convert(value, hint)
        for rule in getattr(hint, "__metadata__", ()):
            if isinstance(rule, Rule):
                rule.check(str(value))
    except TypeError:
        return True
    except (ValidationError, ValueError, RecursionError, re.error):
        return False
    return True


def _as_text(value: object, written: str | None) -> str | list[str] | None:
    """Return a number, or a list of numbers, as text."""
    if isinstance(value, bool | int | float):
        return written or _yaml(value)
    return [_yaml(item) for item in value] if isinstance(value, list) else None


def _yaml(value: object) -> str:
    """Return a value as it is written on the command line."""
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)


def _description(hint: Any) -> str:
    """Describe the values that a type hint allows."""
    origin, members = get_origin(hint), get_args(hint)
    if origin is Annotated:
        found = [extra.description for extra in hint.__metadata__ if getattr(extra, "description", None)]
        return found[0] if found else _description(members[0])
    if origin is Literal:
        return f"{'one of ' if len(members) > 1 else ''}{', '.join(map(_yaml, members))}"
    if origin in (Union, UnionType):
        return " or ".join(map(_description, members))
    if origin in (tuple, list, Sequence):
        return f"a list of {' and '.join(map(_description, members))}"
    if origin is Mapping:
        return f"a mapping to {_description(members[1])}"
    names = {bool: "true or false", str: "a text", int: "a whole number", float: "a number", NoneType: "null"}
    return names.get(hint, "a config with _target_")


def text_settings(schema: type) -> set[str]:
    """Return the names of the settings of a ``TypedDict`` that are texts or null."""
    return {name for name, hint in _hints(schema).items() if _is_text(hint)}


def set_texts(config: DictConfig, schema: type, typed: Mapping[str, str]) -> None:
    """Set settings that are texts to what was typed, in place of what Hydra has read it as.

    Args:
        config: The composed config.
        schema: ``TypedDict`` of the settings.
        typed: Values by the name of the setting; those of other settings are not used.
    """
    values: Any = OmegaConf.to_container(config)
    for name, text in typed.items():
        node, hints = values, _hints(schema)
        *path, last = name.split(".")
        for key in path:
            hint, node = hints.get(key), node.get(key) if isinstance(node, dict) else None
            if isinstance(node, dict) and "_target_" in node:
                hint = locate(node["_target_"], f"{key}._target_")
            hints = _hints(hint)
        if _is_text(hints.get(last)):
            OmegaConf.update(config, name, text)


def _is_text(hint: Any) -> bool:
    """Whether a type hint is that of a text or the name of a file, or of null as well."""
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    classes = {get_origin(member) or member for member in members} - {NoneType}
    return bool(classes) and classes <= {str, Path, PathLike}
