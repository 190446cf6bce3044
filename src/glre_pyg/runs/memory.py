"""What a run costs: the memory that documents need, before anything is computed, and the time of a step.

Memory is estimated for fp32 from the sizes of documents and of the model; half precision needs less. What a
model makes of pairs is worked on in blocks whose size follows from the memory there is.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import astuple, dataclass
from pathlib import Path

import psutil
import torch
from torch import nn
from torch_geometric.data import Batch

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.encoder import TransformerEncoder, WordEmbedding
from glre_pyg.nn.recurrent import BiLSTM
from glre_pyg.runs.encoder_cache import by_length, longest_first
from glre_pyg.utils.exceptions import InputError

_OF_WORDS = (TransformerEncoder, WordEmbedding, BiLSTM)
GIB = 2**30
BYTES = 4
"""Bytes of a number in fp32."""
BLOCK = GIB // 4
"""Bytes that a block takes where there is room: larger ones are no faster."""
LEAST = 2**24
"""Bytes below which a block is not worth it."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What the memory for documents depends on.

    Args:
        tokens: What the encoder gets, special tokens included; 0 where word vectors are there already.
        length: Tokens of the longest window.
        words: W.
        edges: Edges of the graph.
        pairs: P.
        cells: Pairs of pairs of one document.
        incidences: Mentions of both sides of all pairs.
    """

    tokens: int
    length: int
    words: int
    edges: int
    pairs: int
    cells: int
    incidences: int

    @classmethod
    def of(cls, graph: DocumentGraph) -> Sizes:
        """Sizes of one document with its pieces."""
        windows = torch.bincount(graph.window_index) + 2
        mentions = torch.bincount(
            graph["mention", "refers_to", "entity"].edge_index[1], minlength=graph["entity"].num_nodes
        )
        pairs = graph.pair_index.size(1)
        return cls(
            tokens=0 if "features" in graph else int(windows.sum()),
            length=int(windows.max()) if len(windows) else 0,
            words=len(graph.words),
            edges=sum(store.edge_index.size(1) for store in graph.edge_stores),
            pairs=pairs,
            cells=pairs**2,
            incidences=int(mentions[graph.pair_index].sum()),
        )


@dataclass(frozen=True)
class Memory:
    """Bytes that documents need beside the model.

    Args:
        kept: What is there from the encoder to the loss, whatever the blocks.
        pairs: What Eqs. 3 to 6 make of all pairs at once.
        cells: What Eq. 7 makes of all pairs of pairs at once.
    """

    kept: int
    pairs: int
    cells: int

    @property
    def at_once(self) -> int:
        """Bytes without blocks."""
        return self.kept + self.pairs + self.cells

    @property
    def in_blocks(self) -> int:
        """Bytes with the smallest blocks."""
        return self.kept + min(self.pairs, LEAST) + min(self.cells, LEAST)

    def __add__(self, other: Memory) -> Memory:
        return Memory(self.kept + other.kept, self.pairs + other.pairs, self.cells + other.cells)


def of_learning(model: nn.Module) -> int:
    """Bytes of the gradients of a model, of Adam's two moments, and of an average of the weights."""
    return BYTES * sum(4 * each.numel() for each in model.parameters() if each.requires_grad)


def of_documents(model: RelationModel, sizes: Iterable[Sizes], *, training: bool) -> list[Memory]:
    """Memory that documents of the given sizes need, each by itself.

    Gradients keep what every layer makes; without them, only one layer's is there at a time.
    """
    both = 2 if training else 1  # values and their gradients
    layers = list(model.modules())
    encoder = next((part for part in layers if isinstance(part, TransformerEncoder)), None)
    word = 4 * max((part.out_channels for part in layers if isinstance(part, _OF_WORDS)), default=0)
    word += sum(17 * part.hidden_size * part.num_layers for part in layers if isinstance(part, nn.LSTM))
    numbers = model.pair_numbers

    def of(size: Sizes) -> Memory:
        kept = word * size.words * both + 6 * size.edges + numbers.kept * size.pairs * both
        if encoder is not None and size.tokens:
            kept += _of_encoder(encoder, size, training=training and encoder.trainable)
        return Memory(
            kept=BYTES * kept,
            pairs=BYTES * (numbers.block * size.pairs + numbers.incidence * size.incidences),
            cells=BYTES * numbers.cell * size.cells,
        )

    return [of(size) for size in sizes]


def _of_encoder(encoder: TransformerEncoder, sizes: Sizes, *, training: bool) -> int:
    """Numbers that a transformer makes of a batch."""
    config = encoder.transformer.config
    width, layers = config.hidden_size, config.num_hidden_layers
    # Measured: a fused activation keeps two vectors of the inner width, one made of several products four.
    activation = getattr(config, "hidden_act", getattr(config, "activation", None))
    inner = 2.0 if activation in ("gelu", "relu") else 4.3
    layer = 12 * width + int(inner * getattr(config, "intermediate_size", 4 * width))
    attends = getattr(config, "attention_probs_dropout_prob", getattr(config, "attention_dropout", 0.0))
    if getattr(config, "_attn_implementation", None) == "eager":
        layer += 6 * config.num_attention_heads * sizes.length
    elif training and attends:  # attention with dropout is not fused on a CPU
        layer += 3 * config.num_attention_heads * sizes.length
    group = min(sizes.tokens, encoder.max_tokens or sizes.tokens)
    if not training:
        return layer * group + width * sizes.tokens
    if encoder.gradient_checkpointing:
        return layer * group + width * layers * sizes.tokens
    return layer * layers * sizes.tokens


def taken(device: torch.device | str) -> int:
    """Bytes that the process has on a device."""
    if torch.device(device).type == "cuda":
        return torch.cuda.memory_allocated(device)
    return psutil.Process().memory_info().rss


def free(gib: float | None, device: torch.device | str) -> int:
    """Bytes that the process may still take: of as many GiB as are given, else nine tenths of what is free.

    Raises:
        InputError: If no more than the process has already are given.
    """
    if gib is not None:
        if isinstance(gib, bool) or not isinstance(gib, int | float):
            raise InputError(f"memory: '{gib}' is not a number of GiB")
        left = int(gib * GIB) - taken(device)
        if left <= 0:
            raise InputError(f"memory: {gib} GiB are not enough, {_gib(taken(device))} are taken already")
        return left
    if torch.device(device).type == "cuda":
        return int(0.9 * torch.cuda.mem_get_info(device)[0])
    here = min(psutil.virtual_memory().available, _free_in_container())
    return int(0.9 * here) // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def _free_in_container() -> float:
    """Bytes that the control group of a container leaves; what only holds files can be had back."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit, used = (int((folder / name).read_text()) for name in ("memory.max", "memory.current"))
        held = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):  # there is none, or no limit ("max")
        return math.inf
    return limit - used + int(held.get("active_file", 0)) + int(held.get("inactive_file", 0))


def fit_training(
    model: RelationModel, graphs: Sequence[DocumentGraph], *, batch_size: int, memory: int
) -> int:
    """Have a model train in blocks that fit into memory, whatever batches the graphs come in.

    Args:
        model: The model.
        graphs: Graphs with pieces, and features where there are any.
        batch_size: Documents a batch.
        memory: Bytes there are.

    Returns:
        Bytes that are needed at most.

    Raises:
        InputError: If a document, or a batch of the largest, does not fit.
    """
    learning = of_learning(model)
    needs = _needs(model, graphs, memory, training=True)
    order = sorted(range(len(graphs)), key=lambda index: -needs[index].in_blocks)[:batch_size]
    batch = _together(needs[index] for index in order)
    if batch.in_blocks + learning > memory:
        raise InputError(
            f"a batch of {len(order)} documents like {graphs[order[0]].id} needs about "
            f"{_gib(batch.in_blocks + learning)}, and there are {_gib(memory)}: "
            "take a smaller training.batch_size and a larger training.accumulation"
        )
    at_once = sum(sorted((need.at_once for need in needs), reverse=True)[:batch_size])
    if at_once + learning <= memory:
        model.set_blocks(None, None)
        return learning + at_once
    most = Memory(
        *(
            sum(sorted(amounts, reverse=True)[:batch_size])
            for amounts in zip(*map(astuple, needs), strict=True)
        )
    )
    return learning + min(_set_blocks(model, most, needs, graphs, memory - learning), memory - learning)


def fit_prediction(
    model: RelationModel, graphs: Sequence[DocumentGraph], *, batch_size: int, memory: int
) -> list[list[int]]:
    """Have a model predict in blocks, and documents in batches, that fit into memory.

    Args:
        model, graphs, memory: See :func:`fit_training`.
        batch_size: Documents a batch at most.

    Returns:
        The batches: indices of graphs of like length, longest first.

    Raises:
        InputError: If a document does not fit.
    """
    needs = _needs(model, graphs, memory, training=False)

    def of(batch: Sequence[int]) -> Memory:
        return _together(needs[index] for index in batch)

    batches = list(by_length(graphs, batch_size, fits=lambda batch: of(batch).in_blocks <= memory))
    if batches:
        totals = [of(batch) for batch in batches]
        most = Memory(*map(max, zip(*map(astuple, totals), strict=True)))
        _set_blocks(model, most, needs, graphs, memory)
    return batches


def _together(needs: Iterable[Memory]) -> Memory:
    return sum(needs, Memory(0, 0, 0))


def _needs(
    model: RelationModel, graphs: Sequence[DocumentGraph], memory: int, *, training: bool
) -> list[Memory]:
    """What each document needs; one that needs more than there is is refused."""
    fixed = of_learning(model) if training else 0
    needs = of_documents(model, map(Sizes.of, graphs), training=training)
    for graph, need in zip(graphs, needs, strict=True):
        if need.in_blocks + fixed > memory:
            raise InputError(
                f"{graph.id}: {len(graph.input_ids):,} pieces and {graph.pair_index.size(1):,} pairs need "
                f"about {_gib(need.in_blocks + fixed)} to {'train on' if training else 'predict'}, and there "
                f"are {_gib(memory)} (memory=GIB sets what may be used)"
            )
    return needs


def _set_blocks(
    model: RelationModel,
    batch: Memory,
    needs: Sequence[Memory],
    graphs: Sequence[DocumentGraph],
    room: int,
) -> int:
    """Set the blocks of a model for what a batch needs at most; give the bytes that are then needed.

    Args:
        model: The model.
        batch: The most that any batch needs of each kind.
        needs: What each document needs.
        graphs: The documents.
        room: Bytes there are.
    """
    block = min(max((room - batch.kept) // 2, LEAST), BLOCK)
    pair = max(
        need.pairs / max(1, graph.pair_index.size(1)) for need, graph in zip(needs, graphs, strict=True)
    )
    model.set_blocks(
        max(1, int(block / pair)) if batch.pairs > block else None,
        max(1, block // (BYTES * model.pair_numbers.cell)) if batch.cells > block else None,
    )
    return batch.kept + min(batch.pairs, block) + min(batch.cells, block)


def _gib(amount: int) -> str:
    return f"{amount / GIB:.1f} GiB" if amount >= GIB else f"{amount / 2**20:.0f} MiB"


def seconds_of_epoch(
    model: RelationModel,
    graphs: Sequence[DocumentGraph],
    *,
    batch_size: int,
    device: torch.device | str,
    autocast: Callable[[], AbstractContextManager[None]],
) -> float:
    """Seconds, about, of the forward and backward passes of an epoch, by a few documents of middling length.

    Nothing is learnt, and random states stay as they were. On a CPU two documents say enough of a batch.
    """
    cuda = torch.device(device).type == "cuda"
    order = longest_first(graphs)
    size = min(batch_size if cuda else 2, len(order))
    first = (len(order) - size) // 2
    middle = [graphs[index] for index in order[first : first + size]]
    training = model.training
    model.train()
    with torch.random.fork_rng([device] if cuda else []):
        _step(model, [graphs[index] for index in order[-1:]], device, autocast)  # to warm up
        if cuda or any(getattr(part, "backend", None) for part in model.modules()):
            _step(model, middle, device, autocast)  # compiles, or tunes, for this size
        if cuda:
            torch.cuda.synchronize(device)
        started = time.perf_counter()
        _step(model, middle, device, autocast)
        if cuda:
            torch.cuda.synchronize(device)
        seconds = time.perf_counter() - started
    model.train(training)
    pieces = sum(len(graph.input_ids) for graph in graphs)
    return seconds * pieces / max(1, sum(len(graph.input_ids) for graph in middle))


def _step(
    model: RelationModel,
    graphs: Sequence[DocumentGraph],
    device: torch.device | str,
    autocast: Callable[[], AbstractContextManager[None]],
) -> None:
    batch = Batch.from_data_list(list(graphs)).to(device)
    with autocast():
        logits = model(batch)
    model.loss(logits, batch.pair_label).backward()
    model.zero_grad()
