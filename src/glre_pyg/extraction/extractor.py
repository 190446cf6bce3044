"""Relations of documents in two lines: ``RelationExtractor.from_pretrained(model)(documents)``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from glre_pyg.data.document import Document
from glre_pyg.data.explanation import PredictedFact, SentenceAblation
from glre_pyg.data.graph import DocumentGraph
from glre_pyg.evaluation.scores import Threshold
from glre_pyg.extraction.explainer import explain
from glre_pyg.extraction.sentence_ablation import Triple, ablate_sentences
from glre_pyg.runs.hub import folder_of
from glre_pyg.runs.run import Run, load
from glre_pyg.utils.exceptions import ErrorHandler, InputError, handle_error


class RelationExtractor:
    """A trained model that gives documents back with the facts that it finds in them.

    Args:
        run: The model with all it takes to use it.

    Example:
        >>> from glre_pyg import RelationExtractor                              # doctest: +SKIP
        >>> extractor = RelationExtractor.from_pretrained("runs/cdr")           # doctest: +SKIP
        >>> for document in extractor(documents):                               # doctest: +SKIP
        ...     for fact in document.facts:
        ...         print(fact.head, fact.relation, fact.tail, fact.probability)
    """

    def __init__(self, run: Run) -> None:
        self.run = run

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        device: str | torch.device = "cpu",
        memory: float | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
    ) -> RelationExtractor:
        """An extractor from a run's directory, a saved model, or a model of the hub.

        Args:
            name: A folder, or the model's name on the hub.
            device: Where the model is to be.
            memory: GiB that may be used; None for most of what is free.
            revision, token, cache_dir, local_files_only: See :func:`~glre_pyg.runs.hub.folder_of`.

        Raises:
            InputError: If it cannot be had, or a file is missing or is not what was saved.
        """
        folder = folder_of(
            name, revision=revision, token=token, cache_dir=cache_dir, local_files_only=local_files_only
        )
        return cls(load(folder, device=device, memory=memory))

    def __call__(
        self,
        documents: Iterable[Document],
        *,
        threshold: Threshold | Mapping[str, float] | None = None,
        reasons: bool = True,
    ) -> list[Document]:
        """Documents with the facts that are found in them, likeliest first.

        Args:
            documents: Documents, made from text by :func:`~glre_pyg.mentions.documents.document_of`, say;
                their own facts are not looked at.
            threshold: Probability above which a relation is a fact, or one for each relation, by name or
                [R]; None for the one that the run has chosen on dev.
            reasons: Whether facts have reasons, and what each sentence is worth; this takes as long again for
                each sentence of a document with facts.

        Returns:
            The documents, their ``facts`` being :class:`~glre_pyg.data.explanation.PredictedFact`.

        Raises:
            InputError: If a document cannot be worked on, or something is no document.
        """
        return list(self.stream(documents, threshold=threshold, reasons=reasons))

    def stream(
        self,
        documents: Iterable[Document],
        *,
        threshold: Threshold | Mapping[str, float] | None = None,
        reasons: bool = False,
        chunk: int = 256,
        on_error: ErrorHandler | None = None,
    ) -> Iterator[Document]:
        """The same, a chunk of documents at a time; see :meth:`found`."""
        found = self.found(documents, threshold=threshold, reasons=reasons, chunk=chunk, on_error=on_error)
        for document, facts in found:
            yield replace(document, facts=facts)

    def found(
        self,
        documents: Iterable[Document],
        *,
        threshold: Threshold | Mapping[str, float] | None = None,
        min_probability: float | None = None,
        reasons: bool = False,
        top_k: int | None = 10,
        max_sentences: int | None = None,
        chunk: int = 256,
        on_error: ErrorHandler | None = None,
    ) -> Iterator[tuple[Document, tuple[PredictedFact, ...]]]:
        """Documents as they are, each beside the facts that are found in it.

        Args:
            documents: See :meth:`__call__`.
            threshold: See :meth:`__call__`.
            min_probability: Probability above which relations below the threshold are included, too, with
                ``is_predicted`` False; None includes facts alone.
            reasons: See :meth:`__call__`. Only facts have a sentence ablation.
            top_k: How many pairs of the context reasons name; None for all.
            max_sentences: Sentences of a document up to which it is measured what each is worth; None for
                any number.
            chunk: Documents in memory at a time.
            on_error: Is told of documents that cannot be worked on, which are left out, and of those whose
                reasons cannot be had, which are given without; None raises.

        Raises:
            InputError: If a document cannot be worked on, or something is no document.
        """
        if chunk < 1:
            raise InputError(f"chunk: {chunk} documents at a time are none")
        limits = self._limits(threshold)
        rest = _checked(documents)
        while part := list(islice(rest, chunk)):
            for document, facts in self._found(part, limits, min_probability, on_error):
                if reasons and facts:
                    try:
                        facts = self._with_reasons(document, facts, top_k, max_sentences)
                    except InputError as error:
                        handle_error(InputError(f"{document.id}: no reasons: {error}"), on_error)
                yield document, facts

    def _limits(self, threshold: Threshold | Mapping[str, float] | None) -> np.ndarray:
        """A threshold for each relation [R]."""
        relations = self.run.labels.relations
        if isinstance(threshold, Mapping):
            if unknown := threshold.keys() ^ set(relations):
                raise InputError(
                    f"threshold: of '{min(unknown)}', where relations are {', '.join(relations)}"
                )
            threshold = np.array([threshold[relation] for relation in relations])
        return np.broadcast_to(self.run.threshold if threshold is None else threshold, len(relations))

    def _found(
        self,
        documents: Sequence[Document],
        limits: np.ndarray,
        min_probability: float | None,
        on_error: ErrorHandler | None,
    ) -> Iterator[tuple[Document, tuple[PredictedFact, ...]]]:
        try:
            graphs = self.run.graphs(documents)
            tables = self.run.predict(graphs)
        except InputError as error:
            if len(documents) == 1:
                handle_error(error, on_error)
                return
            for document in documents:
                yield from self._found([document], limits, min_probability, on_error)
            return
        for document, graph, table in zip(documents, graphs, tables, strict=True):
            yield document, self._facts(document, graph, table.astype(np.float64), limits, min_probability)

    def _facts(
        self,
        document: Document,
        graph: DocumentGraph,
        table: np.ndarray,
        limits: np.ndarray,
        min_probability: float | None,
    ) -> tuple[PredictedFact, ...]:
        """What is above its limit [R] or the floor in a table of probabilities [P, R], likeliest first."""
        entities, pairs = document.entities, graph.pair_index.t().tolist()
        found = []
        for pair, column in np.argwhere(
            table > (limits if min_probability is None else np.minimum(limits, min_probability))
        ):
            head, tail = (entities[number] for number in pairs[pair])
            probability, threshold = float(table[pair, column]), float(limits[column])
            relation = self.run.labels.relations[column]
            found.append(
                PredictedFact.between(head, relation, tail, probability=probability, threshold=threshold)
            )
        return tuple(sorted(found, key=lambda fact: fact.probability, reverse=True))

    def _with_reasons(
        self,
        document: Document,
        facts: Sequence[PredictedFact],
        top_k: int | None,
        max_sentences: int | None,
    ) -> tuple[PredictedFact, ...]:
        pairs = list(dict.fromkeys((fact.head, fact.tail) for fact in facts))
        why = dict(zip(pairs, explain(self.run, document, pairs, top_k=top_k), strict=True))
        asked = [(fact.head, fact.relation, fact.tail) for fact in facts if fact.is_predicted]
        worth: dict[Triple, tuple[SentenceAblation, ...]] = {}
        if asked and (max_sentences is None or len(document.sentences) <= max_sentences):
            worth = dict(zip(asked, ablate_sentences(self.run, document, asked), strict=True))
        return tuple(
            replace(
                fact,
                reasons=why[fact.head, fact.tail],
                sentence_ablation=worth.get((fact.head, fact.relation, fact.tail)),
            )
            for fact in facts
        )


def _checked(documents: Iterable[Document]) -> Iterator[Document]:
    """Documents, or a word on how to make them."""
    for document in [documents] if isinstance(documents, Document | str) else documents:
        if not isinstance(document, Document):
            raise InputError(
                f"a document is wanted, not a {type(document).__name__}: glre_pyg.document_of makes one of a "
                "text and the mentions in it"
            )
        yield document
