"""Whether files are those that were saved: ``checksums.json`` in their folder, a sha256 by name."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from glre_pyg.utils.files import sha256_of
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import read_json, write_json
from glre_pyg.runs.artifacts import ENCODER, FILES

CHECKSUMS = "checksums.json"


def write_checksums(folder: Path, names: Collection[str]) -> None:
    """Write the checksums of files in a folder."""
    write_json({name: sha256_of(folder / name) for name in names}, folder / CHECKSUMS)


def verify(folder: Path) -> None:
    """Refuse a saved model with a file that is missing, is another than was saved, or was not saved at all.

    A folder without ``checksums.json`` is taken as it is.

    Raises:
        InputError: If there is such a file.
    """
    if (folder / CHECKSUMS).is_file():
        verify_files(folder, used_files(folder))


def verify_files(folder: Path, there: Collection[str]) -> None:
    """Refuse files that are not those that ``checksums.json`` names, as it names them.

    Args:
        folder: Their folder.
        there: The names of all of them.

    Raises:
        InputError: If one is missing, is another, or was not saved.
    """
    saved = read_json(folder / CHECKSUMS)
    for name, digest in saved.items():
        if name not in there:
            raise InputError(f"{folder / name}: is missing, {CHECKSUMS} names it")
        found = sha256_of(folder / name)
        if found != digest:
            raise InputError(
                f"{folder / name}: is not the file that was saved (sha256 {found}, not {digest}); "
                f"if you changed it yourself, remove {CHECKSUMS}"
            )
    for name in there:
        if name not in saved:
            raise InputError(f"{folder / name}: was not saved with the model, {CHECKSUMS} does not name it")


def used_files(folder: Path) -> list[str]:
    """Names of the files in a folder that loading uses, with forward slashes."""
    pieces = sorted(path for path in (folder / ENCODER).rglob("[!.]*") if path.is_file())
    names = [name for name in FILES if (folder / name).is_file()]
    return [*names, *(path.relative_to(folder).as_posix() for path in pieces)]
