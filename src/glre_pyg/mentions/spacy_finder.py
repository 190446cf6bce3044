"""Mentions by a spaCy pipeline: any that fills ``doc.ents``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from glre_pyg.mentions.finder import Found
from glre_pyg.utils.exceptions import InputError

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc, Span

_UNLINKED = ("", "NIL")  # NIL is what spaCy's entity linker says of what is in no knowledge base


class SpacyFinder:
    """Finds what a spaCy pipeline takes for entities.

    An entity has an identifier if the pipeline links it (``ent.kb_id_``), or has one from a pattern
    (``ent.ent_id_``).

    Args:
        pipeline: A pipeline, or the name of an installed one or its folder.
        types: The pipeline's labels and the types to write for them; what has another label is left out. None
            takes all, labels being types.
        batch_size: Texts that the pipeline works on at once.
        n_process: Processes to work on.

    Raises:
        InputError: If spaCy or the pipeline is not installed.
    """

    def __init__(
        self,
        pipeline: str | os.PathLike[str] | Language,
        *,
        types: Mapping[str, str] | None = None,
        batch_size: int = 64,
        n_process: int = 1,
    ) -> None:
        self.pipeline = _load(pipeline) if isinstance(pipeline, str | os.PathLike) else pipeline
        self.types = None if types is None else dict(types)
        self.batch_size, self.n_process = batch_size, n_process

    def __call__(self, texts: Iterable[str]) -> Iterator[list[Found]]:
        """What is found in each of the texts, in order."""
        parts = (
            (part, (start, is_last))
            for text in texts
            for part, start, is_last in _parts(text, self.pipeline.max_length)
        )
        docs = self.pipeline.pipe(parts, as_tuples=True, batch_size=self.batch_size, n_process=self.n_process)
        found: list[Found] = []
        for doc, (start, is_last) in docs:
            found += self._found(doc, start)
            if is_last:
                yield found
                found = []

    def _found(self, doc: Doc, offset: int) -> Iterator[Found]:
        for span in doc.ents:
            type_ = span.label_ if self.types is None else self.types.get(span.label_)
            if type_ is not None:
                yield Found(offset + span.start_char, offset + span.end_char, type_, identifier_of(span))


def identifier_of(span: Span) -> str | None:
    """What a span says of its entity: the link, else the identifier, if there is one."""
    for identifier in (span.kb_id_, span.ent_id_, span.id_):
        if identifier not in _UNLINKED:
            return identifier
    return None


def _load(name: str | os.PathLike[str]) -> Language:
    try:
        import spacy
    except ImportError:
        raise InputError("mentions: spaCy is not installed: pip install 'glre_pyg[spacy]'") from None
    try:
        return spacy.load(os.fspath(name))
    except (OSError, ValueError, ImportError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"mentions: spaCy cannot load the pipeline '{name}': {reason}") from None


def _parts(text: str, length: int) -> Iterator[tuple[str, int, bool]]:
    """Parts of a text that a pipeline may read, where each begins, and whether it is the last."""
    start = 0
    while len(text) - start > length:
        end = max(text.rfind(" ", start, start + length), text.rfind("\n", start, start + length)) + 1
        end = end if end > start else start + length
        yield text[start:end], start, False
        start = end
    yield text[start:] if start else text, start, True
