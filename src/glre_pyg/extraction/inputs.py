"""What predict reads: files of any format, folders of them, what is piped in, or a text as it is typed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from glre_pyg.data.document import Document, Sentence
from glre_pyg.formats.detection import detect_format, read_documents
from glre_pyg.formats.spacy_docs import read_spacy
from glre_pyg.formats.text import decoded, read_text, text_document
from glre_pyg.mentions.finder import check_spans
from glre_pyg.utils.exceptions import ErrorHandler, InputError

PIPE = "-"
_SUFFIXES = {".txt", ".pubtator", ".json", ".jsonl", ".data", ".spacy"}
_NO_MENTIONS = (
    "plain text has no marked mentions: mentions=dictionary mentions.file=FILE finds them, say; if it is in "
    "another format, format= says which"
)

CorpusReader = Callable[[Path, ErrorHandler], Iterable[Document]]
"""Reads a file in the format of a run's corpus."""


class Inputs:
    """Reads documents and goes on after those that cannot be read.

    Args:
        own: Reads a file whose format is not given.
        format: Format of the input, where neither a file's ending nor the run's corpus tells; None for these.
        is_searched: Whether mentions are looked for afterwards: plain text is then not cut into sentences
            yet, and is refused otherwise.
        max_words: Words that a document may have, as white space divides them.
        on_error: Is told of what cannot be read.
    """

    def __init__(
        self,
        own: CorpusReader,
        *,
        format: str | None,
        is_searched: bool,
        max_words: int,
        on_error: ErrorHandler,
    ) -> None:
        self.own, self.format, self.is_searched = own, format, is_searched
        self.max_words, self.on_error = max_words, on_error

    def documents(self, name: str) -> Iterator[Document]:
        """Documents of a file, of the files of a folder in the order of their names, or from standard input.

        Of a folder, files count that end in .txt, .pubtator, .json, .jsonl, .data or .spacy, and of documents
        with one identifier in several files the first (but DocRED's titles identify nothing). A corpus that
        is a folder itself is read with the format ``corpus``.
        """
        path = Path(name)
        if name == PIPE:
            yield from self._piped()
        elif path.is_dir() and self.format != "corpus":
            yield from self._folder(path)
        else:
            yield from self._file(path)

    def text(self, name: str, text: str) -> Iterator[Document]:
        """A text as a document."""
        yield from self._guarded(name, lambda: iter([self._text(name, text)]))

    def _folder(self, folder: Path) -> Iterator[Document]:
        files = sorted(
            file
            for file in folder.iterdir()
            if file.suffix.lower() in _SUFFIXES and file.is_file() and not file.name.startswith(".")
        )
        if not files:
            self.on_error(InputError(f"{folder}: there is no file in this folder that could be read"))
        seen: dict[str, str] = {}
        for file in files:
            for document in self._file(file):
                first = seen.setdefault(document.id, file.name)
                if first == file.name or file.suffix.lower() == ".json":
                    yield document
                else:
                    self.on_error(
                        InputError(
                            f"{file.name}: {document.id}: a document of this identifier was in {first}"
                        )
                    )

    def _piped(self) -> Iterator[Document]:
        raw = sys.stdin.buffer.read()
        if self.format in (None, "text"):
            yield from self._guarded("stdin", lambda: iter([self._text("stdin", decoded(raw))]))
            return
        with TemporaryDirectory() as folder:
            file = Path(folder, "stdin")
            file.write_bytes(raw)
            yield from self._file(file)

    def _file(self, path: Path) -> Iterator[Document]:
        yield from self._guarded(path.name, partial(self._read, path))

    def _read(self, path: Path) -> Iterator[Document]:
        if self.format == "spacy" or (self.format is None and path.suffix.lower() == ".spacy"):
            return read_spacy(path, on_error=self.on_error)
        if self.format == "corpus" or (
            self.format is None and (path.is_dir() or detect_format(path) != "text")
        ):
            return iter(self.own(path, self.on_error))
        if detect_format(path, self.format) != "text":
            return read_documents(path, self.format, on_error=self.on_error)
        if not self.is_searched:
            raise InputError(f"{path.name}: {_NO_MENTIONS}")
        if not path.is_file():
            raise InputError(f"{path}: no such file")
        return read_text(path, segmenter=_uncut, on_error=self.on_error)

    def _text(self, name: str, text: str) -> Document:
        if not self.is_searched:
            raise InputError(_NO_MENTIONS)
        return text_document(name, text, segmenter=_uncut)

    def _guarded(self, name: str, read: Callable[[], Iterator[Document]]) -> Iterator[Document]:
        try:
            for document in read():
                try:
                    check(document, self.max_words, mentions=not self.is_searched)
                except InputError as error:
                    self.on_error(InputError(f"{name}: {error}"))
                else:
                    yield document
        except InputError as error:
            reason = str(error)
            self.on_error(InputError(reason if reason.startswith(name) else f"{name}: {reason}"))
        except OSError as error:
            self.on_error(InputError(f"{name}: {error.strerror}"))


def _uncut(text: str, spans: object, sections: object) -> tuple[tuple[tuple[int, int]], tuple[Sentence]]:
    """One word: the text will be cut where mentions begin and end, once they are found."""
    return ((0, len(text)),), (Sentence(0, 1),)


def check(document: Document, max_words: int, *, mentions: bool) -> None:
    """Make sure that a document is not too long and that none of its mentions cross.

    Args:
        document: The document.
        max_words: Words that it may have, as white space divides them.
        mentions: Whether its mentions count; others may be going to take their place.

    Raises:
        InputError: If it is, or they do.
    """
    words = len(document.text.split())
    if words > max_words:
        raise InputError(f"{document.id}: the text has {words} words, and max_words is {max_words}")
    if mentions:
        check_spans(document.id, document.text, (mention.span for mention in document.mentions))
