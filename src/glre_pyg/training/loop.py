"""Section 4.3: the training loop, with Accelerate.

The loop is independent of corpora and configs: its inputs are a model, graphs, and a function that scores
the model on dev. The complete state (weights, optimizer, schedule, random states, order of the documents) is
in the checkpoint, so that a run that is interrupted and resumed ends like an uninterrupted one. Several
processes make the same steps as one process with a batch that is as large as theirs together.
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
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

from accelerate import Accelerator
from msgspec import convert
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.evaluation.selection import Evaluation
from glre_pyg.models.base import RelationModel
from glre_pyg.runs.directory import WEIGHTS
from glre_pyg.runs.weights import load_weights, save_weights
from glre_pyg.training.checkpoint import CHECKPOINT, Checkpoint, Stateful
from glre_pyg.training.epochs import EpochTrainer, TrainingError
from glre_pyg.training.prefitting import PrefitOnly, is_trained, prefit
from glre_pyg.training.sampler import LengthSampler
from glre_pyg.utils import distributed
from glre_pyg.utils.console import echo
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import WriteError, atomic_path, regular_opener
from glre_pyg.utils.interrupts import Interrupted, deferred_interrupts, interruption, is_interrupted
from glre_pyg.utils.ranges import NonNegativeInt, PositiveFloat, PositiveInt, Rate, Seed, Share

LOG = "log.jsonl"
_NO_CURVES = ("epoch", "step", "dev_folds")
"""What TensorBoard does not show of an entry of the log."""

Evaluate = Callable[[RelationModel, int], Evaluation]
Trainer = EpochTrainer | PrefitOnly


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Settings of the training loop.

    Args:
        epochs: Maximum number of epochs, over which the learning rate decays.
        batch_size: Number of documents in a batch, in each process.
        accumulation: Number of batches in a step, which is equivalent to one large batch.
        warmup: Share of all steps in which the learning rate increases from zero.
        decay: Whether the learning rate then decreases linearly to zero.
        max_norm: Maximum norm of the gradient; None does not clip.
        patience: Number of epochs without a better F1 on dev after which training stops; None for no early
            stopping.
        first_evaluation: First epoch that is evaluated on dev.
        ema: Decay per step of the moving average of the weights, which is evaluated and saved; None evaluates
            and saves the weights themselves.
        precision: Mixed precision of Accelerate, ``"no"``, ``"bf16"`` or ``"fp16"``.
        checkpoint_minutes: Minutes between checkpoints within an epoch; None for none.
        seed: Seed of the order of the documents.
        resume: Run directory to resume, not ``auto``; None starts a new run.
    """

    epochs: PositiveInt
    batch_size: PositiveInt
    accumulation: PositiveInt
    warmup: Share
    decay: bool
    max_norm: PositiveFloat | None
    patience: PositiveInt | None
    first_evaluation: PositiveInt
    ema: Rate | None
    precision: Literal["no", "bf16", "fp16"]
    seed: Seed
    resume: str | None
    checkpoint_minutes: PositiveFloat | None = None


@dataclass(kw_only=True)
class Progress:
    """Progress of a run, which is saved in its checkpoint.

    Args:
        epoch: Number of completed epochs.
        step: Number of completed optimizer steps.
        best_f1: Highest F1 on dev.
        best_epoch: Epoch of the highest F1, from 1; 0 if there is none.
        log_bytes: Length of the log at the last checkpoint.
        losses: Losses of the steps of an epoch that is not complete.
        batch: Number of documents in a step, in all processes.
        saved: Epoch of the last checkpoint, and step within an epoch; empty if there is none.
    """

    epoch: NonNegativeInt = 0
    step: NonNegativeInt = 0
    best_f1: float = -1.0
    best_epoch: NonNegativeInt = 0
    log_bytes: NonNegativeInt = 0
    losses: list[float] = field(default_factory=list)
    batch: int = 0
    saved: str = ""

    def state_dict(self) -> dict[str, Any]:
        """Return the fields."""
        return asdict(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set the fields; with another number of documents in a step, an epoch begins again.

        Raises:
            ValueError: If a field has another type, or is negative.
        """
        batch = self.batch
        vars(self).update(vars(convert(state, Progress)), batch=batch)
        if state.get("batch", batch) != batch:
            self.losses = []
        self.mark_saved()

    def mark_saved(self) -> None:
        """Note that there is a checkpoint of this state."""
        self.saved = f"epoch {self.epoch}" + (f", step {self.step}" if self.losses else "")


def parameter_groups(
    model: nn.Module, *, lr: float, weight_decay: float, groups: Mapping[str, float | None]
) -> list[dict[str, Any]]:
    """Group trainable parameters by learning rate and weight decay; biases and norms have no weight decay.

    Args:
        model: The model. A module with an attribute ``lr`` has this learning rate, unless an expression
            matches.
        lr: Learning rate of other parameters that no expression matches.
        weight_decay: Weight decay of matrices.
        groups: Learning rate by regular expression over parameter names, of which the first match applies;
            an expression with the learning rate None is ignored.

    Raises:
        InputError: If an expression matches no parameter of a model with an encoder.
    """
    rates = {pattern: rate for pattern, rate in groups.items() if rate is not None}
    for pattern in rates:
        matches = any(re.search(pattern, name) for name, _ in model.named_parameters())
        if not matches and hasattr(model, "encoder"):  # otherwise encoder.lr has no use
            raise InputError(f"optimizer.groups: no parameter of the model matches '{pattern}'")
    own = {name: module.lr for name, module in model.named_modules() if hasattr(module, "lr")}
    for name in sorted(own, key=len, reverse=True):  # innermost first
        rates[f"^{re.escape(name)}\\."] = own[name]
    out: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            rate = next((rate for pattern, rate in rates.items() if re.search(pattern, name)), lr)
            decays = parameter.ndim > 1 and not name.endswith("bias")
            out.setdefault((rate, weight_decay if decays else 0.0), []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "weight_decay": decay} for (rate, decay), parameters in out.items()
    ]


def fit(
    model: RelationModel,
    graphs: Sequence[DocumentGraph],
    evaluate: Evaluate | None,
    *,
    settings: TrainingSettings,
    optimizer: Callable[[nn.Module], Optimizer],
    folder: Path,
    accelerator: Accelerator,
    last_epoch: int | None = None,
) -> Progress:
    """Train a model and load its best weights, which are saved in ``folder``.

    Args:
        model: The model.
        graphs: Tokenized training graphs with labels.
        evaluate: Called with the model and its epoch, from 1; evaluates it on dev. If None, the weights of
            the last epoch are the best ones.
        settings: Settings of the loop.
        optimizer: Builds the optimizer of the model.
        folder: Run directory for the weights, the log, TensorBoard files and the checkpoint.
        accelerator: Device and precision; gradients are accumulated here.
        last_epoch: Epoch to stop after; the learning rate still decays over all epochs.

    Returns:
        The progress, with the best epoch and its F1 on dev.

    Raises:
        TrainingError: If a loss or a weight is not finite; the last checkpoint remains.
        WriteError: If a file cannot be written; the last checkpoint remains.
        InputError: If the checkpoint to resume from is damaged or belongs to another run.
    """
    progress = Progress(batch=settings.batch_size * settings.accumulation * distributed.world_size())
    if not is_trained(model):
        settings = replace(settings, epochs=1, first_evaluation=1)
    trainer = _trainer(model, graphs, settings, optimizer, accelerator, progress)
    checkpoint = _checkpoint(model, trainer, progress, settings, folder)
    _resume_or_begin(checkpoint, model, graphs, settings)
    _truncate(folder / LOG, progress.log_bytes)
    trainer.save = partial(_save_checkpoint, checkpoint, progress)
    with _naming_the_checkpoint(folder, progress), deferred_interrupts():
        accelerator.init_trackers("tensorboard")
        while not _is_over(progress, settings, last_epoch):
            _epoch(model, trainer, progress, evaluate, settings, folder)
        _finish(accelerator)
    accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)  # the model computes in fp32 again
    if progress.best_epoch:
        load_weights(model, folder / WEIGHTS)
    return progress


def _resume_or_begin(
    checkpoint: Checkpoint, model: RelationModel, graphs: Sequence[DocumentGraph], settings: TrainingSettings
) -> None:
    """Restore the checkpoint, if there is one to resume, or fit what comes before the loop."""
    if settings.resume and checkpoint.restore():
        return
    checkpoint.remove()
    if is_trained(model):  # otherwise, this is the first epoch
        prefit(model, graphs)


def _finish(accelerator: Accelerator) -> None:
    """Close the trackers; ``end_training()`` would also end the process group."""
    for tracker in accelerator.trackers:
        tracker.finish()


def _trainer(
    model: RelationModel,
    graphs: Sequence[DocumentGraph],
    settings: TrainingSettings,
    optimizer: Callable[[nn.Module], Optimizer],
    accelerator: Accelerator,
    progress: Progress,
) -> Trainer:
    if not is_trained(model):
        return PrefitOnly(accelerator, model, graphs)
    average: AveragedModel | None = None
    if settings.ema is not None:  # before prepare(), which binds the model's forward to its weights
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(settings.ema))
    lengths = [len(graph.input_ids) for graph in graphs]
    sampler = LengthSampler(lengths, settings.batch_size * distributed.world_size(), seed=settings.seed)
    wrapped_model, wrapped_optimizer = accelerator.prepare(model, optimizer(model))
    steps = math.ceil(len(sampler) / settings.accumulation)
    return EpochTrainer(
        accelerator=accelerator,
        model=wrapped_model,
        average=average,
        graphs=graphs,
        sampler=sampler,
        optimizer=wrapped_optimizer,
        schedule=LambdaLR(wrapped_optimizer.optimizer, _rate(settings, steps * settings.epochs)),
        accumulation=settings.accumulation,
        max_norm=settings.max_norm,
        progress=progress,
        minutes=settings.checkpoint_minutes,
    )


def _checkpoint(
    model: RelationModel, trainer: Trainer, progress: Progress, settings: TrainingSettings, folder: Path
) -> Checkpoint:
    parts: dict[str, object] = {"progress": progress}
    if isinstance(trainer, EpochTrainer):
        parts |= {"optimizer": trainer.schedule.optimizer, "schedule": trainer.schedule}
        if trainer.average is not None:
            parts["average"] = trainer.average
        if trainer.accelerator.scaler is not None:
            parts["scaler"] = trainer.accelerator.scaler
    return Checkpoint(folder, model, cast(dict[str, Stateful], parts), _identity(settings, trainer.graphs))


def _epoch(
    model: RelationModel,
    trainer: Trainer,
    progress: Progress,
    evaluate: Evaluate | None,
    settings: TrainingSettings,
    folder: Path,
) -> None:
    """Train for one epoch, evaluate, save the weights if they are the best, and save a checkpoint."""
    evaluated = model if trainer.average is None else cast(RelationModel, trainer.average.module)
    started = time.perf_counter()
    loss = trainer.train()
    speed = len(trainer.graphs) / (time.perf_counter() - started)
    progress.epoch += 1
    entry: dict[str, Any] = {"epoch": progress.epoch, "step": progress.step}
    if loss is not None:
        entry["loss"] = loss
    entry["documents_per_second"] = round(speed, 2)
    if evaluate is None:
        progress.best_epoch = progress.epoch
        _save_weights(evaluated, folder)
    elif progress.epoch >= settings.first_evaluation:
        found = evaluate(evaluated, progress.epoch)
        if isinstance(found.threshold, float):
            entry["threshold"] = found.threshold
        entry |= {f"dev_{name}": value for name, value in asdict(found.scores).items()}
        entry["dev_folds"] = found.folds
        if found.scores.f1 > progress.best_f1:
            progress.best_f1, progress.best_epoch = found.scores.f1, progress.epoch
            _save_weights(evaluated, folder)
    entry["seconds"] = round(time.perf_counter() - started, 1)
    _report(trainer.accelerator, entry, folder, progress)
    trainer.save()
    if any(distributed.any_process(is_interrupted())):
        raise interruption()


def _rate(settings: TrainingSettings, total: int) -> Callable[[int], float]:
    warm = settings.warmup * total

    def rate(step: int) -> float:
        if step < warm:
            return (step + 1) / (warm + 1)
        return max(0.0, (total - step) / max(1.0, total - warm)) if settings.decay else 1.0

    return rate


def _is_over(progress: Progress, settings: TrainingSettings, last_epoch: int | None) -> bool:
    if progress.epoch >= (settings.epochs if last_epoch is None else last_epoch):
        return True
    waited = progress.epoch - progress.best_epoch
    return settings.patience is not None and progress.best_epoch > 0 and waited >= settings.patience


@contextmanager
def _naming_the_checkpoint(folder: Path, progress: Progress) -> Iterator[None]:
    """Add the last checkpoint to the message of an error that ends training."""
    try:
        yield
    except (TrainingError, WriteError, OSError, Interrupted) as error:
        left = "there is no checkpoint"
        if progress.saved:
            left = f"{folder / CHECKPOINT} is that after {progress.saved}"
        if isinstance(error, Interrupted):
            error.add_note(left)
            raise
        line = f"{folder}: cannot be written: {error.strerror}" if isinstance(error, OSError) else str(error)
        kind = TrainingError if isinstance(error, TrainingError) else WriteError
        raise kind(f"{line}; {left}") from error


def _save_checkpoint(checkpoint: Checkpoint, progress: Progress) -> None:
    checkpoint.save()
    progress.mark_saved()


def _identity(settings: TrainingSettings, graphs: Sequence[DocumentGraph]) -> dict[str, object]:
    """Return the values that identify a run in its checkpoint; a resumed run may differ in others."""
    names = json.dumps([[graph.id, len(graph.input_ids)] for graph in graphs])
    sha256 = hashlib.sha256(names.encode()).hexdigest()
    return {"seed": settings.seed, "documents": f"{len(graphs)} with sha256 {sha256}"}


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Return the entries of the log in a run directory, one for each epoch."""
    return [json.loads(line) for line in (folder / LOG).read_text(encoding="utf-8").splitlines()]


def _report(accelerator: Accelerator, entry: dict[str, Any], folder: Path, progress: Progress) -> None:
    numbers = {name: value for name, value in entry.items() if name not in _NO_CURVES}
    accelerator.log(numbers, step=entry["epoch"])
    if not distributed.is_main_process():
        return
    with open(folder / LOG, "a", encoding="utf-8", opener=regular_opener) as file:
        file.write(json.dumps(entry) + "\n")
        file.flush()
        os.fsync(file.fileno())
        progress.log_bytes = file.tell()
    line = f"epoch {entry['epoch']:3d}" + (f"  loss {entry['loss']:.4f}" if "loss" in entry else "")
    if "dev_f1" in entry:
        line += "  dev P {dev_precision:.4f} R {dev_recall:.4f} F1 {dev_f1:.4f}".format(**entry)
    if "threshold" in entry:
        line += f"  threshold {entry['threshold']:.3f}"
    speed = entry["documents_per_second"]
    echo(f"{line}  {entry['seconds']:.0f} s, {speed:.3g} documents/s in training")


def _save_weights(model: nn.Module, folder: Path) -> None:
    if distributed.is_main_process():
        with atomic_path(folder / WEIGHTS) as part:
            save_weights(model, part)


def _truncate(log: Path, length: int) -> None:
    """Remove the entries of a log after the checkpoint."""
    if log.exists() and distributed.is_main_process():
        with log.open("r+b") as file:
            file.truncate(min(length, log.stat().st_size))
