"""Fitting of what is not trained by gradients, such as support vector machines, before the training loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from accelerate import Accelerator

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.models.base import RelationModel
from glre_pyg.utils import distributed
from glre_pyg.utils.console import echo


def is_trained(model: RelationModel) -> bool:
    """Whether a model has parameters that are trained by gradients."""
    return any(parameter.requires_grad for parameter in model.parameters())


def prefit(model: RelationModel, graphs: Sequence[DocumentGraph]) -> None:
    """Fit what is not trained by gradients, in every process alike; print the seconds that it took."""
    if type(model).prefit is RelationModel.prefit:
        return
    started = time.perf_counter()
    model.prefit(graphs)
    if distributed.is_main_process():
        echo(f"fitted what is not trained by gradients: {time.perf_counter() - started:.0f} s")


@dataclass
class PrefitOnly:
    """In place of an :class:`glre_pyg.training.epochs.EpochTrainer`, if nothing is trained by gradients."""

    accelerator: Accelerator
    model: RelationModel
    graphs: Sequence[DocumentGraph]
    average: None = None
    save: Callable[[], None] = lambda: None

    def train(self) -> None:
        """Fit the model, in place of an epoch."""
        prefit(self.model, self.graphs)
