"""What a row is called: the name that it was given, or the few config keys that tell it from the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

BASE = "base"
"""A row that has the most common value of every key that rows differ in."""

Settings = Mapping[str, object]


def flatten(config: Mapping[str, object], above: str = "") -> dict[str, object]:
    """A config by dotted keys; lists are values.

    >>> flatten({"layer": {"local": {"heads": 4}}, "seed": 0})
    {'layer.local.heads': 4, 'seed': 0}
    """
    found: dict[str, object] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            found |= flatten(value, f"{above}{key}.")
        else:
            found[f"{above}{key}"] = value
    return found


def row_names(given: Sequence[str], settings: Sequence[Settings]) -> list[str]:
    """Names of rows, no two alike where their settings are not.

    Args:
        given: The name of each row, "" for those without.
        settings: What it was configured with, by dotted keys.
    """
    names = list(given)
    for name in dict.fromkeys(given):
        alike = [index for index, other in enumerate(given) if other == name]
        told = _told_apart([settings[index] for index in alike])
        for index, words in zip(alike, told, strict=True):
            names[index] = ", ".join(part for part in (name, words) if part) or BASE
    return names


def _told_apart(settings: Sequence[Settings]) -> list[str]:
    """A few ``key=value`` for each, so that no two are alike; the value of most is left unsaid."""
    keys = sorted({key for each in settings for key in each}, key=_precedence)
    chosen: list[str] = []
    known = [()] * len(settings)
    for key in keys:
        finer = [(*before, repr(each.get(key))) for before, each in zip(known, settings, strict=True)]
        if len(set(finer)) > len(set(known)):
            chosen, known = [*chosen, key], finer  # type: ignore[assignment]
    brief = [_words(each, settings, chosen, brief=True) for each in settings]
    if len(set(brief)) == len(set(known)):
        return brief
    return [_words(each, settings, chosen, brief=False) for each in settings]


def _words(one: Settings, settings: Sequence[Settings], keys: Sequence[str], *, brief: bool) -> str:
    """What one row has of some keys; in brief, without what it lacks, or shares with most that have it."""
    said = []
    for key in keys:
        values = [_shown(key, each[key]) for each in settings if key in each]
        common, count = Counter(values).most_common(1)[0]
        value = _shown(key, one.get(key))
        if not brief or (key in one and (value != common or 2 * count <= len(values))):
            said.append(f"{key.removesuffix('._target_')}={value}")
    return ", ".join(said)


def _precedence(key: str) -> tuple[bool, bool, int, str]:
    """Keys that say most come first: names and classes, then the shortest; ``model`` repeats other groups."""
    *above, last = key.split(".")
    return above[:1] == ["model"], last not in ("name", "_target_"), len(above), key


def _shown(key: str, value: object) -> str:
    """A class by its own name, and ``none`` for the class that stands for a layer left out (``NoLocal``)."""
    if value is None:
        return "null"
    if not key.endswith("_target_"):
        return str(value)
    last = str(value).rpartition(".")[2]
    return "none" if last[:2] == "No" and last[2:3].isupper() else last
