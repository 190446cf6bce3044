"""Whether the files of a run are those that were saved: ``checksums.json``, a SHA-256 by file name."""

from __future__ import annotations

from pathlib import Path

from glre_pyg.runs.directory import CHECKSUMS, ENCODER, FILES
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import check_files, read_json, sha256_of, write_json


def write_checksums(folder: Path) -> None:
    """Write the checksums of a complete run directory or saved model."""
    write_json({name: sha256_of(folder / name) for name in _files(folder)}, folder / CHECKSUMS)


def verify(folder: Path) -> None:
    """Refuse a run in which a file is missing, was changed, or was added after it was saved.

    A folder without ``checksums.json`` is accepted if its files are regular ones.

    Raises:
        InputError: If there is such a file, or something else in the place of a file.
    """
    check_files(folder / ENCODER, [folder / name for name in (*FILES, CHECKSUMS)])
    if not (folder / CHECKSUMS).is_file():
        return
    saved, files = read_json(folder / CHECKSUMS), _files(folder)
    for name, digest in saved.items():
        if name not in files:
            raise InputError(f"{folder / name}: is missing, {CHECKSUMS} names it")
        actual = sha256_of(folder / name)
        if actual != digest:
            raise InputError(
                f"{folder / name}: is not the file that was saved (sha256 {actual}, not {digest}); "
                f"if you changed it yourself, remove {CHECKSUMS}"
            )
    for name in files:
        if name not in saved:
            raise InputError(f"{folder / name}: was not saved with the model, {CHECKSUMS} does not name it")


def file_states(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return what differs as soon as a file that loading reads is replaced or changed, by its name."""
    states = {name: (folder / name).stat() for name in _files(folder)}
    return {name: (state.st_ino, state.st_mtime_ns, state.st_size) for name, state in states.items()}


def _files(folder: Path) -> list[str]:
    """Names of the files in a folder that loading reads, with forward slashes."""
    tokenizer = sorted(path for path in (folder / ENCODER).rglob("[!.]*") if path.is_file())
    names = [name for name in FILES if (folder / name).is_file()]
    return [*names, *(path.relative_to(folder).as_posix() for path in tokenizer)]
