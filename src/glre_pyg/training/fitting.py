"""Section 4.3: fitting the model of an experiment, with checks of memory before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, set_seed
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn
from torch.optim import Optimizer

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.evaluation.selection import Evaluation, evaluate
from glre_pyg.models.base import RelationModel
from glre_pyg.runs.hub import resolve_folder
from glre_pyg.runs.loading import load
from glre_pyg.runs.memory import (
    GIB,
    allocated_bytes,
    available_bytes,
    check_memory,
    optimizer_bytes,
    seconds_per_epoch,
)
from glre_pyg.runs.prediction import encode_once, predict, score_pairs
from glre_pyg.training.loop import TrainingSettings, fit, parameter_groups
from glre_pyg.training.preparation import Experiment, HeldOut
from glre_pyg.utils import distributed
from glre_pyg.utils.console import echo, plural
from glre_pyg.utils.exceptions import InputError, as_input_errors

SaveProbabilities = Callable[[int, list[np.ndarray]], None]
"""Called after each evaluation with the epoch and the probabilities [P, R] of each document."""


@dataclass(frozen=True)
class Fitted:
    """A trained model.

    Args:
        model: The model with its best weights.
        epoch: The epoch of these weights, from 1.
        memory: Number of bytes available for prediction.
    """

    model: RelationModel
    epoch: int
    memory: int


def fit_model(
    experiment: Experiment,
    graphs: Sequence[DocumentGraph],
    *,
    folder: Path,
    settings: TrainingSettings,
    dev: HeldOut | None = None,
    predicted: Sequence[DocumentGraph] = (),
    last_epoch: int | None = None,
    save_probabilities: SaveProbabilities | None = None,
) -> Fitted:
    """Train the model of an experiment.

    Args:
        experiment: The experiment.
        graphs: Tokenized graphs to train on.
        folder: Folder for weights, log and checkpoint.
        settings: Settings of the training loop.
        dev: Documents to select the epoch on; None for the last epoch.
        predicted: Graphs that are predicted later, of which only the memory is checked.
        last_epoch: Epoch to stop after.
        save_probabilities: Called after each evaluation with the probabilities of the dev documents.

    Raises:
        InputError: If there is not enough memory, or the run to start from has another model.
        TrainingError: If a loss is not finite.
    """
    config, held_out = experiment.config, dev.graphs if dev else []
    model = _new_model(experiment)
    accelerator = _accelerator(settings, folder)
    device = accelerator.device
    model.to(device)
    needed, memory = _check_memory(experiment, model, settings, graphs, [*held_out, *predicted], device)
    _encode(experiment, model, [*graphs, *held_out], device)
    if distributed.is_main_process():
        echo(_summary(experiment, model, graphs, held_out, settings, accelerator, needed))
    else:
        torch.manual_seed(config.seed + distributed.rank())  # different dropout in each process
    on_dev = partial(_evaluate, experiment, dev, accelerator, memory, save_probabilities) if dev else None
    progress = fit(
        model,
        graphs,
        on_dev,
        settings=settings,
        optimizer=partial(_optimizer, config.optimizer),
        folder=folder,
        accelerator=accelerator,
        last_epoch=last_epoch,
    )
    return Fitted(model, progress.best_epoch, memory)


def _new_model(experiment: Experiment) -> RelationModel:
    """Build the model, with the same weights in all processes, or those of the run to start from."""
    config = experiment.config
    set_seed(config.seed)
    model: RelationModel = instantiate(config.model)(experiment.tokenizer, len(experiment.labels.relations))
    if config.start:
        _load_weights_of(config.start, model, experiment)
    return model


def _check_memory(
    experiment: Experiment,
    model: RelationModel,
    settings: TrainingSettings,
    graphs: Sequence[DocumentGraph],
    predicted: Sequence[DocumentGraph],
    device: torch.device,
) -> tuple[int, int]:
    """Check memory; return the number of bytes that training needs, and of those available for prediction."""
    config = experiment.config
    available = available_bytes(config.get("memory"), device)
    needed = check_memory(model, graphs, batch_size=settings.batch_size, available=available, training=True)
    memory = available - optimizer_bytes(model)
    batch_size = config.eval_batch_size
    check_memory(model, predicted, batch_size=batch_size, available=memory, training=False)
    return needed, memory


def _evaluate(
    experiment: Experiment,
    dev: HeldOut,
    accelerator: Accelerator,
    memory: int,
    save_probabilities: SaveProbabilities | None,
    model: RelationModel,
    epoch: int,
) -> Evaluation:
    """Evaluate a model on dev."""
    shard = distributed.shard(dev.graphs)
    probabilities = distributed.all_gather(
        predict(
            model,
            shard,
            batch_size=experiment.config.eval_batch_size,
            device=accelerator.device,
            autocast=accelerator.autocast,
            progress="dev",
            memory=memory,
        )
    )
    if save_probabilities is not None:
        save_probabilities(epoch, probabilities)
    pairs = score_pairs(dev.documents, dev.graphs, probabilities, experiment.labels)
    return evaluate(pairs, experiment.choose_threshold)


def _load_weights_of(start: str, model: RelationModel, experiment: Experiment) -> None:
    folder = resolve_folder(start)
    run = load(folder)
    if run.labels != experiment.labels:
        raise InputError(f"start: {folder} has other relations or entity types")
    try:
        model.load_state_dict(run.model.state_dict())
    except RuntimeError as error:
        reason = str(error).splitlines()[1].strip()
        raise InputError(f"start: {folder} is another model: {reason}") from None


def _encode(
    experiment: Experiment, model: RelationModel, graphs: Sequence[DocumentGraph], device: torch.device
) -> None:
    """Encode graphs once and for all, if the encoder is frozen."""
    batch_size = experiment.config.eval_batch_size
    encode_once(model, graphs, batch_size=batch_size, device=device, store=experiment.store)


def _accelerator(settings: TrainingSettings, folder: Path) -> Accelerator:
    AcceleratorState._reset_state()  # the jobs of a sweep share a process and may differ in precision
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)  # in documents without pairs
    return Accelerator(
        mixed_precision=settings.precision,
        log_with="tensorboard",
        project_dir=folder,
        kwargs_handlers=[unused],
    )


def _optimizer(options: DictConfig, model: nn.Module) -> Optimizer:
    groups = parameter_groups(model, lr=options.lr, weight_decay=options.weight_decay, groups=options.groups)
    with as_input_errors("optimizer.factory"):
        optimizer: Optimizer = instantiate(options.factory)(groups)
    return optimizer


def _summary(
    experiment: Experiment,
    model: RelationModel,
    graphs: Sequence[DocumentGraph],
    dev_graphs: Sequence[DocumentGraph],
    settings: TrainingSettings,
    accelerator: Accelerator,
    needed: int,
) -> str:
    """Return a line with the sizes of model and data, and estimates of time and memory."""
    memory = allocated_bytes(accelerator.device) + needed
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)
    epoch = "fitted at once"
    if parameters:
        seconds = seconds_per_epoch(
            model,
            graphs,
            batch_size=settings.batch_size,
            device=accelerator.device,
            autocast=accelerator.autocast,
        )
        epoch = f"about {seconds / accelerator.num_processes:.0f} s to train an epoch"
    tokens = sum(len(graph.input_ids) for graph in graphs)
    pairs = sum(graph.pair_index.size(1) for graph in graphs)
    return (
        f"{experiment.corpus.name}: {len(graphs)} {plural(len(graphs), 'document')} to train on "
        f"({tokens:,} subword tokens, {pairs:,} {plural(pairs, 'pair')}), {len(dev_graphs)} for dev; "
        f"encoder {experiment.config.encoder.name}, "
        f"{parameters:,} trainable parameters; {epoch}, in {memory / GIB:.1f} GiB of memory"
    )
