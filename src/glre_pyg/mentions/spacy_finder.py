"""Mentions found by a spaCy pipeline that fills ``doc.ents``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from glre_pyg.formats.spacy_docs import identifier_of
from glre_pyg.mentions.finder import FoundMention
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import check_files
from glre_pyg.utils.ranges import PositiveInt

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc


class SpacyFinder:
    """Mention finder that returns the entities of a spaCy pipeline.

    A mention has an identifier if the pipeline links it (``ent.kb_id_``), or a pattern has one
    (``ent.ent_id_``).

    Args:
        pipeline: A pipeline, the name of an installed one, or its folder.
        types: Entity type of each label; entities with other labels are skipped. None includes all, with
            labels as types.
        batch_size: Number of texts per batch.
        n_process: Number of worker processes.

    Raises:
        InputError: If spaCy or the pipeline is not installed.
    """

    def __init__(
        self,
        pipeline: str | os.PathLike[str] | Language,
        *,
        types: Mapping[str, str] | None = None,
        batch_size: PositiveInt = 64,
        n_process: PositiveInt = 1,
    ) -> None:
        self.pipeline = _load(pipeline) if isinstance(pipeline, str | os.PathLike) else pipeline
        self.types = None if types is None else dict(types)
        self.batch_size, self.n_process = batch_size, n_process

    def __call__(self, texts: Iterable[str]) -> Iterator[list[FoundMention]]:
        """Yield the mentions of each text, in order."""
        parts = (
            (part, (start, is_last))
            for text in texts
            for part, start, is_last in _parts(text, self.pipeline.max_length)
        )
        docs = self.pipeline.pipe(parts, as_tuples=True, batch_size=self.batch_size, n_process=self.n_process)
        mentions: list[FoundMention] = []
        for doc, (start, is_last) in docs:
            mentions += self._mentions(doc, start)
            if is_last:
                yield mentions
                mentions = []

    def _mentions(self, doc: Doc, offset: int) -> Iterator[FoundMention]:
        for span in doc.ents:
            type_ = span.label_ if self.types is None else self.types.get(span.label_)
            if type_ is not None:
                yield FoundMention(
                    offset + span.start_char, offset + span.end_char, type_, identifier_of(span)
                )


def _load(name: str | os.PathLike[str]) -> Language:
    try:
        import spacy
    except ImportError:
        raise InputError("mentions: spaCy is not installed: pip install 'glre_pyg[spacy]'") from None
    check_files(Path(name))
    try:
        return spacy.load(os.fspath(name))
    except (OSError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"mentions: spaCy cannot load the pipeline '{name}': {reason}") from None


def _parts(text: str, length: int) -> Iterator[tuple[str, int, bool]]:
    """Split a text into parts that a pipeline accepts, each with its start and whether it is the last."""
    start = 0
    while len(text) - start > length:
        end = max(text.rfind(" ", start, start + length), text.rfind("\n", start, start + length)) + 1
        end = end if end > start else start + length
        yield text[start:end], start, False
        start = end
    yield text[start:] if start else text, start, True
