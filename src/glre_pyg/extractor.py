"""Relations of documents in two lines: ``RelationExtractor.from_pretrained(model)(documents)``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from glre_pyg.document import Document, InputError, Refused
from glre_pyg.evaluation.scores import Threshold
from glre_pyg.explain import explain
from glre_pyg.omission import omissions
from glre_pyg.reasons import PredictedFact
from glre_pyg.runs import Run, load


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
        cls, name: str | Path, *, device: str | torch.device = "cpu", memory: float | None = None
    ) -> RelationExtractor:
        """An extractor from a run's directory, a saved model, or a model of the hub.

        Args:
            name: A folder, or the model's name on the hub.
            device: Where the model is to be.
            memory: GiB that may be used; None for most of what is free.

        Raises:
            InputError: If a file is missing or is not what was saved.
        """
        return cls(load(Path(name), device=device, memory=memory))

    def __call__(
        self,
        documents: Iterable[Document],
        *,
        threshold: Threshold | None = None,
        reasons: bool = True,
    ) -> list[Document]:
        """Documents with the facts that are found in them, likeliest first.

        Args:
            documents: Documents; their own facts are not looked at.
            threshold: Probability above which a relation is a fact, or one for each relation [R]; None for
                the one that the run has chosen on dev.
            reasons: Whether facts have reasons, and what each sentence is worth; this takes as long again for
                each sentence of a document with facts.

        Returns:
            The documents, their ``facts`` being :class:`~glre_pyg.reasons.PredictedFact`.

        Raises:
            InputError: If a document cannot be worked on.
        """
        return list(self.stream(documents, threshold=threshold, reasons=reasons))

    def stream(
        self,
        documents: Iterable[Document],
        *,
        threshold: Threshold | None = None,
        floor: float | None = None,
        reasons: bool = False,
        chunk: int = 256,
        refused: Refused | None = None,
    ) -> Iterator[Document]:
        """The same, a chunk of documents at a time.

        Args:
            documents: See :meth:`__call__`.
            threshold: See :meth:`__call__`.
            floor: Relations down to this probability are given, too, with ``is_predicted`` False; None gives
                facts alone.
            reasons: See :meth:`__call__`. What sentences are worth is measured for facts alone.
            chunk: Documents in memory at a time.
            refused: Is told of documents that cannot be worked on, which are left out; None raises.
        """
        rest = iter(documents)
        while part := list(islice(rest, chunk)):
            for document, found in self._found(part, threshold, floor, refused):
                yield replace(
                    document, facts=self._with_reasons(document, found) if reasons else tuple(found)
                )

    def _found(
        self,
        documents: Sequence[Document],
        threshold: Threshold | None,
        floor: float | None,
        refused: Refused | None,
    ) -> Iterator[tuple[Document, list[PredictedFact]]]:
        try:
            graphs = self.run.graphs(documents)
            tables = self.run.predict(graphs)
        except InputError as error:
            if refused is None:
                raise
            if len(documents) == 1:
                refused(error)
                return
            for document in documents:  # those that can be worked on
                yield from self._found([document], threshold, floor, refused)
            return
        relations = self.run.labels.relations
        limits = np.broadcast_to(self.run.threshold if threshold is None else threshold, len(relations))
        for document, graph, table in zip(documents, graphs, tables, strict=True):
            table = table.astype(np.float64)
            pairs = graph.pair_index.t().tolist()
            entities = document.entities
            lowest = limits if floor is None else np.minimum(limits, floor)
            facts = []
            for pair, column in np.argwhere(table > lowest).tolist():
                head, tail = (entities[number] for number in pairs[pair])
                facts.append(
                    PredictedFact(
                        head=head.id,
                        relation=relations[column],
                        tail=tail.id,
                        extra=(f"{table[pair, column]:.6f}",),
                        probability=float(table[pair, column]),
                        threshold=float(limits[column]),
                        head_mentions=head.mentions,
                        tail_mentions=tail.mentions,
                    )
                )
            facts.sort(key=lambda fact: fact.probability, reverse=True)
            yield document, facts

    def _with_reasons(self, document: Document, facts: Sequence[PredictedFact]) -> tuple[PredictedFact, ...]:
        if not facts:
            return ()
        pairs = list(dict.fromkeys((fact.head, fact.tail) for fact in facts))
        why = dict(zip(pairs, explain(self.run, document, pairs), strict=True))
        asked = [(fact.head, fact.relation, fact.tail) for fact in facts if fact.is_predicted]
        worth = dict(zip(asked, omissions(self.run, document, asked) if asked else [], strict=True))
        return tuple(
            replace(
                fact,
                reasons=why[fact.head, fact.tail],
                omissions=worth.get((fact.head, fact.relation, fact.tail)),
            )
            for fact in facts
        )
