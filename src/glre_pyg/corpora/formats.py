"""The forms of files: told by a file's name, else as it is said.

=========== ============ ======================================================================
Form        Ending       What it is
=========== ============ ======================================================================
pubtator    any other    PubTator as CDR has it
biored      none: say it PubTator as BioRED has it: identifiers joined by a comma, "-" for none
docred_json ``.json``    DocRED's JSON list
jsonl       ``.jsonl``   JSON lines, the one form that holds all of a document
eog         ``.data``    EoG's and ATLOP's lines, a document each
=========== ============ ======================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from glre_pyg.corpora.docred import read_docred, write_docred
from glre_pyg.corpora.eog import read_eog, write_eog
from glre_pyg.corpora.jsonl import read_jsonl, write_jsonl
from glre_pyg.corpora.pubtator import read_pubtator, write_pubtator
from glre_pyg.document import Document, InputError


class Form(NamedTuple):
    """How a form is read and written; ``write_lossy``, if any, takes documents that it cannot hold whole."""

    read: Callable[[Path], Iterator[Document]]
    write: Callable[[Iterable[Document], Path], None]
    write_lossy: Callable[[Iterable[Document], Path], None] | None = None


FORMS: Mapping[str, Form] = {
    "pubtator": Form(read_pubtator, write_pubtator),
    "biored": Form(
        partial(read_pubtator, id_separator=",", unlinked="-"),
        partial(write_pubtator, id_separator=",", unlinked="-"),
    ),
    "docred_json": Form(read_docred, write_docred, partial(write_docred, lossy=True)),
    "jsonl": Form(read_jsonl, write_jsonl),
    "eog": Form(read_eog, write_eog),
}
_BY_SUFFIX = {".json": "docred_json", ".jsonl": "jsonl", ".data": "eog"}


def form_of(path: Path, form: str | None = None) -> str:
    """Name of the form of a file.

    Args:
        path: The file.
        form: Its form, where the name does not tell.

    Raises:
        InputError: If there is no such form.
    """
    name = form or _BY_SUFFIX.get(path.suffix, "pubtator")
    if name not in FORMS:
        raise InputError(f"{path.name}: form '{name}' is not one of {', '.join(FORMS)}")
    return name


def read_documents(path: Path, form: str | None = None) -> Iterator[Document]:
    """Documents of a file, one at a time.

    Raises:
        InputError: If there is no such file or form, or a document in it cannot be read.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    return FORMS[form_of(path, form)].read(path)


def write_documents(
    documents: Iterable[Document], path: Path, form: str | None = None, *, lossy: bool = False
) -> None:
    """Write documents in the form that the name of the file tells.

    PubTator and EoG's lines are written without what they have no place for (PubTator: words, sentences,
    evidence, ignored pairs); :func:`~glre_pyg.corpora.conversion.convert` makes sure that nothing is lost.

    Raises:
        InputError: If the form cannot hold a document, or there is no such form.
    """
    chosen = FORMS[form_of(path, form)]
    ((lossy and chosen.write_lossy) or chosen.write)(documents, path)
