"""Relations of new documents: ``python -m glre_pyg.predict run=RUN input=FILE output=FILE``."""

from omegaconf import DictConfig

from glre_pyg.utils.cli import command


@command("predict", shared=True)
def main(config: DictConfig) -> None:
    """Write a file of documents with the relations that a run finds in them."""
    from glre_pyg.commands import predict

    predict(config)


if __name__ == "__main__":
    main()
