"""Reading of files that may be compressed with gzip."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from gzip import BadGzipFile, GzipFile
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import BinaryIO

from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import open_regular

_UNPACKED, _RATIO = 256 << 20, 100  # bytes that any gzip file may unpack to, and more for each of its own


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a regular file for reading, and unpack it if it is a gzip file.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        with open_regular(path) as file:
            is_gzip = file.peek(2)[:2] == b"\x1f\x8b"
            yield BufferedReader(_Unpacked(file)) if is_gzip else file
    except (BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{Path(path).name}: cannot be unpacked: {error}") from None
    except (OSError, MemoryError) as error:
        raise InputError(f"{path}: cannot be read: {_explained(error)}") from None


def _explained(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    return getattr(error, "strerror", None) or str(error)


class _Unpacked(RawIOBase):
    """Contents of a gzip file, up to a limit: text does not unpack to more."""

    def __init__(self, file: BufferedReader) -> None:
        self.file = GzipFile(fileobj=file)
        self.left = _UNPACKED + _RATIO * os.fstat(file.fileno()).st_size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self.file.read(len(buffer))
        self.left -= len(data)
        if self.left < 0:
            raise OSError("the gzip file unpacks to far more than its size")
        buffer[: len(data)] = data
        return len(data)
