"""Conversion between file formats, in which nothing is lost unless that is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from pathlib import Path

from glre_pyg.data.document import Document
from glre_pyg.data.segmentation import Segmenter, Splitter, segmenter_of
from glre_pyg.formats.detection import format_of_name, read_documents, write_documents
from glre_pyg.formats.lossless import check_held
from glre_pyg.utils.exceptions import ErrorHandler, InputError, handle_error
from glre_pyg.utils.files import WriteError, atomic_path, check_output, unpacked_name

_OF_PREDICT = (".spacy", ".html", ".csv", ".nt")


@dataclass(frozen=True)
class Converted:
    """Number of documents, mentions and facts that were written."""

    documents: int
    mentions: int
    facts: int


def convert(
    source: Path,
    target: Path,
    *,
    source_format: str | None = None,
    target_format: str | None = None,
    sentences: Splitter = "pysbd",
    passages: str | None = None,
    lossy: bool = False,
    on_error: ErrorHandler | None = None,
) -> Converted:
    """Write the documents of a file in another format.

    Before the file appears, what was written is read again and compared, document by document: the two files
    hold equal documents. This includes words and sentences: PubTator, whose text is segmented when it is
    read, holds a document only if it would be segmented in the same way.

    Args:
        source: File to read.
        target: File to write; may be the same.
        source_format, target_format: Formats of the files; None detects them by name.
        sentences: What splits the sentences of documents that have none.
        passages: See :func:`~glre_pyg.formats.detection.read_documents`.
        lossy: Whether to leave out what the format of `target` cannot hold.
        on_error: Callback for documents that cannot be read or not be held at all, which are skipped; None
            raises.

    Raises:
        InputError: If a document cannot be read, or held by the format, or the package of `sentences` is not
            installed; then nothing is written.
    """
    format = _format_to_write(target, target_format)
    check_output(target)
    segmenter = segmenter_of(sentences)
    read = partial(read_documents, source, source_format, segmenter=segmenter, passages=passages)
    sizes: list[tuple[int, int] | None] = []  # mentions and facts; None for documents that are not written

    def skip(error: InputError) -> None:
        sizes[-1] = None
        handle_error(error, on_error)

    with atomic_path(target) as written, _explained(source, target, format):
        measured = _measured(read(on_error=on_error), sizes)
        write_documents(measured, written, format, lossy=True, on_error=skip if on_error else None)
        if not any(sizes):
            raise InputError(f"{source.name}: no document of this file can be written")
        if not lossy:
            again = read(on_error=_ignore if on_error else None)
            kept = (document for document, size in zip(again, sizes, strict=True) if size is not None)
            _check_all(kept, written, format, segmenter)
    kept_sizes = [size for size in sizes if size is not None]
    mentions, facts = (sum(size[part] for size in kept_sizes) for part in (0, 1))
    return Converted(len(kept_sizes), mentions, facts)


def _format_to_write(target: Path, name: str | None) -> str:
    if name is None and unpacked_name(target).endswith(_OF_PREDICT):
        raise InputError(f"{target.name}: convert does not write {' '.join(_OF_PREDICT)}, but predict does")
    return format_of_name(target, name)


@contextmanager
def _explained(source: Path, target: Path, format: str) -> Iterator[None]:
    """Name the source in errors of documents that the format cannot hold."""
    try:
        yield
    except WriteError:  # which names the target when it leaves atomic_path
        raise
    except InputError as error:
        if str(error).startswith((f"{source.name}:", f"{source}:")):
            raise
        reread = f"{format} cannot hold it: " if str(error).startswith(f"{target.name}:") else ""
        raise InputError(f"{source.name}: {reread}{error}") from None


def _measured(documents: Iterable[Document], sizes: list[tuple[int, int] | None]) -> Iterator[Document]:
    for document in documents:
        sizes.append((len(document.mentions), len(document.facts)))
        yield document


def _check_all(documents: Iterable[Document], written: Path, format: str, segmenter: Segmenter) -> None:
    """Check that a file holds documents without loss."""
    back: Iterable[Document] = read_documents(written, format, segmenter=segmenter)
    if format == "brat":  # has the order of the names of files
        documents, back = (sorted(each, key=attrgetter("id")) for each in (documents, back))
    for document, held in zip(documents, back, strict=True):
        try:
            check_held(document, held, format)
        except InputError as error:
            raise InputError(f"{error}; lossy=true leaves out what it cannot hold") from None


def _ignore(error: InputError) -> None:
    """Ignore an error that was handled when the file was read first."""
