"""The spaCy pipeline component that predicts relations: ``nlp.add_pipe("glre", config={"model": ...})``.

    >>> import spacy                                                                # doctest: +SKIP
    >>> nlp = spacy.load("en_ner_bc5cdr_md")                                        # doctest: +SKIP
    >>> types = {"CHEMICAL": "Chemical", "DISEASE": "Disease"}                      # doctest: +SKIP
    >>> nlp.add_pipe("glre", config={"model": "runs/cdr", "types": types})          # doctest: +SKIP
    >>> for doc in nlp.pipe(abstracts):                                             # doctest: +SKIP
    ...     for relation in doc._.relations:
    ...         print(relation["head_name"], relation["relation"], relation["tail_name"])

What ``doc._.relations`` holds is said in :mod:`glre_pyg.formats.spacy_relations`. spaCy finds the
component by itself where glre_pyg is installed (entry point ``spacy_factories``).

Documents with an error, for instance those that need too much memory, are passed to spaCy's error handler.
By default it raises the error. With ``nlp.set_error_handler(...)`` and a handler that does not raise,
``nlp.pipe`` skips the document, and ``nlp(text)`` returns it without relations.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from traceback import walk_stack

import srsly
import torch
from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc
from spacy.util import minibatch

from glre_pyg.evaluation.protocol import PrecisionSetting
from glre_pyg.extraction.extractor import RelationExtractor
from glre_pyg.formats.spacy_docs import mentions_of
from glre_pyg.formats.spacy_relations import add_extension, relations_of
from glre_pyg.mentions.spacy_documents import without_facts
from glre_pyg.runs.hub import save_pretrained
from glre_pyg.utils.exceptions import InputError

_CHUNK = 256  # documents, as in RelationExtractor.stream and predict: other batches are rounded otherwise


class Relations(Pipe):
    """Fills ``doc._.relations`` from the entities of a ``Doc``.

    Args:
        nlp: The pipeline.
        name: Name of the component in the pipeline.
        model: A run's directory, a saved model, or a model on the Hugging Face hub. It is loaded when the
            component is added to a pipeline; saved pipelines have their own copy.
        threshold: Probability above which a relation is a fact; None for the threshold of the run.
        types: Entity type of the model for each label, ``{"CHEMICAL": "Chemical"}``. Other labels are used
            as types; mentions of types that the model does not know are left out.
        reasons: Whether to add reasons, at the cost of one more prediction for each sentence.
        batch_size: Number of documents in memory at a time; None for that of ``nlp.pipe``, but at most 256.
        device: Device of the model: ``"cpu"`` or ``"cuda"``.
        memory: Memory limit in GiB; None for most of what is available.
        precision: Numeric precision; see :func:`~glre_pyg.runs.hub.from_pretrained`.
    """

    def __init__(
        self,
        nlp: Language,
        name: str,
        model: str,
        threshold: float | None,
        types: dict[str, str] | None,
        reasons: bool,
        batch_size: int | None,
        device: str,
        memory: float | None,
        precision: PrecisionSetting = "fp32",
    ) -> None:
        if batch_size is not None and batch_size < 1:
            raise InputError(f"{name}: batch_size: {batch_size} is not a number of documents")
        add_extension()
        self.name = name
        self.threshold, self.types, self.reasons = threshold, dict(types or {}), reasons
        self.batch_size, self.device, self.memory, self.precision = batch_size, device, memory, precision
        self._source: str | Path = Path(model).absolute() if Path(model).exists() else model
        self._extractor: RelationExtractor | None = None
        self._process = os.getpid()
        if not _is_restored():
            self._extractor = self._load(self._source)

    @property
    def extractor(self) -> RelationExtractor:
        """The model; that of a pipeline made from a config is loaded when it is first used.

        Raises:
            InputError: If the model cannot be loaded, or ``types`` has a type that it does not know.
        """
        if self._process != os.getpid():
            # In a process of nlp.pipe(n_process=...): PyTorch's threads do not survive a fork.
            torch.set_num_threads(1)
            self._process = os.getpid()
        if self._extractor is None:
            self._extractor = self._load(self._source)
        return self._extractor

    def _load(self, source: str | Path) -> RelationExtractor:
        loaded = RelationExtractor.from_pretrained(
            source, device=self.device, memory=self.memory, precision=self.precision
        )
        known = loaded.run.labels.types
        for label, kind in self.types.items():
            if kind not in known:
                raise InputError(
                    f"{self.name}: types: '{kind}' for '{label}' is not one of {', '.join(known)}"
                )
        return loaded

    def __call__(self, doc: Doc) -> Doc:
        """Fill ``doc._.relations`` of one ``Doc``; spaCy passes errors to the error handler."""
        self._annotate([doc])
        return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = _CHUNK) -> Iterator[Doc]:
        """Fill ``doc._.relations`` of many Docs, one batch at a time.

        Args:
            stream: The Docs.
            batch_size: Number of Docs in memory at a time, unless the component has a batch size.
        """
        for docs in minibatch(stream, size=self.batch_size or min(batch_size, _CHUNK)):
            yield from self._annotated(docs)

    def _annotated(self, docs: Sequence[Doc]) -> Iterator[Doc]:
        """Yield annotated Docs; if there is an error, each is annotated alone."""
        try:
            self._annotate(docs)
        except Exception as error:
            if len(docs) == 1:
                self.get_error_handler()(self.name, self, list(docs), error)
                return
            for doc in docs:
                yield from self._annotated([doc])
        else:
            yield from docs

    def _annotate(self, docs: Sequence[Doc]) -> None:
        segmenter = self.extractor.corpus.segmenter
        documents = [without_facts(doc, types=self._types(doc), segmenter=segmenter) for doc in docs]
        predicted = self.extractor.stream(
            documents, threshold=self.threshold, reasons=self.reasons, chunk=len(docs)
        )
        for doc, document in zip(docs, predicted, strict=True):
            doc._.relations = relations_of(doc, document)

    def _types(self, doc: Doc) -> dict[str, str]:
        return {span.label_: self.types.get(span.label_, span.label_) for span in mentions_of(doc)}

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Save the model as a folder, which can also be loaded alone."""
        save_pretrained(self.extractor.run, path)

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> Relations:
        """Load a model saved by :meth:`to_disk`, in place of the one in the config."""
        self._extractor = self._load(path)
        return self

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """Serialize the model to bytes."""
        with TemporaryDirectory() as folder:
            self.to_disk(folder)
            files = (file for file in sorted(Path(folder).rglob("*")) if file.is_file())
            contents = {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}
        packed: bytes = srsly.msgpack_dumps(contents)
        return packed

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> Relations:
        """Load a model serialized by :meth:`to_bytes`.

        Raises:
            InputError: If the bytes are not a model.
        """
        with TemporaryDirectory() as name:
            folder = Path(name).resolve()
            files = srsly.msgpack_loads(data)
            if not isinstance(files, dict):
                raise InputError(f"{self.name}: not the files of a model")
            for relative, content in files.items():
                file = (folder / str(relative)).resolve()
                if not file.is_relative_to(folder) or not isinstance(content, bytes):
                    raise InputError(f"{self.name}: '{relative}' is not a file of a model")
                try:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(content)
                except OSError as error:
                    raise InputError(f"{self.name}: '{relative}' is not a file of a model: {error}") from None
            return self.from_disk(folder)


def _is_restored() -> bool:
    """Return whether spaCy is making a pipeline from a config, and may give its components data later."""
    from_config = Language.from_config.__func__.__code__  # type: ignore[attr-defined]
    return any(frame.f_code is from_config for frame, _ in walk_stack(None))


make = Language.factory(
    "glre",
    requires=["doc.ents"],
    assigns=["doc._.relations"],
    default_config={
        "threshold": None,
        "types": None,
        "reasons": False,
        "batch_size": None,
        "device": "cpu",
        "memory": None,
        "precision": "fp32",
    },
    func=Relations,
)
"""The factory of ``nlp.add_pipe("glre", config={...})``."""
