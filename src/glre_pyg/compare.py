"""Whether one run is better than another: ``python -m glre_pyg.compare runs=[RUN,RUN]``."""

from omegaconf import DictConfig

from glre_pyg.utils.cli import command


@command("compare")
def main(config: DictConfig) -> None:
    """Print the F1 of two runs, their difference, and how likely it is by chance."""
    from glre_pyg.reporting.run_comparison import compare_runs

    compare_runs(config.runs, split=config.split, filtered=config.filtered)


if __name__ == "__main__":
    main()
