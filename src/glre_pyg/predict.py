"""Extract relations from documents: ``python -m glre_pyg.predict run=RUN input=FILE output=FILE``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Annotated, Literal, TypedDict

from omegaconf import DictConfig

from glre_pyg.evaluation.precisions import PRECISION_TEXT, precision_of
from glre_pyg.extraction.run_settings import RunSettings
from glre_pyg.utils.cli import command, output_path
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.ranges import NonNegativeInt, PositiveInt, Rule, Share

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


@command("predict", Settings, shared=True)
def main(config: DictConfig) -> None:
    """Write documents with the relations that a run finds in them."""
    predict(config)


def predict(config: DictConfig) -> None:
    """Write documents with the relations that a run finds in them; see :mod:`glre_pyg.extraction.pipeline`.

    Raises:
        InputError: If the run cannot be read, or a setting is wrong.
        SystemExit: With code 2 if documents with errors were skipped.
    """
    from glre_pyg.extraction.outputs import Output
    from glre_pyg.extraction.pipeline import extract
    from glre_pyg.extraction.scoring import load_run
    from glre_pyg.utils.distributed import is_main_process
    from glre_pyg.utils.files import exclusive

    if (config.input is None) == (config.text is None):
        raise InputError("input: give input=FILE, a folder or - for standard input, or text='...'")
    output = Output(output_path(config))
    with exclusive(output.path) if is_main_process() else nullcontext():
        errors = extract(load_run(config), config, output)
    sys.exit(2 if errors else 0)


if __name__ == "__main__":
    main()
