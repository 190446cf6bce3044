"""Extract relations from documents: ``python -m glre_pyg.predict run=RUN input=FILE output=FILE``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal, TypedDict

from omegaconf import DictConfig

from glre_pyg.evaluation.precisions import PRECISION_TEXT, precision_of
from glre_pyg.extraction.run_settings import RunSettings
from glre_pyg.utils.cli import command, output_path
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.ranges import Extension, NonNegativeInt, PositiveInt, Rule, Shard, Share

Format = Literal[
    "text",
    "pubtator",
    "biored",
    "docred_json",
    "jsonl",
    "eog",
    "bioc_xml",
    "bioc_json",
    "brat",
    "label_studio",
    "spacy",
    "parquet",
    "corpus",
]

Precision = Annotated[str, Rule(precision_of, PRECISION_TEXT)]


class MentionSettings(TypedDict):
    """Settings of ``conf/mentions/given.yaml``; those of a mention finder are checked by its parameters."""

    types: Mapping[str, str] | None
    unlinked: Literal["drop", "name"]


class RdfSettings(TypedDict):
    """Settings of RDF output."""

    base: str
    namespaces: Mapping[str, str] | None


class Settings(RunSettings):
    """Settings of ``conf/predict.yaml``."""

    input: str | None
    text: str | None
    format: Format | None
    passages: Literal["join", "number"] | None
    mentions: MentionSettings
    output: str
    shard: Shard | None
    engine: Literal["ray"] | None
    actors: PositiveInt | None
    gpus: Share
    extension: Extension
    threshold: Share | Precision | None
    min_probability: Share
    reasons: bool | None
    max_sentences: NonNegativeInt
    top_k: NonNegativeInt
    gold: bool | None
    recursive: bool
    max_words: PositiveInt
    chunk: PositiveInt
    resume: bool
    strict: bool
    rdf: RdfSettings


@command("predict", Settings, shared=True, nested=True)
def main(config: DictConfig) -> None:
    """Write documents with the relations that a run finds in them."""
    predict(config)


def predict(config: DictConfig) -> None:
    """Write documents with the relations that a run finds in them; see :mod:`glre_pyg.extraction.pipeline`.

    Raises:
        InputError: If the run cannot be read, or a setting is wrong.
        SystemExit: With code 2 if documents with errors were skipped.
    """
    if (config.input is None) == (config.text is None):
        raise InputError("input: give input=FILE, a folder or - for standard input, or text='...'")
    if config.engine is None and (config.actors or config.gpus):
        raise InputError(f"{'actors' if config.actors else 'gpus'}: is for engine=ray")
    from glre_pyg.extraction.outputs import FILE_EXTENSIONS, Output
    from glre_pyg.extraction.pipeline import extract
    from glre_pyg.extraction.ray_actors import extract_files_with_ray
    from glre_pyg.extraction.scoring import load_run
    from glre_pyg.extraction.shards import extract_files
    from glre_pyg.utils.distributed import is_main_process
    from glre_pyg.utils.files import exclusive

    if _is_folder(config):
        if config.extension.removesuffix(".gz") not in FILE_EXTENSIONS:
            raise InputError(f"extension: '{config.extension}' is not that of a file that is written")
        Output(output_path(config, file=f"name{config.extension}", make_folder=True))
        ray = config.engine == "ray"
        num_errors = extract_files_with_ray(config) if ray else extract_files(load_run(config), config)
        sys.exit(2 if num_errors else 0)
    output = Output(output_path(config))
    with exclusive(output.path) if is_main_process() else nullcontext():
        num_errors = extract(load_run(config), config, output).num_errors
    sys.exit(2 if num_errors else 0)


def _is_folder(config: DictConfig) -> bool:
    """Whether the output is a folder, with a file for each input file.

    Raises:
        InputError: If a shard or an engine is wanted for what is one output.
    """
    from glre_pyg.extraction.shards import is_pattern

    output = Path(config.output)
    if not config.output:
        raise InputError("output: is empty")
    is_many = config.shard is not None or (
        config.input is not None and (Path(config.input).is_dir() or is_pattern(config.input))
    )
    is_folder = output.is_dir() or config.output.endswith("/") or (is_many and not output.suffix)
    if is_folder and config.input in (None, "-"):
        raise InputError(f"output: {output}: is a folder, which takes a file for each file of input=FOLDER")
    for setting in ("shard", "engine"):
        if config[setting] is not None and not is_folder:
            raise InputError(f"{setting}: {output} is one file, and a folder is needed: output=FOLDER")
    return is_folder


if __name__ == "__main__":
    main()
