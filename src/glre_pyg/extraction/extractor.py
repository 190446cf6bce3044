"""Relations of documents in two lines: ``RelationExtractor.from_pretrained(model)(documents)``."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

import numpy as np
import torch

from glre_pyg.data.document import Document
from glre_pyg.data.explanation import PredictedFact, SentenceAblation
from glre_pyg.data.graph import DocumentGraph
from glre_pyg.evaluation.protocol import PrecisionSetting
from glre_pyg.evaluation.scores import Threshold
from glre_pyg.extraction.explainer import explain
from glre_pyg.extraction.inputs import Inputs, unsegmented_document
from glre_pyg.extraction.scoring import make_corpus
from glre_pyg.extraction.sentence_ablation import ablate_sentences
from glre_pyg.formats.detection import detect_format, read_documents
from glre_pyg.formats.parquet import fact_table
from glre_pyg.mentions.documents import with_mentions
from glre_pyg.mentions.finder import Finder
from glre_pyg.mentions.grouping import link_by_name
from glre_pyg.runs.hub import from_pretrained
from glre_pyg.runs.run import Run
from glre_pyg.utils.exceptions import ErrorHandler, InputError, WithoutFacts, handle_error, is_out_of_memory

if TYPE_CHECKING:
    import pyarrow as pa

Unlinked = Literal["drop", "name"]
Given = Document | str | Iterable[Document | str | tuple[str, str]]
"""Documents or texts, one or several; texts may have an identifier, ``(identifier, text)``."""


class Options(TypedDict, total=False):
    """How facts are predicted.

    Args:
        threshold: Probability above which a relation is a fact, or one for each relation, by name or [R];
            ``"precision:0.9"`` for the one with that precision on dev; None for the one with the best F1.
        reasons: Whether to add reasons and a sentence ablation to each fact, at the cost of one more
            prediction for each sentence of a document with facts.
        types, unlinked: See :meth:`RelationExtractor.prepare`.
        on_error: Callback for documents with an error, which are skipped; None raises the error.
    """

    threshold: Threshold | Mapping[str, float] | str | None
    reasons: bool
    types: Mapping[str, str] | None
    unlinked: Unlinked
    on_error: ErrorHandler | None


class RelationExtractor:
    """A trained model that predicts the relations of documents.

    Args:
        run: The model with its tokenizer, labels and threshold.

    Attributes:
        left_out: Number of mentions that :meth:`prepare` has left out so far, by entity type.
        left_out_relations: Number of given facts that it has left out so far, by relation.
        num_unlinked: Number of mentions without identifier so far, which belong to no entity.
        left_out_facts: Number of given facts, ignored pairs and sentences of evidence that were left out
            so far, because they are malformed, or their entities or sentences are not there.

    Example:
        >>> from glre_pyg import RelationExtractor                              # doctest: +SKIP
        >>> extractor = RelationExtractor.from_pretrained("runs/cdr")           # doctest: +SKIP
        >>> for document in extractor(["A text.", "Another."], mentions=finder):  # doctest: +SKIP
        ...     for fact in document.facts:
        ...         print(fact.head, fact.relation, fact.tail, fact.probability)
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.corpus = make_corpus(run.config.dataset)
        self.left_out: Counter[str] = Counter()
        self.left_out_relations: Counter[str] = Counter()
        self.num_unlinked = 0
        self.left_out_facts: Counter[str] = Counter()

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path | Sequence[str | Path],
        *,
        device: str | torch.device = "cpu",
        memory: float | None = None,
        precision: PrecisionSetting = "fp32",
        **options: Any,
    ) -> RelationExtractor:
        """Load a run's directory, a saved model, a model from the Hugging Face hub, or an average of them.

        Args:
            name: A folder, or the model's name on the hub; with several, probabilities are the mean of
                theirs.
            device: Device of the model.
            memory: Memory limit in GiB; None for most of what is available.
            precision: Numeric precision; see :func:`~glre_pyg.runs.hub.from_pretrained`.
            **options: See :func:`~glre_pyg.runs.hub.resolve_folder`.

        Raises:
            InputError: If the model cannot be loaded, or a file is missing or has been changed.
        """
        return cls(from_pretrained(name, device=device, memory=memory, precision=precision, **options))

    def __call__(
        self, documents: Given, *, mentions: Finder | None = None, **options: Unpack[Options]
    ) -> list[Document]:
        """Predict the facts of documents or texts.

        Args:
            documents: Documents, whose own facts are ignored, or texts, which are documents ``"1"``, ``"2"``,
                ... or have an identifier: ``(identifier, text)``.
            mentions: Finds the mentions of texts, and of documents in place of their own.
            **options: See :class:`Options`; ``reasons`` is True unless it is given.

        Returns:
            The documents as :meth:`prepare` returns them, with ``facts`` of
            :class:`~glre_pyg.data.explanation.PredictedFact` in decreasing order of probability. There is a
            warning if the model knows none of a document's entity types.

        Raises:
            InputError: If a document has an error or needs too much memory, or an item is not a document.
        """
        options.setdefault("reasons", True)
        return list(self.stream(documents, mentions=mentions, **options))

    def from_file(
        self,
        path: str | Path,
        mentions: Finder | None = None,
        *,
        format: str | None = None,
        **options: Unpack[Options],
    ) -> list[Document]:
        """Predict the facts of the documents in a file, or in the files of a folder, as ``predict`` does.

        Args:
            path: A file in any format that ``predict`` reads, or a folder.
            mentions: Finds the mentions of plain text, and of other documents in place of their own.
            format: Format of the file; None if its name or content tells.
            **options: As for :meth:`__call__`.

        Raises:
            InputError: If the file cannot be read, or see :meth:`__call__`.
        """
        inputs = self.inputs(mentions, format=format, on_error=options.get("on_error"))
        return self(inputs.documents(str(path)), **options)

    def table(self, documents: Given, mentions: Finder | None = None, **options: Unpack[Options]) -> pa.Table:
        """Predict the facts of documents or texts, as an Arrow table with a row for each fact.

        ``.to_pandas()`` and ``polars.from_arrow`` make a data frame of it.

        Args:
            documents, mentions: As for :meth:`__call__`.
            **options: As for :meth:`__call__`, without reasons.

        Raises:
            InputError: See :meth:`__call__`; also if pyarrow is not installed (extra ``arrow``).
        """
        options["reasons"] = False
        return fact_table(self(documents, mentions=mentions, **options))

    def inputs(
        self,
        mentions: Finder | None = None,
        *,
        format: str | None = None,
        passages: str | None = None,
        recursive: bool = False,
        max_words: int = 50_000,
        on_error: ErrorHandler | None = None,
    ) -> Inputs:
        """Return a reader of documents, for which formats are read as the corpus of the run does.

        Args:
            mentions: Mention finder; see :meth:`from_file`.
            format, passages, recursive, max_words: See :class:`~glre_pyg.extraction.inputs.Inputs`.
            on_error: See :meth:`from_file`.
        """

        check_finder(mentions)
        segmenter = self.corpus.segmenter

        def read_corpus(path: Path, on_error: ErrorHandler) -> Iterable[Document]:
            if passages is None or detect_format(path) != "pubtator":
                return self.corpus.read(path, on_error=on_error)
            return read_documents(
                path, self.corpus.pubtator, segmenter=segmenter, passages=passages, on_error=on_error
            )

        return Inputs(
            read_corpus=read_corpus,
            format=format,
            passages=passages,
            segmenter=segmenter,
            finder=mentions,
            max_words=max_words,
            recursive=recursive,
            on_error=WithoutFacts(on_error, self.left_out_facts),
        )

    def stream(
        self,
        documents: Given,
        *,
        mentions: Finder | None = None,
        threshold: Threshold | Mapping[str, float] | str | None = None,
        reasons: bool = False,
        types: Mapping[str, str] | None = None,
        unlinked: Unlinked = "drop",
        chunk: int = 256,
        on_error: ErrorHandler | None = None,
    ) -> Iterator[Document]:
        """Predict the facts of documents or texts one chunk at a time.

        Args:
            documents, mentions: See :meth:`__call__`.
            threshold, reasons, types, unlinked, on_error: See :class:`Options`.
            chunk: Number of documents in memory at a time.

        Raises:
            InputError: See :meth:`__call__`.
        """
        if chunk < 1:
            raise InputError(f"chunk: {chunk} is not a number of documents")
        check_finder(mentions)
        given = _documents(documents, mentions, on_error)
        if mentions is not None:
            given = with_mentions(given, mentions, segmenter=self.corpus.segmenter, on_error=on_error)
        remaining = self.prepare(self._checked(given, types or {}), types=types, unlinked=unlinked)
        while batch := list(islice(remaining, chunk)):
            predictions = self.predict(batch, threshold=threshold, reasons=reasons, on_error=on_error)
            for document, facts in zip(batch, predictions, strict=True):
                if facts is not None:
                    yield replace(document, facts=facts)

    def prepare(
        self,
        documents: Iterable[Document],
        *,
        types: Mapping[str, str] | None = None,
        unlinked: Unlinked = "drop",
    ) -> Iterator[Document]:
        """Prepare documents as the corpus of the run does, which does not see their facts.

        Mentions of entity types and facts of relations that the run does not know are left out, as are facts
        of mentions that are left out.

        Args:
            documents: The documents.
            types: Entity type of the run for types of the documents.
            unlinked: Whether mentions without identifier belong to no entity (``"drop"``), or to the one with
                their name or its abbreviation (``"name"``).

        Raises:
            InputError: If ``types`` names a type that the run does not know.
        """
        known, relations = self.run.labels.types, self.run.labels.relations
        for name in set((types or {}).values()) - set(known):
            raise InputError(f"mentions.types: '{name}' is not one of {', '.join(known)}")
        for document in documents:
            if types:
                document = with_types(document, types)
            if unlinked == "name":
                document = link_by_name(document)
            mentions = tuple(mention for mention in document.mentions if mention.type in known)
            if len(mentions) < len(document.mentions):
                self.left_out.update(
                    mention.type for mention in document.mentions if mention.type not in known
                )
                ids = {identifier for mention in mentions for identifier in mention.ids}
                facts = tuple(fact for fact in document.facts if {fact.head, fact.tail} <= ids)
                self.left_out_facts["facts"] += len(document.facts) - len(facts)
                document = replace(document, mentions=mentions, facts=facts)
            facts = tuple(fact for fact in document.facts if fact.relation in relations)
            self.left_out_relations.update(
                fact.relation for fact in document.facts if fact.relation not in relations
            )
            [prepared] = self.corpus.prepare([replace(document, facts=(), ignored=())])
            self.num_unlinked += sum(not mention.ids for mention in prepared.mentions)
            yield replace(prepared, facts=facts)

    def predict(
        self,
        documents: Sequence[Document],
        *,
        threshold: Threshold | Mapping[str, float] | str | None = None,
        min_probability: float | None = None,
        reasons: bool = False,
        top_k: int | None = 10,
        max_sentences: int | None = None,
        on_error: ErrorHandler | None = None,
    ) -> Iterator[tuple[PredictedFact, ...] | None]:
        """Predict the facts of each document; None for documents with an error.

        Args:
            documents: Documents of :meth:`prepare`, all of which are in memory at a time.
            threshold: See :class:`Options`.
            min_probability: Probability above which relations below the threshold are included, too, with
                ``is_predicted`` False; None includes facts alone.
            reasons: See :class:`Options`. Only facts have a sentence ablation.
            top_k: Number of context pairs in reasons; None for all.
            max_sentences: Number of sentences up to which documents have a sentence ablation; None for any.
            on_error: Callback for documents without predictions, and for those without reasons because of an
                error; None raises the error.

        Raises:
            InputError: See :meth:`__call__`.
        """
        thresholds = self.thresholds(threshold)
        for document, prediction in zip(documents, self._probabilities(documents, on_error), strict=True):
            if prediction is None:
                yield None
                continue
            facts = self._facts(document, *prediction, thresholds, min_probability)
            if reasons and facts:
                try:
                    facts = self._with_reasons(document, facts, top_k, max_sentences)
                except Exception as error:
                    reason = _reason(error)
                    handle_error(InputError(f"{document.id}: no reasons: {reason}"), on_error)
            yield facts

    def thresholds(self, threshold: Threshold | Mapping[str, float] | str | None) -> np.ndarray:
        """Return the threshold of each relation [R].

        Args:
            threshold: See :class:`Options`.

        Raises:
            InputError: If it is none.
        """
        relations = self.run.labels.relations
        if isinstance(threshold, str):
            threshold = self.run.threshold_of(threshold)
        if isinstance(threshold, Mapping):
            if unmatched := threshold.keys() ^ set(relations):
                reason = "is no relation" if min(unmatched) in threshold else "has none"
                raise InputError(
                    f"threshold: '{min(unmatched)}' {reason}: give one for {', '.join(relations)}"
                )
            threshold = np.array([threshold[relation] for relation in relations])
        if threshold is not None and not np.all((np.asarray(threshold) >= 0) & (np.asarray(threshold) <= 1)):
            raise InputError(f"threshold: {threshold} is not a probability, from 0 to 1")
        return np.broadcast_to(self.run.threshold if threshold is None else threshold, len(relations))

    def _probabilities(
        self, documents: Sequence[Document], on_error: ErrorHandler | None
    ) -> list[tuple[DocumentGraph, np.ndarray] | None]:
        """Graph and probabilities [P, R] of each document; if there is an error, each is predicted alone."""
        try:
            graphs = self.run.graphs(documents)
            return list(zip(graphs, self.run.predict(graphs), strict=True))
        except Exception as error:
            reason = _reason(error)
            if len(documents) > 1:
                return [self._probabilities([document], on_error)[0] for document in documents]
            [document] = documents
            name = "" if isinstance(error, InputError) else f"{document.id}: "
            handle_error(InputError(f"{name}{reason}"), on_error)
            return [None]

    def _facts(
        self,
        document: Document,
        graph: DocumentGraph,
        probabilities: np.ndarray,
        thresholds: np.ndarray,
        min_probability: float | None,
    ) -> tuple[PredictedFact, ...]:
        """Relations above their threshold or the minimum, in decreasing order of probability."""
        entities, pairs = document.entities, graph.pair_index.t().tolist()
        probabilities = probabilities.astype(np.float64)
        limits = thresholds if min_probability is None else np.minimum(thresholds, min_probability)
        facts = []
        for row, column in np.argwhere(probabilities > limits):
            head, tail = (entities[number] for number in pairs[row])
            facts.append(
                PredictedFact.between(
                    head,
                    self.run.labels.relations[column],
                    tail,
                    probability=float(probabilities[row, column]),
                    threshold=float(thresholds[column]),
                )
            )
        return tuple(sorted(facts, key=lambda fact: fact.probability, reverse=True))

    def _with_reasons(
        self,
        document: Document,
        facts: Sequence[PredictedFact],
        top_k: int | None,
        max_sentences: int | None,
    ) -> tuple[PredictedFact, ...]:
        pairs = list(dict.fromkeys((fact.head, fact.tail) for fact in facts))
        reasons = dict(zip(pairs, explain(self.run, document, pairs, top_k=top_k), strict=True))
        predicted = [fact for fact in facts if fact.is_predicted]
        ablations: Iterator[tuple[SentenceAblation, ...]] = iter(())
        if predicted and (max_sentences is None or len(document.sentences) <= max_sentences):
            ablations = iter(ablate_sentences(self.run, document, predicted))
        return tuple(
            replace(
                fact,
                reasons=reasons[fact.head, fact.tail],
                sentence_ablation=next(ablations, None) if fact.is_predicted else None,
            )
            for fact in facts
        )

    def _checked(self, documents: Iterable[Document], types: Mapping[str, str]) -> Iterator[Document]:
        known = self.run.labels.types
        for document in documents:
            names = sorted({mention.type for mention in document.mentions})
            if names and not any(types.get(name, name) in known for name in names):
                warnings.warn(
                    f"none of the types {', '.join(names)} is a type of the model ({', '.join(known)}): "
                    "map them to these",
                    stacklevel=2,
                )
            yield document


def check_finder(finder: object) -> None:
    """Check that mentions are found by a finder, and not given as a list, a file or a spaCy pipeline."""
    if finder is not None and (not callable(finder) or hasattr(finder, "pipe")):
        raise InputError(
            f"mentions: a {type(finder).__name__} finds no mentions: give a Dictionary, a SpacyFinder or a "
            "GlinerFinder, or a function from texts to a list of FoundMention for each"
        )


def _documents(given: Given, mentions: Finder | None, on_error: ErrorHandler | None) -> Iterator[Document]:
    """Yield documents, and texts as documents without mentions."""
    if isinstance(given, bytes | Path):
        raise InputError(f"expected documents or texts, not a {type(given).__name__}; from_file reads a file")
    for number, item in enumerate([given] if isinstance(given, Document | str) else given, 1):
        match (str(number), item) if isinstance(item, str) else item:
            case Document() as document:
                yield document
            case (str(identifier), str(text)) if mentions is not None:
                try:
                    yield unsegmented_document(identifier, text)
                except InputError as error:
                    handle_error(error, on_error)
            case _:
                raise InputError(
                    f"expected a document, not a {type(item).__name__}: glre_pyg.document_of creates one "
                    "from a text and its mentions, and mentions=FINDER finds them"
                )


def _reason(error: Exception) -> str:
    """Return the line for an error of a document or of memory; errors of the program are raised again."""
    if isinstance(error, InputError):
        return str(error)
    if is_out_of_memory(error):
        return "there is not enough memory to predict this document"
    raise error


def with_types(document: Document, types: Mapping[str, str]) -> Document:
    """Return a document whose mentions have other types, as far as these are given."""
    mentions = tuple(
        replace(mention, type=types.get(mention.type, mention.type)) for mention in document.mentions
    )
    return replace(document, mentions=mentions)
