"""What predict writes: the format is told by the ending of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import NamedTuple

from glre_pyg.data.document import Document
from glre_pyg.data.graph import Labels
from glre_pyg.formats.csv_facts import HEADER, format_csv
from glre_pyg.formats.detection import PUBTATOR, write_documents
from glre_pyg.formats.eog_data import format_eog
from glre_pyg.formats.jsonl import format_jsonl
from glre_pyg.formats.rdf import ntriples
from glre_pyg.formats.spacy_docs import write_spacy
from glre_pyg.formats.writing import check_place
from glre_pyg.utils import distributed
from glre_pyg.utils.exceptions import ErrorHandler, InputError
from glre_pyg.utils.files import PART

PAGE = ".html"
GROWING = (".jsonl", ".csv", ".nt", ".data", ".pubtator")
"""Endings of what is written document by document."""
ENDINGS = (PAGE, ".csv", ".nt", ".spacy", ".jsonl", ".json", ".data", ".pubtator")


class TextFormat(NamedTuple):
    """What a text file is made of: what it begins with, and what makes the text of a document."""

    header: str
    format: Callable[[Document], str]


class Output:
    """A file that documents are written to.

    Args:
        path: The file; its ending tells the format. A page is :func:`~glre_pyg.formats.page.write_page`'s.

    Raises:
        InputError: If nothing can be written there, or the ending is none of :data:`ENDINGS`.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.ending = path, path.suffix.lower()
        if self.ending not in ENDINGS:
            raise InputError(f"{path}: ends in none of {' '.join(ENDINGS)}")
        check_place(path)
        if not distributed.is_main_process():
            return
        part = Path(f"{path}{PART}")
        is_new = not part.exists()  # else it is gone on with
        try:
            part.touch()
            if is_new:
                part.unlink()
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror}") from None

    @property
    def is_page(self) -> bool:
        """Whether it is a page."""
        return self.ending == PAGE

    @property
    def grows(self) -> bool:
        """Whether it is written document by document, and not all documents at once."""
        return self.ending in GROWING

    def text_format(
        self,
        *,
        labels: Labels,
        pubtator: str,
        base: str,
        namespaces: Mapping[str, str] | None,
        local_ids: bool,
    ) -> TextFormat:
        """The format of what grows.

        Args:
            labels: What the relations mean.
            pubtator: The format that PubTator has; see :mod:`glre_pyg.formats.detection`.
            base, namespaces, local_ids: See :func:`~glre_pyg.formats.rdf.write_ntriples`.
        """
        pair_types = labels.pair_types or [(head, tail) for head, tail in product(labels.types, repeat=2)]

        def line(document: Document) -> str:
            return format_eog(document, pair_types) + "\n"

        formats: Mapping[str, Callable[[], TextFormat]] = {
            ".csv": lambda: TextFormat(HEADER, format_csv),
            ".data": lambda: TextFormat("", line),
            ".jsonl": lambda: TextFormat("", format_jsonl),
            ".nt": lambda: TextFormat("", ntriples(base=base, namespaces=namespaces, local_ids=local_ids)),
            ".pubtator": lambda: TextFormat("", PUBTATOR[pubtator]),
        }
        return formats[self.ending]()

    def write(self, documents: Iterable[Document], *, on_error: ErrorHandler) -> None:
        """Write documents, if it does not grow; the file appears when it is complete.

        Args:
            documents: Documents with their facts.
            on_error: Is told of documents that the format cannot hold, which are left out.
        """
        if self.ending == ".spacy":
            write_spacy(documents, self.path, on_error=on_error)
        else:
            write_documents(documents, self.path, lossy=True, on_error=on_error)
