"""Answers to requests, as :class:`~glre_pyg.extraction.extractor.RelationExtractor` gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from msgspec import structs

from glre_pyg.data.document import Document
from glre_pyg.data.segmentation import Segmenter
from glre_pyg.extraction.extractor import RelationExtractor
from glre_pyg.extraction.inputs import unsegmented_document
from glre_pyg.formats.jsonl import build_document
from glre_pyg.mentions.dictionary import Dictionary
from glre_pyg.mentions.documents import with_mentions
from glre_pyg.mentions.finder import Finder
from glre_pyg.service.extraction_request import ExtractionRequest, PredictionOptions
from glre_pyg.service.request_queue import Job
from glre_pyg.utils.console import shown
from glre_pyg.utils.exceptions import InputError


class Answering:
    """Answers batches of requests with one model, in one thread.

    Args:
        extractor: The model.
        dictionaries: Dictionaries that requests may name.
        finder: Finds the mentions of texts in requests without a dictionary; None for none.
        given: How mentions given in documents are used: ``types`` and ``unlinked`` of
            :meth:`~glre_pyg.extraction.extractor.RelationExtractor.prepare`.
        max_sentences: Number of sentences up to which documents have a sentence ablation.
        on_batch: Called with the number of documents of each batch.
    """

    def __init__(
        self,
        extractor: RelationExtractor,
        *,
        dictionaries: Mapping[str, Finder],
        finder: Finder | None,
        given: Mapping[str, Any],
        max_sentences: int,
        on_batch: Callable[[int], object],
    ) -> None:
        self.extractor, self.dictionaries, self.finder, self.given = extractor, dictionaries, finder, given
        self.max_sentences, self.on_batch = max_sentences, on_batch

    def __call__(self, jobs: Sequence[Job]) -> None:
        """Finish each job with its documents, or with its error."""
        groups: dict[PredictionOptions, list[tuple[Job, list[Document]]]] = {}
        for job in jobs:
            try:
                documents = self._documents(job.request)
            except Exception as error:
                job.finish(error)
            else:
                groups.setdefault(job.options, []).append((job, documents))
        for options, group in groups.items():
            self.on_batch(sum(len(documents) for _, documents in group))
            self._predict(group, options)
        for counter in (self.extractor.left_out, self.extractor.left_out_relations):
            counter.clear()  # their keys are texts of clients

    def _documents(self, request: ExtractionRequest) -> list[Document]:
        """Prepare the documents of a request for prediction."""
        finder, segmenter = self._finder(request), self.extractor.corpus.segmenter
        if request.text is not None:
            documents: list[Document] = [unsegmented_document("1", request.text)]
        else:
            documents = list(_given_documents(request, segmenter))
        if finder is not None:
            documents = list(with_mentions(documents, finder, segmenter=segmenter))
        return list(self.extractor.prepare(documents, **self.given))

    def _finder(self, request: ExtractionRequest) -> Finder | None:
        """Return the mention finder of a request; None if its documents keep their mentions."""
        if request.names is not None:
            dictionary = Dictionary.parse(request.names)
            known = self.extractor.run.labels.types
            if not set(dictionary.types) & set(known):
                types = ", ".join(map(shown, dictionary.types[:3]))
                raise InputError(f"names: of the types {types}, none is one of {', '.join(known)}")
            return dictionary
        if request.dictionary is not None:
            if request.dictionary not in self.dictionaries:
                known = tuple(self.dictionaries)
                what = f"one of {', '.join(known)}" if known else "known: the service has none"
                raise InputError(f"dictionary: '{shown(request.dictionary)}' is not {what}")
            return self.dictionaries[request.dictionary]
        if request.text is None:
            return None
        if self.finder is None:
            raise InputError("text: has no marked mentions: give a dictionary or names that find them")
        return self.finder

    def _predict(self, group: Sequence[tuple[Job, list[Document]]], options: PredictionOptions) -> None:
        """Predict documents together; if there is an error, those of each request alone."""
        together = [document for _, documents in group for document in documents]
        num_finished = 0
        try:
            answers = self._answers(together, options)
            for job, documents in group:
                job.finish(list(islice(answers, len(documents))))
                num_finished += 1
        except Exception as error:
            if len(group) == 1:
                group[0][0].finish(error)
            else:
                for each in group[num_finished:]:
                    self._predict([each], options)

    def _answers(self, documents: Sequence[Document], options: PredictionOptions) -> Iterator[Document]:
        predictions = self.extractor.predict(
            documents,
            threshold=options.threshold,
            min_probability=options.min_probability,
            reasons=options.reasons,
            max_sentences=self.max_sentences,
        )
        for document, facts in zip(documents, predictions, strict=True):
            yield replace(document, facts=facts or ())


def _given_documents(request: ExtractionRequest, segmenter: Segmenter) -> Iterator[Document]:
    """Yield the documents that a request gives, without their facts."""
    for number, record in enumerate(request.documents or ()):
        try:
            plain = structs.replace(record, facts=(), ignored=())
            yield build_document(plain, segmenter=segmenter, on_error=None)
        except InputError as error:
            raise InputError(f"documents[{number}]: {error}") from None
