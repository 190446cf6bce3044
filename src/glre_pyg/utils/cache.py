"""What takes long to make and can be made again, kept on disk: documents, graphs and encoded words.

A file is found by a key, the checksum of all that it was made from: sources, settings, code. Its name is
``KEY-SHA256.SUFFIX``, with the checksum of what is in it. It gets this name when it is complete, so there
are no halves; one whose bytes have changed since is removed and made again. The folder may be deleted when
no command runs.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from filelock import BaseFileLock, FileLock, Timeout
from safetensors import SafetensorError

from glre_pyg.utils.download import cache_folder
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import atomic_replace, sha256_of

Made = TypeVar("Made")


@dataclass(frozen=True)
class Cache:
    """A folder of files that can be made again.

    Args:
        folder: The folder; made when it is needed.
    """

    folder: Path

    @classmethod
    def of(cls, setting: str | bool | None) -> Self | None:
        """The cache of a config.

        Args:
            setting: A folder; None for the one where downloads are kept; False for no cache.
        """
        if setting is False:
            return None
        if not isinstance(setting, str | bool | None):
            raise InputError(f"cache: '{setting}' is neither a folder nor false")
        return cls(Path(setting) if isinstance(setting, str) else cache_folder())

    def files(self, place: str, key: str) -> list[Path]:
        """Files of a key, unchecked, in the order of their names.

        Args:
            place: Folder below :attr:`folder`.
            key: What the names begin with.
        """
        return sorted(self.folder.joinpath(place).glob(f"{key}-{'[0-9a-f]' * 64}.*"))

    def find(self, place: str, key: str) -> Path | None:
        """A file of a key that is whole; None if there is none."""
        return next(filter(self.is_whole, self.files(place, key)), None)

    def is_whole(self, path: Path) -> bool:
        """Whether a file is as it was written; if not, one line says so and it is removed."""
        try:
            if path.stem.endswith(sha256_of(path)):
                return True
            print(f"cache: {path}: is not what was written there; it is removed and made again", flush=True)
            path.unlink()
        except OSError as error:  # another process has removed it, or it cannot be read
            if not isinstance(error, FileNotFoundError):
                print(f"cache: {path}: {error.strerror}; it is made again", flush=True)
        return False

    @contextmanager
    def lock(self, place: str, key: str) -> Iterator[None]:
        """Keep other processes from making the files of a key meanwhile, where files can be locked."""
        folder = self.folder / place
        lock: BaseFileLock | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / f"{key}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                print(f"cache: waiting for another process, which writes to {folder}", flush=True)
                lock.acquire()
        except (OSError, NotImplementedError):
            lock = None
        try:
            yield
        finally:
            if lock is not None:
                lock.release()

    def get(
        self,
        place: str,
        key: str,
        suffix: str,
        *,
        make: Callable[[], Made],
        write: Callable[[Made, Path], None],
        read: Callable[[Path], Made],
    ) -> Made:
        """Something that is kept in one file, or is made and kept; of several processes, one makes it.

        Args:
            place, key, suffix: See :meth:`keep`.
            make: Makes it.
            write: Writes it to a path.
            read: Reads what was written.
        """
        found = self.find(place, key)
        if found is None:
            with self.lock(place, key):
                found = self.find(place, key)  # another process may have been faster
                if found is None:
                    made = make()
                    self.keep(place, key, suffix, partial(write, made))
                    return made
        return read(found)

    def keep(self, place: str, key: str, suffix: str, write: Callable[[Path], None]) -> Path | None:
        """Write a file, under :meth:`lock`; None, and one line that says why, if it cannot be written.

        Args:
            place: Folder below :attr:`folder`.
            key: What it is made from.
            suffix: End of the file's name, with the point.
            write: Writes it to the path it is given.
        """
        folder = self.folder / place
        part = folder / f"{key}.{os.getpid()}-{secrets.token_hex(4)}.part"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for left in folder.glob(f"{key}.*.part"):  # by a process that was killed
                left.unlink(missing_ok=True)
            write(part)
            target = folder / f"{key}-{sha256_of(part)}{suffix}"
            atomic_replace(part, target)
        except (OSError, SafetensorError) as error:
            reason = " ".join(str(error).split())
            print(f"cache: {folder}: nothing can be kept there: {reason}", flush=True)
            return None
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
        return target


def key_of(*parts: object) -> str:
    """Key of something that is made from parts: strings, numbers, and lists and mappings of these."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=_plain).encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"a key cannot be made from {type(value).__name__}")


def contents_of(*places: Path) -> str:
    """Key of the names and contents of files, and of the files in folders."""
    files = (
        file
        for place in places
        for file in (sorted(filter(Path.is_file, place.iterdir())) if place.is_dir() else [place])
    )
    return key_of(*([file.name, sha256_of(file)] for file in files))
