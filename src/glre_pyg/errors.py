"""Error analysis (Section 4.5): ``python -m glre_pyg.errors run=RUN output=FILE``, then ``labels=FILE``."""

from omegaconf import DictConfig

from glre_pyg.utils.cli import command


@command("errors")
def main(config: DictConfig) -> None:
    """List the wrong answers of a run for a person to label, or count the labels."""
    from glre_pyg.commands import errors

    errors(config)


if __name__ == "__main__":
    main()
