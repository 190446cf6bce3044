"""Pretrained word vectors: GloVe and word2vec files, text and binary (Table 4, "w/o BERT")."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import open_regular

_MAX_DIGITS = 9  # of a number in the header


@dataclass(frozen=True)
class WordVectors:
    """Words and their vectors.

    Args:
        words: Words in the order of the file, usually by descending frequency.
        table: Vectors [words, d], float32.
    """

    words: list[str]
    table: np.ndarray

    @classmethod
    def read(cls, path: Path, *, limit: int | None = None) -> WordVectors:
        """Read a vector file, whose format is detected from its first bytes.

        Args:
            path: GloVe text (no header), word2vec text (header ``count width``) or word2vec binary, with or
                without a byte order mark.
            limit: Maximum number of vectors; None reads all.

        Raises:
            InputError: If the file is missing, not in one of these formats, truncated, or a number in it is
                not finite.
        """
        if not path.exists():
            raise InputError(f"{path}: no such file of word vectors")
        rows: dict[str, np.ndarray] = {}
        with open_regular(path) as file:
            for word, row in _rows(path, file):
                if limit is not None and len(rows) >= limit:
                    break
                rows.setdefault(word, row)
        if not rows:
            raise InputError(f"{path}: no word vectors in the file")
        vectors = cls(list(rows), np.stack(list(rows.values())))
        bad = np.flatnonzero(~np.isfinite(vectors.table).all(axis=1))
        if len(bad):
            raise InputError(f"{path.name}: the vector of '{vectors.words[bad[0]]}' is not finite")
        return vectors


def _rows(path: Path, file: BinaryIO) -> Iterator[tuple[str, np.ndarray]]:
    first = len(BOM_UTF8) if file.read(len(BOM_UTF8)) == BOM_UTF8 else 0
    file.seek(first)
    header = file.readline().split()
    if len(header) != 2 or not all(part.isdigit() for part in header):
        file.seek(first)
        yield from _text(path, file, count=0, width=None)
        return
    if any(len(part) > _MAX_DIGITS for part in header) or int(header[1]) < 1:
        raise InputError(f"{path.name}:1: not a number of vectors and their width")
    count, width = map(int, header)
    start = file.tell()
    read = _text if _is_text(file.readline(), width) else _binary
    file.seek(start)
    yield from read(path, file, count=count, width=width)


def _is_text(line: bytes, width: int) -> bool:
    parts = line.split()
    try:
        return len([float(part) for part in parts[-width:]]) == width < len(parts)
    except ValueError:
        return False


def _text(path: Path, file: BinaryIO, *, count: int, width: int | None) -> Iterator[tuple[str, np.ndarray]]:
    num_vectors, first = 0, 1 if width is None else 2
    for number, raw in enumerate(file, first):
        parts = raw.rstrip().decode("utf-8", "replace").split(" ")
        if parts == [""]:
            continue
        width = width or len(parts) - 1
        try:
            # GloVe's largest file has words with spaces: the vector is at the end of the line.
            row = np.array([float(part) for part in parts[-width:]], dtype=np.float32)
        except ValueError:
            row = np.empty(0, dtype=np.float32)
        if len(row) != width or len(parts) <= width or width < 1:
            raise InputError(f"{path.name}:{number}: not a word and {width or 'its'} numbers")
        num_vectors += 1
        yield " ".join(parts[:-width]), row
    if num_vectors < count:
        raise InputError(f"{path.name}: truncated, {num_vectors} of {count} vectors")


def _binary(path: Path, file: BinaryIO, *, count: int, width: int) -> Iterator[tuple[str, np.ndarray]]:
    for number in range(1, count + 1):
        word = bytearray()
        while (byte := file.read(1)) not in (b" ", b""):
            word += byte
        raw = file.read(4 * width)
        if len(raw) != 4 * width:
            raise InputError(f"{path.name}: truncated, {number - 1} of {count} vectors")
        if b"\n" in word.lstrip(b"\n"):
            raise InputError(f"{path.name}: neither text nor binary, there is a line break in word {number}")
        yield word.lstrip(b"\n").decode("utf-8", "replace"), np.frombuffer(raw, dtype="<f4")
    if file.read(2).strip(b"\r\n"):
        raise InputError(f"{path.name}: there is more data after {count} vectors")
