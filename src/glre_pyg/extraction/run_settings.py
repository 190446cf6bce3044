"""Settings of the commands that use a run: ``conf/run.yaml`` and ``conf/scored.yaml``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

from glre_pyg.evaluation.protocol import PrecisionSetting
from glre_pyg.utils.ranges import CacheFolder, PositiveFloat


class RunSettings(TypedDict):
    """Settings of ``conf/run.yaml``."""

    run: str | Sequence[str]
    device: str | None
    memory: PositiveFloat | None
    cache: CacheFolder
    precision: PrecisionSetting
    compile: str | None


class CorpusSettings(TypedDict):
    """Settings of a corpus that may differ from those of the run."""

    root: str | None
    protocol: str | None
    train: str | None
    dev: str | None
    test: str | None


class ScoredSettings(RunSettings):
    """Settings of ``conf/scored.yaml``."""

    split: Literal["train", "dev", "test"]
    strict: bool
    dataset: CorpusSettings
