"""Mentions found by GLiNER, which recognizes entity types it was not trained for from their labels.

Urchade Zaratiana et al., "GLiNER: Generalist model for named entity recognition using bidirectional
transformer", NAACL 2024; its package is ``gliner``.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from glre_pyg.data.document import Span
from glre_pyg.data.segmentation import sentences_of, words_of
from glre_pyg.mentions.finder import FoundMention
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import check_files
from glre_pyg.utils.ranges import PositiveInt, Share


class Gliner(Protocol):
    """The part of ``gliner.GLiNER`` that is used here."""

    config: Any
    data_processor: Any

    def inference(
        self, texts: list[str], labels: list[str], *, threshold: float, batch_size: int
    ) -> list[list[dict[str, Any]]]:
        """Return the "start", "end" and "label" of each mention of each text."""
        ...


class GlinerFinder:
    """Mention finder that prompts a GLiNER model with labels; texts beyond its window are split at sentences.

    Args:
        name: A model, its name on the Hugging Face hub, or its folder.
        types: Entity type of each label, which is in words ("chemical", "disease").
        threshold: Probability above which a mention counts.
        batch_size: Number of texts per batch.
        window: Number of words per window, as GLiNER splits them; at most the length it was trained with.
        device: Device of the model.

    Raises:
        InputError: If GLiNER is not installed, the model cannot be loaded, or there are no labels.
    """

    def __init__(
        self,
        name: str | os.PathLike[str] | Gliner,
        types: Mapping[str, str],
        *,
        threshold: Share = 0.5,
        batch_size: PositiveInt = 8,
        window: PositiveInt = 200,
        device: str = "cpu",
    ) -> None:
        self.types = dict(types)
        if not self.types:
            raise InputError("mentions.types: GLiNER needs at least one label")
        self.model = _load(name, device) if isinstance(name, str | os.PathLike) else name
        self.threshold, self.batch_size = threshold, batch_size
        self.window = min(window, self.model.config.max_len)

    def __call__(self, texts: Iterable[str]) -> Iterator[list[FoundMention]]:
        """Yield the mentions of each text, in order."""
        remaining = iter(texts)
        while batch := list(islice(remaining, self.batch_size)):
            yield from self._mentions(batch)

    def _mentions(self, texts: Sequence[str]) -> list[list[FoundMention]]:
        windows = [(index, *span) for index, text in enumerate(texts) for span in self._windows(text)]
        mentions: list[list[FoundMention]] = [[] for _ in texts]
        outputs = self.model.inference(
            [texts[index][start:end] for index, start, end in windows],
            list(self.types),
            threshold=self.threshold,
            batch_size=self.batch_size,
        )
        for (index, offset, _), rows in zip(windows, outputs, strict=True):
            for row in rows:
                start, end = offset + row["start"], offset + row["end"]
                mentions[index].append(FoundMention(start, end, self.types[row["label"]]))
        return mentions

    def _windows(self, text: str) -> Iterator[Span]:
        """Windows of a text that the model can read, in order: as many sentences as fit, otherwise words."""
        ends = [end for _, _, end in self.model.data_processor.words_splitter(text)]
        if len(ends) <= self.window:
            yield 0, len(text)
            return
        words = words_of(text)
        stops = [words[sentence.end - 1][1] for sentence in sentences_of(text, words)]
        first, start = 0, 0
        while first < len(ends):
            # The last sentence that ends inside the window, if there is one.
            within = ends[min(first + self.window, len(ends)) - 1]
            stop = bisect_left(stops, within + 1) - 1
            end = stops[stop] if stop >= 0 and stops[stop] > start else within
            yield start, end
            first, start = max(bisect_left(ends, end + 1), first + 1), end


def _load(name: str | os.PathLike[str], device: str) -> Gliner:
    try:
        from gliner import GLiNER
    except ModuleNotFoundError as error:
        if error.name != "gliner":
            raise
        raise InputError("mentions: GLiNER is not installed: pip install 'glre_pyg[gliner]'") from None
    check_files(Path(name))
    try:
        return GLiNER.from_pretrained(os.fspath(name), map_location=device)
    except (OSError, ValueError, RuntimeError, AssertionError) as error:  # the last two for a missing device
        reason = " ".join(str(error).split())
        raise InputError(f"mentions: GLiNER cannot load the model '{name}': {reason}") from None
