"""A text file that is written as results come, and that a later process can continue.

``FILE.part`` holds the text; ``FILE.progress`` says how many of its bytes count and how far the work was.
The part is renamed to ``FILE`` when all is written. One process at a time may write a file; see
:func:`~glre_pyg.utils.files.exclusive`.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedRandom, BufferedWriter
from pathlib import Path

from glre_pyg.utils.files import (
    PART,
    PROGRESS,
    WriteError,
    atomic_replace,
    is_gzip,
    read_json,
    regular_opener,
    write_json,
)


class ResumableWriter:
    """Writer of a UTF-8 text file with checkpoints.

    Args:
        path: Path of the file.
        key: Hash of what the contents depend on: a file with another key is started again. None: always.
        header: Text at the beginning of the file.
    """

    def __init__(self, path: Path, *, key: str | None, header: str) -> None:
        self.path, self.key, self.header = path, key, header
        self.target = Path(os.path.realpath(path))
        self.part, self.progress = (Path(f"{self.target}{suffix}") for suffix in (PART, PROGRESS))
        self._file: BufferedRandom | BufferedWriter | None = None
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
        with self._naming():
            self._open().write(self._encoded(text))

    def checkpoint(self, counts: Mapping[str, int]) -> None:
        """Bring everything written so far to the disk, with counts that say how far the work is.

        Raises:
            WriteError: If it cannot be written; the checkpoint before remains valid.
        """
        with self._naming():
            file = self._open()
            file.flush()
            os.fsync(file.fileno())
            if self.key is not None:
                write_json({"key": self.key, "bytes": file.tell(), "done": dict(counts)}, self.progress)

    def discard(self) -> None:
        """Remove everything written so far."""
        self._close()
        for path in (self.progress, self.part):
            path.unlink(missing_ok=True)

    def finish(self) -> None:
        """Rename the complete file to its path.

        Raises:
            WriteError: If it cannot be written.
        """
        with self._naming():
            self._open().close()
            atomic_replace(self.part, self.target)
            self.progress.unlink(missing_ok=True)

    @contextmanager
    def _naming(self) -> Iterator[None]:
        """Name the file in errors, whichever file beside it cannot be written."""
        try:
            yield
        except (OSError, WriteError) as error:
            self._close()
            raise WriteError.from_error(self.path, error) from error

    def _encoded(self, text: str) -> bytes:
        """Encode a text, for a gzip file as one of its members."""
        data = text.encode("utf-8")
        return gzip.compress(data, mtime=0) if data and is_gzip(self.target) else data

    def _close(self) -> None:
        """Close the file without what is not written yet: on a full disk, that would fail again."""
        if self._file is not None:
            self._file.raw.close()

    def _open(self) -> BufferedRandom | BufferedWriter:
        """Open the file once, at the last checkpoint."""
        if self._file is None:
            if self._length:
                self._file = open(self.part, "r+b", opener=regular_opener)  # noqa: SIM115
                self._file.truncate(self._length)
                self._file.seek(self._length)
            else:
                self.progress.unlink(missing_ok=True)
                self._file = open(self.part, "wb", opener=regular_opener)  # noqa: SIM115
                self._file.write(self._encoded(self.header))
        return self._file
