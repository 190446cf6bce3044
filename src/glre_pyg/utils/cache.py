"""On-disk cache of documents and word vectors, which take long to make and can be made again.

A cached file is named ``KEY-SHA256.SUFFIX``. The key is a hash of everything that its contents depend on:
versions, settings and input files. The checksum is that of its contents: a damaged file is noticed, removed
and made again. Files are written atomically. The folder may be deleted whenever no command is running.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Self, TypeVar

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from glre_pyg.utils.console import echo
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import WriteError, atomic_replace, hidden_folder, sha256_of

FORMAT = 3  # raise it when the contents of cached files change, and the version of glre_pyg does not
T = TypeVar("T")


def cache_folder() -> Path:
    """Return ``$GLRE_CACHE``, else ``$XDG_CACHE_HOME/glre_pyg``, else ``~/.cache/glre_pyg``."""
    if os.environ.get("GLRE_CACHE"):
        return Path(os.environ["GLRE_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "glre_pyg"


@dataclass(frozen=True)
class Cache:
    """A folder of files that can be made again.

    Args:
        folder: The folder; created when it is needed.
    """

    folder: Path

    @classmethod
    def from_setting(cls, setting: str | bool | None) -> Self | None:
        """Make the cache from the setting ``cache`` of a command.

        Args:
            setting: A folder; None for the folder of downloads; False for no cache.
        """
        if setting is False:
            return None
        if not isinstance(setting, str | bool | None):
            raise InputError(f"cache: '{setting}' is neither a folder nor false")
        return cls(Path(setting) if isinstance(setting, str) else cache_folder())

    def files(self, place: str, key: str) -> list[Path]:
        """Return the paths of the files of a key, unverified, sorted by name.

        Args:
            place: Folder below :attr:`folder`.
            key: The key.
        """
        return sorted(self.folder.joinpath(place).glob(f"{key}-{'[0-9a-f]' * 64}.*"))

    def find(self, place: str, key: str) -> Path | None:
        """Return the path of an undamaged file of a key; None if there is none."""
        return next(filter(self.verify, self.files(place, key)), None)

    def verify(self, path: Path) -> bool:
        """Return whether a file has its checksum; if not, print a line and remove it."""
        try:
            if path.stem.endswith(sha256_of(path)):
                return True
            echo(f"cache: {path}: is not what was written there; it is removed and made again")
            path.unlink()
        except FileNotFoundError:  # another process has removed it
            pass
        except OSError as error:
            echo(f"cache: {path}: {error.strerror}; it is made again")
        return False

    def lock(self, place: str, key: str) -> AbstractContextManager[None]:
        """Keep other processes from writing files of a key; see :func:`locked`."""
        return locked(self.folder / place / f"{key}.lock")

    def get(
        self,
        place: str,
        key: str,
        suffix: str,
        *,
        make: Callable[[], T],
        write: Callable[[T, Path], None],
        read: Callable[[Path], T],
    ) -> T:
        """Return a cached value, or make and cache it; of several processes, one makes it.

        Args:
            place, key, suffix: See :meth:`save`.
            make: Makes the value.
            write: Writes the value to a path.
            read: Reads the value from a path.
        """
        path = self.find(place, key)
        if path is None:
            with self.lock(place, key):
                path = self.find(place, key)  # another process may have been faster
                if path is None:
                    value = make()
                    self.save(place, key, suffix, lambda path: write(value, path))
                    return value
        return read(path)

    def save(self, place: str, key: str, suffix: str, write: Callable[[Path], None]) -> Path | None:
        """Write a file and return its path; if it cannot be written, print a line and return None.

        Args:
            place: Folder below :attr:`folder`.
            key: Hash of everything that the contents depend on.
            suffix: Suffix of the file, with the dot.
            write: Writes the file to a path.
        """
        folder = self.folder / place
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with hidden_folder(folder) as hidden:
                temporary = hidden / f"{key}{suffix}"
                write(temporary)
                path = folder / f"{key}-{sha256_of(temporary)}{suffix}"
                atomic_replace(temporary, path)
                return path
        except (OSError, WriteError, SafetensorError) as error:
            reason = " ".join(str(error).split())
            echo(f"cache: {folder}: nothing can be kept there: {reason}")
            return None


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a lock file; where files cannot be locked, go on without."""
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            echo(f"cache: waiting for another process, which writes to {path.parent}")
            lock.acquire()
    except (OSError, NotImplementedError):
        pass
    try:
        yield
    finally:
        lock.release()


def key_of(*parts: object) -> str:
    """Hash strings, numbers, and lists and mappings of these, together with the version of this package."""
    made_by = [FORMAT, version("glre_pyg")]
    return hashlib.sha256(json.dumps([made_by, parts], sort_keys=True, default=_to_json).encode()).hexdigest()


def _to_json(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"a key cannot be made from {type(value).__name__}")


def contents_of(*paths: Path) -> str:
    """Hash the names and contents of files, and of the files in folders."""
    files = (
        file
        for path in paths
        for file in (sorted(filter(Path.is_file, path.rglob("*"))) if path.is_dir() else [path])
    )
    return key_of(*([file.name, sha256_of(file)] for file in files))
