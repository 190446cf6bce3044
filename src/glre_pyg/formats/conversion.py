"""Conversion between file formats, in which nothing is lost unless that is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from glre_pyg.data.document import Document
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
        passages: See :func:`~glre_pyg.formats.detection.read_documents`.
        lossy: Whether to leave out what the format of `target` cannot hold.
        on_error: Callback for documents that cannot be read or not be held at all, which are skipped; None
            raises.

    Raises:
        InputError: If a document cannot be read, or held by the format; then nothing is written.
    """
    if target_format is None and unpacked_name(target).endswith(_OF_PREDICT):
        raise InputError(f"{target.name}: convert does not write {' '.join(_OF_PREDICT)}, but predict does")
    format = format_of_name(target, target_format)
    check_output(target)
    sizes: list[tuple[int, int] | None] = []  # mentions and facts; None for documents that are not written

    def skip(error: InputError) -> None:
        sizes[-1] = None
        handle_error(error, on_error)

    with atomic_path(target) as written:
        try:
            documents = _measured(
                read_documents(source, source_format, passages=passages, on_error=on_error), sizes
            )
            write_documents(documents, written, format, lossy=True, on_error=skip if on_error else None)
            if not lossy:
                again = read_documents(
                    source, source_format, passages=passages, on_error=_ignore if on_error else None
                )
                kept: Iterable[Document]
                kept = (document for document, size in zip(again, sizes, strict=True) if size is not None)
                back: Iterable[Document] = read_documents(written, format)
                if format == "brat":  # has the order of the names of files
                    kept, back = (sorted(documents, key=attrgetter("id")) for documents in (kept, back))
                for document, held in zip(kept, back, strict=True):
                    _check(document, held, format)
        except WriteError:  # which names the target when it leaves this block
            raise
        except InputError as error:
            if str(error).startswith((f"{source.name}:", f"{source}:")):
                raise
            reread = f"{format} cannot hold it: " if str(error).startswith(f"{target.name}:") else ""
            raise InputError(f"{source.name}: {reread}{error}") from None
    kept_sizes = [size for size in sizes if size is not None]
    mentions, facts = (sum(size[part] for size in kept_sizes) for part in (0, 1))
    return Converted(len(kept_sizes), mentions, facts)


def _measured(documents: Iterable[Document], sizes: list[tuple[int, int] | None]) -> Iterator[Document]:
    for document in documents:
        sizes.append((len(document.mentions), len(document.facts)))
        yield document


def _check(document: Document, held: Document, format: str) -> None:
    try:
        check_held(document, held, format)
    except InputError as error:
        raise InputError(f"{error}; lossy=true leaves out what it cannot hold") from None


def _ignore(error: InputError) -> None:
    """Ignore an error that was handled when the file was read first."""
