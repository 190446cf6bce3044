"""File formats, detected by the suffix of a file's name or given by name.

=========== ============ ======================================================================
Format      Suffix       Description
=========== ============ ======================================================================
pubtator    any other    PubTator as in CDR
biored      give it      PubTator as in BioRED: identifiers joined by a comma, "-" for none
docred_json ``.json``    DocRED's JSON list
jsonl       ``.jsonl``   JSON lines, the only format that holds a whole document
eog         ``.data``    the lines of EoG and ATLOP
text        ``.txt``     plain text, one document without mentions, read only (but a file that
                         begins like PubTator, ``1|t|``, is PubTator)
=========== ============ ======================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from glre_pyg.data.document import Document
from glre_pyg.formats.docred_json import read_docred, write_docred
from glre_pyg.formats.eog_data import read_eog, write_eog
from glre_pyg.formats.jsonl import read_jsonl, write_jsonl
from glre_pyg.formats.pubtator import format_pubtator, read_pubtator, write_pubtator
from glre_pyg.formats.text import read_text
from glre_pyg.utils.exceptions import ErrorHandler, InputError
from glre_pyg.utils.files import open_regular


class Format(NamedTuple):
    """Reader and writers of a format; ``write_lossy`` leaves out what the format cannot hold."""

    read: Callable[..., Iterator[Document]]
    write: Callable[..., None] | None
    write_lossy: Callable[..., None] | None = None


_read_biored = partial(read_pubtator, id_separators=",", unlinked="-")
_write_biored = partial(write_pubtator, id_separators=",", unlinked="-")

FORMATS: Mapping[str, Format] = {
    "pubtator": Format(read_pubtator, write_pubtator, partial(write_pubtator, lossy=True)),
    "biored": Format(_read_biored, _write_biored, partial(_write_biored, lossy=True)),
    "docred_json": Format(read_docred, write_docred, partial(write_docred, lossy=True)),
    "jsonl": Format(read_jsonl, write_jsonl),
    "eog": Format(read_eog, write_eog),
    "text": Format(read_text, None),
}
PUBTATOR: Mapping[str, Callable[[Document], str]] = {
    "pubtator": partial(format_pubtator, lossy=True),
    "biored": partial(format_pubtator, id_separators=",", unlinked="-", lossy=True),
}
"""Converters of documents to PubTator, by format."""
_BY_SUFFIX = {".json": "docred_json", ".jsonl": "jsonl", ".data": "eog"}
_TITLE = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*[^|\t\r\n]+\|t\|")


def detect_format(path: Path, format: str | None = None) -> str:
    """Return the name of the format of a file.

    Args:
        path: The file.
        format: Its format; None detects it.

    Raises:
        InputError: If there is no such format.
    """
    name = format or _BY_SUFFIX.get(path.suffix.lower()) or ("text" if _is_text(path) else "pubtator")
    if name not in FORMATS:
        raise InputError(f"{path.name}: format '{name}' is not one of {', '.join(FORMATS)}")
    return name


def _is_text(path: Path) -> bool:
    """Return whether a ``.txt`` file is plain text, and not PubTator, which begins with a title line."""
    if path.suffix.lower() != ".txt" or path.name.lower().endswith(".pubtator.txt"):
        return False
    if not path.is_file():
        return True
    with open_regular(path) as file:
        return _TITLE.match(file.read(4096)) is None


def read_documents(
    path: Path, format: str | None = None, *, on_error: ErrorHandler | None = None
) -> Iterator[Document]:
    """Read documents one at a time.

    Args:
        path: The file.
        format: Its format; None detects it.
        on_error: Callback for documents with an error, which are skipped; None raises.

    Raises:
        InputError: If there is no such file or format, or a document in it cannot be read.
    """
    if not path.exists():
        raise InputError(f"{path}: no such file")
    return FORMATS[detect_format(path, format)].read(path, on_error=on_error)


def write_documents(
    documents: Iterable[Document],
    path: Path,
    format: str | None = None,
    *,
    lossy: bool = False,
    on_error: ErrorHandler | None = None,
) -> None:
    """Write documents; the file appears when it is complete.

    PubTator and EoG's lines are written without what they have no place for (PubTator: words, sentences,
    evidence, ignored pairs); :func:`~glre_pyg.formats.conversion.convert` makes sure that nothing is lost.

    Args:
        documents: The documents.
        path: The file.
        format: Its format; None detects it.
        lossy: Whether to leave out what the format cannot hold, instead of refusing the document.
        on_error: Callback for documents that the format cannot hold, which are skipped; None raises.

    Raises:
        InputError: If the format cannot hold a document, or there is no such format.
    """
    name = detect_format(path, format)
    write = (lossy and FORMATS[name].write_lossy) or FORMATS[name].write
    if write is None:
        raise InputError(f"{path.name}: format '{name}' can be read only")
    write(documents, path, on_error=on_error)
