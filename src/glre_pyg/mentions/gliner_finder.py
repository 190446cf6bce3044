"""Mentions by GLiNER, which finds what its labels describe without having been trained for them.

Urchade Zaratiana et al., "GLiNER: Generalist model for named entity recognition using bidirectional
transformer", NAACL 2024; its package is ``gliner``.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

from glre_pyg.data.document import Span
from glre_pyg.data.segmentation import sentences_of, words_of
from glre_pyg.mentions.finder import Found
from glre_pyg.utils.exceptions import InputError


class Gliner(Protocol):
    """What is used of ``gliner.GLiNER``."""

    config: Any
    data_processor: Any

    def inference(
        self, texts: list[str], labels: list[str], *, threshold: float, batch_size: int
    ) -> list[list[dict[str, Any]]]:
        """For each text what is found: "start", "end" and "label"."""
        ...


class GlinerFinder:
    """Finds what a GLiNER model takes for one of some labels; texts beyond its window are cut at sentences.

    Args:
        name: A model, or its name on the Hugging Face hub or its folder.
        types: Labels to ask for, in words ("chemical", "disease"), and the type to write for each.
        threshold: Probability above which something is found.
        batch_size: Texts that the model works on at once.
        window: Words, as GLiNER cuts them, that the model reads at once; no more than it was trained with.
        device: Where the model is to be.

    Raises:
        InputError: If GLiNER is not installed, there is no such model, or there are no labels.
    """

    def __init__(
        self,
        name: str | os.PathLike[str] | Gliner,
        types: Mapping[str, str],
        *,
        threshold: float = 0.5,
        batch_size: int = 8,
        window: int = 200,
        device: str = "cpu",
    ) -> None:
        self.types = dict(types)
        if not self.types:
            raise InputError("mentions.types: GLiNER needs at least one label to ask for")
        if window < 1:
            raise InputError(f"mentions.window: {window} words at a time are none")
        self.model = _load(name, device) if isinstance(name, str | os.PathLike) else name
        self.threshold, self.batch_size = threshold, batch_size
        self.window = min(window, self.model.config.max_len)

    def __call__(self, texts: Iterable[str]) -> Iterator[list[Found]]:
        """What is found in each of the texts, in order."""
        rest = iter(texts)
        while part := list(islice(rest, self.batch_size)):
            yield from self._found(part)

    def _found(self, texts: Sequence[str]) -> list[list[Found]]:
        windows = [(index, *span) for index, text in enumerate(texts) for span in self._windows(text)]
        pieces = [texts[index][start:end] for index, start, end in windows]
        found: list[list[Found]] = [[] for _ in texts]
        tables = self.model.inference(
            pieces, list(self.types), threshold=self.threshold, batch_size=self.batch_size
        )
        for (index, offset, _), table in zip(windows, tables, strict=True):
            for row in table:
                start, end = offset + row["start"], offset + row["end"]
                found[index].append(Found(start, end, self.types[row["label"]]))
        return found

    def _windows(self, text: str) -> Iterator[Span]:
        """Parts of a text that the model can read, in order: as many sentences as fit, else words."""
        ends = [end for _, _, end in self.model.data_processor.words_splitter(text)]
        if len(ends) <= self.window:
            yield 0, len(text)
            return
        words = words_of(text)
        stops = [words[sentence.end - 1][1] for sentence in sentences_of(text, words)]
        first, start = 0, 0
        while first < len(ends):
            # The last sentence that ends within the window, if one does.
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
    try:
        return GLiNER.from_pretrained(os.fspath(name), map_location=device)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"mentions: GLiNER cannot load the model '{name}': {reason}") from None
