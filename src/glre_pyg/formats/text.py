"""Plain text, one document per file, without mentions, which :mod:`glre_pyg.mentions` finds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from glre_pyg.data.document import Document
from glre_pyg.data.segmentation import Segmenter, segment
from glre_pyg.formats.reading import Place, documents_at
from glre_pyg.utils.compression import opened
from glre_pyg.utils.exceptions import ErrorHandler, InputError
from glre_pyg.utils.files import is_gzip


def read_text(
    path: str | os.PathLike[str], *, segmenter: Segmenter = segment, on_error: ErrorHandler | None = None
) -> Iterator[Document]:
    """Read the document of a file; its identifier is the file's name without the suffix.

    Args:
        path: A file in UTF-8, with or without a byte order mark.
        segmenter: Cuts the text into words and sentences.
        on_error: Callback for a file with an error; None raises.

    Raises:
        InputError: ``file:line: document: what is wrong``.
    """
    with opened(path) as file:
        raw = file.read()
    base = Path(path).with_suffix("") if is_gzip(Path(path)) else Path(path)
    name, stem = (os.fsencode(part).decode("utf-8", "replace") for part in (Path(path).name, base.stem))

    def parse() -> Document:
        return text_document(stem, decoded(raw), segmenter=segmenter)

    yield from documents_at(name, [Place(name, stem, parse)], on_error)


def text_document(identifier: str, text: str, *, segmenter: Segmenter = segment) -> Document:
    """Return a document without mentions.

    Args:
        identifier: Identifier of the document.
        text: Its text.
        segmenter: Cuts the text into words and sentences.

    Raises:
        InputError: If it is empty.
    """
    if not text.strip():
        raise InputError(f"{identifier}: there is no text")
    return Document(identifier, text, *segmenter(text, (), ()), ())


def decoded(raw: bytes) -> str:
    """Decode a text in UTF-8, without a byte order mark and white space at its end.

    Raises:
        InputError: If it is not UTF-8; the message names the line.
    """
    try:
        return raw.decode("utf-8").removeprefix("\ufeff").rstrip()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start)
        byte = error.start - (raw.rfind(b"\n", 0, error.start) + 1)
        raise InputError(f"line {line + 1}: byte {byte + 1} is not UTF-8") from None
