"""Writing of PubTator, with a check that what is written is read as the same document."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from io import BytesIO
from itertools import chain

from glre_pyg.data.document import Document
from glre_pyg.formats.lossless import check_held_but_evidence, segments_of
from glre_pyg.formats.pubtator import (
    INTEGER,
    UNLINKED,
    has_part_names,
    read_blocks,
    split_identifiers,
    titled,
)
from glre_pyg.formats.pubtator_blocks import blocks_of, identifier_of
from glre_pyg.formats.reading import lines_of, reason_of
from glre_pyg.formats.writing import write_each
from glre_pyg.utils.exceptions import ErrorHandler, InputError


def write_pubtator(
    documents: Iterable[Document],
    path: str | os.PathLike[str],
    *,
    id_separators: str = "|;",
    unlinked: str = "-1",
    lossy: bool = False,
    on_error: ErrorHandler | None = None,
) -> None:
    """Write documents as :func:`format_pubtator` does; see :func:`~glre_pyg.formats.writing.write_each`."""
    block = partial(format_pubtator, id_separators=id_separators, unlinked=unlinked, lossy=lossy)
    write_each(documents, path, block, on_error)


def format_pubtator(
    document: Document, *, id_separators: str = "|;", unlinked: str = "-1", lossy: bool = False
) -> str:
    """Return the lines of a document and the blank line after it.

    A document whose sections are not two with a space between them is written as a title alone.

    Args:
        document: The document.
        id_separators, unlinked: See :func:`~glre_pyg.formats.pubtator.read_pubtator`; the first of the
            separators is written.
        lossy: Whether to replace line breaks and Tabs of the text by spaces, and to leave out facts of an
            entity that stands for mentions without identifier (BRAN's ``"-1"``), which the format has no
            place for.

    Raises:
        InputError: If the format cannot hold the document.
    """
    if lossy:
        placeholders = {unlinked, *UNLINKED}
        facts = tuple(fact for fact in document.facts if not placeholders & {fact.head, fact.tail})
        document = replace(document, text=re.sub(r"[\t\r\n]", " ", document.text), facts=facts)
    lines = _text_lines(document)
    for mention in document.mentions:
        name = document.text[mention.start : mention.end]
        missing = [unlinked] * max(1 - len(mention.ids), len(mention.names) - len(mention.ids))
        parts = [*mention.ids, *missing]
        identifiers = id_separators[0].join(parts)
        if split_identifiers(identifiers, mention.type, id_separators) != parts:
            raise InputError(
                f"{document.id}: mention '{name}' has an identifier that holds one of '{id_separators}', or "
                "is a variant with several"
            )
        names = mention.names if len(parts) > 1 or has_part_names(mention.names, name) else ()
        if names and len("|".join(names).split("|")) != len(parts):
            raise InputError(
                f"{document.id}: mention '{name}' does not have one name for each part, or has one with '|'"
            )
        columns = [document.id, str(mention.start), str(mention.end), name, mention.type, identifiers]
        lines.append([*columns, "|".join(names)] if names else columns)
    for fact in document.facts:
        if INTEGER.fullmatch(fact.relation):
            raise InputError(f"{document.id}: PubTator cannot hold relation '{fact.relation}', an integer")
        lines.append([document.id, fact.relation, fact.head, fact.tail, *fact.extra])
    for column in chain.from_iterable(lines):
        if re.search(r"[\t\r\n]", column):
            raise InputError(f"{document.id}: PubTator cannot hold the line break or Tab in {column[:80]!r}")
    text = "".join("\t".join(line) + "\n" for line in lines) + "\n"
    _check_read(document, text, id_separators, unlinked, lossy)
    return text


def _text_lines(document: Document) -> list[list[str]]:
    if not document.id.strip() or "|" in document.id:
        raise InputError(f"{document.id}: an identifier in PubTator is not empty and holds no '|'")
    if len(document.sections) == 2:
        title, abstract = (document.text[start:end] for start, end in document.sections)
        if titled(title, abstract) == (document.text, document.sections):
            return [[f"{document.id}|t|{title}"], [f"{document.id}|a|{abstract}"]]
    return [[f"{document.id}|t|{document.text}"]]


def _check_read(document: Document, text: str, id_separators: str, unlinked: str, lossy: bool) -> None:
    """Check that lines are read as the document that they were written for, as far as they hold it."""
    blocks = list(blocks_of(lines_of(BytesIO(text.encode("utf-8")), "")))
    if len(blocks) != 1:
        raise InputError(f"{document.id}: PubTator cannot hold it, lines of it would be blank")
    try:
        held = read_blocks(
            blocks,
            identifier_of(blocks[0]),
            segmenter=segments_of(document),
            id_separators=id_separators,
            unlinked=unlinked,
            table={},
        )
    except InputError as error:
        reason = reason_of(error, document.id)
        raise InputError(f"{document.id}: PubTator cannot hold it: {reason}") from None
    sizes = [(each.id, len(each.mentions), len(each.facts)) for each in (document, held)]
    if sizes[0] != sizes[1]:
        raise InputError(f"{document.id}: PubTator cannot hold its identifier, or a line of it")
    if not lossy:
        check_held_but_evidence(replace(document, sections=held.sections), held, "PubTator")
