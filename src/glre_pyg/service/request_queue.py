"""A bounded queue of requests, which one thread answers in batches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from glre_pyg.data.document import Document
from glre_pyg.service.extraction_request import ExtractionRequest, Limits, PredictionOptions, Refused


class Job:
    """A request that waits for its answer.

    Args:
        request: The request.
        options: How its documents are predicted.
    """

    def __init__(self, request: ExtractionRequest, options: PredictionOptions) -> None:
        self.request, self.options, self.num_documents = request, options, len(request.texts)
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[list[Document]] = self.loop.create_future()

    def finish(self, result: list[Document] | Exception) -> None:
        """Set the answer, or the error, from the thread of the model."""
        self.loop.call_soon_threadsafe(self._set, result)

    def _set(self, result: list[Document] | Exception) -> None:
        if self.answer.done():  # given up in the meantime
            return
        if isinstance(result, Exception):
            self.answer.set_exception(result)
        else:
            self.answer.set_result(result)


class RequestQueue:
    """A bounded queue of jobs.

    While the model predicts a batch, other jobs gather for the next one. An idle model waits for
    ``batch_wait`` seconds after the first job.

    Args:
        answer: Finishes jobs; called in one thread.
        limits: Limits of the service.

    Attributes:
        num_waiting: Number of documents that wait.
    """

    def __init__(self, answer: Callable[[Sequence[Job]], None], limits: Limits) -> None:
        self._answer, self._limits = answer, limits
        self._jobs: deque[Job] = deque()
        self._is_filled = asyncio.Event()
        self.num_waiting = 0

    def check_room(self, num_documents: int = 1) -> None:
        """Check that documents may wait. A request finds room in an empty queue, whatever its size.

        Raises:
            Refused: If the queue is full.
        """
        if self._jobs and self.num_waiting + num_documents > self._limits["max_waiting"]:
            raise Refused(429, f"{self.num_waiting} documents are waiting: try again later")

    async def submit(self, job: Job) -> list[Document]:
        """Wait for the answer of a job.

        Raises:
            Refused: If the queue is full.
        """
        self.check_room(job.num_documents)
        self._jobs.append(job)
        self.num_waiting += job.num_documents
        self._is_filled.set()
        return await job.answer

    async def run(self) -> None:
        """Answer jobs until the task is cancelled; the batch in progress is then finished."""
        with ThreadPoolExecutor(1, thread_name_prefix="model") as thread:
            while True:
                await self._is_filled.wait()
                if len(self._jobs) == 1:
                    await asyncio.sleep(self._limits["batch_wait"])
                if batch := self._take():
                    await asyncio.get_running_loop().run_in_executor(thread, self._answer, batch)

    def _take(self) -> list[Job]:
        """Take the jobs of a batch, without those that were given up."""
        batch: list[Job] = []
        size = 0
        while self._jobs and (not batch or size + self._jobs[0].num_documents <= self._limits["max_batch"]):
            job = self._jobs.popleft()
            self.num_waiting -= job.num_documents
            if not job.answer.done():
                batch.append(job)
                size += job.num_documents
        if not self._jobs:
            self._is_filled.clear()
        return batch
