"""Section 4.3: one plain training loop over HF Accelerate.

The loop knows nothing of corpora or configs: it gets a model, graphs, and a function that scores the
model on development documents. Everything a step depends on (weights, optimizer, schedule, random states,
order of the documents) is in the checkpoint, so a run that was killed and resumed ends as one that was not.
Several processes do the steps that one would do with batches as large as theirs together.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from accelerate import Accelerator
from safetensors.torch import load_model
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.evaluation.scores import Scores, Threshold
from glre_pyg.models.base import RelationModel
from glre_pyg.runs.directory import WEIGHTS
from glre_pyg.runs.weights import save_weights
from glre_pyg.training.checkpoint import CHECKPOINT, Checkpoint
from glre_pyg.training.epochs import Epochs, TrainingError
from glre_pyg.training.sampler import LengthSampler
from glre_pyg.utils import distributed
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import WriteError, atomic_path

LOG = "log.jsonl"

Evaluate = Callable[[RelationModel, int], tuple[Scores, Threshold]]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Numbers of the training loop.

    Args:
        epochs: Epochs at most; the learning rate falls to zero over them.
        batch_size: Documents in a batch, on each process.
        accumulation: Batches whose gradients make one step, as one large batch would.
        warmup: Part of all steps in which the learning rate rises from zero.
        decay: Whether the learning rate falls linearly to zero after that.
        max_norm: Largest norm of the gradient; None does not clip.
        patience: Epochs without a better F1 on dev after which training stops; None never stops early.
        first_evaluation: Epochs before the first evaluation on dev.
        ema: Decay a step of a moving average of the weights, which is what is evaluated and kept; None
            keeps the weights themselves.
        precision: ``"no"``, ``"bf16"`` or ``"fp16"``, as Accelerate's mixed precision.
        seed: Seed of the order of the documents.
        resume: Run directory that this run goes on with; None begins anew. (``auto`` is for the command.)
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
        saved: Epochs that the checkpoint has.
    """

    epoch: int = 0
    step: int = 0
    best_f1: float = -1.0
    best_epoch: int = 0
    log_bytes: int = 0
    saved: int = 0

    def state_dict(self) -> dict[str, Any]:
        """The fields, for the checkpoint."""
        return asdict(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set the fields to those of the checkpoint."""
        vars(self).update(state, saved=state["epoch"])


def parameter_groups(
    model: nn.Module, *, lr: float, weight_decay: float, groups: Mapping[str, float | None]
) -> list[dict[str, Any]]:
    """Trainable parameters by learning rate and weight decay; biases and norms are not decayed.

    Args:
        model: The model.
        lr: Learning rate of what no pattern matches.
        weight_decay: Weight decay of matrices.
        groups: Learning rate by regular expression; the first that matches a parameter's name decides.
            ``None`` leaves a group out.

    Raises:
        InputError: If an expression matches no parameter.
    """
    rates = {pattern: rate for pattern, rate in groups.items() if rate is not None}
    for pattern in rates:
        if not any(re.search(pattern, name) for name, _ in model.named_parameters()):
            raise InputError(f"optimizer.groups: no parameter of the model matches '{pattern}'")
    out: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = next((rate for pattern, rate in rates.items() if re.search(pattern, name)), lr)
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
        accelerator: Devices and precision; gradients are accumulated here, not by it.
        last_epoch: Epoch to stop after, though the learning rate falls over all of them.

    Returns:
        Where the best epoch was, and its F1 on dev.

    Raises:
        TrainingError: If a loss or a weight is not finite; the checkpoint is the last that was.
        WriteError: If something cannot be written; the checkpoint is the last that could.
        InputError: If the checkpoint to go on from is broken, or of another run.
    """
    sampler = LengthSampler(
        [len(graph.input_ids) for graph in graphs],
        settings.batch_size * distributed.world_size(),
        seed=settings.seed,
    )
    average: AveragedModel | None = None
    if settings.ema is not None:  # copied now: prepare() ties the forward of a model to its weights
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(settings.ema))
    wrapped, optimizing = accelerator.prepare(model, optimizer(model))
    steps = math.ceil(len(sampler) / settings.accumulation)
    schedule = LambdaLR(optimizing.optimizer, _rate(settings, steps * settings.epochs))
    progress = Progress()
    checkpoint = Checkpoint(
        folder,
        model,
        {"progress": progress, "optimizer": optimizing.optimizer, "schedule": schedule}
        | ({} if average is None else {"average": average})
        | ({} if accelerator.scaler is None else {"scaler": accelerator.scaler}),
        _known_by(settings, graphs),
    )
    best = model if average is None else cast(RelationModel, average.module)
    if settings.resume:
        checkpoint.restore()
    else:
        checkpoint.remove()
    _cut(folder / LOG, progress.log_bytes)
    epochs = Epochs(
        accelerator=accelerator,
        model=wrapped,
        average=average,
        graphs=graphs,
        sampler=sampler,
        optimizer=optimizing,
        schedule=schedule,
        accumulation=settings.accumulation,
        max_norm=settings.max_norm,
        progress=progress,
    )
    end = settings.epochs if last_epoch is None else last_epoch
    with _saying_what_is_left(folder, progress):
        accelerator.init_trackers("tensorboard")
        while progress.epoch < end and not _is_over(progress, settings):
            started = time.perf_counter()
            loss = epochs.train()
            speed = len(graphs) / (time.perf_counter() - started)
            progress.epoch += 1
            entry: dict[str, float | int] = {"epoch": progress.epoch, "step": progress.step, "loss": loss}
            entry["documents_per_second"] = round(speed, 2)
            if evaluate is None:
                progress.best_epoch = progress.epoch
                _save_weights(best, folder)
            elif progress.epoch >= settings.first_evaluation:
                scores, threshold = evaluate(best, progress.epoch)
                if isinstance(threshold, float):
                    entry["threshold"] = threshold
                entry |= {f"dev_{name}": value for name, value in asdict(scores).items()}
                if scores.f1 > progress.best_f1:
                    progress.best_f1, progress.best_epoch = scores.f1, progress.epoch
                    _save_weights(best, folder)
            entry["seconds"] = round(time.perf_counter() - started, 1)
            _report(accelerator, entry, folder, progress)
            checkpoint.save()
            progress.saved = progress.epoch
        for tracker in accelerator.trackers:  # and no more: end_training() would part the processes
            tracker.finish()
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


@contextmanager
def _saying_what_is_left(folder: Path, progress: Progress) -> Iterator[None]:
    """Add to the line about why training ends where it can be gone on from."""
    try:
        yield
    except (TrainingError, WriteError, OSError) as error:
        line = f"{folder}: cannot be written: {error.strerror}" if isinstance(error, OSError) else str(error)
        place = folder / CHECKPOINT
        left = f"{place} is that after epoch {progress.saved}" if progress.saved else "there is no checkpoint"
        kind = TrainingError if isinstance(error, TrainingError) else WriteError
        raise kind(f"{line}; {left}") from error


def _known_by(settings: Settings, graphs: Sequence[DocumentGraph]) -> dict[str, object]:
    """What a run is known by in its checkpoint; its other settings may be changed for the rest of it."""
    names = json.dumps([[graph.id, len(graph.input_ids)] for graph in graphs])
    sha256 = hashlib.sha256(names.encode()).hexdigest()
    return {"seed": settings.seed, "documents": f"{len(graphs)} with sha256 {sha256}"}


def _report(accelerator: Accelerator, entry: dict[str, Any], folder: Path, progress: Progress) -> None:
    numbers = {name: value for name, value in entry.items() if name not in ("epoch", "step")}
    accelerator.log(numbers, step=entry["epoch"])
    if not distributed.is_main_process():
        return
    with (folder / LOG).open("a") as file:
        file.write(json.dumps(entry) + "\n")
        file.flush()
        os.fsync(file.fileno())
        progress.log_bytes = file.tell()
    line = f"epoch {entry['epoch']:3d}  loss {entry['loss']:.4f}"
    if "dev_f1" in entry:
        line += "  dev P {dev_precision:.4f} R {dev_recall:.4f} F1 {dev_f1:.4f}".format(**entry)
    if "threshold" in entry:
        line += f"  threshold {entry['threshold']:.3f}"
    speed = entry["documents_per_second"]
    print(f"{line}  {entry['seconds']:.0f} s, {speed:.3g} documents/s in training", flush=True)


def _save_weights(model: nn.Module, folder: Path) -> None:
    if distributed.is_main_process():
        with atomic_path(folder / WEIGHTS) as part:
            save_weights(model, part)


def _cut(log: Path, length: int) -> None:
    """Take from a log what came after a checkpoint."""
    if log.exists() and distributed.is_main_process():
        with log.open("r+b") as file:
            file.truncate(min(length, log.stat().st_size))
