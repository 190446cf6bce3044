"""Atomic and durable writing of files.

Files are written under a temporary name in the same folder, brought to the disk, and renamed. If the
process is killed or the machine loses power, the old file or the new one is there, never a part of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import psutil

from glre_pyg.utils.exceptions import InputError

PART = ".part"
"""Suffix of files that are being written."""


class WriteError(InputError):
    """A file cannot be written: one line with its path and the reason."""

    @classmethod
    def from_error(cls, path: str | os.PathLike[str], error: Exception) -> WriteError:
        """Make the error from the exception that writing ``path`` raised."""
        reason = error.strerror if isinstance(error, OSError) else None
        return cls(f"{os.fspath(path)}: cannot be written: {reason or error}")


@contextmanager
def temporary_path(path: Path) -> Iterator[Path]:
    """Unused path beside ``path``; on exit it is removed, as are those that killed processes left.

    Raises:
        WriteError: If the file ``path`` cannot be written.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}{PART}")
    try:
        _remove_leftovers(path)
        yield temporary
    except FileExistsError:
        raise
    except OSError as error:
        raise WriteError.from_error(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Temporary path for a new version of a file, which replaces the file on exit unless there is an error.

    Several processes may write the same file at once: the last one to finish wins.

    Raises:
        WriteError: If the file cannot be written.
    """
    path = Path(path)
    with temporary_path(path) as temporary:
        yield temporary
        atomic_replace(temporary, path)


@contextmanager
def atomic_open(path: str | os.PathLike[str], *, encoding: str = "utf-8") -> Iterator[IO[str]]:
    """Like :func:`atomic_path`, as an open text file without translation of line ends."""
    with atomic_path(path) as temporary, temporary.open("w", encoding=encoding, newline="") as file:
        yield file


def write_text(text: str, path: str | os.PathLike[str], *, encoding: str = "utf-8") -> None:
    """Write a text file atomically.

    Raises:
        WriteError: If it cannot be written.
    """
    with atomic_open(path, encoding=encoding) as file:
        file.write(text)


def write_new(text: str, path: Path) -> None:
    """Write a text file that must not exist yet; if several processes try at once, one succeeds.

    Raises:
        FileExistsError: If the file exists.
        WriteError: If it cannot be written.
    """
    with temporary_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        sync(temporary)
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # the file system has no hard links
            if path.exists():
                raise FileExistsError(path) from None
            os.replace(temporary, path)
        sync(path.parent)


def write_json(value: Mapping[str, Any] | list[Any], path: str | os.PathLike[str]) -> None:
    """Write a JSON file atomically, indented.

    Raises:
        WriteError: If it cannot be written.
    """
    write_text(json.dumps(value, indent=2) + "\n", path)


def read_json(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        InputError: If it does not.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: not a JSON object")
    return value


def sha256_of(path: Path) -> str:
    """Return the SHA-256 checksum of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def atomic_replace(source: Path, target: Path) -> None:
    """Rename a complete file or folder, once all of it is on the disk; a file replaces one of that name."""
    _sync_all(source)
    os.replace(source, target)
    sync(target.parent)


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files for ``path`` of processes that no longer run."""
    name = re.compile(rf"{re.escape(path.name)}\.(\d+)-[0-9a-f]{{8}}{re.escape(PART)}")
    for file in path.parent.iterdir():
        match = name.fullmatch(file.name)
        if match and not psutil.pid_exists(int(match[1])):
            file.unlink(missing_ok=True)


def _sync_all(path: Path) -> None:
    """Bring a file, or a folder and everything in it, to the disk."""
    for entry in [*path.rglob("*"), path] if path.is_dir() else [path]:
        sync(entry)


def sync(path: Path) -> None:
    """Bring the contents of a file, or the names in a folder, to the disk."""
    if path.is_dir() and os.name == "nt":  # Windows cannot sync folders
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
