"""Validation of settings and saved configs by the type hints of what they configure, before anything is made.

A ``TypedDict`` describes the settings of a command. A mapping with a ``_target_`` is described by the
parameters of its target: ``heads: PositiveInt`` in a layer is what the setting ``layer.local.heads`` may be,
and ``loss: Callable[[int], RelationLoss]`` that ``model.loss`` is a partial call that makes a loss.
So models and layers of other packages are checked by their own hints; what has no hint is accepted.
"""

from __future__ import annotations

import inspect
import math
import re
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import is_dataclass
from importlib import import_module
from inspect import Parameter, isclass
from os import PathLike
from os.path import exists
from pathlib import Path
from types import NoneType, SimpleNamespace, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Self, Union, get_args, get_origin

import yaml
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from msgspec import ValidationError, convert
from omegaconf import DictConfig, OmegaConf

from glre_pyg.utils.command_line import listed
from glre_pyg.utils.console import shown
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.ranges import Rule

_HYDRA = {"_target_", "_partial_", "_convert_", "_recursive_"}
_CHECKED = ("glre_pyg.", "torch.")
"""Packages whose classes have to be of the expected type; those of others may be duck-typed."""


class _Problem(NamedTuple):
    name: str
    value: object
    hint: Any
    line: str


def check_settings(config: DictConfig, schema: type, overrides: Sequence[str] = ()) -> None:
    """Check the settings of a command.

    A number in place of a text becomes the text that was written: ``run=0`` names a folder. A text in place
    of a mapping or a list is read as YAML, since Hydra's have no quoted keys, and fewer characters.

    Args:
        config: The composed config.
        schema: ``TypedDict`` of the settings; others are checked if they have a ``_target_``.
        overrides: Overrides of the command line.

    Raises:
        InputError: If a setting is unknown or wrong: one line with its name, its value and what is allowed.
    """
    values = OmegaConf.to_container(config, resolve=True)
    written = {name.lstrip("+"): text for name, _, text in (each.partition("=") for each in overrides)}
    raw = OmegaConf.to_container(config)
    problems = _problems(values, schema, "")
    sourced = [(_source(problem.name, raw), problem) for problem in problems]
    for source, (_, value, hint, line) in sorted(sourced, key=lambda it: it[0] != it[1].name):
        meant = _as_collection(value) if isinstance(value, str) else _as_text(value, written.get(source))
        if meant is None or not _fits(meant, hint) or _fits(False, hint):
            raise InputError(f"{source}{line}")
        OmegaConf.update(config, source, meant)


def check_given(config: DictConfig, *, nested: bool) -> None:
    """Check that no required setting is missing.

    Args:
        config: The config.
        nested: Whether to check the settings of settings, too.

    Raises:
        InputError: If one is.
    """
    for name in sorted(OmegaConf.missing_keys(config)):
        if nested or "." not in name:
            raise InputError(f"{name}: is required: {name}=...")


def check_config(values: object, hint: Any, name: str) -> None:
    """Check one value of a config; a mapping with ``_target_``, and what it has to make, for example.

    Raises:
        InputError: If it is wrong: one line with its name, its value and what is allowed.
    """
    for problem in _problems(values, hint, name):
        raise InputError(f"{problem.name}{problem.line}")


def make(config: DictConfig, hint: Any, name: str) -> Any:
    """Make the object, or the partial call, that a mapping with ``_target_`` describes.

    Raises:
        InputError: If the config is wrong, or the object refuses its arguments.
    """
    check_config(OmegaConf.to_container(config, resolve=True), hint, name)
    try:
        return instantiate(config)
    except InstantiationException as error:
        raise error.__cause__ or error from None


def _source(name: str, raw: Any) -> str:
    """Return the name of the setting that another one is interpolated from, or the name itself."""
    node, keys = raw, name.split(".")
    for depth, key in enumerate(keys, 1):
        node = node.get(key) if isinstance(node, dict) else None
        if isinstance(node, str) and (match := re.fullmatch(r"\$\{(?:oc\.select:)?([\w.]+)\}", node)):
            return _source(".".join([match[1], *keys[depth:]]), raw)
    return name


def _problems(value: Any, hint: Any, name: str) -> Iterator[_Problem]:
    """Yield what is wrong with a value and with everything in it."""
    call = _call_of(hint)
    if isinstance(value, dict) and "_target_" in value and (call or hint is Any or typing.is_typeddict(hint)):
        yield from _problems_of_call(value, call or (Any, None, None), name)
    elif isinstance(value, dict) and (hint is Any or typing.is_typeddict(hint)):
        hints = {} if hint is Any else _hints(hint)
        for key, item in value.items():
            yield from _problems(item, hints.get(key, Any), f"{name}.{key}" if name else key)
    elif value != "???" and not _fits(value, hint):
        yield _wrong(name, value, hint)


def _wrong(name: str, value: object, hint: Any) -> _Problem:
    return _Problem(name, value, hint, f": '{shown(_yaml(value))}' is not {_description(hint)}")


def _call_of(hint: Any) -> tuple[Any, bool, int | None] | None:
    """Return the type that a call has to make, whether it is partial, and how many arguments it gets later.

    None if a type hint describes no object.
    """
    if get_origin(hint) in (Union, UnionType):
        return next(filter(None, map(_call_of, get_args(hint))), None)
    if get_origin(hint) is Callable:
        arguments, made = get_args(hint)
        return made, True, len(arguments) if isinstance(arguments, list) else None
    is_object = isclass(hint) and hint.__module__ not in ("builtins", "types", "typing")
    return (hint, False, 0) if hint is object or (is_object and not typing.is_typeddict(hint)) else None


def _problems_of_call(
    values: Mapping[str, Any], call: tuple[Any, bool | None, int | None], name: str
) -> Iterator[_Problem]:
    """Yield what is wrong with a mapping with ``_target_``."""
    made, is_partial, num_given = call
    path, place = str(values["_target_"]), f"{name}." if name else ""
    target = locate(path, f"{place}_target_")
    is_checked = str(getattr(target, "__module__", "")).startswith(_CHECKED)
    if not callable(target) or (is_checked and not _makes(target, made)):
        what = "a class or a function" if not callable(target) else f"a {getattr(made, '__name__', made)}"
        yield _Problem(f"{place}_target_", path, None, f": '{shown(path)}' is not {what}")
        return
    if is_partial is not None and values.get("_partial_", False) is not is_partial:
        yield _wrong(f"{place}_partial_", values.get("_partial_", False), Literal[is_partial])
    try:
        parameters = inspect.signature(target).parameters
    except ValueError:  # it is written in C
        return
    kinds = {parameter.kind for parameter in parameters.values()}
    positional = [key for key, it in parameters.items() if it.kind is Parameter.POSITIONAL_OR_KEYWORD]
    if num_given and len(positional) < num_given and Parameter.VAR_POSITIONAL not in kinds:
        yield _Problem(
            f"{place}_target_", path, None, f": '{path}' does not take {num_given} positional arguments"
        )
    allowed = [key for key in parameters if key not in positional[: num_given or 0]]
    for key in values.keys() - _HYDRA if Parameter.VAR_KEYWORD not in kinds else ():
        if key not in allowed:
            line = f": is not a setting of {path}, which has {', '.join(allowed) or 'none'}"
            yield _Problem(f"{place}{key}", values[key], None, line)
    hints = _hints(target)
    for key in allowed:
        kind, default = parameters[key].kind, parameters[key].default
        is_needed = kind is Parameter.KEYWORD_ONLY or (key in positional and num_given is not None)
        if key in values:
            yield from _problems(values[key], hints.get(key, Any), f"{place}{key}")
        elif is_needed and default is Parameter.empty:
            yield _Problem(f"{place}{key}", None, None, ": missing")


def _makes(target: Any, type: Any) -> bool:
    """Whether a class or function makes an object of a type: a class, a protocol, or a union."""
    if isclass(target):
        made = target
    else:
        made = _hints(target).get("return", Any)
        made = target.__self__ if made is Self else made
    if made is Any or type is Any or made == type:
        return True
    if get_origin(type) in (Union, UnionType):
        return any(_makes(target, member) for member in get_args(type))
    if getattr(type, "_is_protocol", False):
        methods = [name for name in vars(type) if not name.startswith("_") and callable(getattr(type, name))]
        return all(hasattr(made, name) for name in methods)
    return isclass(made) and isclass(type) and issubclass(made, type)


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
        raise InputError(f"{place}: there is no '{shown(str(target))}' here") from None
    return value


def _hints(described: Any) -> Mapping[str, Any]:
    """Return the type hints of a ``TypedDict``, or of the parameters of a class or function."""
    if typing.is_typeddict(described) or is_dataclass(described):
        return typing.get_type_hints(described, include_extras=True)
    if isclass(described):
        described = described.__init__
    hints: dict[str, Any] = {}
    for name, hint in getattr(described, "__annotations__", {}).items():
        holder = SimpleNamespace(__annotations__={name: hint})
        with suppress(NameError):  # only type checkers know it
            hints |= typing.get_type_hints(holder, getattr(described, "__globals__", {}), include_extras=True)
    return hints


def _fits(value: object, hint: Any) -> bool:
    """Whether a value is one that a type hint allows; objects are made by calls only."""
    if isinstance(value, float) and not math.isfinite(value) and hint is not Any:
        return False
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, member) for member in get_args(hint))
    if get_origin(hint) is Mapping and isinstance(value, dict):
        key_hint, value_hint = get_args(hint)
        return all(_fits(key, key_hint) and _fits(item, value_hint) for key, item in value.items())
    if isclass(hint) and (hint.__module__.startswith(_CHECKED) or hint is object):
        return False
    if isclass(hint) and hint.__module__ != "builtins" and isinstance(value, dict):
        return typing.is_typeddict(hint)
    try:
        convert(value, hint)
        for rule in getattr(hint, "__metadata__", ()):
            if isinstance(rule, Rule):
                rule.check(str(value))
    except TypeError:
        return True
    except (ValidationError, ValueError, OverflowError, RecursionError, re.error):
        return False
    return True


def _as_text(value: object, written: str | None) -> str | list[str] | None:
    """Return a number, or a list of numbers, as text."""
    if isinstance(value, bool | int | float):
        return written or _yaml(value)
    return [_yaml(item) for item in value] if isinstance(value, list) else None


def _as_collection(text: str) -> dict[str, Any] | list[Any] | None:
    with suppress(yaml.YAMLError):
        value = yaml.safe_load(text)
        return value if isinstance(value, dict | list) else None
    return None


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
        keys = "" if members[0] is str else f"from {_description(members[0])} "
        return f"a mapping {keys}to {_description(members[1])}"
    if typing.is_typeddict(hint):
        return "a mapping"
    names = {bool: "true or false", str: "a text", int: "a whole number", float: "a number", NoneType: "null"}
    return names.get(hint, "a config with _target_")


def text_settings(schema: type) -> set[str]:
    """Return the names of the settings of a ``TypedDict`` that are texts, lists of texts, or null."""
    return {name for name, hint in _hints(schema).items() if _may_be_text(hint)}


def set_texts(config: DictConfig, schema: type, typed: Mapping[str, str]) -> None:
    """Set settings that are texts, or lists of texts, to what was typed, in place of what Hydra has read.

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
                hint = Any
                with suppress(InputError):  # check_settings() says so
                    hint = locate(node["_target_"], name)
            hints = _hints(hint)
        members = _members(hints.get(last))
        if Sequence[str] in members and text.startswith("[") and text.endswith("]") and not exists(text):
            OmegaConf.update(config, name, listed(text))
        elif _may_be_text(hints.get(last)):
            OmegaConf.update(config, name, text)


def _is_text(hint: Any) -> bool:
    """Whether a type hint is that of a text or the name of a file, or of null as well."""
    classes = {get_origin(member) or member for member in _members(hint)}
    return bool(classes) and classes <= {str, Path, PathLike}


def _may_be_text(hint: Any) -> bool:
    """Whether a type hint is that of a text, or of a text or a list of texts."""
    return _is_text(hint) or {str, Sequence[str]} <= _members(hint)


def _members(hint: Any) -> set[Any]:
    """Return the types of a union, or a type alone, without that of null."""
    return {*(get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,))} - {NoneType}
