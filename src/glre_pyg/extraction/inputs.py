"""Input of ``predict``: files of any format, folders of them, standard input, or a text."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from glre_pyg.data.document import Document, Sentence
from glre_pyg.data.segmentation import Segmenter
from glre_pyg.formats.brat import pair_of
from glre_pyg.formats.detection import EXTENSIONS, detect_format, read_documents
from glre_pyg.formats.pubtator_blocks import relations_of
from glre_pyg.formats.text import decoded, read_text, text_document
from glre_pyg.mentions.documents import with_mentions
from glre_pyg.mentions.finder import Finder
from glre_pyg.mentions.spacy_documents import read_spacy
from glre_pyg.utils.console import plural, printable
from glre_pyg.utils.exceptions import ErrorHandler, InputError, note
from glre_pyg.utils.files import unpacked_name

STANDARD_INPUT = "-"
_NO_MENTIONS = (
    "plain text has no marked mentions: mentions=dictionary mentions.file=FILE finds them, for instance; for "
    "another format, set format="
)

CorpusReader = Callable[[Path, ErrorHandler], Iterable[Document]]
"""Reads a file in the format of a run's corpus."""


@dataclass(kw_only=True, eq=False)
class Inputs:
    """Reads documents, and skips those with an error.

    Args:
        read_corpus: Reads files whose format neither ``format`` nor the extension determines.
        format: Format of the files; None for that of the extension or of the run's corpus.
        passages: See :func:`~glre_pyg.formats.detection.read_documents`.
        segmenter: Cuts texts into words and sentences.
        finder: Finds the mentions of all documents, in place of their own; None keeps these, and rejects
            plain text, which has none.
        max_words: Maximum number of words of a document, separated by white space.
        recursive: Whether to read the folders in a folder, too.
        on_error: Callback for files and documents with an error.

    Attributes:
        num_replaced: Number of documents so far whose own mentions those of the finder replace.
    """

    read_corpus: CorpusReader
    format: str | None
    passages: str | None
    segmenter: Segmenter
    finder: Finder | None
    max_words: int
    recursive: bool
    on_error: ErrorHandler
    num_replaced: int = field(default=0, init=False)

    def documents(self, name: str) -> Iterator[Document]:
        """Read a file, the files of a folder in the order of their names, or standard input.

        In a folder, files whose names end in one of :data:`~glre_pyg.formats.detection.EXTENSIONS` are read.
        Of documents with the same identifier in several files, the first is used (but the titles of DocRED
        are not identifiers). A corpus that is itself a folder is read with the format ``corpus``.
        """
        path = Path(name)
        if name == STANDARD_INPUT:
            documents = self._standard_input()
        elif path.is_dir() and self.format != "corpus":
            documents = self._folder(path)
        else:
            documents = self._file(path)
        return self._with_mentions(documents)

    def text(self, name: str, text: str) -> Iterator[Document]:
        """Convert a text into a document."""
        return self._with_mentions(self._guarded(name, lambda: iter([self._text(name, text)])))

    def _with_mentions(self, documents: Iterator[Document]) -> Iterator[Document]:
        if self.finder is None:
            return documents
        counted = self._counted(documents)
        return with_mentions(counted, self.finder, segmenter=self.segmenter, on_error=self.on_error)

    def _counted(self, documents: Iterator[Document]) -> Iterator[Document]:
        for document in documents:
            self.num_replaced += bool(document.mentions)
            yield document

    def _folder(self, folder: Path) -> Iterator[Document]:
        files = files_of(folder, recursive=self.recursive)
        if not files:
            self.on_error(InputError(f"{folder}: no file in this folder can be read"))
        first_file: dict[str, Path] = {}
        for file in files:
            for document in self._file(file):
                first = first_file.setdefault(document.id, file)
                if first == file or unpacked_name(file).endswith(".json"):
                    yield document
                else:
                    self.on_error(
                        InputError(
                            f"{file.name}: {document.id}: {first.name} has a document with this identifier"
                        )
                    )

    def _standard_input(self) -> Iterator[Document]:
        raw = sys.stdin.buffer.read()
        if self.format in (None, "text"):
            yield from self._guarded("stdin", lambda: iter([self._text("stdin", decoded(raw))]))
            return
        with TemporaryDirectory() as folder:
            file = Path(folder, "stdin")
            file.write_bytes(raw)
            yield from self._file(file)

    def _file(self, path: Path) -> Iterator[Document]:
        return self._guarded(path.name, partial(self._read, path))

    def _read(self, path: Path) -> Iterator[Document]:
        if not path.exists():
            raise InputError(f"{path}: no such file")
        if self.format == "spacy" or (self.format is None and path.suffix.lower() == ".spacy"):
            return read_spacy(path, segmenter=self.segmenter, on_error=self.on_error)
        is_corpus = self.format == "corpus" or (self.format is None and path.is_dir())
        format = "corpus" if is_corpus else detect_format(path, self.format)
        if is_corpus or (self.format is None and format != "text"):
            return iter(self.read_corpus(path, self.on_error))
        if format != "text":
            return read_documents(
                path, format, segmenter=self.segmenter, passages=self.passages, on_error=self.on_error
            )
        if self.finder is None:
            raise InputError(f"{path.name}: {_NO_MENTIONS}")
        return read_text(path, segmenter=_unsegmented, on_error=self.on_error)

    def _text(self, name: str, text: str) -> Document:
        if self.finder is None:
            raise InputError(_NO_MENTIONS)
        return unsegmented_document(name, text)

    def _guarded(self, name: str, read: Callable[[], Iterator[Document]]) -> Iterator[Document]:
        """Yield valid documents, and prefix errors with the name of the file."""
        try:
            for document in read():
                try:
                    self._check(document)
                except InputError as error:
                    self.on_error(InputError(f"{name}: {error}"))
                else:
                    yield document
        except InputError as error:
            reason = str(error)
            is_named = reason.startswith(name) or Path(reason.partition(":")[0]).name == name
            self.on_error(InputError(reason if is_named else f"{name}: {reason}"))
        except OSError as error:
            self.on_error(InputError(f"{name}: {error.strerror}"))

    def _check(self, document: Document) -> None:
        words = len(document.text.split())
        if words > self.max_words:
            raise InputError(
                f"{document.id}: the text has {words} {plural(words, 'word')}, and max_words is "
                f"{self.max_words}"
            )


def unsegmented_document(identifier: str, text: str) -> Document:
    """Return a document without mentions and words; it is segmented once its mentions are known.

    Raises:
        InputError: If the text is empty.
    """
    return text_document(identifier, text, segmenter=_unsegmented)


def _unsegmented(
    text: str, spans: object, sections: object
) -> tuple[tuple[tuple[int, int]], tuple[Sentence]]:
    """Segment a text into one word: it is segmented again once its mentions are known."""
    return ((0, len(text)),), (Sentence(0, 1),)


def files_of(folder: Path, *, recursive: bool) -> list[Path]:
    """Return the files of a folder that are read, and print how many are not."""
    found = [
        path
        for path in sorted(_entries(folder, recursive))
        if not any(name.startswith(".") for name in path.relative_to(folder).parts)
    ]
    folders = {path for path in found if path.is_dir()}
    files = [path for path in found if path not in folders and unpacked_name(path).endswith(EXTENSIONS)]
    texts = {text for text, annotations in map(pair_of, files) if annotations.exists()}  # brat's
    tables = {relations_of(path) for path in files}
    others = Counter(path.suffix or path.name for path in found if path not in {*folders, *files, *tables})
    if others:
        counts = ", ".join(f"{count} {printable(suffix)}" for suffix, count in others.most_common(5))
        files_are = plural(others.total(), "file with another ending is", "files with other endings are")
        note(f"{folder}: {others.total()} {files_are} left out: {counts}")
    unread = [path for path in folders if not recursive or path.is_symlink()]
    if unread:
        folders_are = plural(len(unread), "folder in it is", "folders in it are")
        them = plural(len(unread), "it", "them")
        why = "links to folders are not followed" if recursive else f"recursive=true reads {them}, too"
        note(f"{folder}: {len(unread)} {folders_are} left out; {why}")
    return [path for path in files if path not in texts]


def _entries(folder: Path, recursive: bool) -> Iterator[Path]:
    """Yield what is in a folder, and in the folders in it.

    Raises:
        OSError: If one cannot be listed.
    """
    for entry in folder.iterdir():
        yield entry
        if recursive and entry.is_dir() and not entry.is_symlink():
            yield from _entries(entry, recursive)
