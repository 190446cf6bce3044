"""What a corpus holds (Table 1): ``python -m glre_pyg.stats dataset=cdr``."""

from omegaconf import DictConfig

from glre_pyg.utils.cli import command


@command("stats")
def main(config: DictConfig) -> None:
    """Print the counts of a corpus."""
    from glre_pyg.commands import stats

    stats(config)


if __name__ == "__main__":
    main()
