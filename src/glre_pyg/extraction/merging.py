"""The outputs of several workers as one file, after a check that nothing is missing or duplicated."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from glre_pyg.extraction.outputs import Output
from glre_pyg.extraction.shards import SUMMARIES, Summary, read_summary
from glre_pyg.formats.csv_facts import HEADER
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import atomic_open, is_gzip, sha256_of, unpacked_name

_BLOCK = 2**20


def check_parts(folder: Path, inputs: Sequence[str] | None = None) -> list[tuple[Path, Summary]]:
    """Check that the outputs in a folder are complete and belong together.

    Args:
        folder: The folder.
        inputs: Names of the inputs, all of which must be there; None does not check this.

    Returns:
        Path of each output, which does not exist if it has no documents, and its summary.

    Raises:
        InputError: If there is none, one is missing, is not the file that was written or of another model or
            other settings, an input could not be read, or a document is in two of them.
    """
    summaries = folder / SUMMARIES
    paths = sorted(path for path in summaries.rglob("*.json") if path.is_file())
    parts = [(folder / path.relative_to(summaries).with_suffix(""), read_summary(path)) for path in paths]
    if not parts:
        raise InputError(f"{folder}: no {SUMMARIES} of finished files")
    if inputs is not None:
        _check_inputs(folder, inputs, [summary.input for _, summary in parts])
    if unread := [summary.input for _, summary in parts if summary.errors and not summary.ids]:
        raise InputError(f"{folder}: {len(unread)} of its inputs could not be read: {_some(unread)}")
    first_path, first = parts[0]
    seen: dict[str, Path] = {}
    for path, summary in parts:
        if summary.settings != first.settings:
            raise InputError(f"{path}: is of another model or other settings than {first_path.name}")
        if summary.sha256 is not None and not (path.is_file() and sha256_of(path) == summary.sha256):
            raise InputError(f"{path}: is not the file that was written")
        for name in summary.ids:
            other = seen.setdefault(name, path)
            is_title = unpacked_name(summary.input).endswith(".json")  # as in DocRED's files
            if other != path and not is_title:
                places = " and ".join(str(each.relative_to(folder)) for each in (other, path))
                raise InputError(f"{folder}: {name}: this document is in {places}")
    return parts


def _check_inputs(folder: Path, inputs: Sequence[str], found: Sequence[str]) -> None:
    if missing := sorted(set(inputs) - set(found)):
        raise InputError(f"{folder}: {len(missing)} of {len(inputs)} inputs are missing: {_some(missing)}")
    if unknown := sorted(set(found) - set(inputs)):
        raise InputError(f"{folder}: {len(unknown)} of its files are of other inputs: {_some(unknown)}")


def merge_parts(parts: Sequence[tuple[Path, Summary]], output: Output) -> None:
    """Write the texts of checked outputs one after the other.

    Args:
        parts: See :func:`check_parts`.
        output: The output, in the format of the parts.

    Raises:
        InputError: If the format is another one, or cannot be appended.
        WriteError: If it cannot be written.
    """
    if not output.is_incremental:
        raise InputError(f"{output.path}: only .jsonl, .csv, .nt, .data and .pubtator can be merged")
    written = [path for path, summary in parts if summary.sha256 is not None]
    for path in written:
        if Output(path).extension != output.extension:
            raise InputError(f"{path}: has another format than {output.path.name}")
    header = HEADER if output.extension == ".csv" else ""
    with atomic_open(output.path) as file:
        file.write(header)
        for path in written:
            file.writelines(_blocks(path, header))


def _blocks(path: Path, header: str) -> Iterator[str]:
    """Yield the text of a file after its header."""
    opened: IO[str]
    with (
        gzip.open(path, "rt", encoding="utf-8", newline="")
        if is_gzip(path)
        else path.open(encoding="utf-8", newline="")
    ) as opened:
        if opened.read(len(header)) != header:
            raise InputError(f"{path}: has another header")
        while block := opened.read(_BLOCK):
            yield block


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
