"""A run's answers to the hardest facts (Table 6): ``python -m glre_pyg.case_study run=RUN output=FILE``."""

from __future__ import annotations

from omegaconf import DictConfig

from glre_pyg.extraction.run_settings import ScoredSettings
from glre_pyg.utils.cli import command, output_path
from glre_pyg.utils.ranges import NonNegativeInt, PositiveInt


class Settings(ScoredSettings):
    """Settings of ``conf/case_study.yaml``."""

    output: str
    count: PositiveInt
    top_k: NonNegativeInt


@command("case_study", Settings)
def main(config: DictConfig) -> None:
    """Write the hardest facts of a corpus with the answers of a run and its reasons."""
    case_study(config)


def case_study(config: DictConfig) -> None:
    """Write the hardest facts of a split with a run's answers and reasons (Table 6).

    Raises:
        InputError: See :func:`glre_pyg.extraction.scoring.score_run`.
    """
    from glre_pyg.extraction.scoring import score_run
    from glre_pyg.reporting.case_studies import write_case_study

    output = output_path(config, make_folder=True)
    run, corpus, documents, pairs = score_run(config)
    write_case_study(
        run,
        documents,
        pairs,
        output,
        title=f"{corpus.name} {config.split}",
        count=config.count,
        top_k=config.top_k,
    )


if __name__ == "__main__":
    main()
