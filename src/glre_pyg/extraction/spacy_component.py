"""The component of a spaCy pipeline that finds relations: ``nlp.add_pipe("glre", config={"model": ...})``.

    >>> import spacy                                                                # doctest: +SKIP
    >>> nlp = spacy.load("en_ner_bc5cdr_md")                                        # doctest: +SKIP
    >>> types = {"CHEMICAL": "Chemical", "DISEASE": "Disease"}                      # doctest: +SKIP
    >>> nlp.add_pipe("glre", config={"model": "runs/cdr", "types": types})          # doctest: +SKIP
    >>> for doc in nlp.pipe(abstracts):                                             # doctest: +SKIP
    ...     for relation in doc._.relations:
    ...         print(relation["head_name"], relation["relation"], relation["tail_name"])

What ``doc._.relations`` holds is said in :mod:`glre_pyg.extraction.spacy_relations`. spaCy finds the
component by itself where glre_pyg is installed (entry point ``spacy_factories``).

A document that cannot be worked on, because it needs more memory than there is, say, goes to spaCy's error
handler: by default the error is raised; after ``nlp.set_error_handler(...)`` with a handler that does not
raise, ``nlp.pipe`` leaves the document out and goes on, and ``nlp(text)`` gives it without relations.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import srsly
import torch
from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc
from spacy.util import minibatch

from glre_pyg.extraction.extractor import RelationExtractor
from glre_pyg.extraction.spacy_relations import add_extension, relations_of
from glre_pyg.formats.spacy_docs import mentions_of, without_facts
from glre_pyg.runs.hub import save_pretrained
from glre_pyg.utils.exceptions import InputError


@Language.factory(
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
    },
)
def make(
    nlp: Language,
    name: str,
    model: str,
    threshold: float | None,
    types: dict[str, str] | None,
    reasons: bool,
    batch_size: int | None,
    device: str,
    memory: float | None,
) -> Relations:
    """What ``nlp.add_pipe("glre", config={...})`` calls.

    Args:
        nlp: The pipeline.
        name: Name of the component in it.
        model: A run's directory, a saved model, or a model of the hub. It is loaded with the first document,
            or with the saved pipeline that it is part of, in which case this is not looked at.
        threshold: Probability above which a relation is a fact; None for the one that the run has chosen.
        types: The model's entity types for the pipeline's labels, ``{"CHEMICAL": "Chemical"}``. Other labels
            stand for themselves; those that the model does not know are left out.
        reasons: Whether relations have reasons; this takes as long again for each sentence of a document.
        batch_size: Documents in memory at a time; None for what ``nlp.pipe`` is told.
        device: Where the model is to be: ``"cpu"`` or ``"cuda"``.
        memory: GiB that may be used; None for most of what is free.
    """
    add_extension()
    return Relations(
        name,
        model,
        threshold=threshold,
        types=types or {},
        reasons=reasons,
        batch_size=batch_size,
        device=device,
        memory=memory,
    )


class Relations(Pipe):
    """Fills ``doc._.relations`` from the entities of a ``Doc``.

    Args:
        name: Name of the component.
        model, threshold, types, reasons, batch_size, device, memory: See :func:`make`.
    """

    def __init__(
        self,
        name: str,
        model: str,
        *,
        threshold: float | None,
        types: Mapping[str, str],
        reasons: bool,
        batch_size: int | None,
        device: str,
        memory: float | None,
    ) -> None:
        if batch_size is not None and batch_size < 1:
            raise InputError(f"{name}: batch_size: {batch_size} documents at a time are none")
        self.name = name
        self.threshold, self.types, self.reasons = threshold, dict(types), reasons
        self.batch_size, self.device, self.memory = batch_size, device, memory
        self._source: str | Path = Path(model).absolute() if Path(model).exists() else model
        self._extractor: RelationExtractor | None = None
        self._process = os.getpid()

    @property
    def extractor(self) -> RelationExtractor:
        """The model; it is loaded when it is first asked for.

        Raises:
            InputError: If there is no such model, or ``types`` has a type that it does not know.
        """
        if self._process != os.getpid():
            # In a process of nlp.pipe(n_process=...): threads of PyTorch do not outlive a fork.
            torch.set_num_threads(1)
            self._process = os.getpid()
        if self._extractor is None:
            self._extractor = self._load(self._source)
        return self._extractor

    def _load(self, source: str | Path) -> RelationExtractor:
        loaded = RelationExtractor.from_pretrained(source, device=self.device, memory=self.memory)
        known = loaded.run.labels.types
        for label, kind in self.types.items():
            if kind not in known:
                raise InputError(
                    f"{self.name}: types: '{kind}' for '{label}' is not one of {', '.join(known)}"
                )
        return loaded

    def __call__(self, doc: Doc) -> Doc:
        """Fill ``doc._.relations`` of one ``Doc``; spaCy hands errors to the error handler."""
        self._annotate([doc])
        return doc

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Fill ``doc._.relations`` of many, a batch at a time.

        Args:
            stream: Docs.
            batch_size: Docs in memory at a time, unless the component has a number of its own.
        """
        for docs in minibatch(stream, size=self.batch_size or batch_size):
            yield from self._annotated(docs)

    def _annotated(self, docs: Sequence[Doc]) -> Iterator[Doc]:
        """Docs, but for those that fail, each by itself."""
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
        documents = [without_facts(doc, types=self._known(doc)) for doc in docs]
        found = self.extractor.stream(
            documents, threshold=self.threshold, reasons=self.reasons, chunk=len(docs)
        )
        for doc, document in zip(docs, found, strict=True):
            doc._.relations = relations_of(doc, document)

    def _known(self, doc: Doc) -> dict[str, str]:
        """The model's types for those labels of a ``Doc`` that it knows."""
        types = self.extractor.run.labels.types
        labels = {span.label_: self.types.get(span.label_, span.label_) for span in mentions_of(doc)}
        known = {label: kind for label, kind in labels.items() if kind in types}
        if labels and not known:
            warnings.warn(
                f"{self.name}: none of the labels {', '.join(sorted(labels))} is a type that the model knows "
                f"({', '.join(types)}); config 'types' says which is which",
                stacklevel=2,
            )
        return known

    def to_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> None:
        """Save the model, as a folder that can be loaded by itself, too."""
        save_pretrained(self.extractor.run, path)

    def from_disk(self, path: str | Path, *, exclude: Iterable[str] = ()) -> Relations:
        """Load the model that :meth:`to_disk` has saved, in place of the one that the config names."""
        self._extractor = self._load(path)
        return self

    def to_bytes(self, *, exclude: Iterable[str] = ()) -> bytes:
        """The model as bytes."""
        with TemporaryDirectory() as folder:
            self.to_disk(folder)
            files = (file for file in sorted(Path(folder).rglob("*")) if file.is_file())
            contents = {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}
        packed: bytes = srsly.msgpack_dumps(contents)
        return packed

    def from_bytes(self, data: bytes, *, exclude: Iterable[str] = ()) -> Relations:
        """Load the model from what :meth:`to_bytes` gave.

        Raises:
            InputError: If it is something else.
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
