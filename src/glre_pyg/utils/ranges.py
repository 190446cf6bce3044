"""Types of parameters with a range, which :mod:`glre_pyg.utils.settings` checks."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta

PositiveInt = Annotated[int, Meta(ge=1, lt=2**31, description="a whole number from 1")]
NonNegativeInt = Annotated[int, Meta(ge=0, lt=2**31, description="a whole number from 0")]
Seed = Annotated[int, Meta(ge=0, lt=2**32, description="a whole number from 0 to 2^32 - 1")]
PositiveFloat = Annotated[float, Meta(gt=0, le=1e300, description="a positive number")]
NonNegativeFloat = Annotated[float, Meta(ge=0, le=1e300, description="a number from 0")]
Share = Annotated[float, Meta(ge=0, le=1, description="a number from 0 to 1")]
PositiveShare = Annotated[float, Meta(gt=0, le=1, description="a number above 0, up to 1")]
Rate = Annotated[float, Meta(ge=0, lt=1, description="a number from 0 to below 1")]
CacheFolder = Annotated[str, Meta(description="a folder")] | Literal[False] | None


class Rule(NamedTuple):
    """Annotation of a type that texts have to satisfy.

    Args:
        check: Raises an error if a text does not.
        description: What the text may be.
    """

    check: Callable[[str], object]
    description: str


Pattern = Annotated[str, Rule(re.compile, "a regular expression")]


def part_of(shard: str | None) -> tuple[int, int]:
    """Return number *i* and count *n* of a shard such as ``"3/64"``; 1 of 1 for None.

    Raises:
        ValueError: If it is not one of them.
    """
    if shard is None:
        return 1, 1
    match = re.fullmatch(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,8})", shard)
    if match is None or int(match[1]) > int(match[2]):
        raise ValueError(f"'{shard}' is not a shard")
    return int(match[1]), int(match[2])


def _is_extension(text: str) -> None:
    if not re.fullmatch(r"(\.\w+)+", text):
        raise ValueError(f"'{text}' is not an extension")


Extension = Annotated[str, Rule(_is_extension, "an extension such as .jsonl")]
Shard = Annotated[str, Rule(part_of, "a shard such as 3/64")]
