"""Section 4.3: one plain training loop over HF Accelerate.

The loop knows nothing of corpora or configs: it gets a model, graphs, and a function that scores the
model on development documents. Everything a step depends on (weights, optimizer, schedule, random states,
order of the documents) is in the checkpoint, so a run that was killed and resumed ends as one that was not.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from safetensors.torch import load_model, save_model
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import Sampler
from torch_geometric.loader import DataLoader
from tqdm import tqdm

from glre_pyg.evaluation.scores import Scores, Threshold
from glre_pyg.graph import DocumentGraph
from glre_pyg.models.base import RelationModel

WEIGHTS = "model.safetensors"
LOG = "log.jsonl"
CHECKPOINT = "checkpoint"


Evaluate = Callable[[RelationModel, int], tuple[Scores, Threshold]]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Numbers of the training loop.

    Args:
        epochs: Epochs at most; the learning rate falls to zero over them.
        batch_size: Documents in a batch, on each process.
        accumulation: Batches whose gradients make one step.
        warmup: Part of all steps in which the learning rate rises from zero.
        decay: Whether the learning rate falls linearly to zero after that.
        max_norm: Largest norm of the gradient; None does not clip.
        patience: Epochs without a better F1 on dev after which training stops; None never stops early.
        first_evaluation: Epochs before the first evaluation on dev.
        ema: Decay a step of a moving average of the weights, which is what is evaluated and kept; None
            keeps the weights themselves.
        precision: ``"no"``, ``"bf16"`` or ``"fp16"``, as Accelerate's mixed precision.
        seed: Seed of the order of the documents.
        resume: Run directory that this run goes on with; None begins anew.
    """

    epochs: int
    batch_size: int
    accumulation: int
    warmup: float
    decay: bool
    max_norm: float | None
    patience: int | None
    first_evaluation: int
    ema: float | None
    precision: str
    seed: int
    resume: str | None


@dataclass(kw_only=True)
class Progress:
    """How far a run is; part of its checkpoint.

    Args:
        epoch: Epochs done.
        step: Optimizer steps done.
        best_f1: Highest F1 on dev.
        best_epoch: Its epoch, from 1; 0 before any.
        log_bytes: Length of the log when the checkpoint was made.
    """

    epoch: int = 0
    step: int = 0
    best_f1: float = -1.0
    best_epoch: int = 0
    log_bytes: int = 0

    def state_dict(self) -> dict[str, Any]:
        """The fields, for Accelerate."""
        return asdict(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set the fields, for Accelerate."""
        vars(self).update(state)


class LengthSampler(Sampler[list[int]]):
    """Batches of documents of like length, in an order that depends on the seed and the epoch alone.

    Documents are shuffled, cut into groups of ``group`` batches, sorted by length within a group, and the
    batches shuffled again. A batch that is not full stays the last: Accelerate, which deals the batches out
    to the processes, loses documents otherwise.

    Args:
        lengths: Pieces of each document.
        batch_size: Documents a batch.
        seed: Seed of the order.
        group: Batches sorted together.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, *, seed: int, group: int = 16) -> None:
        self.lengths, self.batch_size, self.seed, self.group = lengths, batch_size, seed, group
        self.drop_last = False
        self.epoch = 0

    def __len__(self) -> int:
        return math.ceil(len(self.lengths) / self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator).tolist()
        size = self.batch_size * self.group
        groups = [order[start : start + size] for start in range(0, len(order), size)]
        ranked = [index for part in groups for index in sorted(part, key=lambda index: self.lengths[index])]
        batches = [
            ranked[start : start + self.batch_size] for start in range(0, len(ranked), self.batch_size)
        ]
        full = len(ranked) // self.batch_size
        for number in torch.randperm(full, generator=generator).tolist():
            yield batches[number]
        yield from batches[full:]


def parameter_groups(
    model: nn.Module, *, lr: float, weight_decay: float, groups: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Trainable parameters by learning rate and weight decay; biases and norms are not decayed.

    Args:
        model: The model.
        lr: Learning rate of what no pattern matches.
        weight_decay: Weight decay of matrices.
        groups: Learning rate by regular expression; the first that is found in a parameter's name decides.
    """
    out: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = next((rate for pattern, rate in groups.items() if re.search(pattern, name)), lr)
            out.setdefault((rate, weight_decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay} for (rate, decay), parameters in out.items()
    ]


def fit(
    model: RelationModel,
    graphs: Sequence[DocumentGraph],
    evaluate: Evaluate | None,
    *,
    settings: Settings,
    optimizer: Callable[[nn.Module], Optimizer],
    folder: Path,
    accelerator: Accelerator,
    last_epoch: int | None = None,
) -> Progress:
    """Train a model, keep its best weights, and leave them in the model and in ``folder``.

    Args:
        model: The model.
        graphs: Training graphs with pieces and labels.
        evaluate: Called with the model and the number of its epoch, from 1; its scores on development
            documents, and the threshold chosen there. None keeps the weights of the last epoch.
        settings: Numbers of the loop.
        optimizer: Makes the optimizer from the model.
        folder: Run directory; gets the weights, the log, TensorBoard's files and the checkpoint.
        accelerator: Devices and precision.
        last_epoch: Epoch to stop after, though the learning rate falls over all of them.

    Returns:
        Where the best epoch was, and its F1 on dev.
    """
    sampler = LengthSampler(
        [len(graph.input_ids) for graph in graphs], settings.batch_size, seed=settings.seed
    )
    loader = DataLoader(list(graphs), batch_sampler=sampler)
    average: AveragedModel | None = None
    if settings.ema is not None:  # copied now: prepare() ties the forward of a model to its weights
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(settings.ema))
    wrapped, optimizing, loader = accelerator.prepare(model, optimizer(model), loader)
    steps = math.ceil(len(loader) / settings.accumulation)
    schedule = LambdaLR(optimizing.optimizer, _rate(settings, steps * settings.epochs))
    progress = Progress()
    accelerator.register_for_checkpointing(schedule, progress)
    if average is not None:
        accelerator.register_for_checkpointing(average)
    best = model if average is None else cast(RelationModel, average.module)
    if settings.resume:
        _restore(accelerator, folder, progress)
    accelerator.init_trackers("tensorboard")
    end = settings.epochs if last_epoch is None else last_epoch
    while progress.epoch < end and not _is_over(progress, settings):
        started = time.perf_counter()
        sampler.epoch = progress.epoch
        loss = _train_epoch(accelerator, wrapped, average, loader, optimizing, schedule, settings, progress)
        speed = len(graphs) / (time.perf_counter() - started)
        progress.epoch += 1
        entry: dict[str, float | int] = {"epoch": progress.epoch, "step": progress.step, "loss": loss}
        entry["documents_per_second"] = round(speed, 2)
        if evaluate is None:
            progress.best_epoch = progress.epoch
            _save_weights(accelerator, best, folder)
        elif progress.epoch >= settings.first_evaluation:
            scores, threshold = evaluate(best, progress.epoch)
            if isinstance(threshold, float):
                entry["threshold"] = threshold
            entry |= {f"dev_{name}": value for name, value in asdict(scores).items()}
            if scores.f1 > progress.best_f1:
                progress.best_f1, progress.best_epoch = scores.f1, progress.epoch
                _save_weights(accelerator, best, folder)
        entry["seconds"] = round(time.perf_counter() - started, 1)
        _report(accelerator, entry, folder, progress)
        _checkpoint(accelerator, folder)
    accelerator.end_training()
    accelerator.unwrap_model(wrapped, keep_fp32_wrapper=False)  # from here on the model computes in fp32
    if progress.best_epoch:
        load_model(model, folder / WEIGHTS)
    return progress


def _rate(settings: Settings, total: int) -> Callable[[int], float]:
    warm = settings.warmup * total

    def rate(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1)
        return max(0.0, (total - step) / max(1.0, total - warm)) if settings.decay else 1.0

    return rate


def _is_over(progress: Progress, settings: Settings) -> bool:
    waited = progress.epoch - progress.best_epoch
    return settings.patience is not None and progress.best_epoch > 0 and waited >= settings.patience


def _train_epoch(
    accelerator: Accelerator,
    model: nn.Module,
    average: AveragedModel | None,
    loader: DataLoader,
    optimizer: Optimizer,
    schedule: LambdaLR,
    settings: Settings,
    progress: Progress,
) -> float:
    model.train()
    bar = tqdm(
        total=len(loader.dataset),
        unit=" documents",
        desc=f"epoch {progress.epoch + 1}",
        leave=False,
        disable=None if accelerator.is_main_process else True,
    )
    losses: list[torch.Tensor] = []
    for batch in loader:
        with accelerator.accumulate(model):
            with accelerator.autocast():
                logits = model(batch)
            loss = accelerator.unwrap_model(model).loss(logits, batch.pair_label)
            accelerator.backward(loss)
            if accelerator.sync_gradients and settings.max_norm is not None:
                accelerator.clip_grad_norm_(model.parameters(), settings.max_norm)
            optimizer.step()
            optimizer.zero_grad()
        if accelerator.sync_gradients:
            schedule.step()
            progress.step += 1
            if average is not None:
                average.update_parameters(accelerator.unwrap_model(model))
        losses.append(loss.detach())
        bar.update(batch.num_graphs * accelerator.num_processes)
        if len(losses) % 10 == 0:
            bar.set_postfix(loss=f"{torch.stack(losses[-10:]).mean():.4f}")
    bar.close()
    return float(accelerator.gather(torch.stack(losses)).mean())


def _report(accelerator: Accelerator, entry: dict[str, Any], folder: Path, progress: Progress) -> None:
    numbers = {name: value for name, value in entry.items() if name not in ("epoch", "step")}
    accelerator.log(numbers, step=entry["epoch"])
    if not accelerator.is_main_process:
        return
    with (folder / LOG).open("a") as file:
        file.write(json.dumps(entry) + "\n")
        progress.log_bytes = file.tell()
    line = f"epoch {entry['epoch']:3d}  loss {entry['loss']:.4f}"
    if "dev_f1" in entry:
        line += "  dev P {dev_precision:.4f} R {dev_recall:.4f} F1 {dev_f1:.4f}".format(**entry)
    if "threshold" in entry:
        line += f"  threshold {entry['threshold']:.3f}"
    speed = entry["documents_per_second"]
    print(f"{line}  {entry['seconds']:.0f} s, {speed:.3g} documents/s in training", flush=True)


def _save_weights(accelerator: Accelerator, model: nn.Module, folder: Path) -> None:
    if accelerator.is_main_process:
        partial = folder / f"{WEIGHTS}.partial"
        save_model(model, str(partial))
        partial.replace(folder / WEIGHTS)


def _checkpoint(accelerator: Accelerator, folder: Path) -> None:
    """Replace the checkpoint by a new one; at every moment one whole checkpoint is there."""
    new, last, old = (folder / f"{CHECKPOINT}{suffix}" for suffix in (".partial", "", ".old"))
    accelerator.save_state(str(new))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        shutil.rmtree(old, ignore_errors=True)
        if last.exists():
            last.rename(old)
        new.rename(last)
        shutil.rmtree(old, ignore_errors=True)
    accelerator.wait_for_everyone()


def _restore(accelerator: Accelerator, folder: Path, progress: Progress) -> None:
    places = [folder / CHECKPOINT, folder / f"{CHECKPOINT}.old"]
    found = next((place for place in places if place.is_dir()), None)
    log = folder / LOG
    if found is not None:
        accelerator.load_state(str(found))
    if log.exists() and accelerator.is_main_process:
        with log.open("r+b") as file:
            file.truncate(progress.log_bytes)
