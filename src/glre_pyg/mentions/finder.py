"""What finds mentions in plain text, and what it says of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from glre_pyg.data.document import Span
from glre_pyg.utils.exceptions import InputError

_SHOWN = 60  # characters of a mention in an error


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


def check_spans(id: str, text: str, spans: Iterable[Span]) -> None:
    """Make sure that mentions lie in a text, and that of two that overlap one is inside the other.

    Args:
        id: Identifier of the document.
        text: Its text.
        spans: Characters ``[start, end)`` of the mentions.

    Raises:
        InputError: ``document: what is wrong``.
    """
    around: list[Span] = []  # mentions that the next one may lie in, each in the one before
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not 0 <= start <= end <= len(text):
            raise InputError(
                f"{id}: mention at {start} to {end} is not inside the text of {len(text)} characters"
            )
        if not text[start:end].strip():
            raise InputError(f"{id}: mention at {start} to {end} is empty or white space")
        while around and around[-1][1] <= start:
            around.pop()
        if around and around[-1][1] < end:
            one, other = (_described(text, span) for span in (around[-1], (start, end)))
            raise InputError(f"{id}: mentions {one} and {other} overlap, and neither is inside the other")
        around.append((start, end))


def _described(text: str, span: Span) -> str:
    name = " ".join(text[slice(*span)].split())
    shown = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..."
    return f"'{shown}' at {span[0]} to {span[1]}"
