"""What predict writes: the form is told by the ending of the file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from glre_pyg.corpora.csv_table import write_csv
from glre_pyg.corpora.formats import form_of, write_documents
from glre_pyg.corpora.rdf import write_ntriples
from glre_pyg.document import Document, InputError, Refused
from glre_pyg.spacy_docs import write_spacy

PAGE = ".html"
_WRITERS = {".csv": write_csv, ".nt": write_ntriples, ".spacy": write_spacy}


def check_form(path: Path) -> None:
    """Make sure that documents can be written to a file of this name.

    Raises:
        InputError: If its folder is missing, or its form is one that is only read.
    """
    if not path.parent.is_dir() or path.is_dir():
        raise InputError(f"{path}: cannot be written, its folder is missing or it is a folder")
    if path.suffix not in (PAGE, *_WRITERS) and form_of(Path(path.name)) == "text":
        raise InputError(f"{path}: plain text holds no relations: .jsonl, .csv, .html and others do")


def write(documents: Iterable[Document], path: Path, *, refused: Refused) -> None:
    """Write documents in the form that the ending tells; the file appears when it is complete.

    Args:
        documents: Documents with their facts.
        path: The file; pages are :func:`~glre_pyg.page.page.write_page`'s.
        refused: Is told of documents that the form cannot hold.
    """
    write_some = _WRITERS.get(path.suffix)
    if write_some is not None:
        write_some(documents, path, refused=refused)
    else:
        write_documents(documents, path, lossy=True, refused=refused)
