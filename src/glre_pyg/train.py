"""Train a model: ``python -m glre_pyg.train dataset=cdr``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypedDict

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from glre_pyg.utils.cli import command
from glre_pyg.utils.ranges import (
    CacheFolder,
    NonNegativeFloat,
    NonNegativeInt,
    Pattern,
    PositiveFloat,
    PositiveInt,
    Rate,
    Seed,
)


class EncoderSettings(TypedDict):
    """Settings of ``conf/encoder``."""

    name: str
    lr: PositiveFloat | None


class OptimizerSettings(TypedDict):
    """Settings of ``conf/optimizer``."""

    lr: PositiveFloat
    weight_decay: NonNegativeFloat
    groups: Mapping[Pattern, PositiveFloat | None]


class Settings(TypedDict):
    """Settings of ``conf/train.yaml``; models, layers and corpora are described by their parameters."""

    encoder: EncoderSettings
    optimizer: OptimizerSettings
    seed: Seed
    report: str | None
    cases: NonNegativeInt
    name: str | None
    setting: Literal["train", "train+dev"]
    start: str | None
    fixed_by: str | PositiveInt | None
    strict: bool
    mask_rate: Rate
    ontology: str | None
    parse: str | None
    frozen: Pattern | None
    scaled_context: bool
    eval_batch_size: PositiveInt
    memory: PositiveFloat | None
    cache: CacheFolder


@command("train", Settings, shared=True, nested=True)
def main(config: DictConfig) -> None:
    """Train a model, choose its threshold on dev, and score it on test."""
    from glre_pyg.training.experiment import train

    hydra = HydraConfig.get()
    if config.name is None:
        config.name = hydra.runtime.choices["model"]
    train(config, Path(hydra.runtime.output_dir), hydra.overrides.task)


if __name__ == "__main__":
    main()
