"""Merge what several workers have written: ``python -m glre_pyg.merge folder=FOLDER output=FILE``."""

from __future__ import annotations

import sys
from typing import TypedDict

from omegaconf import DictConfig

from glre_pyg.utils.cli import command, output_path
from glre_pyg.utils.console import echo, plural
from glre_pyg.utils.exceptions import InputError


class Settings(TypedDict):
    """Settings of ``conf/merge.yaml``."""

    folder: str
    input: str | None
    recursive: bool
    output: str | None


@command("merge", Settings)
def main(config: DictConfig) -> None:
    """Check that the files of predict's workers are complete, and merge them."""
    from pathlib import Path

    from glre_pyg.extraction.merging import check_parts, merge_parts
    from glre_pyg.extraction.outputs import Output
    from glre_pyg.extraction.shards import find_inputs

    if not config.folder:
        raise InputError("folder: is empty")
    output = Output(output_path(config)) if config.output else None
    inputs = None
    if config.input:
        files, root = find_inputs(config.input, recursive=config.recursive)
        inputs = [str(file.relative_to(root)) for file in files]
    folder = Path(config.folder)
    parts = check_parts(folder, inputs)
    if output:
        merge_parts(parts, output)
    documents, facts, errors = (
        sum(getattr(summary, name) for _, summary in parts) for name in ("documents", "facts", "errors")
    )
    echo(
        f"{output.path if output else folder}: {facts} {plural(facts, 'fact')} in {documents} "
        f"{plural(documents, 'document')} of {len(parts)} {plural(len(parts), 'file')}"
        + (f"; {errors} {plural(errors, 'error')}" if errors else "")
        + ("" if inputs else "; input=FOLDER checks that no file is missing")
    )
    sys.exit(2 if errors else 0)


if __name__ == "__main__":
    main()
