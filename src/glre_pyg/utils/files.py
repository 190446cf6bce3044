"""Reading of regular files, and atomic and durable writing.

Files are written in a hidden folder beside them, brought to the disk, and renamed. If the process is killed
or the machine loses power, the old file or the new one is there, never a part of it.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import shutil
import socket
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from gzip import GzipFile
from io import BufferedReader
from pathlib import Path
from tempfile import mkdtemp
from typing import IO, Any

from glre_pyg.utils.exceptions import InputError

try:
    import fcntl
except ImportError:  # Windows, where nothing is locked
    fcntl = None  # type: ignore[assignment]

PART = ".part"
"""Suffix of files that are being written, and of the hidden folders in which they are."""
PROGRESS, LOCK = ".progress", ".lock"
"""Suffixes of the files beside an output while it is being written."""
NOT_REGULAR = "not a regular file (pipes and devices, such as /dev/stdin and <(...), are not read or written)"
_HIDDEN = re.compile(rf"\.[0-9a-z_]{{8}}{re.escape(PART)}")  # as mkdtemp names them
_NON_BLOCKING = getattr(os, "O_NONBLOCK", 0)


class InUse(InputError):
    """Another process writes a file."""


class WriteError(InputError):
    """A file cannot be written: one line with its path and the reason."""

    reason: object = None

    @classmethod
    def from_error(cls, path: str | os.PathLike[str], error: Exception) -> WriteError:
        """Make the error from the exception that writing ``path``, or a file beside it, raised."""
        reason = error.reason if isinstance(error, WriteError) else getattr(error, "strerror", None)
        made = cls(f"{os.fspath(path)}: cannot be written: {reason or error}")
        made.reason = reason or error
        return made


# Reading


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a regular file for reading in bytes; it never waits, as opening a pipe does.

    Raises:
        OSError: If it cannot be opened, or is a folder, a pipe, a device or a socket.
    """
    return BufferedReader(_NamedFile(os.fspath(path), opener=regular_opener))


class _NamedFile(io.FileIO):
    """File whose errors name it, as when a disk fails while it is read."""

    def readinto(self, buffer: Any) -> int | None:
        with _named(self.name):
            return super().readinto(buffer)

    def readall(self) -> bytes:
        with _named(self.name):
            return super().readall()


@contextmanager
def _named(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def regular_opener(path: str, flags: int) -> int:
    """``opener`` of :func:`open` that opens regular files alone, as in :func:`open_regular`."""
    try:
        descriptor = os.open(path, flags | _NON_BLOCKING, 0o666)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket, or a pipe that nobody reads
            raise OSError(errno.EINVAL, NOT_REGULAR, path) from None
        raise
    try:
        _check_regular(os.fstat(descriptor).st_mode, path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def check_regular(path: str | os.PathLike[str]) -> None:
    """Raise an OSError if a library would open something else than a regular file."""
    _check_regular(os.stat(path).st_mode, path)


def check_files(folder: Path, more: Iterable[Path] = ()) -> None:
    """Refuse pipes, devices and sockets in a folder whose files a library opens.

    Args:
        folder: The folder, which may be missing.
        more: Further paths, which may be missing but must not be folders.

    Raises:
        InputError: If there is one.
    """
    for path in (*more, *(path for path in folder.rglob("*") if not path.is_dir())):
        try:
            check_regular(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from None


def _check_regular(mode: int, path: str | os.PathLike[str]) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, NOT_REGULAR, os.fspath(path))


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read a regular file.

    Raises:
        OSError: See :func:`open_regular`.
    """
    with open_regular(path) as file:
        return file.read()


def read_json(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        InputError: If it does not.
    """
    try:
        value = json.loads(read_bytes(path).decode("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: not a JSON object")
    return value


def sha256_of(path: Path) -> str:
    """Return the SHA-256 checksum of a file in hexadecimal."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Writing


def check_output(path: Path, inputs: Iterable[Path] = ()) -> Path:
    """Check that a file can be written without replacing anything that is read.

    Args:
        path: The file.
        inputs: Files that are read, by any of their names, and folders whose files are.

    Returns:
        The path itself; that of its destination if it is a link.

    Raises:
        InputError: If its folder is missing, it exists and is not a regular file, or it is an input, in a
            folder of inputs, or what a link in such a folder leads to.
    """
    if not path.parent.is_dir():
        raise InputError(f"{path}: cannot be written, its folder is missing")
    target = _target(path)
    written = _identities([target, *(Path(f"{target}{suffix}") for suffix in (PART, PROGRESS, LOCK))])
    folders = _identities(target.parents)
    for source in inputs:
        read = _identities(source.rglob("*") if written and source.is_dir() else [source])
        if read & written or _identities([source]) & folders:
            raise InputError(f"{path}: is the input, or lies in its folder: write somewhere else")
    return target


def _identities(paths: Iterable[Path]) -> set[tuple[int, int]]:
    """Return device and number of files and folders that exist, which are the same by all of their names."""
    found = set()
    for path in paths:
        with suppress(OSError):
            status = path.stat()
            found.add((status.st_dev, status.st_ino))
    return found


def _target(path: Path) -> Path:
    """Return the path of a new or regular file to write, which is another one for a link.

    Raises:
        WriteError: If it is something else.
    """
    target = Path(os.path.realpath(path))
    try:
        with suppress(FileNotFoundError):
            check_regular(path)
            check_regular(target)  # a file that was removed has a name in /proc alone
    except OSError as error:
        raise WriteError.from_error(path, error) from None
    return target


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Let no other process write a file, or a folder of files, at the same time.

    The lock is that of the operating system: it ends with the process, however that ends. Where the file
    system has no locks, there is none.

    Args:
        path: The file or the folder.

    Raises:
        InUse: If another process writes it; the line says which one.
        WriteError: If there cannot be a lock file beside it.
    """
    lock = path / LOCK if path.is_dir() else Path(f"{os.path.realpath(path)}{LOCK}")
    try:
        descriptor = _take(lock, path)
    except OSError as error:
        raise WriteError.from_error(path, error) from error
    try:
        yield
    finally:
        _release(descriptor, lock)


def _take(lock: Path, path: Path) -> int:
    """Lock a new or abandoned lock file and write into it who has it."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    for _ in range(20):
        descriptor = regular_opener(str(lock), flags)
        if _is_locked(descriptor, lock):
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            holder = f"process {os.getpid()} on {socket.gethostname()} since {since}"
            try:
                os.ftruncate(descriptor, 0)
                os.write(descriptor, holder.encode())
            except OSError:
                _release(descriptor, lock)
                raise
            return descriptor
        holder = os.read(descriptor, 200).decode(errors="replace")
        os.close(descriptor)
        if holder and lock.exists():
            break
        time.sleep(0.05)  # it is being made or removed
    raise InUse(f"{path}: is being written by {holder or 'another process'}")


def _release(descriptor: int, lock: Path) -> None:
    """Remove a lock file and end its lock, even if the disk fails."""
    with suppress(OSError):
        lock.unlink()
    with suppress(OSError):
        os.close(descriptor)


def _is_locked(descriptor: int, path: Path) -> bool:
    """Lock an open file or folder; return whether that succeeded, and the path is still the same one."""
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # the file system has no locks
        return True
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    return False


@contextmanager
def hidden_folder(folder: Path) -> Iterator[Path]:
    """New hidden folder in a folder; on exit it is removed, as are those that killed processes left."""
    if fcntl is None:
        hidden, descriptor = Path(mkdtemp(PART, ".", folder)), None
    else:
        _remove_leftovers(folder)
        while True:
            hidden = Path(mkdtemp(PART, ".", folder))
            with suppress(FileNotFoundError):  # another process took it for a leftover
                descriptor = os.open(hidden, os.O_RDONLY)
                if _is_locked(descriptor, hidden):
                    break
                os.close(descriptor)
    try:
        yield hidden
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


def _remove_leftovers(folder: Path) -> None:
    """Remove the hidden folders in a folder whose processes no longer run, and thus hold no lock."""
    with suppress(OSError):  # a folder that cannot be listed
        for hidden in [entry for entry in folder.iterdir() if _HIDDEN.fullmatch(entry.name)]:
            with suppress(OSError):  # locked, or removed by another process
                descriptor = os.open(hidden, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(hidden, ignore_errors=True)
                finally:
                    os.close(descriptor)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Temporary path for a new version of a file, which replaces the file on exit unless there is an error.

    Several processes may write the same file at once: the last one to finish wins. Of a link, the destination
    is replaced. The file keeps its mode.

    Raises:
        WriteError: If the file cannot be written.
    """
    path = Path(path)
    target = _target(path)
    try:
        with hidden_folder(target.parent) as folder:
            temporary = folder / target.name
            temporary.touch()
            mode = temporary.stat().st_mode  # some libraries write files that only their owner can read
            yield temporary
            if temporary.is_file():
                temporary.chmod(stat.S_IMODE(mode))
            atomic_replace(temporary, target)
    except (OSError, WriteError) as error:
        raise WriteError.from_error(path, error) from error


@contextmanager
def atomic_open(path: str | os.PathLike[str], *, encoding: str = "utf-8") -> Iterator[IO[str]]:
    """Like :func:`atomic_path`, as an open text file without translation of line ends.

    A file whose name ends in ``.gz`` is a gzip file.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as raw:
        packed = GzipFile("", "wb", fileobj=raw, mtime=0) if is_gzip(temporary) else raw
        with io.TextIOWrapper(packed, encoding=encoding, newline="") as file:
            yield file


def unpacked_name(path: str | os.PathLike[str]) -> str:
    """Return the name of a file in lower case, without ``.gz``."""
    return Path(path).name.lower().removesuffix(".gz")


def is_gzip(path: Path) -> bool:
    """Return whether a file is one of gzip by its name."""
    return path.suffix.lower() == ".gz"


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
    try:
        with hidden_folder(path.parent) as folder:
            temporary = folder / path.name
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
    except FileExistsError:
        raise
    except OSError as error:
        raise WriteError.from_error(path, error) from error


def write_json(value: Mapping[str, Any] | list[Any], path: str | os.PathLike[str]) -> None:
    """Write a JSON file atomically, indented.

    Raises:
        WriteError: If it cannot be written.
    """
    write_text(json.dumps(value, indent=2) + "\n", path)


def atomic_replace(source: Path, target: Path) -> None:
    """Rename a complete file or folder, once all of it is on the disk; a file replaces one of that name."""
    for entry in [*source.rglob("*"), source] if source.is_dir() else [source]:
        sync(entry)
    if target.is_file():
        with suppress(PermissionError):  # file systems without modes
            source.chmod(stat.S_IMODE(target.stat().st_mode))
    if source.is_dir() and target.is_file():
        target.unlink()
    os.replace(source, target)
    sync(target.parent)


def sync(path: Path) -> None:
    """Bring the contents of a file, or the names in a folder, to the disk."""
    if path.is_dir() and os.name == "nt":  # Windows cannot sync folders
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        with _named(path):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
