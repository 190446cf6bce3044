"""Documents of spaCy ``Doc`` objects, of any pipeline or of :mod:`glre_pyg.formats.spacy_docs`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from glre_pyg.data.document import Document
from glre_pyg.data.paths import one_line
from glre_pyg.data.segmentation import Segmenter, segment
from glre_pyg.formats.spacy_docs import (
    check_mentions,
    id_of,
    identifier_of,
    is_document,
    mentions_of,
    read_docs,
    restored,
)
from glre_pyg.formats.spacy_relations import with_facts
from glre_pyg.mentions.documents import document_of
from glre_pyg.mentions.finder import FoundMention
from glre_pyg.utils.exceptions import ErrorHandler, InputError

if TYPE_CHECKING:
    from spacy.tokens import Doc

_SHOWN = 80  # characters


def read_spacy(
    path: str | os.PathLike[str], *, segmenter: Segmenter = segment, on_error: ErrorHandler | None = None
) -> Iterator[Document]:
    """Read the documents of a ``.spacy`` file (a ``DocBin``).

    A ``Doc`` without an identifier gets its number in the file, from 1.

    Args:
        path: The file.
        segmenter: Cuts texts into words and sentences; see :func:`from_spacy`.
        on_error: Callback for documents with an error, which are skipped; None raises.

    Raises:
        InputError: ``file: document 3: identifier: what is wrong``; also if spaCy is not installed, or the
            file is not a ``DocBin`` or has no document at all.
    """

    def parse(doc: Doc, id: str) -> Document:
        return with_facts(without_facts(doc, id=id, segmenter=segmenter), doc, strict=True, on_error=on_error)

    return read_docs(path, parse, on_error=on_error)


def from_spacy(
    doc: Doc,
    *,
    types: Mapping[str, str] | None = None,
    id: str | None = None,
    segmenter: Segmenter = segment,
) -> Document:
    """Convert a ``Doc`` of any pipeline, or of :func:`~glre_pyg.formats.spacy_docs.to_spacy`, to a document.

    Mentions are ``doc.spans["mentions"]`` if there is such a group, else ``doc.ents``; their identifiers are
    ``kb_id_``, else ``id_``. Mentions without identifier are grouped by
    :func:`~glre_pyg.mentions.documents.document_of`, and the text is cut into words and sentences, whatever
    those of the pipeline are. Words and sentences of ``to_spacy`` are kept.

    Args:
        doc: The ``Doc``.
        types: Entity types by label; mentions of other labels are left out, with facts that need them. None
            keeps labels.
        id: Identifier of the document; None for that of ``to_spacy``, else ``doc.user_data["id"]``, else the
            beginning of the text.
        segmenter: Cuts the text into words and sentences; as a model was trained with them, that is
            ``RelationExtractor.corpus.segmenter``.

    Raises:
        InputError: If mentions or words are not those of a document, or a relation names an entity without
            mention.
    """
    document = without_facts(doc, types=types, id=id, segmenter=segmenter)
    return with_facts(document, doc, strict=types is None)


def without_facts(
    doc: Doc,
    *,
    types: Mapping[str, str] | None = None,
    id: str | None = None,
    segmenter: Segmenter = segment,
) -> Document:
    """Convert a ``Doc`` as :func:`from_spacy` does, but ignore ``doc._.relations``."""
    name = id or id_of(doc) or one_line(doc.text[: 2 * _SHOWN])[:_SHOWN] or "?"
    try:
        check_mentions(doc)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    if is_document(doc):
        return restored(doc, name, types)
    found = []
    for span in mentions_of(doc):
        text = span.text
        start = span.start_char + len(text) - len(text.lstrip())
        end = span.start_char + len(text.rstrip())
        if start < end and (types is None or span.label_ in types):
            label = span.label_ if types is None else types[span.label_]
            found.append(FoundMention(start, end, label, identifier_of(span)))
    return document_of(name, doc.text, found, segmenter=segmenter)
