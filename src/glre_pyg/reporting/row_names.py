"""Names of table rows: the name of the runs, or the few config keys that distinguish them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

BASE = "base"
"""Name of a row with the most common value of every key in which rows differ."""

Settings = Mapping[str, object]


def flatten(config: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Flatten a nested config to dotted keys; lists are values.

    >>> flatten({"layer": {"local": {"heads": 4}}, "seed": 0})
    {'layer.local.heads': 4, 'seed': 0}
    """
    flat: dict[str, object] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def row_names(given: Sequence[str], settings: Sequence[Settings]) -> list[str]:
    """Name rows so that rows with different settings have different names.

    Args:
        given: Name of each row, "" for rows without one.
        settings: Settings of each row, by dotted keys.
    """
    names = list(given)
    for name in dict.fromkeys(given):
        rows = [index for index, other in enumerate(given) if other == name]
        for index, words in zip(rows, _distinguish([settings[index] for index in rows]), strict=True):
            names[index] = ", ".join(part for part in (name, words) if part) or BASE
    return names


def _distinguish(rows: Sequence[Settings]) -> list[str]:
    """Describe each row by a few ``key=value``; values that most rows share are omitted."""
    keys = sorted({key for row in rows for key in row}, key=_precedence)
    chosen: list[str] = []
    values: list[tuple[str, ...]] = [()] * len(rows)
    for key in keys:
        extended = [(*before, repr(row.get(key))) for before, row in zip(values, rows, strict=True)]
        if len(set(extended)) > len(set(values)):
            chosen, values = [*chosen, key], extended
    brief = [_describe(row, rows, chosen, brief=True) for row in rows]
    if len(set(brief)) == len(set(values)):
        return brief
    return [_describe(row, rows, chosen, brief=False) for row in rows]


def _describe(row: Settings, rows: Sequence[Settings], keys: Sequence[str], *, brief: bool) -> str:
    """Format some settings of a row; in brief, without those it lacks or shares with most rows."""
    words = []
    for key in keys:
        values = [_format(key, other[key]) for other in rows if key in other]
        common, count = Counter(values).most_common(1)[0]
        value = _format(key, row.get(key))
        if not brief or (key in row and (value != common or 2 * count <= len(values))):
            words.append(f"{key.removesuffix('._target_')}={value}")
    return ", ".join(words)


def _precedence(key: str) -> tuple[bool, bool, int, str]:
    """Sort key that puts names and classes first, then short keys; ``model`` repeats other groups."""
    *parents, last = key.split(".")
    return parents[:1] == ["model"], last not in ("name", "_target_"), len(parents), key


def _format(key: str, value: object) -> str:
    """Format a class by its bare name, and a class that stands for no layer (``NoLocal``) as ``none``."""
    if value is None:
        return "null"
    if not key.endswith("_target_"):
        return str(value)
    last = str(value).rpartition(".")[2]
    return "none" if last[:2] == "No" and last[2:3].isupper() else last
