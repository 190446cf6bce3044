"""Dependency parses of the words of a graph, by any spaCy pipeline with a parser."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec
import torch

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.utils.cache import Cache, key_of
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import check_files

if TYPE_CHECKING:
    from spacy.language import Language

UPOS = (
    *("X", "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM"),
    *("PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "SPACE"),
)
"""Universal parts of speech, which ``pos`` indexes; unknown ones are the first."""
_POS = {name: index for index, name in enumerate(UPOS)}
_NOT_NEEDED = ("ner", "lemmatizer", "senter")
_TAGS = ("tagger", "morphologizer", "attribute_ruler")
"""Components of spaCy's pipelines."""
_MAX_REMEMBERED = 100_000


class Sentence(msgspec.Struct, array_like=True, frozen=True):
    """Parse of a sentence.

    Args:
        heads: Head of each word, counted in the sentence; that of a root is the root.
        labels: Label of each word's dependency, such as ``"nsubj"``.
        pos: Part of speech of each word as a number of :data:`UPOS`.
    """

    heads: list[int]
    labels: list[str]
    pos: list[int]


class Parser:
    """Adds dependency parses to graphs.

    Each sentence is parsed by itself, so that its parse is the same in any document. Parses of recent
    sentences are remembered.

    Args:
        pipeline: A spaCy pipeline that fills ``token.head``.
        name: Name and version of the pipeline.
        batch_size: Number of sentences that are parsed together.
    """

    def __init__(self, pipeline: Language, *, name: str, batch_size: int = 256) -> None:
        self.pipeline, self.name, self.batch_size = pipeline, name, batch_size
        self.components = tuple(pipeline.pipe_names)
        self._known: dict[tuple[str, ...], Sentence] = {}

    @classmethod
    def load(cls, name: str, *, tags: bool = True, folders: bool = True) -> Self:
        """Load a pipeline.

        Args:
            name: Name of an installed pipeline, or a folder.
            tags: Whether parts of speech are needed; it is faster without them.
            folders: Whether it may be a folder.

        Raises:
            InputError: If spaCy or the pipeline is not installed, or the pipeline has no parser.
        """
        try:
            import spacy
        except ImportError:
            raise InputError("parse: spaCy is not installed: pip install 'glre_pyg[parse]'") from None
        if not (folders and Path(name).is_dir()) and name not in spacy.util.get_installed_models():
            raise InputError(
                f"parse: there is no spaCy pipeline '{name}': install it with pip, such as "
                "'glre_pyg[parse]' for the default one, or train with parse=PIPELINE"
            )
        check_files(Path(name))
        try:
            pipeline = spacy.load(name, exclude=[*_NOT_NEEDED, *([] if tags else _TAGS)])
        except (OSError, ValueError, ImportError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"parse: spaCy cannot load the pipeline '{name}': {reason}") from None
        if not pipeline.has_pipe("parser"):
            raise InputError(f"parse: the pipeline '{name}' has no dependency parser")
        return cls(pipeline, name=f"{name} {pipeline.meta['version']}")

    def add(self, graphs: Sequence[DocumentGraph], cache: Cache | None = None) -> None:
        """Add ``depends`` [2, ·], ``dependency`` (W strings) and ``pos`` [W], 0 if unknown, to graphs.

        Args:
            graphs: The graphs.
            cache: Where the parses of all of them are kept, or come from; None for no cache.
        """
        sentences = [sentence for graph in graphs for sentence in _sentences(graph)]
        if cache:
            key = key_of(self.name, self.components, version("spacy"), sentences)
            parses = cache.records("parses", key, Sentence, lambda: self.parse(sentences))
        else:
            parses = self.parse(sentences)
        following = iter(parses)
        for graph in graphs:
            _annotate(graph, following)

    def parse(self, sentences: Sequence[tuple[str, ...]]) -> list[Sentence]:
        """Parse sentences, given as words."""
        if len(self._known) > _MAX_REMEMBERED:
            self._known.clear()
        known = self._known
        missing = [words for words in dict.fromkeys(sentences) if words not in known]
        known.update(zip(missing, self._parsed(missing), strict=True))
        return [known[words] for words in sentences]

    def _parsed(self, sentences: Sequence[tuple[str, ...]]) -> Iterator[Sentence]:
        from spacy.tokens import Doc

        docs = (
            Doc(
                self.pipeline.vocab,
                words=list(words),
                sent_starts=[index == 0 for index in range(len(words))],
            )
            for words in sentences
        )
        for doc in self.pipeline.pipe(docs, batch_size=self.batch_size):
            yield Sentence(
                [token.head.i for token in doc],
                [token.dep_ for token in doc],
                [_POS.get(token.pos_, 0) for token in doc],
            )


def _sentences(graph: DocumentGraph) -> Iterator[tuple[str, ...]]:
    for start, end in graph["sentence"].span.tolist():
        yield tuple(graph.words[start:end])


def _annotate(graph: DocumentGraph, parses: Iterator[Sentence]) -> None:
    """Add the parses of the sentences of a graph, which are the next ones."""
    heads, labels, pos = [], [], []
    for (start, _), parse in zip(graph["sentence"].span.tolist(), parses, strict=False):
        heads += [start + head for head in parse.heads]
        labels += parse.labels
        pos += parse.pos
    head, word = torch.tensor(heads, dtype=torch.long), torch.arange(len(heads))
    graph.depends = torch.stack([word, head])[:, word != head]
    graph.dependency, graph.pos = labels, torch.tensor(pos, dtype=torch.long)
