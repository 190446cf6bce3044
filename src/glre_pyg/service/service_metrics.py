"""What Prometheus reads: numbers of requests, documents and facts, and how long requests take."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from glre_pyg.data.document import Document


class ServiceMetrics:
    """Metrics of one service, in a registry of their own.

    Args:
        num_waiting: Returns the number of documents that wait.

    Attributes:
        requests: Number of requests by path and status.
        seconds: How long requests take, by path.
        batch: Number of documents that are predicted together.
    """

    def __init__(self, num_waiting: Callable[[], int]) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.requests = Counter(
            "glre_requests", "Requests by path and status", ["path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "glre_request_seconds",
            "Seconds until the answer",
            ["path"],
            registry=registry,
            buckets=[0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60],
        )
        self.batch = Histogram(
            "glre_batch_documents",
            "Documents that are predicted together",
            registry=registry,
            buckets=[1, 2, 4, 8, 16, 32, 64],
        )
        self.documents = Counter("glre_documents", "Documents answered", registry=registry)
        self.facts = Counter("glre_facts", "Facts found", registry=registry)
        waiting = Gauge("glre_waiting_documents", "Documents that wait for the model", registry=registry)
        waiting.set_function(num_waiting)

    def count(self, documents: Sequence[Document]) -> None:
        """Count documents that were answered, and their facts."""
        self.documents.inc(len(documents))
        self.facts.inc(sum(len(document.facts) for document in documents))

    def text(self) -> bytes:
        """Return the metrics in Prometheus's text format."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)
