"""Score a trained run: ``python -m glre_pyg.evaluate run=RUN split=test``."""

from omegaconf import DictConfig

from glre_pyg.utils.cli import command


@command("evaluate", shared=True)
def main(config: DictConfig) -> None:
    """Score a run on a split of its corpus, or on a file."""
    from glre_pyg.commands import evaluate

    evaluate(config)


if __name__ == "__main__":
    main()
