"""Documents as Apache Parquet, and their facts as Arrow tables; both need pyarrow (extra ``arrow``).

A row is a document, with the fields of JSON lines (:mod:`glre_pyg.formats.jsonl`) as columns: ``id`` and
``text`` and, where there are any, ``mentions``, ``facts``, ``ignored``, ``sections``, ``words`` and
``sentences``, nested as there. Other columns are left out when a file is read, and nulls are what is not
given. An ``id`` may be a number. Reasons of predicted facts are not written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from glre_pyg.data.document import Document
from glre_pyg.data.segmentation import Segmenter, segment
from glre_pyg.formats.csv_facts import COLUMNS, fact_rows
from glre_pyg.formats.json_records import record_place
from glre_pyg.formats.jsonl import FactRecord, MentionRecord, Record, build_document, record_of
from glre_pyg.formats.reading import documents_at
from glre_pyg.formats.writing import converted
from glre_pyg.utils.exceptions import ErrorHandler, InputError
from glre_pyg.utils.files import WriteError, atomic_path, check_regular

if TYPE_CHECKING:
    import pyarrow as pa

_FIELDS = {"mentions": MentionRecord.__struct_fields__, "facts": FactRecord.__struct_fields__}
_ROWS = 256  # of a row group that is written, or read at a time


def read_parquet(
    path: str | os.PathLike[str], *, segmenter: Segmenter = segment, on_error: ErrorHandler | None = None
) -> Iterator[Document]:
    """Read documents, some rows in memory at a time.

    Args:
        path: The file.
        segmenter: Cuts the text of documents without words and sentences.
        on_error: Callback for documents with an error, which are skipped; None raises.

    Raises:
        InputError: ``file: row: document: field: what is wrong``; also if there is no document at all, it is
            not a file of Parquet, or pyarrow is not installed.
    """
    name = Path(path).name
    arrow, parquet = _pyarrow(name)
    check_regular(Path(path))
    try:
        with parquet.ParquetFile(path) as file:
            columns = known_columns(file.schema_arrow.names, name)
            if missing := [column for column in ("id", "text") if column not in columns]:
                raise InputError(f"{name}: there is no column '{missing[0]}'")
            batches = file.iter_batches(batch_size=_ROWS, columns=columns)
            rows = enumerate(row for batch in batches for row in rows_of(batch))
            placed = ((f"{name}: row {number}", row) for number, row in rows)
            yield from documents_of_rows(placed, name, segmenter=segmenter, on_error=on_error)
    except (arrow.ArrowException, OSError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"{name}: not a whole file of Parquet: {reason}") from None


def documents_of_rows(
    rows: Iterable[tuple[str, dict[str, Any] | InputError]],
    name: str,
    *,
    segmenter: Segmenter = segment,
    on_error: ErrorHandler | None = None,
) -> Iterator[Document]:
    """Convert rows to documents.

    Args:
        rows: Place of each row, for errors, and the row, of :func:`rows_of`.
        name: What they are of.
        segmenter, on_error: See :func:`read_parquet`.

    Raises:
        InputError: See :func:`read_parquet`.
    """
    build = partial(build_document, segmenter=segmenter, on_error=on_error)
    places = (record_place(place, _plain(row), "id", Record, build) for place, row in rows)
    return documents_at(name, places, on_error)


def known_columns(names: Sequence[str], source: str) -> list[str]:
    """Return the columns of a table that are fields of documents.

    Raises:
        InputError: If one is there twice.
    """
    known = [name for name in names if name in Record.__struct_fields__]
    for name in known:
        if known.count(name) > 1:
            raise InputError(f"{source}: there are two columns '{name}'")
    return known


def rows_of(table: pa.Table | pa.RecordBatch) -> list[dict[str, Any] | InputError]:
    """Return the rows of a table; one with a text that is not UTF-8 is an error."""
    try:
        return [*table.to_pylist()]
    except UnicodeDecodeError:
        if table.num_rows == 1:
            return [InputError("a text is not UTF-8")]
        return [row for number in range(table.num_rows) for row in rows_of(table.slice(number, 1))]


def write_parquet(
    documents: Iterable[Document], path: str | os.PathLike[str], *, on_error: ErrorHandler | None = None
) -> None:
    """Write documents as :func:`read_parquet` reads them; the file appears when it is complete.

    Args:
        documents: The documents; some are in memory at a time.
        path: The file.
        on_error: Callback for documents that could not be read again, which are skipped; None raises.

    Raises:
        InputError: If pyarrow is not installed.
        WriteError: If the file cannot be written.
    """
    arrow, parquet = _pyarrow(Path(path).name)
    form = schema()
    rows: list[dict[str, Any]] = []

    def write(writer: Any) -> None:
        try:
            writer.write_table(arrow.Table.from_pylist(rows, form))
        except (arrow.ArrowException, OSError) as error:
            raise WriteError.from_error(Path(path), error) from error
        rows.clear()

    with atomic_path(path) as part, parquet.ParquetWriter(part, form) as writer:
        for row in converted(documents, row_of, on_error):
            rows.append(row)
            if len(rows) == _ROWS:
                write(writer)
        write(writer)


def row_of(document: Document) -> dict[str, Any]:
    """Return the row of a document.

    Raises:
        InputError: If it could not be read again, as with a fact of an entity without mention.
    """
    row: dict[str, Any] = {"mentions": [], "facts": [], "ignored": [], "sections": []}
    row |= msgspec.to_builtins(record_of(document))
    for fact in row["facts"]:
        fact.pop("reasons", None)
        fact.pop("sentence_ablation", None)
    return row


def schema() -> pa.Schema:
    """Return the schema of documents."""
    import pyarrow as pa

    texts, numbers = pa.list_(pa.string()), pa.list_(pa.int32())
    mention = {"start": pa.int32(), "end": pa.int32(), "type": pa.string(), "ids": texts, "names": texts}
    fact = {"head": pa.string(), "relation": pa.string(), "tail": pa.string(), "probability": pa.float64()}
    fact |= {"threshold": pa.float64(), "evidence": numbers, "extra": texts}
    nested = {"mentions": pa.struct(mention | {"text": pa.string()}), "facts": pa.struct(fact)}
    spans = ("sections", "words", "sentences")
    columns = {"id": pa.string(), "text": pa.string()} | {key: pa.list_(of) for key, of in nested.items()}
    return pa.schema(columns | {"ignored": pa.list_(texts)} | {key: pa.list_(numbers) for key in spans})


def fact_table(documents: Iterable[Document]) -> pa.Table:
    """Return a table with a row for each fact, and the columns of :mod:`glre_pyg.formats.csv_facts`.

    Probabilities, thresholds and the numbers of sentences, from 1, are numbers.

    Raises:
        InputError: If a fact names an entity that the document does not mention, or pyarrow is not installed.
    """
    arrow, _ = _pyarrow("a table of facts")
    types = {
        "probability": arrow.float64(),
        "threshold": arrow.float64(),
        "sentences": arrow.list_(arrow.int32()),
    }
    form = arrow.schema({name: types.get(name, arrow.string()) for name in COLUMNS})
    rows = [dict(zip(COLUMNS, row, strict=True)) for document in documents for row in fact_rows(document)]
    return arrow.Table.from_pylist(rows, form)


def _plain(value: Any, key: str = "") -> Any:
    """Return a value without nulls and unknown fields, and with identifiers as texts."""
    if isinstance(value, dict):
        known = _FIELDS.get(key, value.keys())
        return {
            name: _plain(each, name) for name, each in value.items() if each is not None and name in known
        }
    if isinstance(value, list):
        return [_plain(each, key) for each in value]
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if key in ("id", "ids") and is_number else value


def _pyarrow(name: str) -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError(f"{name}: pyarrow is not installed: pip install 'glre_pyg[arrow]'") from None
    return pyarrow, pyarrow.parquet
