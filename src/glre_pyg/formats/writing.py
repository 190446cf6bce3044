"""What the writers of formats share: a document at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from glre_pyg.data.document import Document
from glre_pyg.utils import json_fields as fields
from glre_pyg.utils.exceptions import ErrorHandler, InputError, handle_error

_T = TypeVar("_T")


def check_place(path: Path) -> None:
    """Make sure that there is a folder for a file.

    Raises:
        InputError: If there is none, or the file is a folder itself.
    """
    if not path.parent.is_dir() or path.is_dir():
        raise InputError(f"{path}: cannot be written, its folder is missing or it is a folder")


def check_whole(document: Document) -> None:
    """Make sure that a document names nothing that it does not have, so that it will be read again.

    Raises:
        InputError: If no mention has an identifier of a fact or of an ignored pair, there is no such sentence
            as its evidence says, or a section is not inside the text.
    """
    known = {identifier for mention in document.mentions for identifier in mention.ids}
    try:
        for number, fact in enumerate(document.facts):
            fields.check_known(fact.head, f"facts[{number}].head", known)
            fields.check_known(fact.tail, f"facts[{number}].tail", known)
            fields.check_evidence(fact.evidence, f"facts[{number}].evidence", len(document.sentences))
        for number, pair in enumerate(document.ignored):
            for identifier in pair:
                fields.check_known(identifier, f"ignored[{number}]", known)
        for number, section in enumerate(document.sections):
            fields.span(list(section), f"sections[{number}]", len(document.text))
    except InputError as error:
        raise InputError(f"{document.id}: {error}") from None


def formatted(
    documents: Iterable[Document], convert: Callable[[Document], _T], on_error: ErrorHandler | None
) -> Iterator[_T]:
    """Convert documents to what a format makes of each.

    Args:
        documents: The documents.
        convert: Converts a document; an `InputError` means that the format cannot hold it.
        on_error: Callback for documents that the format cannot hold, which are skipped; None raises.

    Raises:
        InputError: If the format cannot hold a document.
    """
    for document in documents:
        try:
            made = convert(document)
        except InputError as error:
            handle_error(error, on_error)
        else:
            yield made
