"""The command line: values as they were typed, and errors of Hydra as one line with the nearest names."""

from __future__ import annotations

import os
import re
import sys
from argparse import Action, ArgumentParser
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from textwrap import fill
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, QuotedString, Sweep
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationResolutionError

from glre_pyg.utils.exceptions import InputError

_IN_QUOTES = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_GROUPS = "Configuration groups, selected with group=option:\n"
_SETTING = re.compile(r"(\+{0,2}|~)([\w./@:-]+)=(.*)", re.DOTALL)


def literal_values(arguments: Sequence[str], texts: Collection[str] = ()) -> list[str]:
    """Quote values that Hydra cannot parse, or takes for several texts, so that a value is what was typed.

    File names and texts need no second pair of quotes: spaces, commas, brackets and letters of any language
    are part of the value. With ``--multirun``, ``a,b`` and ``glob(...)`` still name several values.

    Args:
        arguments: The command line.
        texts: Settings that are texts, so that even numbers separated by commas are one value.

    >>> literal_values(["input=paper (1).txt", "text=a, b", "seed=1", "dataset=cdr"])
    ["input='paper (1).txt'", "text='a, b'", 'seed=1', 'dataset=cdr']
    >>> literal_values(["--multirun", "seed=0,1", "input=it's"])
    ['--multirun', 'seed=0,1', "input='it\\\\'s'"]
    """
    is_sweep = bool({"-m", "--multirun", "hydra.mode=MULTIRUN"} & set(arguments))
    parser = OverridesParser.create()
    return [
        f"{match[1]}{match[2]}={_quoted(match[3])}"
        if (match := _SETTING.fullmatch(argument))
        and not _is_one_value(parser, argument, is_sweep, match[2] in texts)
        else argument
        for argument in arguments
    ]


def _is_one_value(parser: OverridesParser, argument: str, is_sweep: bool, is_text: bool) -> bool:
    try:
        value = parser.parse_override(argument).value()
    except HydraException:
        return False
    if is_sweep or not isinstance(value, Sweep):
        return True
    if is_text or not isinstance(value, ChoiceSweep) or not value.simple_form:
        return False
    return all(isinstance(item, int | float) for item in value.list)


def typed_texts(arguments: Sequence[str]) -> dict[str, str]:
    """Return the values of settings as they were typed, before Hydra reads them as numbers, lists or escapes.

    Left out are null, interpolations, and what Hydra's quotes enclose, which mean the same in a text.

    >>> typed_texts(["input=1e3", "text= a\\\\,b ", "run=null", "output='x.csv'", "-m"])
    {'input': '1e3', 'text': ' a\\\\,b '}
    """
    parser = OverridesParser.create()
    values = {match[2]: match for argument in arguments if (match := _SETTING.fullmatch(argument))}
    return {
        name: match[3]
        for name, match in values.items()
        if "${" not in match[3] and match[3].lower() != "null" and not _has_quotes(parser, match[0])
    }


def _has_quotes(parser: OverridesParser, argument: str) -> bool:
    try:
        return isinstance(parser.parse_override(argument)._value, QuotedString)
    except HydraException:
        return False


def listed(text: str) -> list[str]:
    """Return the items of a list as it was typed, ``[a,b]``.

    A comma does not separate items in quotes, behind a backslash, or in the name of a file or folder that
    exists. Brackets and spaces are part of an item.

    >>> listed("[runs/a (1), 'b, c',d[2]]")
    ['runs/a (1)', 'b, c', 'd[2]']
    """
    parts = re.split(r"(?<!\\),", text[1:-1]) if text[1:-1].strip() else []
    items = []
    while parts:
        joined = [",".join(parts[: number + 1]).strip() for number in range(len(parts))]
        quoted = (number for number, item in enumerate(joined, 1) if _IN_QUOTES.fullmatch(item))
        found = (number for number in range(len(parts), 1, -1) if os.path.exists(joined[number - 1]))
        count = next(quoted, None) or next(found, 1)
        item, parts = joined[count - 1], parts[count:]
        quote = item[0] if _IN_QUOTES.fullmatch(item) else ","
        items.append((item if quote == "," else item[1:-1]).replace(f"\\{quote}", quote))
    return items


def _quoted(text: str) -> str:
    """Quote a text for Hydra, in which backslashes are special before a quote alone."""
    return "'" + re.sub(r"(\\*)('|$)", lambda match: match[1] * 2 + (match[2] and "\\'"), text) + "'"


def with_comments(help_text: str, overrides: Sequence[str], *, config_folder: str, config_name: str) -> str:
    """Complete the help of a command: comments of the config files at its settings, and its groups alone."""
    with initialize_config_dir(config_folder, version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        defaults = loader.compute_defaults_list(config_name, list(overrides), RunMode.RUN).defaults
    comments: dict[str, str] = {}
    for default in defaults:
        file = Path(config_folder, f"{default.config_path}.yaml")
        if file.is_file():
            place = f"{default.package}." if default.package else ""
            for name, line in _yaml_lines(file.read_text(encoding="utf-8")):
                if name and " # " in line:
                    comments[place + name] = line.partition(" # ")[2]
    lines = []
    settings, header, groups = help_text.partition(_GROUPS)
    for name, line in _yaml_lines(settings):
        lines.append(f"{line:<40}  # {comments[name]}" if name in comments else line)
    text = Path(config_folder, f"{config_name}.yaml").read_text(encoding="utf-8")
    own = re.findall(r"^  - (?:optional )?([\w/]+):", text, re.MULTILINE)
    for line in (header + groups).splitlines():
        group, has_options, _ = line.partition(": ")
        if not has_options or group in own:
            lines.append(fill(line, 120, subsequent_indent="  "))
    return "\n".join(lines)


def _yaml_lines(text: str) -> Iterator[tuple[str | None, str]]:
    """Yield the lines of a YAML file, each with the dotted name of the key that it begins with."""
    keys: list[tuple[int, str]] = []
    for line in text.splitlines():
        match = re.match(r"( *)([^\s#:-][^\s:]*):( |$)", line)
        if match is None:
            yield None, line
            continue
        indent = len(match[1])
        keys = [*((width, key) for width, key in keys if width < indent), (indent, match[2])]
        yield ".".join(key for _, key in keys), line


@contextmanager
def hydra_errors(
    config_folder: str, config_name: str, arguments: Sequence[str] | None = None
) -> Iterator[None]:
    """Turn errors of Hydra and OmegaConf into an :class:`InputError`, with the nearest right names.

    Args:
        config_folder: Folder of the configs.
        config_name: Name of the config.
        arguments: What it is composed with; by default the command line.

    Raises:
        InputError: If a setting or an option does not exist, or an interpolation cannot be resolved.
    """
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # or Hydra prints exceptions itself and exits
    try:
        with _help_is_text():
            yield
    except MissingConfigException as error:
        raise InputError(_missing_option(error)) from error
    except InterpolationResolutionError as error:
        raise InputError(
            f"{error.full_key}: {_first_line(error)} (${{...}} names another setting)"
        ) from error
    except (ConfigCompositionException, OverrideParseException) as error:
        raise InputError(_explain(error, config_folder, config_name, arguments)) from error
    finally:
        if before is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before


@contextmanager
def _help_is_text() -> Iterator[None]:
    """Give options a text as help, which argparse checks from Python 3.14 on; Hydra 1.3 has an object."""
    add_argument = ArgumentParser.add_argument

    def with_text(parser: ArgumentParser, *names: str, **options: Any) -> Action:
        if not isinstance(options.get("help", ""), str):
            options["help"] = "Install or uninstall shell completion"
        return add_argument(parser, *names, **options)

    ArgumentParser.add_argument = with_text  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        ArgumentParser.add_argument = add_argument  # type: ignore[method-assign]


def check_arguments(arguments: Sequence[str], config_folder: str) -> None:
    """Check the form of a command line, of which Hydra 1.3 makes tracebacks or other options.

    Raises:
        InputError: If an option is not one of Hydra's, another argument is no setting, or the option of a
            config group is not a name, or chosen with a dot.
    """
    _check_form(arguments)
    _check_options(arguments, config_folder)


def _check_options(arguments: Sequence[str], config_folder: str) -> None:
    """Check that options are names, of a group that has options; Hydra 1.3 does not say so in a line."""
    for argument in arguments:
        group, _, text = argument.partition("=")
        slashed = group.replace(".", "/")
        folder = Path(config_folder, group.lstrip("+~"))
        if text and folder.is_dir() and not [*folder.glob("*.yaml")]:
            groups = sorted(path.relative_to(config_folder).as_posix() for path in folder.iterdir())
            raise InputError(f"{group}: has no options of its own, as {' and '.join(groups)} have")
        if slashed != group and Path(config_folder, slashed, f"{text}.yaml").is_file():
            raise InputError(f"{group}: an option is chosen with a slash: {slashed}={text}")
        if text and Path(config_folder, group).is_dir():
            with suppress(OverrideParseException):
                override = OverridesParser.create().parse_override(argument)
                value = [""] if override.is_sweep_override() else override.value()
                if not all(isinstance(name, str) for name in (value if isinstance(value, list) else [value])):
                    options = sorted(path.stem for path in Path(config_folder, group).glob("*.yaml"))
                    raise InputError(f"{group}: '{text}' is not one of {', '.join(options)}")


def _check_form(arguments: Sequence[str]) -> None:
    """Check that options are Hydra's, and other arguments settings."""
    options = {name: action for action in get_args_parser()._actions for name in action.option_strings}
    takes_value = False
    for argument in arguments:
        name = argument.partition("=")[0]
        is_value, takes_value = takes_value, False
        if argument.startswith("-") and not is_value:
            if name not in options:
                plain = name.lstrip("-")
                raise InputError(f"{name}: settings have no dashes: {plain}=VALUE (--help lists them)")
            takes_value = options[name].nargs is None and "=" not in argument
        elif not is_value and "=" not in argument and not argument.startswith("~"):
            hint = f": run={argument} selects the run" if "--run" in arguments else ""
            raise InputError(f"'{argument}' is not of the form SETTING=VALUE{hint}")


def _missing_option(error: MissingConfigException) -> str:
    group, _, option = str(error.missing_cfg_file).rpartition("/")
    options = sorted(error.options or ())
    if not options:
        return _first_line(error)
    return f"{group}: '{option}' is not one of {', '.join(options)}{_nearest(option, options)}"


def _explain(error: Exception, config_folder: str, config_name: str, arguments: Sequence[str] | None) -> str:
    """Return one line about an override that cannot be applied."""
    if match := re.match(r"Ambiguous value for argument '([^']+)'", str(error)):
        return f"{match[1]}: several values need --multirun, and a list needs brackets"
    match = re.match(r"Could not override '([^']+)'", str(error))
    if match is None:
        return _first_line(error)
    arguments, hint = (sys.argv[1:], " (--help lists all)") if arguments is None else (arguments, "")
    chosen = [each for each in arguments if Path(config_folder, each.partition("=")[0]).is_dir()]
    config = OmegaConf.create()
    with initialize_config_dir(config_folder, version_base="1.3"), suppress(HydraException):
        config = compose(config_name, chosen, return_hydra_config=False)
    groups = (
        str(path.relative_to(config_folder)) for path in Path(config_folder).rglob("*") if path.is_dir()
    )
    names = [*_names(OmegaConf.to_container(config)), *groups]
    return f"{match[1]}: no such setting{_nearest(match[1], names)}{hint}"


def _names(node: object, place: str = "") -> Iterator[str]:
    for key, value in node.items() if isinstance(node, dict) else ():
        yield f"{place}{key}"
        yield from _names(value, f"{place}{key}.")


def _nearest(name: str, names: Sequence[str]) -> str:
    """Return a hint at the names that are similar, or whose last part is the same."""
    last = name.rpartition(".")[2]
    same = [each for each in names if each.rpartition(".")[2] == last]
    near = [*dict.fromkeys([*get_close_matches(name, names, n=1, cutoff=0.7), *same])][:3]
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0]
