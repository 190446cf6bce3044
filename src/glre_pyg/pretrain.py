"""Train an encoder on texts without labels: ``python -m glre_pyg.pretrain input=TEXTS output=FOLDER``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, TypedDict

from omegaconf import DictConfig

from glre_pyg.utils.cli import command, output_path
from glre_pyg.utils.console import echo
from glre_pyg.utils.ranges import PositiveFloat, PositiveInt, PositiveShare, Seed, Share

if TYPE_CHECKING:
    from pathlib import Path

    from glre_pyg.utils.exceptions import ErrorHandler


class Settings(TypedDict):
    """Settings of ``conf/pretrain.yaml``."""

    input: str | list[str]
    output: str
    recursive: bool
    epochs: PositiveInt
    batch_size: PositiveInt
    lr: PositiveFloat
    mask_rate: PositiveShare
    held_out: Share
    precision: Literal["no", "bf16"]
    seed: Seed
    strict: bool


@command("pretrain", Settings)
def main(config: DictConfig) -> None:
    """Train an encoder on texts without labels."""
    from dataclasses import fields
    from pathlib import Path

    from hydra.utils import instantiate

    from glre_pyg.training.pretraining import Pretraining, pretrain
    from glre_pyg.utils.exceptions import SkippedDocuments

    output_path(config, file="model.safetensors", make_folder=True)
    tokenizer = instantiate(config.encoder.tokenizer)([])
    settings = Pretraining(**{each.name: config[each.name] for each in fields(Pretraining)})
    names = [config.input] if isinstance(config.input, str) else config.input
    on_error = SkippedDocuments(config.strict)
    texts = _texts([Path(name) for name in names], config.recursive, on_error)
    before, after = pretrain(texts, tokenizer, settings, Path(config.output))
    perplexity = f"{before:.1f} before, {after:.1f} after"
    echo(f"{config.output}: perplexity of masked tokens in texts held out: {perplexity}")


def _texts(paths: list[Path], recursive: bool, on_error: ErrorHandler) -> Iterator[str]:
    from glre_pyg.extraction.inputs import files_of
    from glre_pyg.formats.detection import read_documents
    from glre_pyg.mentions.spacy_documents import read_spacy

    for path in paths:
        for file in files_of(path, recursive=recursive) if path.is_dir() else [path]:
            read = read_spacy if file.suffix.lower() == ".spacy" else read_documents
            yield from (document.text for document in read(file, on_error=on_error))


if __name__ == "__main__":
    main()
