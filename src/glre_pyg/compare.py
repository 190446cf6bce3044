"""Compare two runs: ``python -m glre_pyg.compare runs=[RUN,RUN]``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

from omegaconf import DictConfig

from glre_pyg.utils.cli import command


class Settings(TypedDict):
    """Settings of ``conf/compare.yaml``."""

    runs: str | Sequence[str]
    split: Literal["dev", "test"]
    filtered: bool


@command("compare", Settings)
def main(config: DictConfig) -> None:
    """Test whether one run has a higher F1 than another."""
    from glre_pyg.reporting.run_comparison import compare_runs

    compare_runs(config.runs, split=config.split, filtered=config.filtered)


if __name__ == "__main__":
    main()
