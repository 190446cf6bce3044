"""The forms of files: told by a file's name, else as it is said.

=========== ============ ======================================================================
Form        Ending       What it is
=========== ============ ======================================================================
pubtator    any other    PubTator as CDR has it
biored      none: say it PubTator as BioRED has it: identifiers joined by a comma, "-" for none
docred_json ``.json``    DocRED's JSON list
jsonl       ``.jsonl``   JSON lines, the one form that holds all of a document
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


class Form(NamedTuple):
    """How a form is read and written; ``write_lossy``, if any, takes documents that it cannot hold whole."""

    read: _Reader
    write: _Writer | None
    write_lossy: _Writer | None = None


class _Separators(TypedDict):
    id_separator: str
    unlinked: str


_BIORED = _Separators(id_separator=",", unlinked="-")

FORMS: Mapping[str, Form] = {
    "pubtator": Form(read_pubtator, write_pubtator, partial(write_pubtator, lossy=True)),
    "biored": Form(
        partial(read_pubtator, **_BIORED),
        partial(write_pubtator, **_BIORED),
        partial(write_pubtator, **_BIORED, lossy=True),
    ),
    "docred_json": Form(read_docred, write_docred, partial(write_docred, lossy=True)),
    "jsonl": Form(read_jsonl, write_jsonl),
    "eog": Form(read_eog, write_eog),
    "text": Form(read_text, None),
}
PUBTATOR: Mapping[str, Callable[[Document], str]] = {
    "pubtator": partial(format_pubtator, lossy=True),
    "biored": partial(format_pubtator, **_BIORED, lossy=True),
}
"""What PubTator has of a document, by the name of its form."""
_BY_SUFFIX = {".json": "docred_json", ".jsonl": "jsonl", ".data": "eog"}
_TITLE = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*[^|\t\r\n]+\|t\|")


def form_of(path: Path, form: str | None = None) -> str:
    """Name of the form of a file.

    Args:
        path: The file.
        form: Its form, where the name does not tell.

    Raises:
        InputError: If there is no such form.
    """
    name = form or _BY_SUFFIX.get(path.suffix.lower()) or ("text" if _is_text(path) else "pubtator")
    if name not in FORMS:
        raise InputError(f"{path.name}: form '{name}' is not one of {', '.join(FORMS)}")
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
    path: Path, form: str | None = None, *, on_error: ErrorHandler | None = None
) -> Iterator[Document]:
    """Documents of a file, one at a time.

    Args:
        path: The file.
        form: Its form, where the name does not tell.
        on_error: Is told of documents with an error, which are left out; None raises.

    Raises:
        InputError: If there is no such file or form, or a document in it cannot be read.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    return FORMS[form_of(path, form)].read(path, on_error=on_error)


def write_documents(
    documents: Iterable[Document],
    path: Path,
    form: str | None = None,
    *,
    lossy: bool = False,
    on_error: ErrorHandler | None = None,
) -> None:
    """Write documents in the form that the name of the file tells.

    PubTator and EoG's lines are written without what they have no place for (PubTator: words, sentences,
    evidence, ignored pairs); :func:`~glre_pyg.formats.conversion.convert` makes sure that nothing is lost.

    Args:
        documents: The documents.
        path: The file.
        form: Its form, where the name does not tell.
        lossy: Leave out what the form cannot hold, where it would else refuse the document.
        on_error: Is told of documents that the form cannot hold, which are left out; None raises.

    Raises:
        InputError: If the form cannot hold a document, or there is no such form.
    """
    name = form_of(path, form)
    write = (lossy and FORMS[name].write_lossy) or FORMS[name].write
    if write is None:
        raise InputError(f"{path.name}: form '{name}' can be read only")
    write(documents, path, on_error=on_error)
