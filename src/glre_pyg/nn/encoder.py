"""Section 3.1, Eq. 1: encoders from words to vectors: a pretrained transformer, or word embeddings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import repeat
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch_geometric.utils import scatter

from glre_pyg.data.batch import sizes_of
from glre_pyg.data.graph import DocumentGraph, word_counts
from glre_pyg.data.tokenizer import SubwordTokenizer, Tokenizer
from glre_pyg.data.word_tokenizer import WordTokenizer
from glre_pyg.nn.attention_maps import LastAttention
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.local import target_of_mentions
from glre_pyg.nn.lora import add_lora
from glre_pyg.nn.nodes import words_of_spans
from glre_pyg.nn.padding import Padding
from glre_pyg.nn.structured_attention import StructureBias, sentences_of_cells
from glre_pyg.nn.transformer import build_transformer, checkpoint_gradients
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.ranges import Pattern, PositiveInt, Rate, Share


@dataclass(frozen=True)
class EncodedWindows:
    """Output of a transformer for N windows of a batch, with the attention of their markers.

    Args:
        window: Number of each window in the batch [N], on the host.
        hidden: Tokens, with special tokens and padding [N, L, d].
        sentence: Sentence of each token in the batch; -1 for special tokens and padding [N, L].
        attention: Attention weights of the last layer from the first marker of each mention to the tokens
            [N, z, K, L], for z heads and the K markers of the window with the most; those of other windows
            are padded at the end.
    """

    window: list[int]
    hidden: Tensor
    sentence: Tensor
    attention: Tensor


class TransformerEncoder(Layer):
    r"""Hugging Face transformer that encodes words (Eq. 1).

    .. math:: H = [h_1, \dots, h_k] = \mathrm{BERT}([w_1, \dots, w_k])

    Paper: a long document is encoded "sequentially in form of short paragraphs". Here: in overlapping
    windows (:func:`glre_pyg.data.tokenizer.windows`); the vectors of a word in several
    windows are averaged.

    Args:
        tokenizer: Tokenizer of the graphs, with the configuration of the model and the source of its weights.
        pooling: Vector of a word: the ``"mean"`` over its subword tokens, or the vector of the ``"first"``.
        trainable: Whether the transformer is fine-tuned; a frozen one runs without dropout or gradients.
        dropout: Dropout rate of the transformer's hidden states; None for that of its configuration.
        attention_dropout: Dropout rate of its attention weights, likewise; 0 enables fused attention on CPU.
        mask_rate: Share of the subword tokens replaced by the mask token in training, a regularizer for small
            corpora that is not in the paper.
        entity_mask_rate: Share of the entities whose mentions are all masked in training, so that the model
            does not learn training documents by their names; likewise.
        frozen: Regular expression over parameter names of the transformer; parameters that match are not
            trained.
        lora_rank: Rank of the matrices that are added to those of the transformer and trained in their place
            (:class:`~glre_pyg.nn.lora.LoRALinear`); None to train the transformer itself.
        max_tokens: Maximum number of tokens, including padding, in a forward pass of the transformer; more
            are encoded in groups of windows. None for no limit.
        max_padding: Maximum share of padding in the transformer's input; windows of different lengths are
            encoded in different groups. None for no limit.
        gradient_checkpointing: Whether to recompute activations in the backward pass instead of storing them.
        compile: Backend of ``torch.compile``, such as ``"inductor"``; None for no compilation. The model is
            compiled for all batch sizes at once, and again for the first group of a single window.

    Raises:
        InputError: If the checkpoint lacks weights, a dropout rate is given that the model does not have,
            ``mask_rate`` is given and the tokenizer has no mask token, ``frozen`` matches no parameter,
            ``lora_rank`` is given for a model that is not trained or has no linear layers, the model does
            not support gradient checkpointing, or compilation fails.

    Shape:
        Batch with ``input_ids``, ``word_index`` and ``window_index`` [T] to words [W, d]. If the batch has
        ``features`` [W, d], the cached output of a frozen encoder, they are returned.
    """

    def __init__(
        self,
        tokenizer: SubwordTokenizer,
        *,
        pooling: Literal["mean", "first"],
        trainable: bool,
        dropout: Rate | None,
        attention_dropout: Rate | None,
        mask_rate: Rate,
        frozen: Pattern | None,
        max_tokens: PositiveInt | None = None,
        max_padding: Share | None = None,
        gradient_checkpointing: bool = False,
        compile: str | None = None,
        entity_mask_rate: Rate = 0.0,
        lora_rank: PositiveInt | None = None,
    ) -> None:
        super().__init__()
        if (mask_rate or entity_mask_rate) and tokenizer.mask_id is None:
            raise InputError("encoder: mask_rate needs a tokenizer with a mask token")
        self.transformer = build_transformer(tokenizer, dropout=dropout, attention_dropout=attention_dropout)
        parameters = dict(self.transformer.named_parameters())
        frozen_names = {name for name in parameters if frozen and re.search(frozen, name)}
        if frozen and not frozen_names:
            raise InputError(f"encoder: frozen: no parameter of the transformer matches '{frozen}'")
        for name, parameter in parameters.items():
            parameter.requires_grad_(trainable and name not in frozen_names)
        if lora_rank is not None:
            if not trainable:
                raise InputError("encoder: lora_rank: trainable=false trains nothing")
            add_lora(self.transformer, lora_rank)
        self.prefix, self.suffix = tokenizer.prefix, tokenizer.suffix
        self.suffix_types = tokenizer.suffix_types
        self.pad_id, self.mask_id, self.mask_rate = tokenizer.pad_id, tokenizer.mask_id or 0, mask_rate
        self.entity_mask_rate = entity_mask_rate
        self.pooling, self.trainable = pooling, trainable
        self.max_tokens, self.max_padding, self.backend = max_tokens, max_padding, compile
        self.gradient_checkpointing = gradient_checkpointing
        if gradient_checkpointing:
            checkpoint_gradients(self.transformer)
        self.out_channels = tokenizer.config.hidden_size
        self.train()

    def train(self, mode: bool = True) -> TransformerEncoder:
        """Set the training mode; a frozen transformer stays in evaluation mode."""
        super().train(mode)
        self.transformer.train(mode and self.trainable)
        return self

    def forward(self, batch: DocumentGraph, bias: StructureBias | None = None) -> Tensor:
        """Return word vectors [W, d] of a batch.

        Args:
            batch: The batch.
            bias: Term of attention in all layers, by the structure between tokens.

        Raises:
            InputError: If there is a bias, and the transformer is compiled, recomputes activations, or does
                not use torch's scaled dot-product attention.
        """
        if bias is None and "features" in batch:
            return batch.features
        if bias is not None and (self.backend or self.gradient_checkpointing):
            raise InputError("encoder: compile and gradient_checkpointing cannot be combined with this model")
        is_trained = self.trainable or bias is not None
        with torch.set_grad_enabled(is_trained and torch.is_grad_enabled()):
            if not len(batch.input_ids):
                return batch.input_ids.new_zeros(0, self.out_channels, dtype=torch.float)
            padding, inputs, cell = self._layout(batch)
            hidden = []
            modes: Iterator[AbstractContextManager[object]] = repeat(nullcontext())
            if bias is not None:
                modes = bias.modes(batch, cell, padding.groups)
            for group, mode in zip(_groups(inputs, padding), modes, strict=False):
                with mode:
                    hidden.append(self._run(group).flatten(0, 1))
            return self._pool(torch.cat(hidden), cell, batch)

    def attend(self, batch: DocumentGraph) -> tuple[Tensor, list[EncodedWindows]]:
        """Return mentions [M, d], the mean of the first markers of each in all windows, and the windows.

        Raises:
            InputError: If the transformer is compiled, or does not use torch's scaled dot-product attention.
        """
        if self.backend:
            raise InputError("encoder: compile cannot be combined with a model that reads attention weights")
        with torch.set_grad_enabled(self.trainable and torch.is_grad_enabled()):
            num_mentions = batch["mention"].num_nodes
            if not len(batch.input_ids):
                return batch.input_ids.new_zeros(num_mentions, self.out_channels, dtype=torch.float), []
            sizes = sizes_of(batch)
            padding, inputs, cell = self._layout(batch)
            marker_cell = cell[batch.marker_index[0]]  # [K]
            sentences = sentences_of_cells(batch, cell, padding.cells)
            order = padding.start.argsort().tolist()  # windows in the order of cells
            markers = marker_cell.split(sizes.markers)
            encoded: list[EncodedWindows] = []
            start = 0
            for group in _groups(inputs, padding):
                rows, width = group["input_ids"].shape
                window = order[:rows]
                del order[:rows]
                # Cells of the group, counted from its first; the first cell stands for missing markers.
                place = pad_sequence([markers[number] - start for number in window], batch_first=True)
                row = torch.arange(rows, device=place.device)[:, None]
                with LastAttention() as attention:
                    hidden = self._run(group)
                weights = attention.weights((place - row * width).clamp(min=0), group["attention_mask"])
                sentence = sentences[start : start + rows * width].view(rows, width)
                encoded.append(EncodedWindows(window, hidden.float(), sentence, weights))
                start += rows * width
            cells = torch.cat([windows.hidden.flatten(0, 1) for windows in encoded])
            marker = cells.index_select(0, marker_cell)
            return scatter(marker, batch.marker_index[1], dim_size=num_mentions, reduce="mean"), encoded

    def _masked(self, batch: DocumentGraph) -> Tensor:
        """Return the ids of the tokens [T], of which some are masked in training."""
        input_ids = batch.input_ids
        if self.transformer.training and self.mask_rate:
            masked = torch.rand(input_ids.shape, device=input_ids.device) < self.mask_rate
            input_ids = input_ids.masked_fill(masked, self.mask_id)
        if self.transformer.training and self.entity_mask_rate:
            word, mention = words_of_spans(batch["mention"].span, sizes_of(batch).mention_words)
            entity = target_of_mentions(batch["mention", "refers_to", "entity"].edge_index)[mention]
            drawn = torch.rand(batch["entity"].num_nodes, device=word.device) < self.entity_mask_rate
            times = torch.zeros(sum(word_counts(batch)), dtype=torch.long, device=word.device)
            times.index_add_(0, word, drawn[entity].long())  # of nested mentions, one is enough
            input_ids = input_ids.masked_fill(times[batch.word_index] > 0, self.mask_id)
        return input_ids

    def _layout(self, batch: DocumentGraph) -> tuple[Padding, dict[str, Tensor], Tensor]:
        """Return the layout of the windows, the padded inputs [cells], and the cell of each token [T]."""
        input_ids, window_index = self._masked(batch), batch.window_index
        sizes = np.asarray(sizes_of(batch).windows)
        padding = Padding.from_lengths(
            len(self.prefix) + sizes + len(self.suffix),
            max_tokens=self.max_tokens,
            max_padding=self.max_padding,
        )
        start = torch.from_numpy(padding.start).to(input_ids.device)  # [windows]
        end = torch.from_numpy(padding.start + len(self.prefix) + sizes).to(input_ids.device)
        shift = torch.from_numpy(padding.start + len(self.prefix) + sizes - sizes.cumsum())
        cell = shift.to(input_ids.device)[window_index] + _arange_like(input_ids)  # [T]
        prefix, suffix = input_ids.new_tensor(self.prefix), input_ids.new_tensor(self.suffix)
        before = start[:, None] + _arange_like(prefix)  # [windows, ·]
        after = end[:, None] + _arange_like(suffix)  # [windows, ·]

        ids = input_ids.new_full((padding.cells,), self.pad_id)
        ids[cell], ids[before], ids[after] = input_ids, prefix, suffix
        mask = torch.zeros_like(ids)
        mask[cell] = mask[before] = mask[after] = 1
        inputs = {"input_ids": ids, "attention_mask": mask}
        if any(self.suffix_types):  # XLNet, whose last token has its own segment
            inputs["token_type_ids"] = torch.zeros_like(ids)
            inputs["token_type_ids"][after] = ids.new_tensor(self.suffix_types)
        return padding, inputs, cell

    def _run(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return the transformer's output [N, L, d] for one group of windows."""
        if not self.backend:
            hidden: Tensor = self.transformer(**inputs).last_hidden_state
            return hidden
        from torch._dynamo.exc import TorchDynamoException  # a slow import

        try:
            if self.transformer._compiled_call_impl is None:  # not yet, or this is a copy
                self.transformer.compile(backend=self.backend, dynamic=True)
            # Compiled code is specialized to the storage offset of a view, so inputs are copied.
            inputs = {name: x.clone() for name, x in inputs.items()}
            hidden = self.transformer(**inputs).last_hidden_state
            return hidden
        except TorchDynamoException as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"encoder: compile={self.backend}: {reason}") from error

    def _pool(self, hidden: Tensor, cell: Tensor, batch: DocumentGraph) -> Tensor:
        """Return words [W, d] from the transformer's output [cells, d] and the cell of each token [T]."""
        index = batch.word_index
        if self.pooling == "first":
            first = torch.ones_like(index, dtype=torch.bool)
            first[1:] = (index[1:] != index[:-1]) | (batch.window_index[1:] != batch.window_index[:-1])
            index, cell = index[first], cell[first]
        index, order = index.sort(stable=True)  # the tokens of a word become one segment, across windows
        words = torch.arange(sum(word_counts(batch)), device=index.device)
        segments = torch.searchsorted(index, words)
        return nn.functional.embedding_bag(cell[order], hidden.float(), segments, mode="mean")


def _groups(inputs: dict[str, Tensor], padding: Padding) -> Iterator[dict[str, Tensor]]:
    """Yield the inputs [N, L] of each group of windows."""
    sizes = [rows * width for rows, width in padding.groups]
    columns = zip(*(x.split(sizes) for x in inputs.values()), strict=True)
    for (rows, width), tensors in zip(padding.groups, columns, strict=True):
        yield {name: x.view(rows, width) for name, x in zip(inputs, tensors, strict=True)}


def check_markers(model: str, encoder: Layer, tokenizer: Tokenizer, marker: str) -> None:
    """Check the encoder and the tokenizer of a model that reads attention weights at markers.

    Raises:
        InputError: If the encoder is not a transformer, or the tokenizer does not have this marker.
    """
    if not isinstance(encoder, TransformerEncoder):
        raise InputError(f"encoder: {model} reads the attention of a transformer, such as encoder=minilm")
    if getattr(tokenizer, "marker", None) != marker:
        raise InputError(f"encoder.tokenizer.marker: {model} needs '{marker}' around mentions")


def compile_with(model: nn.Module, backend: str | None) -> None:
    """Set the ``torch.compile`` backend of the transformers of a model before its first forward pass."""
    for module in model.modules():
        if isinstance(module, TransformerEncoder):
            module.backend = backend


class WordEmbedding(Layer):
    """Word embeddings without context, pretrained or trained from scratch (Table 4, "w/o BERT").

    Args:
        tokenizer: Tokenizer with the vocabulary, and possibly with pretrained vectors.
        channels: Width of the embeddings; ignored if there are pretrained vectors.
        trainable: Whether to train pretrained vectors.

    Shape:
        Batch with ``input_ids`` [W] to words [W, d].
    """

    def __init__(self, tokenizer: WordTokenizer, *, channels: PositiveInt, trainable: bool) -> None:
        super().__init__()
        width = channels if tokenizer.width is None else tokenizer.width
        self.table = nn.Embedding(len(tokenizer.words) + 1, width)
        nn.init.normal_(self.table.weight, std=0.1)
        if tokenizer.vectors is not None:
            known = torch.from_numpy(tokenizer.vectors.table)
            with torch.no_grad():
                self.table.weight[1 : len(known) + 1] = known
            self.table.requires_grad_(trainable)
        self.out_channels = width

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return word vectors [W, d] of a batch."""
        return self.table(batch.input_ids)


def _arange_like(x: Tensor) -> Tensor:
    return torch.arange(len(x), device=x.device)
