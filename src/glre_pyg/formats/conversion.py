"""From one format of file to another, with nothing lost unless that is wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from glre_pyg.data.document import Document
from glre_pyg.formats.detection import detect_format, read_documents, write_documents
from glre_pyg.formats.lossless import check_held
from glre_pyg.formats.writing import check_place
from glre_pyg.utils.exceptions import ErrorHandler, InputError, handle_error
from glre_pyg.utils.files import atomic_replace

_T = TypeVar("_T")


@dataclass(frozen=True)
class Converted:
    """What was written."""

    documents: int
    mentions: int
    facts: int


def convert(
    source: Path,
    target: Path,
    *,
    source_format: str | None = None,
    target_format: str | None = None,
    lossy: bool = False,
    on_error: ErrorHandler | None = None,
) -> Converted:
    """Write the documents of a file in another format.

    What has been written is read again and compared, document by document, before the file appears: the two
    files hold equal documents. Words and sentences count too: PubTator, whose text is cut into words when it
    is read, holds a document only if it would be cut in the same way.

    Args:
        source: The file to read.
        target: The file to write; may be the same.
        source_format, target_format: Formats of the files; None detects them by name.
        lossy: Leave out what the format of `target` cannot hold.
        on_error: Is told of documents that cannot be read, or not be held at all, which are left out; None
            raises.

    Raises:
        InputError: If a document cannot be read, or held by the format; then there is no new file.
    """
    format = detect_format(target, target_format)
    check_place(target)
    passing = _Passing(on_error)
    with TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        written = Path(folder, target.name)
        try:
            documents = passing.seen(read_documents(source, source_format, on_error=on_error))
            write_documents(documents, written, format, lossy=True, on_error=passing if on_error else None)
            if not lossy:
                again = read_documents(source, source_format, on_error=_pass_over if on_error else None)
                pairs = zip(passing.kept(again), read_documents(written, format), strict=True)
                for document, held in pairs:
                    _check(document, held, format)
        except InputError as error:
            if str(error).startswith((f"{source.name}:", f"{source}:")):
                raise
            reread = f"{format} cannot hold it: " if str(error).startswith(f"{target.name}:") else ""
            raise InputError(f"{source.name}: {reread}{error}") from None
        atomic_replace(written, target)
    return passing.converted()


def _check(document: Document, held: Document, format: str) -> None:
    try:
        check_held(document, held, format)
    except InputError as error:
        raise InputError(f"{error}; lossy=true leaves out what it cannot hold") from None


class _Passing:
    """Documents on their way; it is told of those that could not be written: the last that was seen."""

    def __init__(self, on_error: ErrorHandler | None) -> None:
        self.on_error = on_error
        self.sizes: list[tuple[int, int]] = []  # mentions and facts
        self.left: set[int] = set()

    def seen(self, documents: Iterable[Document]) -> Iterator[Document]:
        for document in documents:
            self.sizes.append((len(document.mentions), len(document.facts)))
            yield document

    def __call__(self, error: InputError) -> None:
        self.left.add(len(self.sizes) - 1)
        handle_error(error, self.on_error)

    def kept(self, items: Iterable[_T]) -> Iterator[_T]:
        """Of one item for each document, those of the documents that were written."""
        return (item for number, item in enumerate(items) if number not in self.left)

    def converted(self) -> Converted:
        sizes = list(self.kept(self.sizes))
        return Converted(len(sizes), sum(mentions for mentions, _ in sizes), sum(facts for _, facts in sizes))


def _pass_over(error: InputError) -> None:
    """Of documents that cannot be read it has been told when they were read first."""
