"""A run's answers to the hardest facts (Table 6): ``python -m glre_pyg.case_study run=RUN output=FILE``."""

from omegaconf import DictConfig

from glre_pyg.utils.cli import command


@command("case_study")
def main(config: DictConfig) -> None:
    """Write the hardest facts of a corpus with the answers of a run and its reasons."""
    from glre_pyg.commands import case_study

    case_study(config)


if __name__ == "__main__":
    main()
