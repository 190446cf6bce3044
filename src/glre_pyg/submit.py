"""Predictions as DocRED's organisers take them: ``python -m glre_pyg.submit run=RUN output=result.zip``."""

from omegaconf import DictConfig

from glre_pyg.utils.cli import command


@command("submit")
def main(config: DictConfig) -> None:
    """Write a submission to DocRED's leaderboard."""
    from glre_pyg.commands import submit

    submit(config)


if __name__ == "__main__":
    main()
