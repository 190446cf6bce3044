"""The configuration reference, generated from ``conf/`` when the site is built.

In a page, the line ``<!-- settings -->`` is replaced by a table for each command and each option of each
group, with keys, defaults and descriptions. The description is the comment next to a key or, without one,
that of the argument in the docstring of the class that receives it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import yaml
from sphinx.application import Sphinx

from glre_pyg.__main__ import COMMANDS
from glre_pyg.utils.cli import config_dir

PLACE = "<!-- settings -->"
SHARED = ("command", "run", "scored")
HELP = "hydra.help.template"
"""Key of the help text, which is shown before the table."""
GROUPS = {
    "dataset": "The corpus.",
    "encoder": "From words to vectors (Section 3.1 of the paper).",
    "layer/global": "Entity global representations (Section 3.2).",
    "layer/local": "Entity local representations (Section 3.3).",
    "layer/context": "Context relation representations (Section 3.4).",
    "layer/features": "What is appended to words; the paper's model has nothing.",
    "model": "The model, composed of these layers.",
    "thresholds": "How thresholds are selected, and the corresponding loss.",
    "optimizer": "The optimizer.",
    "training": "The training loop.",
    "track": "The encoder of all models of the bench.",
    "mentions": "Mention finders for plain text.",
    "recipe": "Values tuned for a model, a corpus and an encoder.",
    "experiment": "The rows of the paper's tables, and other experiments.",
    "table": "Layouts of `report`, with the paper's figures.",
}


@dataclass(frozen=True)
class Setting:
    """A key of a file.

    Args:
        key: Its name, prefixed with those of its parents.
        default: Its value, as written in the file.
        comment: The comment next to it.
    """

    key: str
    default: str
    comment: str


@dataclass(frozen=True)
class Option:
    """A file of ``conf/``.

    Args:
        path: The file.
        package: Parent of its keys.
        intro: The comment at its top.
        based_on: Entries of its ``defaults`` list, without ``_self_``.
        help: The text of ``--help``, for a command.
        settings: Its keys.
    """

    path: Path
    package: str
    intro: str
    based_on: tuple[str, ...]
    help: str
    settings: tuple[Setting, ...]


def read_option(path: Path, group: str = "") -> Option:
    """Read a file of ``conf/``.

    Args:
        path: The file.
        group: Its group, for instance ``layer/global``.
    """
    text = path.read_text(encoding="utf-8")
    top = [line.removeprefix("#").strip() for line in re.match(r"(#.*\n)*", text)[0].splitlines()]
    package = next((line.split()[1] for line in top if line.startswith("@package")), group.replace("/", "."))
    package = "" if package == "_global_" else package
    content = yaml.safe_load(text) or {}
    root = yaml.compose(text)
    keys = [(key, value) for key, value in root.value if key.value != "defaults"] if root else []
    return Option(
        path=path,
        package=package,
        intro=" ".join(line for line in top if not line.startswith("@package")),
        based_on=tuple(_choice(each) for each in content.get("defaults", ()) if each != "_self_"),
        help=content.get("hydra", {}).get("help", {}).get("template", "").split("Settings, each")[0].rstrip(),
        settings=tuple(_settings(keys, text.splitlines(), package)),
    )


def _choice(entry: str | Mapping[str, str | None]) -> str:
    if isinstance(entry, str):
        return entry
    [(name, option)] = entry.items()
    return f"{name.removeprefix('override ').lstrip('/')}={'null' if option is None else option}"


def _settings(keys: Sequence[tuple[yaml.Node, yaml.Node]], lines: list[str], above: str) -> Iterator[Setting]:
    for key, value in keys:
        name = f"{above}.{key.value}" if above else key.value
        if isinstance(value, yaml.MappingNode) and value.value:
            if comment := _comment(lines, key.end_mark):
                yield Setting(name, "", comment)
            yield from _settings(value.value, lines, name)
        elif name != HELP:
            start, end = value.start_mark, value.end_mark
            yield Setting(name, start.buffer[start.pointer : end.pointer].strip(" \0"), _comment(lines, end))


def _comment(lines: list[str], mark: yaml.Mark) -> str:
    rest = lines[mark.line][mark.column :] if mark.line < len(lines) else ""
    found = re.fullmatch(r"[:\s]*#\s*(.*)", rest)
    return found[1] if found else ""


def arguments(target: str) -> dict[str, str]:
    """Descriptions of the arguments of a class or method, from its docstring and those of its bases."""
    module, _, name = target.rpartition(".")
    try:
        place = import_module(module)
    except ModuleNotFoundError:  # a method: the last but one is its class
        module, _, holder = module.rpartition(".")
        place = getattr(import_module(module), holder)
    thing = getattr(place, name)
    found: dict[str, str] = {}
    for each in (place, *reversed(inspect.getmro(thing))) if inspect.isclass(thing) else (place, thing):
        part = re.search(r"^Args:\n((?:    .*\n|\n)+)", f"{inspect.getdoc(each) or ''}\n", re.MULTILINE)
        for entry in re.split(r"\n    (?=\w)", "\n" + part[1]) if part else ():
            names, _, text = entry.strip().partition(":")
            if not text.strip().startswith("See "):  # the class that it refers to is a base
                found |= {name.strip(): " ".join(text.split()) for name in names.split(",")}
    return {name: _plain(text) for name, text in found.items()}


def _plain(text: str) -> str:
    """reStructuredText as Markdown."""
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?([\w.]+)`", r"`\1`", text)
    text = re.sub(r":math:`([^`]*)`", r"\1", text)
    return text.replace("``", "`")


def targets(conf: Path, path: Path, group: str) -> dict[str, str]:
    """Classes named by a file and the files that it is based on, by their key."""
    option, found = read_option(path, group), {}
    for name in option.based_on:
        if (parent := conf / group / f"{name}.yaml").is_file():
            found |= targets(conf, parent, group)
    for setting in option.settings:
        if setting.key.endswith("_target_"):
            found[setting.key.removesuffix("_target_").removesuffix(".")] = setting.default
    return found


def reference(conf: Path) -> str:
    """The reference as Markdown."""
    parts = ["## Commands\n"]
    for name in (*COMMANDS, *SHARED):
        if (path := conf / f"{name}.yaml").is_file():
            title = name if name in COMMANDS else f"{name}: shared by commands"
            parts += [f"### {title}\n", _option(conf, path, "")]
    for path in sorted(conf.rglob("*.yaml")):
        assert path.parent != conf or path.stem in (*COMMANDS, *SHARED), f"{path}: what kind of config is it?"
        group = path.parent.relative_to(conf).as_posix()
        assert group == "." or group in GROUPS, f"{path}: a group that settings.py does not list"
    for group, text in GROUPS.items():
        files = sorted((conf / group).glob("*.yaml"))
        if files:
            parts.append(f"## {group}\n\n{text} Select one with `{group}=OPTION`.\n")
            parts += [f"### {group}={path.stem}\n\n{_option(conf, path, group)}" for path in files]
    return "\n".join(parts)


def _option(conf: Path, path: Path, group: str) -> str:
    option, known = read_option(path, group), targets(conf, path, group)
    parts = []
    if option.help:
        parts.append(f"```text\n{_dedent(option.help)}\n```")
    if option.intro:
        parts.append(_escape(option.intro))
    if option.based_on:
        parts.append("Extends " + ", ".join(f"`{name}`" for name in option.based_on) + ".")
    if option.settings:
        rows = ["| key | default | description |", "|---|---|---|"]
        for setting in option.settings:
            meaning = setting.comment or _meaning(setting.key, known)
            rows.append(f"| `{setting.key}` | {_code(setting.default)} | {_escape(meaning)} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"


def _meaning(key: str, known: Mapping[str, str]) -> str:
    above, _, name = key.rpartition(".")
    return arguments(known[above]).get(name, "") if above in known else ""


def _code(value: str) -> str:
    return f"`{value}`".replace("|", r"\|") if value else ""


def _escape(text: str) -> str:
    """Escape all markup but code, for a cell of a table."""
    parts = re.split(r"(`[^`]*`)", text)
    parts[::2] = [re.sub(r"([\\*_<>\[\]$])", r"\\\1", part) for part in parts[::2]]
    return "".join(parts).replace("|", r"\|")


def _dedent(text: str) -> str:
    return inspect.cleandoc(text)


def _fill(app: Sphinx, name: str, source: list[str]) -> None:
    if PLACE in source[0]:
        source[0] = source[0].replace(PLACE, reference(Path(config_dir())))


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
