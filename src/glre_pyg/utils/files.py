"""Files that are whole or not there: written beside their place, brought to the disk, and then put in it.

A process that is killed, and a machine that loses power, leave the file that was there before or the new
one, never a half. What a killed process leaves beside it ends in ``.part``, and the next one writes it anew.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from glre_pyg.utils.exceptions import InputError

PART = ".part"
"""What the name of a file ends in while it is written."""
_OLD = ".old"


class WriteError(InputError):
    """A file that cannot be written: one line that names it and says why."""

    @classmethod
    def of(cls, path: str | os.PathLike[str], error: Exception) -> WriteError:
        """The line about what was raised while a file was written."""
        reason = error.strerror if isinstance(error, OSError) else None
        return cls(f"{os.fspath(path)}: cannot be written: {reason or error}")


@contextmanager
def replacing_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A place to write a file to; it takes the place of ``path`` when all is written, and is removed if not.

    Raises:
        WriteError: If the file cannot be written.
    """
    part = Path(f"{os.fspath(path)}{PART}")
    try:
        yield part
        put(part, Path(path))
    except OSError as error:
        raise WriteError.of(path, error) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def replacing(path: str | os.PathLike[str], *, encoding: str = "utf-8") -> Iterator[IO[str]]:
    """The same as a text file with plain line ends."""
    with replacing_file(path) as part, part.open("w", encoding=encoding, newline="") as file:
        yield file


def write_text(text: str, path: str | os.PathLike[str], *, encoding: str = "utf-8") -> None:
    """Write a text in the place of a file.

    Raises:
        WriteError: If it cannot be written.
    """
    with replacing(path, encoding=encoding) as file:
        file.write(text)


def write_new(text: str, path: Path) -> None:
    """Write a text as a file that is not there yet; of several processes at once, one succeeds.

    Raises:
        FileExistsError: If the file is there.
        WriteError: If it cannot be written.
    """
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PART}")
    try:
        part.write_text(text, encoding="utf-8")
        sync(part)
        try:
            os.link(part, path)
        except FileExistsError:
            raise
        except OSError:  # a disk without links
            if path.exists():
                raise FileExistsError(path) from None
            os.replace(part, path)
        sync(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise WriteError.of(path, error) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_json(value: Mapping[str, Any] | list[Any], path: str | os.PathLike[str]) -> None:
    """Write JSON, as runs have it, in the place of a file.

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


def put(source: Path, target: Path) -> None:
    """Give a file, or a folder of files, that is complete its name, in the place of the file of this name.

    All of it is on the disk before it has the name.
    """
    _sync_all(source)
    os.replace(source, target)
    sync(target.parent)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """An empty folder to write files to; it takes the place of ``path`` when all are written.

    At every moment :func:`whole_folder` finds the old one or the new one.

    Raises:
        WriteError: If it cannot be written.
    """
    part, old = (path.with_name(f"{path.name}{suffix}") for suffix in (PART, _OLD))
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        yield part
        _sync_all(part)
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
            path.rename(old)
        os.replace(part, path)
        sync(path.parent)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        if old.exists() and not path.exists():
            with suppress(OSError):
                old.rename(path)
        raise WriteError.of(path, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def whole_folder(path: Path) -> Path | None:
    """A folder that :func:`replacing_folder` wrote, as it is or was; None if there was none yet."""
    return next((found for found in (path, path.with_name(f"{path.name}{_OLD}")) if found.is_dir()), None)


def _sync_all(path: Path) -> None:
    """Have a file, or a folder and all that is in it, on the disk."""
    for each in [*path.rglob("*"), path] if path.is_dir() else [path]:
        sync(each)


def sync(path: Path) -> None:
    """Have the contents of a file, or the names in a folder, on the disk."""
    if path.is_dir() and os.name == "nt":  # which has no way to
        return
    opened = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
