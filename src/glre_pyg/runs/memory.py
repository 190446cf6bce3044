"""Estimates of the memory of documents, before anything is computed, and of the time of an epoch.

Estimates are for fp32; half precision needs less. They only decide whether a document is refused: results do
not depend on the available memory.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import psutil
import torch
from torch import nn

from glre_pyg.data.batch import collate, longest_first
from glre_pyg.data.graph import DocumentGraph
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.encoder import TransformerEncoder, WordEmbedding
from glre_pyg.nn.recurrent import BiLSTM
from glre_pyg.utils.exceptions import InputError

GIB = 2**30
FLOAT = 4
"""Bytes of an fp32 number."""


def document_bytes(model: RelationModel, graphs: Sequence[DocumentGraph], *, training: bool) -> list[int]:
    """Estimate the number of bytes that each of some documents needs in addition to the model.

    Without gradients, the activations of only one layer are in memory; training stores those of all layers.

    Args:
        model: The model.
        graphs: Tokenized graphs of the documents.
        training: Whether to estimate for training rather than for prediction.
    """
    modules = list(model.modules())
    width = max((m.out_channels for m in modules if isinstance(m, _ENCODERS)), default=0)
    lstm = sum(17 * m.hidden_size * m.num_layers for m in modules if isinstance(m, nn.LSTM))
    per_word = (4 * width + lstm) * (2 if training else 1)
    encoder = next((m for m in modules if isinstance(m, TransformerEncoder)), None)

    def estimate(graph: DocumentGraph) -> int:
        numbers = per_word * len(graph.words) + model.document_numbers(graph) * (3 if training else 1)
        numbers += 6 * sum(store.edge_index.size(1) for store in graph.edge_stores)
        if encoder is not None and "features" not in graph:
            windows = torch.bincount(graph.window_index) + 2
            tokens, longest = int(windows.sum()), int(windows.max()) if len(windows) else 0
            numbers += _encoder_numbers(encoder, tokens, longest, training=training and encoder.trainable)
        return FLOAT * numbers

    return [*map(estimate, graphs)]


_ENCODERS = (TransformerEncoder, WordEmbedding, BiLSTM)


def _encoder_numbers(encoder: TransformerEncoder, tokens: int, longest: int, *, training: bool) -> int:
    """Estimate how many numbers a transformer stores for windows, given their total and maximum lengths."""
    config = encoder.transformer.config
    width, layers = config.hidden_size, config.num_hidden_layers
    # Measured: a fused activation stores two vectors of the inner width, an unfused one four.
    activation = getattr(config, "hidden_act", getattr(config, "activation", None))
    inner = 2.0 if activation in ("gelu", "relu") else 4.3
    layer = 12 * width + int(inner * getattr(config, "intermediate_size", 4 * width))
    dropout = getattr(config, "attention_probs_dropout_prob", getattr(config, "attention_dropout", 0.0))
    if getattr(config, "_attn_implementation", None) == "eager":
        layer += 6 * config.num_attention_heads * longest
    elif training and dropout:  # attention with dropout is not fused on a CPU
        layer += 3 * config.num_attention_heads * longest
    group = min(tokens, encoder.max_tokens or tokens)
    if not training:
        return layer * group + width * tokens
    if encoder.gradient_checkpointing:
        return layer * group + width * layers * tokens
    return layer * layers * tokens


def optimizer_bytes(model: nn.Module) -> int:
    """Return the bytes of a model's gradients, of Adam's two moments, and of averaged weights."""
    return FLOAT * sum(4 * p.numel() for p in model.parameters() if p.requires_grad)


def check_memory(
    model: RelationModel, graphs: Sequence[DocumentGraph], *, batch_size: int, available: int, training: bool
) -> int:
    """Estimate the maximum number of bytes that training or prediction needs, and check it.

    Args:
        model: The model.
        graphs: Tokenized graphs, with ``features`` if there are any.
        batch_size: Number of documents in a batch.
        available: Number of bytes available in addition to the model.
        training: Whether to estimate for training rather than for prediction.

    Raises:
        InputError: If a document, or a batch of the largest documents, needs more than is available.
    """
    fixed = optimizer_bytes(model) if training else 0
    needed = document_bytes(model, graphs, training=training)
    order = sorted(range(len(graphs)), key=lambda index: -needed[index])
    if order and needed[order[0]] + fixed > available:
        graph = graphs[order[0]]
        raise InputError(
            f"{graph.id}: {len(graph.input_ids):,} subword tokens and {graph.pair_index.size(1):,} pairs "
            f"need about {_gib(needed[order[0]] + fixed)} to {'train on' if training else 'predict'}, and "
            f"there are {_gib(available)} (memory=GIB sets the limit)"
        )
    batch = order[:batch_size] if training else order[:1]  # prediction limits the size of its batches
    total = fixed + sum(needed[index] for index in batch)
    if total > available:
        raise InputError(
            f"a batch of {len(batch)} documents like {graphs[batch[0]].id} needs about {_gib(total)}, and "
            f"there are {_gib(available)}: use a smaller training.batch_size and a larger "
            "training.accumulation"
        )
    return total


def allocated_bytes(device: torch.device | str) -> int:
    """Return the number of bytes that the process has allocated on a device."""
    if torch.device(device).type == "cuda":
        return torch.cuda.memory_allocated(device)
    return psutil.Process().memory_info().rss


def reset_peak() -> None:
    """Let :func:`peak_bytes` begin anew, as the runs of a sweep share a process."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):  # other systems than Linux
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_bytes(device: torch.device) -> int | None:
    """Return the most bytes in use on a device since :func:`reset_peak`; None if the system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    rows = (line.split() for line in status.splitlines())
    return next((int(row[1]) * 2**10 for row in rows if row[0] == "VmHWM:"), None)


def available_bytes(gib: float | None, device: torch.device | str) -> int:
    """Return the number of bytes available to the process: up to a limit in GiB, else 90 % of free memory.

    Raises:
        InputError: If the limit is not a number, or is already exceeded.
    """
    if gib is not None:
        if isinstance(gib, bool) or not isinstance(gib, int | float):
            raise InputError(f"memory: '{gib}' is not a number of GiB")
        left = int(gib * GIB) - allocated_bytes(device)
        if left <= 0:
            used = _gib(allocated_bytes(device))
            raise InputError(f"memory: {gib} GiB are not enough, {used} are allocated already")
        return left
    if torch.device(device).type == "cuda":
        return int(0.9 * torch.cuda.mem_get_info(device)[0])
    free = min(psutil.virtual_memory().available, _free_in_container())
    return int(0.9 * free) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _free_in_container() -> float:
    """Return the free bytes in the control group of a container, including its page cache."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit, used = (
            int((folder / name).read_text(encoding="utf-8")) for name in ("memory.max", "memory.current")
        )
        stat = dict(
            line.split() for line in (folder / "memory.stat").read_text(encoding="utf-8").splitlines()
        )
    except (OSError, ValueError):  # no control group, or no limit ("max")
        return math.inf
    return limit - used + int(stat.get("active_file", 0)) + int(stat.get("inactive_file", 0))


def _gib(amount: int) -> str:
    return f"{amount / GIB:.1f} GiB" if amount >= GIB else f"{amount / 2**20:.0f} MiB"


def seconds_per_epoch(
    model: RelationModel,
    graphs: Sequence[DocumentGraph],
    *,
    batch_size: int,
    device: torch.device | str,
    autocast: Callable[[], AbstractContextManager[None]],
) -> float:
    """Estimate the seconds of an epoch's forward and backward passes from a few documents of medium length.

    Weights and random states do not change. On a CPU, two documents are enough.
    """
    cuda = torch.device(device).type == "cuda"
    order = longest_first(graphs)
    size = min(batch_size if cuda else 2, len(order))
    first = (len(order) - size) // 2
    middle = [graphs[index] for index in order[first : first + size]]

    def step(graphs: Sequence[DocumentGraph]) -> None:
        batch = collate(graphs, device)
        with autocast():
            logits = model(batch)
        model.loss(logits, batch.pair_label).backward()
        model.zero_grad()
        if cuda:
            torch.cuda.synchronize(device)

    training = model.training
    model.train()
    with torch.random.fork_rng([device] if cuda else []):
        step([graphs[order[-1]]])  # warm up
        if cuda or any(getattr(module, "backend", None) for module in model.modules()):
            step(middle)  # compile or tune kernels for this size
        started = time.perf_counter()
        step(middle)
        seconds = time.perf_counter() - started
    model.train(training)
    tokens = sum(len(graph.input_ids) for graph in graphs)
    return seconds * tokens / max(1, sum(len(graph.input_ids) for graph in middle))
