"""Prediction for engines that hand out Arrow tables, such as Ray Data, Spark and Dask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glre_pyg.data.document import Document
from glre_pyg.evaluation.protocol import PrecisionSetting
from glre_pyg.extraction.extractor import RelationExtractor, check_finder
from glre_pyg.formats.parquet import documents_of_rows, known_columns, row_of, rows_of, schema
from glre_pyg.mentions.finder import Finder
from glre_pyg.utils.exceptions import InputError

if TYPE_CHECKING:
    import pyarrow as pa


class ExtractBatch:
    """Predicts the facts of documents in an Arrow table; made once in each worker.

    It imports no engine. A document with an error has no facts, and a line in the column ``error``: no
    document ends a job.

    Args:
        run: Name or folder of the model, or several; see :meth:`RelationExtractor.from_pretrained`.
        mentions: Finds the mentions of texts; None keeps those of the column ``mentions``.
        device: Device of the model.
        memory: Memory limit in GiB; None for most of what is available.
        precision: Numeric precision; see :func:`~glre_pyg.runs.hub.from_pretrained`.
        **options: ``threshold``, ``types`` and ``unlinked``; see
            :class:`~glre_pyg.extraction.extractor.Options`.

    Raises:
        InputError: If the model cannot be loaded, or an option is wrong.

    Example:
        >>> from glre_pyg import ExtractBatch                                               # doctest: +SKIP
        >>> import ray                                                                      # doctest: +SKIP
        >>> facts = ray.data.read_parquet("abstracts").map_batches(                         # doctest: +SKIP
        ...     ExtractBatch, fn_constructor_args=["cdr"], batch_format="pyarrow", concurrency=2
        ... )
    """

    def __init__(
        self,
        run: str | Path | Sequence[str | Path],
        *,
        mentions: Finder | None = None,
        device: str = "cpu",
        memory: float | None = None,
        precision: PrecisionSetting = "fp32",
        **options: Any,
    ) -> None:
        check_finder(mentions)
        if unknown := sorted(options.keys() - {"threshold", "types", "unlinked"}):
            raise InputError(f"{unknown[0]}: is not one of threshold, types, unlinked")
        self.extractor = RelationExtractor.from_pretrained(
            run, device=device, memory=memory, precision=precision
        )
        self.mentions, self.options = mentions, options
        self.extractor.thresholds(options.get("threshold"))
        unlinked = options.get("unlinked", "drop")
        if unlinked not in ("drop", "name"):
            raise InputError(f"unlinked: '{unlinked}' is not one of drop, name")
        list(self.extractor.prepare([], types=options.get("types")))  # checks them

    @staticmethod
    def schema() -> pa.Schema:
        """Return the schema of the tables that are returned."""
        import pyarrow as pa

        columns = schema()
        fields = [columns.field(name) for name in ("id", "mentions", "facts")]
        return pa.schema([*fields, ("error", pa.string())])

    def __call__(self, table: pa.Table | pa.RecordBatch) -> pa.Table:
        """Predict the facts of a table.

        Args:
            table: Columns ``id``, ``text`` and others of :mod:`glre_pyg.formats.parquet`; more are left out,
                and so are facts.

        Returns:
            A row for each row of the table, in its order: ``id``, the ``mentions`` and ``facts`` of the
            document, and ``error``, null if there was none.

        Raises:
            InputError: If a column is there twice.
        """
        import pyarrow as pa

        known = [
            name for name in known_columns(table.schema.names, "table") if name not in ("facts", "ignored")
        ]
        rows = rows_of(table.select(known))
        found = self._predicted([self._document(row, number) for number, row in enumerate(rows)])
        return pa.Table.from_pylist(
            [self._row(*each) for each in zip(rows, found, strict=True)], self.schema()
        )

    def _predicted(self, given: Sequence[Document | InputError]) -> Iterator[Document | InputError]:
        """Yield predicted documents in the place of those without an error."""
        predicted = iter(self._facts([each for each in given if isinstance(each, Document)]))
        for each in given:
            yield next(predicted) if isinstance(each, Document) else each

    def _document(self, row: dict[str, Any] | InputError, number: int) -> Document | InputError:
        try:
            segmenter = self.extractor.corpus.segmenter
            [document] = documents_of_rows([(f"row {number}", row)], "table", segmenter=segmenter)
        except InputError as error:
            return error
        return document

    def _facts(self, documents: Sequence[Document]) -> list[Document | InputError]:
        """Return predicted documents: all at once, or one by one if there is an error."""
        try:
            return [*self.extractor(documents, mentions=self.mentions, reasons=False, **self.options)]
        except InputError as error:
            if len(documents) == 1:
                return [error]
            return [result for document in documents for result in self._facts([document])]

    @staticmethod
    def _row(row: dict[str, Any] | InputError, found: Document | InputError) -> dict[str, Any]:
        known = None if isinstance(row, InputError) else row.get("id")
        identifier = None if known is None else str(known)
        if isinstance(found, InputError):
            return {"id": identifier, "error": str(found)}
        predicted = row_of(found)
        return {"id": identifier, "mentions": predicted["mentions"], "facts": predicted["facts"]}
