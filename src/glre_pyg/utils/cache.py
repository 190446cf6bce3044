"""On-disk cache of documents, word vectors and parses, which take long to make and can be made again.

A cached file is named ``KEY-SHA256.SUFFIX``. The key is a hash of everything that its contents depend on:
versions, settings and input files. The checksum is that of its contents: a damaged file is noticed, removed
and made again. Files are written atomically. The folder may be deleted whenever no command is running.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
from filelock import FileLock, Timeout
from platformdirs import user_cache_path, user_state_path
from safetensors import SafetensorError

from glre_pyg.utils.console import echo
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import WriteError, atomic_replace, hidden_folder, open_regular, sha256_of

T = TypeVar("T")

FORMAT = 3  # raise it when the contents of cached files change, and the version of glre_pyg does not


def cache_folder() -> Path:
    """Return ``$GLRE_CACHE``, else the user's cache folder (on Linux ``~/.cache/glre_pyg``)."""
    chosen = os.environ.get("GLRE_CACHE")
    return Path(chosen) if chosen else _user_folder("XDG_CACHE_HOME", ".cache", user_cache_path)


def state_folder() -> Path:
    """Return the user's folder for state that is no cache (on Linux ``~/.local/state/glre_pyg``)."""
    return _user_folder("XDG_STATE_HOME", ".local/state", user_state_path)


def _user_folder(variable: str, earlier: str, of_system: Callable[..., Path]) -> Path:
    """Return the folder that a variable names, that of earlier versions if it exists, or the system's."""
    if base := os.environ.get(variable):
        return Path(base).expanduser() / "glre_pyg"
    folder = Path.home() / earlier / "glre_pyg"
    return folder if os.path.isdir(folder) else of_system("glre_pyg", appauthor=False)


@dataclass(frozen=True)
class Cache:
    """A folder of files that can be made again; it is created when it is needed."""

    folder: Path

    @classmethod
    def from_setting(cls, setting: str | bool | None) -> Self | None:
        """Make the cache from the setting ``cache``: a folder, None for the usual one, or False for none."""
        if setting is False:
            return None
        if not isinstance(setting, str | bool | None):
            raise InputError(f"cache: '{setting}' is neither a folder nor false")
        return cls(Path(setting) if isinstance(setting, str) else cache_folder())

    def files(self, place: str, key: str) -> list[Path]:
        """Return the paths of the files of a key, unverified, in a folder ``place`` of the cache."""
        return sorted(self.folder.joinpath(place).glob(f"{key}-{'[0-9a-f]' * 64}.*"))

    def find(self, place: str, key: str) -> Path | None:
        """Return the path of an undamaged file of a key; None if there is none."""
        return next(filter(self.verify, self.files(place, key)), None)

    def verify(self, path: Path) -> bool:
        """Return whether a file has its checksum; if not, remove it, see :meth:`remove`."""
        try:
            if path.stem.endswith(sha256_of(path)):
                return True
            self.remove(path)
        except FileNotFoundError:  # another process has removed it
            pass
        except OSError as error:
            echo(f"cache: {path}: {error.strerror}; it is made again")
        return False

    def remove(self, path: Path) -> None:
        """Print a line about a damaged file, and remove it."""
        echo(f"cache: {path}: is not what was written there; it is removed and made again")
        with suppress(OSError):  # a folder, or another process has removed it
            path.unlink()

    def records(self, place: str, key: str, kind: type[T], make: Callable[[], list[T]]) -> list[T]:
        """Return records of a key, or make and keep them; of several processes, one makes them.

        Args:
            place: Folder in the cache.
            key: Hash of everything that the records depend on.
            kind: Class of a record, which msgspec writes as a line of JSON.
            make: Makes them.
        """
        records = self._records(place, key, kind)
        if records is None:
            with self.lock(place, key):
                records = self._records(place, key, kind)  # another process may have been faster
                if records is None:
                    records = make()
                    lines = b"".join(msgspec.json.encode(record) + b"\n" for record in records)
                    self.save(place, key, ".jsonl", lambda path: path.write_bytes(lines))
        return records

    def _records(self, place: str, key: str, kind: type[T]) -> list[T] | None:
        path = self.find(place, key)
        if path is None:
            return None
        decode = msgspec.json.Decoder(kind).decode
        try:
            with open_regular(path) as file:
                return [decode(line) for line in file]
        except (OSError, ValueError):  # it was replaced after it was verified, or written by another program
            self.remove(path)
            return None

    def lock(self, place: str, key: str) -> AbstractContextManager[None]:
        """Keep other processes from writing files of a key; see :func:`locked`."""
        return locked(self.folder / place / f"{key}.lock")

    def save(self, place: str, key: str, suffix: str, write: Callable[[Path], object]) -> Path | None:
        """Write a file with ``write`` and return its path; if that fails, print a line and return None."""
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
    """Hash strings, numbers, sequences and mappings, together with the version of this package."""
    made_by = [FORMAT, version("glre_pyg")]
    return hashlib.sha256(json.dumps([made_by, parts], sort_keys=True, default=_to_json).encode()).hexdigest()


def _to_json(value: Any) -> object:
    return dict(value) if isinstance(value, Mapping) else list(value)


def contents_of(*paths: Path) -> str:
    """Hash the names and contents of files, and of the files in folders."""
    files = (
        file
        for path in paths
        for file in (sorted(filter(Path.is_file, path.rglob("*"))) if path.is_dir() else [path])
    )
    return key_of(*([file.name, sha256_of(file)] for file in files))
