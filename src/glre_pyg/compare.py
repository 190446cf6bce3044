"""Compare two runs: ``python -m glre_pyg.compare runs=[RUN,RUN]``."""

from omegaconf import DictConfig

from glre_pyg.utils.cli import command


@command("compare")
def main(config: DictConfig) -> None:
    """Test whether one run has a higher F1 than another."""
    from glre_pyg.reporting.run_comparison import compare_runs

    compare_runs(config.runs, split=config.split, filtered=config.filtered)


if __name__ == "__main__":
    main()
