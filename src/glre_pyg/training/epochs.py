"""Section 4.3: the steps of an epoch, in one process or several, and an eye on their numbers."""

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
from glre_pyg.training.sampler import LengthSampler, Share, share_of
from glre_pyg.utils import distributed
from glre_pyg.utils.exceptions import InputError

WATCHED = 10
"""Steps after which their losses are looked at: sooner, a GPU would wait for each."""


class Counted(Protocol):
    """What counts epochs and steps that are done."""

    epoch: int
    step: int


class TrainingError(InputError):
    """Training that cannot go on: one line that names the step, the documents and what is left."""


@dataclass
class Epochs:
    """What trains for one epoch after another; see :func:`glre_pyg.training.loop.fit`."""

    accelerator: Accelerator
    model: nn.Module
    average: AveragedModel | None
    graphs: Sequence[DocumentGraph]
    sampler: LengthSampler
    optimizer: Optimizer
    schedule: LambdaLR
    accumulation: int
    max_norm: float | None
    progress: Counted

    def train(self) -> float:
        """Train for an epoch; give the mean loss of its steps."""
        self.model.train()
        self.sampler.epoch = self.progress.epoch
        losses: list[torch.Tensor] = []
        watch = _Watch(self.progress)
        shares = [share_of(batch, distributed.rank(), distributed.world_size()) for batch in self.sampler]
        samples: Any = list(self.graphs)  # a list is a dataset, but not for type checkers
        loader = DataLoader(samples, batch_sampler=[share.documents for share in shares], collate_fn=collate)
        batches = zip(loader, shares, strict=True)
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
                watch.see(losses[-1], [name for batch, share in step if share.counts for name in batch.id])
                bar.update(sum(batch.num_graphs for batch, _ in step) * distributed.world_size())
                if len(losses) % WATCHED == 0:
                    bar.set_postfix(loss=f"{watch.look():.4f}")
        watch.look()
        watch.look_at(self.model)
        return float(distributed.all_reduce(torch.stack(losses)).mean())

    def _step(self, step: Sequence[tuple[DocumentGraph, Share]]) -> torch.Tensor:
        """Make a step of the batches of this process; give this process's part of its loss.

        Gradients are those of the mean over all pairs of the step, whatever batch and process they are in.
        """
        model: RelationModel = self.accelerator.unwrap_model(self.model)
        batches = [batch.to(self.accelerator.device) for batch, _ in step]
        kept = [
            model.loss.mask(batch.pair_label) & share.counts
            for batch, (_, share) in zip(batches, step, strict=True)
        ]
        pairs = distributed.all_reduce(torch.stack([of.sum() for of in kept]).sum()).clamp(min=1)
        total = torch.zeros((), device=self.accelerator.device)
        for number, (batch, of) in enumerate(zip(batches, kept, strict=True), start=1):
            is_last = number == len(batches)
            with nullcontext() if is_last else self.accelerator.no_sync(self.model):
                with self.accelerator.autocast():
                    logits = self.model(batch)
                loss = model.loss(logits, batch.pair_label, mask=of, num_pairs=pairs)
                self.accelerator.backward(
                    loss * distributed.world_size()
                )  # the gradients of processes are averaged
            total += loss.detach()
        if self.max_norm is not None:
            self.accelerator.clip_grad_norm_(self.model.parameters(), self.max_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.schedule.step()
        if self.average is not None:
            self.average.update_parameters(model)
        return total


class _Watch:
    """Looks at losses, a few steps at a time, and stops training where one is not finite."""

    def __init__(self, progress: Counted) -> None:
        self.progress = progress
        self.seen: list[tuple[int, torch.Tensor, list[str]]] = []
        self.before: list[str] = []

    def see(self, loss: torch.Tensor, documents: list[str]) -> None:
        """Keep the loss of a step, and the documents of this process in it."""
        self.seen.append((self.progress.step, loss, documents))

    def look(self) -> float:
        """The mean of the losses since the last look, if they are finite; all processes take part."""
        if not self.seen:
            return math.nan
        losses = distributed.all_reduce(torch.stack([loss for _, loss, _ in self.seen]))
        for (step, _, documents), loss in zip(self.seen, losses.tolist(), strict=True):
            if not math.isfinite(loss):
                raise self._error(f"step {step}: the loss is {loss}", documents)
        self.before = [name for _, _, documents in self.seen for name in documents]
        self.seen = []
        return float(losses.mean())

    def look_at(self, model: nn.Module) -> None:
        """Make sure that weights are finite, too, which the loss of the last step does not tell."""
        for name, weight in model.named_parameters():
            if not weight.isfinite().all():
                raise self._error(
                    f"step {self.progress.step}: {name} is not finite any more", self.before[-WATCHED:]
                )

    def _error(self, what: str, documents: Sequence[str]) -> TrainingError:
        names = ", ".join(distributed.all_gather(documents))
        return TrainingError(f"epoch {self.progress.epoch + 1}, {what}, of the documents {names}")
