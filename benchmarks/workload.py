"""A model as a config composes it, the graphs of a corpus, and the steps that are measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from common import MIB, Record, peak, reset_peak, resident
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor
from torch.profiler import record_function
from transformers import AutoConfig

from glre_pyg.data.batch import batches_by_length, collate
from glre_pyg.data.graph import DocumentGraph
from glre_pyg.data.tokenizer import SubwordTokenizer, Tokenizer
from glre_pyg.models.base import RelationModel
from glre_pyg.runs.memory import available_bytes, check_memory
from glre_pyg.runs.numeric_precision import flush_denormals
from glre_pyg.runs.prediction import MAX_PAIRS, MAX_TOKENS
from glre_pyg.training.loop import parameter_groups
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.exceptions import InputError


@dataclass(frozen=True)
class EncoderChoice:
    """An encoder by its config.

    Args:
        overrides: Overrides of the config.
        frozen: Overrides that freeze it.
        stand_in: A BERT of this shape with random weights serves where the weights cannot be had.
        always: Whether that stand-in is taken in any case, over the tokenizer of the config.
    """

    overrides: tuple[str, ...]
    frozen: tuple[str, ...]
    stand_in: Mapping[str, int] = field(default_factory=dict)
    always: bool = False


def _bert(layers: int, width: int) -> dict[str, int]:
    return {
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": 12,
        "intermediate_size": 4 * width,
    }


ENCODERS = {
    "minilm": EncoderChoice(("encoder=minilm",), ("encoder=minilm_frozen",), _bert(6, 384)),
    "bert_base": EncoderChoice(("encoder=minilm",), ("encoder=minilm_frozen",), _bert(12, 768), always=True),
    "tiny": EncoderChoice(("encoder=tiny",), ("encoder=tiny", "encoder.module.trainable=false")),
}


def configure(overrides: Iterable[str]) -> DictConfig:
    """The config of ``train`` with overrides."""
    with initialize_config_dir(config_dir(), version_base="1.3"):
        return compose("train", overrides=list(overrides))


def make_tokenizer(
    choice: EncoderChoice, config: DictConfig, words: Iterable[list[str]]
) -> tuple[Tokenizer, str]:
    """The pieces of an encoder, and whether its weights are pretrained or random."""
    words = list(words)
    try:
        tokenizer = instantiate(config.encoder.tokenizer)(words)
    except InputError:
        if not choice.stand_in:
            raise
        shape: dict[str, str | int | float] = {"model_type": "bert", **choice.stand_in}
        tokenizer = SubwordTokenizer.train(words, vocab_size=30_522, config=shape, max_length=512, overlap=64)
    if choice.always:
        tokenizer.config = AutoConfig.for_model(
            "bert", **choice.stand_in, vocab_size=len(tokenizer.tokenizer)
        )
        tokenizer.source = None
    return tokenizer, "random" if getattr(tokenizer, "source", None) is None else "pretrained"


class Workload:
    """A model on a device, and its steps as training and prediction make them.

    Args:
        config: The composed config.
        tokenizer: Pieces of its encoder.
        relations: Number of relations.
        device: ``"cpu"`` or ``"cuda"``.
        precision: As Accelerate's mixed precision.
        seed: Seed of the weights.
    """

    def __init__(
        self,
        config: DictConfig,
        tokenizer: Tokenizer,
        relations: int,
        *,
        device: str,
        precision: str,
        seed: int,
    ) -> None:
        set_seed(seed)
        model: RelationModel = instantiate(config.model)(tokenizer, relations)
        options = config.optimizer
        groups = parameter_groups(
            model, lr=options.lr, weight_decay=options.weight_decay, groups=options.groups
        )
        self.accelerator = Accelerator(mixed_precision=precision, cpu=device == "cpu")
        if self.accelerator.device.type != device:
            raise InputError(f"--device {device}: there is none")
        self.model, self.optimizer = self.accelerator.prepare(
            model.to(self.accelerator.device), instantiate(options.factory)(groups)
        )
        self.config = config
        self.max_norm: float | None = config.training.max_norm
        self.device = self.accelerator.device

    def fit(
        self, graphs: Sequence[DocumentGraph], *, training: bool, gib: float | None = None
    ) -> list[list[DocumentGraph]]:
        """Choose training or prediction, and make sure that these documents fit into memory.

        Args:
            graphs: What one step is given.
            training: Which of the two.
            gib: Memory limit of the process; None for what is available.

        Returns:
            The batches of one step: one, unless prediction splits large documents.

        Raises:
            InputError: If the documents do not fit.
        """
        self.model.train(training)
        size, available = len(graphs), available_bytes(gib, self.device)
        check_memory(self.model, graphs, batch_size=size, available=available, training=training)
        if training:
            return [list(graphs)]
        batches = batches_by_length(graphs, size, max_tokens=MAX_TOKENS, max_pairs=MAX_PAIRS)
        return [[graphs[index] for index in batch] for batch in batches]

    def batch(self, graphs: Sequence[DocumentGraph]) -> DocumentGraph:
        """Graphs as one batch on the device."""
        with record_function("collate"):
            return collate(graphs, self.device)

    @flush_denormals()
    def train_step(self, graphs: Sequence[DocumentGraph]) -> None:
        """What training does with a batch: from graphs to new weights and no gradients."""
        batch = self.batch(graphs)
        with self.accelerator.autocast():
            logits = self.model(batch)
        loss = self.model.loss(logits, batch.pair_label)
        self.accelerator.backward(loss)
        with record_function("clipping"):
            if self.max_norm is not None:
                self.accelerator.clip_grad_norm_(self.model.parameters(), self.max_norm)
        with record_function("optimizer"):
            self.optimizer.step()
            self.optimizer.zero_grad()

    def encoder_step(self, batch: DocumentGraph, gradient: Tensor) -> None:
        """Forward and backward of the encoder alone on a batch; ``gradient`` [W, d] is that of its words."""
        with self.accelerator.autocast():
            words = self.model.encoder(batch)
        words.backward(gradient.to(words.dtype))

    @torch.inference_mode()
    @flush_denormals()
    def predict(self, graphs: Sequence[DocumentGraph]) -> Tensor:
        """What prediction does with a batch: from graphs to probabilities on the host."""
        batch = self.batch(graphs)
        with self.accelerator.autocast():
            logits = self.model(batch)
        return self.model.probabilities(logits).cpu()

    @torch.inference_mode()
    def encoder_forward(self, batch: DocumentGraph) -> None:
        """The encoder alone on a batch, as prediction runs it."""
        with self.accelerator.autocast():
            self.model.encoder(batch)

    def drop_gradients(self) -> None:
        """Forget gradients, as a step leaves none."""
        self.optimizer.zero_grad(set_to_none=True)

    def timed(self, work: Callable[[], object]) -> float:
        """Seconds that some work takes, on the device too."""
        self._wait()
        started = time.perf_counter()
        work()
        self._wait()
        return time.perf_counter() - started

    def peak_of(self, work: Callable[[], object]) -> Record:
        """Peak of memory of some work in MiB, and what there was before it.

        On a CPU that is resident memory of the process, whose freed heap is given back before; ``own``
        says whether the system could count anew for this work alone. On a GPU it is allocated memory.
        """
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            before: int = torch.cuda.memory_allocated()
            work()
            self._wait()
            highest, own = torch.cuda.max_memory_allocated(), True
        else:
            own = reset_peak()
            before = resident()
            work()
            highest = peak()
        return {
            "peak_mib": round(highest / MIB, 2),
            "before_mib": round(before / MIB, 2),
            "own": own,
        }

    def padding(self, batches: Iterable[Sequence[DocumentGraph]]) -> float | None:
        """Share of padding in what the transformer is given; None if there is no transformer.

        The transformer is replaced by zeros, so that an epoch takes seconds.
        """
        encoder: Any = self.model.encoder
        if not hasattr(encoder, "transformer"):
            return None
        counted = [0, 0]

        def forward(input_ids: Tensor, **_: Any) -> SimpleNamespace:
            counted[0] += int((input_ids == encoder.pad_id).sum())
            counted[1] += input_ids.numel()
            return SimpleNamespace(last_hidden_state=torch.zeros(*input_ids.shape, encoder.out_channels))

        own = encoder.transformer.__dict__.get("forward")
        encoder.transformer.forward = forward
        try:
            with torch.inference_mode():
                for graphs in batches:
                    encoder(collate(graphs))
        finally:
            if own is None:
                del encoder.transformer.forward
            else:
                encoder.transformer.forward = own
        return counted[0] / counted[1] if counted[1] else None

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
