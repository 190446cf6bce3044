"""The formats of files: told by a file's name, else as it is said.

=========== ============ ======================================================================
Format      Ending       What it is
=========== ============ ======================================================================
pubtator    any other    PubTator as CDR has it
biored      none: say it PubTator as BioRED has it: identifiers joined by a comma, "-" for none
docred_json ``.json``    DocRED's JSON list
jsonl       ``.jsonl``   JSON lines, the one format that holds all of a document
eog         ``.data``    EoG's and ATLOP's lines, a document each
text        ``.txt``     plain text, a document a file, without mentions; it is not written
                         (a file that begins as PubTator does, ``1|t|``, is PubTator)
=========== ============ ======================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol, TypedDict

from glre_pyg.data.document import Document
from glre_pyg.formats.docred_json import read_docred, write_docred
from glre_pyg.formats.eog_data import read_eog, write_eog
from glre_pyg.formats.jsonl import read_jsonl, write_jsonl
from glre_pyg.formats.pubtator import format_pubtator, read_pubtator, write_pubtator
from glre_pyg.formats.text import read_text
from glre_pyg.utils.exceptions import ErrorHandler, InputError


class _Reader(Protocol):
    def __call__(self, path: Path, *, on_error: ErrorHandler | None = None) -> Iterator[Document]: ...


class _Writer(Protocol):
    def __call__(
        self, documents: Iterable[Document], path: Path, *, on_error: ErrorHandler | None = None
    ) -> None: ...


class Format(NamedTuple):
    """Reader and writers of a format; ``write_lossy`` leaves out what the format cannot hold."""

    read: _Reader
    write: _Writer | None
    write_lossy: _Writer | None = None


class _Separators(TypedDict):
    id_separator: str
    unlinked: str


_BIORED = _Separators(id_separator=",", unlinked="-")

FORMATS: Mapping[str, Format] = {
    "pubtator": Format(read_pubtator, write_pubtator, partial(write_pubtator, lossy=True)),
    "biored": Format(
        partial(read_pubtator, **_BIORED),
        partial(write_pubtator, **_BIORED),
        partial(write_pubtator, **_BIORED, lossy=True),
    ),
    "docred_json": Format(read_docred, write_docred, partial(write_docred, lossy=True)),
    "jsonl": Format(read_jsonl, write_jsonl),
    "eog": Format(read_eog, write_eog),
    "text": Format(read_text, None),
}
PUBTATOR: Mapping[str, Callable[[Document], str]] = {
    "pubtator": partial(format_pubtator, lossy=True),
    "biored": partial(format_pubtator, **_BIORED, lossy=True),
}
"""What PubTator has of a document, by the name of its format."""
_BY_SUFFIX = {".json": "docred_json", ".jsonl": "jsonl", ".data": "eog"}
_TITLE = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*[^|\t\r\n]+\|t\|")


def detect_format(path: Path, format: str | None = None) -> str:
    """Name of the format of a file.

    Args:
        path: The file.
        format: Its format, where the name does not tell.

    Raises:
        InputError: If there is no such format.
    """
    name = format or _BY_SUFFIX.get(path.suffix.lower()) or ("text" if _is_text(path) else "pubtator")
    if name not in FORMATS:
        raise InputError(f"{path.name}: format '{name}' is not one of {', '.join(FORMATS)}")
    return name


def _is_text(path: Path) -> bool:
    """Whether a file is plain text: PubTator, too, is given out as ``.txt``, and begins with a title line."""
    if path.suffix.lower() != ".txt" or path.name.lower().endswith(".pubtator.txt"):
        return False
    if not path.is_file():
        return True
    with path.open("rb") as file:
        return _TITLE.match(file.read(4096)) is None


def read_documents(
    path: Path, format: str | None = None, *, on_error: ErrorHandler | None = None
) -> Iterator[Document]:
    """Documents of a file, one at a time.

    Args:
        path: The file.
        format: Its format, where the name does not tell.
        on_error: Is told of documents with an error, which are left out; None raises.

    Raises:
        InputError: If there is no such file or format, or a document in it cannot be read.
    """
    if not path.is_file():
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
    """Write documents in the format that the name of the file tells.

    PubTator and EoG's lines are written without what they have no place for (PubTator: words, sentences,
    evidence, ignored pairs); :func:`~glre_pyg.formats.conversion.convert` makes sure that nothing is lost.

    Args:
        documents: The documents.
        path: The file.
        format: Its format, where the name does not tell.
        lossy: Leave out what the format cannot hold, where it would else refuse the document.
        on_error: Is told of documents that the format cannot hold, which are left out; None raises.

    Raises:
        InputError: If the format cannot hold a document, or there is no such format.
    """
    name = detect_format(path, format)
    write = (lossy and FORMATS[name].write_lossy) or FORMATS[name].write
    if write is None:
        raise InputError(f"{path.name}: format '{name}' can be read only")
    write(documents, path, on_error=on_error)
