"""The interface of mention finders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from glre_pyg.data.document import Span
from glre_pyg.data.paths import one_line
from glre_pyg.utils.console import shown
from glre_pyg.utils.exceptions import InputError


@dataclass(frozen=True, slots=True)
class FoundMention:
    """A mention found in a text.

    Args:
        start: First character.
        end: One past the last character.
        type: Entity type.
        id: Identifier of the entity; None if unknown.
    """

    start: int
    end: int
    type: str
    id: str | None = None


class Finder(Protocol):
    """Callable that finds mentions in texts."""

    def __call__(self, texts: Iterable[str]) -> Iterator[list[FoundMention]]:
        """Yield the mentions of each text, in order; texts are read in batches of any size."""
        ...


def check_spans(id: str, text: str, spans: Iterable[Span]) -> None:
    """Check that mentions lie inside a text, and that overlapping mentions are nested.

    Args:
        id: Identifier of the document.
        text: Its text.
        spans: Characters ``[start, end)`` of the mentions.

    Raises:
        InputError: ``document: message``.
    """
    outer: list[Span] = []  # mentions that may contain the next one, each inside the one before
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not 0 <= start <= end <= len(text):
            raise InputError(
                f"{id}: mention at {start} to {end} is not inside the text of {len(text)} characters"
            )
        if not text[start:end].strip():
            raise InputError(f"{id}: mention at {start} to {end} is empty or white space")
        while outer and outer[-1][1] <= start:
            outer.pop()
        if outer and outer[-1][1] < end:
            one, other = (_described(text, span) for span in (outer[-1], (start, end)))
            raise InputError(f"{id}: mentions {one} and {other} overlap, and neither is inside the other")
        outer.append((start, end))


def _described(text: str, span: Span) -> str:
    return f"'{shown(one_line(text[slice(*span)]))}' at {span[0]} to {span[1]}"
