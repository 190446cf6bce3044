"""The service without HTTP: from the body of a request to documents with facts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Mapping
from typing import Any

from glre_pyg.data.document import Document
from glre_pyg.evaluation.thresholds import saved_threshold
from glre_pyg.extraction.about import about
from glre_pyg.extraction.extractor import RelationExtractor
from glre_pyg.formats.page import PageOptions, page_parts
from glre_pyg.mentions.finder import Finder
from glre_pyg.service.answering import Answering
from glre_pyg.service.extraction_request import (
    ExtractionRequest,
    Limits,
    PredictionOptions,
    Refused,
    check_size,
)
from glre_pyg.service.request_queue import Job, RequestQueue
from glre_pyg.service.service_metrics import ServiceMetrics
from glre_pyg.service.start_page import StartPage


class RelationService:
    """Answers requests with one model, within limits.

    Args:
        extractor: The model.
        name: Displayed name of the model.
        limits: Limits of the service.
        min_probability: Probability above which pages show candidates.
        dictionaries, finder, given: See :class:`~glre_pyg.service.answering.Answering`.

    Attributes:
        queue: The requests that wait.
        metrics: Counts of requests, documents and facts.
        start_page: The page with the form.
    """

    def __init__(
        self,
        extractor: RelationExtractor,
        *,
        name: str,
        limits: Limits,
        min_probability: float,
        dictionaries: Mapping[str, Finder],
        finder: Finder | None = None,
        given: Mapping[str, Any] | None = None,
    ) -> None:
        self.extractor, self.name, self.limits, run = extractor, name, limits, extractor.run
        self.metrics = ServiceMetrics(lambda: self.queue.num_waiting)
        answering = Answering(
            extractor,
            dictionaries=dictionaries,
            finder=finder,
            given=given or {},
            max_sentences=limits["max_sentences"],
            on_batch=self.metrics.batch.observe,
        )
        self.queue = RequestQueue(answering, limits)
        self._min_probability = min_probability
        title, description = "Relations in a text", about(run)
        self._page_options: PageOptions = {
            "title": title,
            "relations": run.labels.relations,
            "threshold": saved_threshold(run.threshold, run.labels.relations),
            "relation_names": extractor.corpus.relation_names,
            "model": name,
            "about": description,
            "directed": run.labels.directed,
        }
        self.start_page = StartPage(
            title=title,
            about=description,
            types=run.labels.types,
            dictionaries=list(dictionaries),
            has_finder=finder is not None,
        )

    async def body(self, parts: AsyncIterable[bytes]) -> bytes:
        """Read the body of a request.

        Raises:
            Refused: If it is too large or too slow, or the queue is full.
        """
        self.queue.check_room()
        body, most = bytearray(), self.limits["max_bytes"]
        try:
            async with asyncio.timeout(self.limits["timeout"]):
                async for part in parts:
                    body += part
                    if len(body) > most:
                        raise Refused(413, f"a request may have at most {most} bytes")
        except TimeoutError:
            raise Refused(408, f"the request was not complete after {self.limits['timeout']:g} s") from None
        return bytes(body)

    async def extract(
        self, request: ExtractionRequest, *, min_probability: float | None = None
    ) -> list[Document]:
        """Find the relations in the documents of a request.

        Args:
            request: The request.
            min_probability: See :meth:`~glre_pyg.extraction.extractor.RelationExtractor.predict`.

        Raises:
            InputError: If something in it is wrong.
            Refused: If it is too large, the queue is full, or it takes too long.
        """
        check_size(request, self.limits)
        self.extractor.thresholds(request.threshold)  # before it waits
        options = PredictionOptions(request.reasons, request.threshold, min_probability)
        job = Job(request, options)
        try:
            documents = await asyncio.wait_for(self.queue.submit(job), self.limits["timeout"])
        except TimeoutError:
            raise Refused(504, f"there was no answer after {self.limits['timeout']:g} s") from None
        self.metrics.count(documents)
        return documents

    async def page(self, request: ExtractionRequest) -> str:
        """Return the page of the relations in the text of a request.

        Raises:
            InputError, Refused: See :meth:`extract`.
        """
        [document] = await self.extract(request, min_probability=self._min_probability)
        return "".join(page_parts([(document, None)], **self._page_options))
