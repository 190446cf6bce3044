"""What predict writes: the form is told by the ending of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import product
from pathlib import Path

from glre_pyg.corpora.csv_table import write_csv
from glre_pyg.corpora.eog import write_eog
from glre_pyg.corpora.formats import write_documents
from glre_pyg.corpora.rdf import write_ntriples
from glre_pyg.corpora.writing import check_place
from glre_pyg.document import Document, InputError, Refused
from glre_pyg.graph import Labels
from glre_pyg.spacy_docs import write_spacy

PAGE = ".html"
ENDINGS = (PAGE, ".csv", ".nt", ".spacy", ".jsonl", ".json", ".data", ".pubtator")


class Output:
    """A file that documents are written to.

    Args:
        path: The file; its ending tells the form. A page is :func:`~glre_pyg.page.page.write_page`'s.

    Raises:
        InputError: If nothing can be written there, or the ending is none of :data:`ENDINGS`.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.ending = path, path.suffix.lower()
        if self.ending not in ENDINGS:
            raise InputError(f"{path}: ends in none of {' '.join(ENDINGS)}")
        check_place(path)
        part = Path(f"{path}.part")
        try:
            part.touch()
            part.unlink()
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror}") from None

    @property
    def is_page(self) -> bool:
        """Whether it is a page."""
        return self.ending == PAGE

    def write(
        self,
        documents: Iterable[Document],
        *,
        labels: Labels,
        pubtator: str,
        base: str,
        namespaces: Mapping[str, str] | None,
        local_ids: bool,
        refused: Refused,
    ) -> None:
        """Write documents; the file appears when it is complete.

        Args:
            documents: Documents with their facts.
            labels: What the relations mean.
            pubtator: The form that PubTator has; see :mod:`glre_pyg.corpora.formats`.
            base, namespaces, local_ids: See :func:`~glre_pyg.corpora.rdf.write_ntriples`.
            refused: Is told of documents that the form cannot hold, which are left out.
        """
        pair_types = labels.pair_types or [(head, tail) for head, tail in product(labels.types, repeat=2)]
        writers: Mapping[str, Callable[..., None]] = {
            ".csv": write_csv,
            ".nt": partial(write_ntriples, base=base, namespaces=namespaces, local_ids=local_ids),
            ".spacy": write_spacy,
            ".data": partial(write_eog, pair_types=pair_types),
            ".pubtator": partial(write_documents, form=pubtator, lossy=True),
        }
        writers.get(self.ending, partial(write_documents, lossy=True))(documents, self.path, refused=refused)
