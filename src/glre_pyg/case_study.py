"""A run's answers to the hardest facts (Table 6): ``python -m glre_pyg.case_study run=RUN output=FILE``."""

import hydra
from omegaconf import DictConfig

from glre_pyg.config import command, config_dir


@hydra.main(version_base="1.3", config_path=config_dir(), config_name="case_study")
@command
def main(config: DictConfig) -> None:
    """Write the hardest facts of a corpus with the answers of a run and its reasons."""
    from glre_pyg.commands import case_study

    case_study(config)


if __name__ == "__main__":
    main()
