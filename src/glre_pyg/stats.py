"""What a corpus holds (Table 1): ``python -m glre_pyg.stats dataset=cdr``."""

import hydra
from omegaconf import DictConfig

from glre_pyg.config import command, config_dir


@hydra.main(version_base="1.3", config_path=config_dir(), config_name="stats")
@command
def main(config: DictConfig) -> None:
    """Print the counts of a corpus."""
    from glre_pyg.commands import stats

    stats(config)


if __name__ == "__main__":
    main()
