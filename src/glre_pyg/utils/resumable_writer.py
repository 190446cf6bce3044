"""A file that is written as results come, and gone on with where its writer was stopped.

``FILE.part`` holds what is written, and ``FILE.progress`` says how much of it counts: its bytes, and how far
the work was. So nothing is lost of work that is stopped, and nothing comes twice. When all is written, the
part becomes the file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from glre_pyg.runs.artifacts import read_object
from glre_pyg.utils.files import PART, WriteError, put, write_json

PROGRESS = ".progress"


class GrowingFile:
    """A text file in UTF-8 that grows.

    Args:
        path: The file.
        key: What its contents follow from: what was begun with another key is begun anew. None: always.
        header: What it begins with.
    """

    def __init__(self, path: Path, *, key: str | None, header: str) -> None:
        self.path, self.key, self.header = path, key, header
        self.part, self.progress = (Path(f"{path}{ending}") for ending in (PART, PROGRESS))
        self._file: BinaryIO | None = None
        self._length = 0

    def kept(self) -> Mapping[str, int] | None:
        """How far the work was when it was stopped; None if there is nothing to go on with."""
        if self.key is None or not self.progress.is_file() or not self.part.is_file():
            return None
        saved = read_object(self.progress)
        done, length = saved.get("done"), saved.get("bytes")
        if saved.get("key") != self.key or not isinstance(done, dict) or not isinstance(length, int):
            return None
        if not 0 < length <= self.part.stat().st_size:
            return None
        self._length = length
        return done

    def write(self, text: str) -> None:
        """Add a text.

        Raises:
            WriteError: If it cannot be written.
        """
        try:
            self._opened().write(text.encode("utf-8"))
        except OSError as error:
            raise WriteError.of(self.path, error) from error

    def keep(self, done: Mapping[str, int]) -> None:
        """Have on the disk what was written, and how far the work is.

        Raises:
            WriteError: If it cannot be written; what was kept before still counts.
        """
        try:
            file = self._opened()
            file.flush()
            os.fsync(file.fileno())
            if self.key is not None:
                write_json({"key": self.key, "bytes": file.tell(), "done": dict(done)}, self.progress)
        except OSError as error:
            raise WriteError.of(self.path, error) from error

    def discard(self) -> None:
        """Remove what is written."""
        if self._file is not None:
            self._file.close()
        for path in (self.progress, self.part):
            path.unlink(missing_ok=True)

    def finish(self) -> None:
        """Give the file its name.

        Raises:
            WriteError: If it cannot be written.
        """
        try:
            self._opened().close()
            put(self.part, self.path)
            self.progress.unlink(missing_ok=True)
        except OSError as error:
            raise WriteError.of(self.path, error) from error

    def _opened(self) -> BinaryIO:
        """The file behind what counts of it."""
        if self._file is None:
            if self._length:
                self._file = self.part.open("r+b")
                self._file.truncate(self._length)
                self._file.seek(self._length)
            else:
                self.progress.unlink(missing_ok=True)
                self._file = self.part.open("wb")
                self._file.write(self.header.encode("utf-8"))
        return self._file
