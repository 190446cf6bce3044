"""Output of ``predict``: a file whose extension determines the format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

from glre_pyg.data.document import Document
from glre_pyg.data.labels import Labels
from glre_pyg.formats.csv_facts import HEADER, format_csv
from glre_pyg.formats.detection import EXTENSIONS as READ
from glre_pyg.formats.detection import PUBTATOR, write_documents
from glre_pyg.formats.eog_data import format_eog
from glre_pyg.formats.jsonl import format_jsonl
from glre_pyg.formats.rdf import NTriples
from glre_pyg.formats.spacy_docs import write_spacy
from glre_pyg.utils.exceptions import ErrorHandler, InputError
from glre_pyg.utils.files import check_output, unpacked_name

EXTENSIONS = (
    ".html",
    ".csv",
    ".nt",
    ".spacy",
    ".jsonl",
    ".json",
    ".data",
    ".pubtator",
    ".xml",
    ".brat",
    ".parquet",
)

FILE_EXTENSIONS = {*EXTENSIONS, *(suffix for suffix in READ if suffix.endswith(".json"))} - {".brat"}
"""Extensions of outputs that are single files; brat's output is a folder."""


class TextFormat(NamedTuple):
    """Header of a text file, and function from a document to its text."""

    header: str
    format: Callable[[Document], str]


class Output:
    """A file to write documents to.

    Args:
        path: Path of the file; its extension determines the format. Pages are written by
            :func:`~glre_pyg.formats.page.write_page`.

    Raises:
        InputError: If the file cannot be written, or the extension is not one of :data:`EXTENSIONS`.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.extension = path, Path(unpacked_name(path)).suffix
        if self.extension in (".spacy", ".brat", ".parquet"):  # not text
            self.extension = path.suffix.lower()
        if self.extension not in EXTENSIONS:
            raise InputError(f"{path}: ends in none of {' '.join(EXTENSIONS)}")
        check_output(path)

    @property
    def is_page(self) -> bool:
        """Whether the file is a page."""
        return self.extension == ".html"

    @property
    def is_incremental(self) -> bool:
        """Whether documents are written one by one; otherwise all are written at once."""
        return self.extension in (".jsonl", ".csv", ".nt", ".data", ".pubtator")

    def text_format(
        self,
        *,
        labels: Labels,
        pubtator: str,
        base: str,
        namespaces: Mapping[str, str] | None,
        local_ids: bool,
    ) -> TextFormat:
        """Return the format of an incremental file.

        Args:
            labels: Labels of the run.
            pubtator: Name of the variant of PubTator; see :mod:`glre_pyg.formats.detection`.
            base, namespaces, local_ids: See :class:`~glre_pyg.formats.rdf.NTriples`.
        """
        pair_types = labels.pair_types or [(head, tail) for head, tail in product(labels.types, repeat=2)]
        formats: Mapping[str, Callable[[], TextFormat]] = {
            ".csv": lambda: TextFormat(HEADER, format_csv),
            ".data": lambda: TextFormat("", partial(format_eog, pair_types=pair_types)),
            ".jsonl": lambda: TextFormat("", format_jsonl),
            ".nt": lambda: TextFormat("", NTriples(base=base, namespaces=namespaces, local_ids=local_ids)),
            ".pubtator": lambda: TextFormat("", PUBTATOR[pubtator]),
        }
        return formats[self.extension]()

    def write(self, documents: Iterable[Document], *, on_error: ErrorHandler) -> None:
        """Write all documents to a file that is not incremental; it appears when it is complete.

        Args:
            documents: Documents with their facts.
            on_error: Callback for documents that the format cannot represent, which are skipped.
        """
        if self.extension == ".spacy":
            write_spacy(documents, self.path, on_error=on_error)
        else:
            write_documents(documents, self.path, lossy=True, on_error=on_error)
