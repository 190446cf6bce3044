"""Section 4.3: the steps of an epoch, in one or several processes, and checks for non-finite numbers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
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
from glre_pyg.runs.numeric_precision import flush_denormals
from glre_pyg.training.sampler import BatchShard, LengthSampler, shard_batch
from glre_pyg.utils import distributed
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.interrupts import interruption, is_interrupted

CHECK_EVERY = 10
"""Number of steps between checks of the losses, which synchronize with the device."""


class StepCounter(Protocol):
    """Protocol of objects with the number of completed epochs and steps, and the losses of this epoch."""

    epoch: int
    step: int
    losses: list[float]


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
    save: Callable[[], None] = lambda: None
    minutes: float | None = None
    saved_at: float = field(default_factory=time.monotonic)

    @flush_denormals()
    def train(self) -> float:
        """Train for one epoch, or the rest of one, and return the mean loss of its steps.

        Raises:
            TrainingError: If a loss or a weight is not finite.
            Interrupted: If a process has received a signal; a checkpoint has been saved.
        """
        self.model.train()
        self.sampler.epoch = self.progress.epoch
        is_main, done = distributed.is_main_process(), len(self.progress.losses)
        losses = [torch.tensor(loss if is_main else 0.0) for loss in self.progress.losses]
        losses = [loss.to(self.accelerator.device) for loss in losses]
        monitor = _LossMonitor(self.progress)
        shards = [shard_batch(batch, distributed.rank(), distributed.world_size()) for batch in self.sampler]
        shards = shards[done * self.accumulation :]
        samples: Any = list(self.graphs)  # a list is a dataset, but not for type checkers
        loader = DataLoader(samples, batch_sampler=[shard.documents for shard in shards], collate_fn=collate)
        with torch.random.fork_rng([]) if done else nullcontext():  # a loader draws a number when it begins
            batches = zip(loader, shards, strict=True)
        with tqdm(
            total=len(self.graphs),
            unit=" documents",
            desc=f"epoch {self.progress.epoch + 1}",
            leave=False,
            disable=None if is_main else True,
        ) as bar:
            while step := [*islice(batches, self.accumulation)]:
                losses.append(self._step(step))
                self.progress.step += 1
                monitor.add(losses[-1], [name for batch, shard in step if shard.in_loss for name in batch.id])
                bar.update(sum(batch.num_graphs for batch, _ in step) * distributed.world_size())
                if len(losses) % CHECK_EVERY == 0:
                    bar.set_postfix(loss=f"{monitor.check():.4f}")
                self._save_if_due(losses, monitor)
        monitor.check()
        monitor.check_weights(self.model)
        self.progress.losses = []
        return float(distributed.all_reduce(torch.stack(losses)).mean())

    def _save_if_due(self, losses: Sequence[torch.Tensor], monitor: _LossMonitor) -> None:
        """Save a checkpoint after a signal, or if the last one is too old; several processes agree on it."""
        if distributed.world_size() > 1 and len(losses) % CHECK_EVERY:
            return
        is_old = self.minutes is not None and time.monotonic() - self.saved_at >= 60 * self.minutes
        is_ended, is_due = distributed.any_process(is_interrupted(), is_old)
        if not (is_ended or is_due):
            return
        monitor.check()
        self.progress.losses = distributed.all_reduce(torch.stack([*losses])).tolist()
        self.save()
        self.saved_at = time.monotonic()
        if is_ended:
            raise interruption()

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
