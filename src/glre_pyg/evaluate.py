"""Score a trained run: ``python -m glre_pyg.evaluate run=RUN split=test``."""

from __future__ import annotations

from omegaconf import DictConfig

from glre_pyg.extraction.run_settings import ScoredSettings
from glre_pyg.utils.cli import command, output_path


class Settings(ScoredSettings):
    """Settings of ``conf/evaluate.yaml``."""

    output: str | None


@command("evaluate", Settings, shared=True)
def main(config: DictConfig) -> None:
    """Score a run on a split of its corpus, or on a file."""
    evaluate(config)


def evaluate(config: DictConfig) -> dict[str, object]:
    """Score a run with its own threshold; print and return the scores.

    Raises:
        InputError: See :func:`glre_pyg.extraction.scoring.score_run`.
    """
    from glre_pyg.evaluation.breakdown import print_scores
    from glre_pyg.evaluation.predictions import write_predictions
    from glre_pyg.extraction.scoring import score_run
    from glre_pyg.utils.distributed import is_main_process

    output = output_path(config) if config.output else None
    run, corpus, _, pairs = score_run(config)
    name = f"{corpus.name} {config.split}" + ("" if run.precision == "fp32" else f" in {run.precision}")
    scores = print_scores(pairs, run.threshold, name, corpus.protocol, run.calibration)
    if output and is_main_process():
        write_predictions(pairs, output, run.threshold)
    return scores


if __name__ == "__main__":
    main()
