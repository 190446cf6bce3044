"""Facts as comma-separated values for spreadsheets, one row per fact.

The columns are ``document``; identifier, first name and type of ``head`` and ``tail``, with ``relation``
between them; ``probability`` and ``threshold``, empty for facts that are not predicted; the ``sentences`` to
read, counted from 1; and their ``text``, in which ``[...]`` stands for the sentences between them.

The file is UTF-8 with a byte order mark, without which spreadsheets assume another encoding. Text that would
be run as a formula is quoted (:mod:`glre_pyg.utils.table`). Spreadsheets may still convert names to dates
(SEPT2); to prevent that, import the columns as text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

from glre_pyg.data.document import Document
from glre_pyg.data.explanation import PredictedFact
from glre_pyg.data.paths import entity_of, name_of, sentence_text, sentences_for
from glre_pyg.utils.table import Table

COLUMNS = (
    "document",
    "head",
    "head_name",
    "head_type",
    "relation",
    "tail",
    "tail_name",
    "tail_type",
    "probability",
    "threshold",
    "sentences",
    "text",
)
HEADER = "\ufeff" + ",".join(COLUMNS) + "\r\n"
"""First line of the file."""


def format_csv(document: Document) -> str:
    """Return the rows of a document as text.

    Raises:
        InputError: If a fact names an entity that the document does not mention.
    """
    rows = []
    for *names, probability, threshold, sentences, text in fact_rows(document):
        numbers = ("" if number is None else f"{number:.6f}" for number in (probability, threshold))
        rows.append((*names, *numbers, " ".join(f"S{number}" for number in sentences), text))
    return Table((), rows).to_csv()


def fact_rows(document: Document) -> Iterator[tuple[Any, ...]]:
    """Yield the values of :data:`COLUMNS` for each fact, with numbers as numbers, or None if there are none.

    Raises:
        InputError: See :func:`format_csv`.
    """
    for fact in document.facts:
        sentences = sentences_for(document, fact.head, fact.tail)
        yield (
            document.id,
            *_entity(document, fact.head),
            fact.relation,
            *_entity(document, fact.tail),
            *((fact.probability, fact.threshold) if isinstance(fact, PredictedFact) else (None, None)),
            [number + 1 for number in sentences],
            _text(document, sentences),
        )


def _entity(document: Document, identifier: str) -> tuple[str, ...]:
    entity = entity_of(document, identifier)
    return entity.id, name_of(document, entity, entity.mentions[0]), entity.type


def _text(document: Document, sentences: Sequence[int]) -> str:
    """Join sentences, with a mark where others are between."""
    gaps = ["", *(" " if after == before + 1 else " [...] " for before, after in pairwise(sentences))]
    texts = map(partial(sentence_text, document), sentences)
    return "".join(gap + text for gap, text in zip(gaps, texts, strict=True))
