"""Relations of new documents: ``python -m glre_pyg.predict run=RUN input=FILE output=FILE``."""

import hydra
from omegaconf import DictConfig

from glre_pyg.config import command, config_dir


@hydra.main(version_base="1.3", config_path=config_dir(), config_name="predict")
@command
def main(config: DictConfig) -> None:
    """Write a file of documents with the relations that a run finds in them."""
    from glre_pyg.commands import predict

    predict(config)


if __name__ == "__main__":
    main()
