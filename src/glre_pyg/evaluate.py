"""Score a trained run: ``python -m glre_pyg.evaluate run=RUN split=test``."""

import hydra
from omegaconf import DictConfig

from glre_pyg.config import command, config_dir


@hydra.main(version_base="1.3", config_path=config_dir(), config_name="evaluate")
@command
def main(config: DictConfig) -> None:
    """Score a run on a split of its corpus, or on a file."""
    from glre_pyg.commands import evaluate

    evaluate(config)


if __name__ == "__main__":
    main()
