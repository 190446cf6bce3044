"""Section 4.3: the steps of an epoch, in one or several processes, and checks for non-finite numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader
from tqdm import tqdm

from glre_pyg.data.batch import collate
from glre_pyg.data.graph import DocumentGraph
from glre_pyg.models.base import RelationModel
from glre_pyg.training.sampler import BatchShard, LengthSampler, shard_batch
from glre_pyg.utils import distributed
from glre_pyg.utils.exceptions import InputError

CHECK_EVERY = 10
"""Number of steps between checks of the losses, which synchronize with the device."""


class StepCounter(Protocol):
    """Protocol of objects with the number of completed epochs and steps."""

    epoch: int
    step: int


class TrainingError(InputError):
    """Training cannot continue; the message names the step, the documents and the last checkpoint."""


@dataclass
class EpochTrainer:
    """Trains a model for single epochs; see :func:`glre_pyg.training.loop.fit`."""

    accelerator: Accelerator
    model: nn.Module
    average: AveragedModel | None
    graphs: Sequence[DocumentGraph]
    sampler: LengthSampler
    optimizer: Optimizer
    schedule: LambdaLR
    accumulation: int
    max_norm: float | None
    progress: StepCounter

    def train(self) -> float:
        """Train for one epoch and return the mean loss of its steps."""
        self.model.train()
        self.sampler.epoch = self.progress.epoch
        losses: list[torch.Tensor] = []
        monitor = _LossMonitor(self.progress)
        shards = [shard_batch(batch, distributed.rank(), distributed.world_size()) for batch in self.sampler]
        samples: Any = list(self.graphs)  # a list is a dataset, but not for type checkers
        loader = DataLoader(samples, batch_sampler=[shard.documents for shard in shards], collate_fn=collate)
        batches = zip(loader, shards, strict=True)
        hidden = None if distributed.is_main_process() else True
        with tqdm(
            total=len(self.graphs),
            unit=" documents",
            desc=f"epoch {self.progress.epoch + 1}",
            leave=False,
            disable=hidden,
        ) as bar:
            while step := [*islice(batches, self.accumulation)]:
                losses.append(self._step(step))
                self.progress.step += 1
                monitor.add(losses[-1], [name for batch, shard in step if shard.in_loss for name in batch.id])
                bar.update(sum(batch.num_graphs for batch, _ in step) * distributed.world_size())
                if len(losses) % CHECK_EVERY == 0:
                    bar.set_postfix(loss=f"{monitor.check():.4f}")
        monitor.check()
        monitor.check_weights(self.model)
        return float(distributed.all_reduce(torch.stack(losses)).mean())

    def _step(self, step: Sequence[tuple[DocumentGraph, BatchShard]]) -> torch.Tensor:
        """Make an optimizer step and return this process's contribution to its loss.

        The loss is the mean over all pairs of the step, in all batches and processes.
        """
        model: RelationModel = self.accelerator.unwrap_model(self.model)
        batches = [batch.to(self.accelerator.device) for batch, _ in step]
        masks = [
            model.loss.mask(batch.pair_label) & shard.in_loss
            for batch, (_, shard) in zip(batches, step, strict=True)
        ]
        num_pairs = distributed.all_reduce(torch.stack([mask.sum() for mask in masks]).sum()).clamp(min=1)
        total = torch.zeros((), device=self.accelerator.device)
        for number, (batch, mask) in enumerate(zip(batches, masks, strict=True), start=1):
            is_last = number == len(batches)
            with nullcontext() if is_last else self.accelerator.no_sync(self.model):
                with self.accelerator.autocast():
                    logits = self.model(batch)
                loss = model.loss(logits, batch.pair_label, mask=mask, num_pairs=num_pairs)
                # Gradients are averaged over processes.
                self.accelerator.backward(loss * distributed.world_size())
            total += loss.detach()
        if self.max_norm is not None:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.max_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(model)
        return total


class _LossMonitor:
    """Collects losses, checks them every few steps, and stops training if one is not finite."""

    def __init__(self, progress: StepCounter) -> None:
        self.progress = progress
        self.unchecked: list[tuple[int, torch.Tensor, list[str]]] = []
        self.last_documents: list[str] = []

    def add(self, loss: torch.Tensor, documents: list[str]) -> None:
        """Add the loss of a step, and its documents in this process."""
        self.unchecked.append((self.progress.step, loss, documents))

    def check(self) -> float:
        """Return the mean of the losses since the last check; has to be called in all processes.

        Raises:
            TrainingError: If a loss is not finite.
        """
        if not self.unchecked:
            return math.nan
        losses = distributed.all_reduce(torch.stack([loss for _, loss, _ in self.unchecked]))
        for (step, _, documents), loss in zip(self.unchecked, losses.tolist(), strict=True):
            if not math.isfinite(loss):
                raise self._error(f"step {step}: the loss is {loss}", documents)
        self.last_documents = [name for _, _, documents in self.unchecked for name in documents]
        self.unchecked = []
        return float(losses.mean())

    def check_weights(self, model: nn.Module) -> None:
        """Check that the weights are finite after the last step, which its loss does not show.

        Raises:
            TrainingError: If a weight is not finite.
        """
        for name, weight in model.named_parameters():
            if not weight.isfinite().all():
                raise self._error(
                    f"step {self.progress.step}: {name} is no longer finite",
                    self.last_documents[-CHECK_EVERY:],
                )

    def _error(self, what: str, documents: Sequence[str]) -> TrainingError:
        names = ", ".join(distributed.all_gather(documents))
        return TrainingError(f"epoch {self.progress.epoch + 1}, {what}, documents {names}")
