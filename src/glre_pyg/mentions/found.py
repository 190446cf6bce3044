"""What finds mentions in plain text, and what it says of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Found:
    """A stretch of text that something took for a mention.

    Args:
        start: First character.
        end: One past the last character.
        type: Entity type.
        id: Identifier of its entity; None where the finder knows none.
    """

    start: int
    end: int
    type: str
    id: str | None = None


class Finder(Protocol):
    """Finds mentions in texts."""

    def __call__(self, texts: Iterable[str]) -> Iterator[list[Found]]:
        """What is found in each of the texts, in order; texts are taken in batches of the finder's own."""
        ...
