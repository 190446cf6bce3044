"""A text file that is written as results come, and that a later process can continue.

``FILE.part`` holds the text; ``FILE.progress`` says how many of its bytes count and how far the work was.
The part is renamed to ``FILE`` when all is written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from glre_pyg.utils.files import PART, WriteError, atomic_replace, read_json, write_json

PROGRESS = ".progress"


class ResumableWriter:
    """Writer of a UTF-8 text file with checkpoints.

    Args:
        path: Path of the file.
        key: Hash of what the contents depend on: a file with another key is started again. None: always.
        header: Text at the beginning of the file.
    """

    def __init__(self, path: Path, *, key: str | None, header: str) -> None:
        self.path, self.key, self.header = path, key, header
        self.part, self.progress = (Path(f"{path}{suffix}") for suffix in (PART, PROGRESS))
        self._file: BinaryIO | None = None
        self._length = 0

    def last_checkpoint(self) -> Mapping[str, int] | None:
        """Return the counts of the last checkpoint, where writing continues; None if there is none."""
        if self.key is None or not self.progress.is_file() or not self.part.is_file():
            return None
        saved = read_json(self.progress)
        counts, length = saved.get("done"), saved.get("bytes")
        if saved.get("key") != self.key or not isinstance(counts, dict) or not isinstance(length, int):
            return None
        if not 0 < length <= self.part.stat().st_size:
            return None
        self._length = length
        return counts

    def write(self, text: str) -> None:
        """Append a text.

        Raises:
            WriteError: If it cannot be written.
        """
        try:
            self._open().write(text.encode("utf-8"))
        except OSError as error:
            raise WriteError.from_error(self.path, error) from error

    def checkpoint(self, counts: Mapping[str, int]) -> None:
        """Bring everything written so far to the disk, with counts that say how far the work is.

        Raises:
            WriteError: If it cannot be written; the checkpoint before remains valid.
        """
        try:
            file = self._open()
            file.flush()
            os.fsync(file.fileno())
            if self.key is not None:
                write_json({"key": self.key, "bytes": file.tell(), "done": dict(counts)}, self.progress)
        except OSError as error:
            raise WriteError.from_error(self.path, error) from error

    def discard(self) -> None:
        """Remove everything written so far."""
        if self._file is not None:
            self._file.close()
        for path in (self.progress, self.part):
            path.unlink(missing_ok=True)

    def finish(self) -> None:
        """Rename the complete file to its path.

        Raises:
            WriteError: If it cannot be written.
        """
        try:
            self._open().close()
            atomic_replace(self.part, self.path)
            self.progress.unlink(missing_ok=True)
        except OSError as error:
            raise WriteError.from_error(self.path, error) from error

    def _open(self) -> BinaryIO:
        """Open the file once, at the last checkpoint."""
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
