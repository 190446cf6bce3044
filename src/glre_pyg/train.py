"""Train a model: ``python -m glre_pyg.train dataset=cdr``."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from glre_pyg.utils.cli import command


@command("train", shared=True)
def main(config: DictConfig) -> None:
    """Train a model, choose its threshold on dev, and score it on test."""
    from glre_pyg.training.experiment import train

    hydra = HydraConfig.get()
    train(config, Path(hydra.runtime.output_dir), hydra.overrides.task)


if __name__ == "__main__":
    main()
