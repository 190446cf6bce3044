"""From one format of documents to another: ``python -m glre_pyg.convert input=FILE output=FILE``."""

from __future__ import annotations

from typing import Literal, TypedDict

from omegaconf import DictConfig

from glre_pyg.data.segmentation import Splitter
from glre_pyg.utils.cli import command, output_path
from glre_pyg.utils.console import echo, plural


class Settings(TypedDict):
    """Settings of ``conf/convert.yaml``."""

    input: str
    output: str
    input_format: str | None
    output_format: str | None
    sentences: Splitter
    passages: Literal["join", "number"] | None
    lossy: bool
    strict: bool


@command("convert", Settings)
def main(config: DictConfig) -> None:
    """Write the documents of a file in another format."""
    from pathlib import Path

    from glre_pyg.formats.conversion import convert
    from glre_pyg.utils.exceptions import SkippedDocuments

    on_error = SkippedDocuments(config.strict)
    written = convert(
        Path(config.input),
        output_path(config),
        source_format=config.input_format,
        target_format=config.output_format,
        sentences=config.sentences,
        passages=config.passages,
        lossy=config.lossy,
        on_error=None if on_error.strict else on_error,
    )
    numbers = {"document": written.documents, "mention": written.mentions, "fact": written.facts}
    counts = ", ".join(f"{number} {plural(number, noun)}" for noun, number in numbers.items())
    errors = plural(on_error.count, "document with an error is", "documents with an error are")
    skipped = f"; {on_error.count} {errors} left out" if on_error.count else ""
    echo(f"{config.output}: {counts}{skipped}")


if __name__ == "__main__":
    main()
