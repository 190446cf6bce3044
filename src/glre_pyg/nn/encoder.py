"""Section 3.1, Eq. 1: words to vectors, by a pretrained transformer or by word vectors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from huggingface_hub.utils import enable_progress_bars
from torch import Tensor, nn
from torch_geometric.utils import cumsum, scatter
from transformers import AutoModel, PretrainedConfig, PreTrainedModel
from transformers.utils import logging

from glre_pyg.document import InputError
from glre_pyg.graph import DocumentGraph, word_counts
from glre_pyg.nn.layer import Layer
from glre_pyg.pieces import Subwords, Vocabulary


class TransformerEncoder(Layer):
    r"""A Hugging Face encoder over words (Eq. 1).

    .. math:: H = [h_1, \dots, h_k] = \mathrm{BERT}([w_1, \dots, w_k])

    Paper: a long document is encoded "sequentially in form of short paragraphs". Here: in overlapping
    windows (:func:`glre_pyg.pieces.windows`); a word in several windows gets the mean of its vectors.

    Args:
        pieces: The pieces that the graphs carry; says which model it is, and where its weights are.
        pooling: Vector of a word: the ``"mean"`` of its pieces or the ``"first"`` of them.
        trainable: Whether the transformer is fine-tuned; a frozen one runs without dropout and gradients.
        dropout: Dropout of the transformer's hidden states; None keeps what its configuration says.
        attention_dropout: Dropout of its attention weights, likewise; at 0 attention is fused on a CPU too.
        mask_rate: Share of the pieces that training hides behind the mask token: not in the paper, a
            help where there are few documents.
        frozen: Regular expression: parameters of the transformer whose names it is found in stay as they are.

    Raises:
        InputError: If the checkpoint lacks weights, the model knows no dropout and one is given, or pieces
            are to be masked and there is no mask token.

    Shape:
        Batch with ``input_ids``, ``word_index`` and ``window_index`` [T] to words [W, d]. A batch that
        carries ``features`` [W, d] (a frozen encoder's output) is not encoded again.
    """

    def __init__(
        self,
        pieces: Subwords,
        *,
        pooling: Literal["mean", "first"],
        trainable: bool,
        dropout: float | None,
        attention_dropout: float | None,
        mask_rate: float,
        frozen: str | None,
    ) -> None:
        super().__init__()
        if mask_rate and pieces.mask_id is None:
            raise InputError("encoder: mask_rate needs a tokenizer with a mask token")
        settings = _settings(pieces.config, _DROPOUTS, dropout)
        settings |= _settings(pieces.config, _ATTENTION_DROPOUTS, attention_dropout)
        if pieces.source is None:
            pieces.config.update(settings)
            self.transformer = AutoModel.from_config(pieces.config, dtype=torch.float32)
        else:
            self.transformer = _load(pieces.source, settings)
        for name, parameter in self.transformer.named_parameters():
            parameter.requires_grad_(trainable and not (frozen and re.search(frozen, name)))
        for part in _UNUSED & set(dir(self.transformer)):
            setattr(self.transformer, part, None)
        self.prefix, self.suffix, self.suffix_types = pieces.prefix, pieces.suffix, pieces.suffix_types
        self.pad_id, self.mask_id, self.mask_rate = pieces.pad_id, pieces.mask_id or 0, mask_rate
        self.pooling, self.trainable = pooling, trainable
        self.out_channels = pieces.config.hidden_size
        self.train()

    def train(self, mode: bool = True) -> TransformerEncoder:
        """Training mode; a frozen transformer stays in evaluation mode."""
        super().train(mode)
        self.transformer.train(mode and self.trainable)
        return self

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Word vectors [W, d] of a batch."""
        if "features" in batch:
            return batch.features
        with torch.set_grad_enabled(self.trainable and torch.is_grad_enabled()):
            hidden = self._encode(batch.input_ids, batch.window_index)  # [T, d]
            index = batch.word_index
            if self.pooling == "first":
                first = torch.ones_like(index, dtype=torch.bool)
                first[1:] = (index[1:] != index[:-1]) | (batch.window_index[1:] != batch.window_index[:-1])
                hidden, index = hidden[first], index[first]
            return scatter(hidden.float(), index, dim_size=sum(word_counts(batch)), reduce="mean")

    def _encode(self, input_ids: Tensor, window_index: Tensor) -> Tensor:
        if not len(input_ids):
            return input_ids.new_zeros(0, self.out_channels, dtype=torch.float)
        sizes = torch.bincount(window_index)
        row = torch.arange(len(input_ids), device=input_ids.device)
        column = row - cumsum(sizes)[window_index] + len(self.prefix)
        length = int(sizes.max()) + len(self.prefix) + len(self.suffix)
        padded = input_ids.new_full((len(sizes), length), self.pad_id)
        if self.transformer.training and self.mask_rate:
            hidden = torch.rand(input_ids.shape, device=row.device) < self.mask_rate
            input_ids = input_ids.masked_fill(hidden, self.mask_id)
        padded[window_index, column] = input_ids
        padded[:, : len(self.prefix)] = padded.new_tensor(self.prefix)
        last = sizes[:, None] + len(self.prefix) + torch.arange(len(self.suffix), device=row.device)
        padded.scatter_(1, last, padded.new_tensor(self.suffix).expand_as(last))
        full = sizes[:, None] + len(self.prefix) + len(self.suffix)
        mask = torch.arange(length, device=row.device) < full
        inputs = {"input_ids": padded, "attention_mask": mask.long()}
        if any(self.suffix_types):  # XLNet, whose last token is of a segment of its own
            types = padded.new_tensor(self.suffix_types).expand_as(last)
            inputs["token_type_ids"] = torch.zeros_like(padded).scatter_(1, last, types)
        output = self.transformer(**inputs)
        return output.last_hidden_state[window_index, column]


class WordEmbedding(Layer):
    """Word vectors without context, from a file or learnt (Table 4, "w/o BERT").

    Args:
        pieces: The vocabulary.
        channels: Width of vectors that are learnt from scratch; a file brings its own.
        trainable: Whether pretrained vectors are trained further.

    Shape:
        Batch with ``input_ids`` [W] to words [W, d].
    """

    def __init__(self, pieces: Vocabulary, *, channels: int, trainable: bool) -> None:
        super().__init__()
        width = channels if pieces.width is None else pieces.width
        self.table = nn.Embedding(len(pieces.words) + 1, width)
        nn.init.normal_(self.table.weight, std=0.1)
        if pieces.vectors is not None:
            known = torch.from_numpy(pieces.vectors.table)
            with torch.no_grad():
                self.table.weight[1 : len(known) + 1] = known
            self.table.requires_grad_(trainable)
        self.out_channels = width

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Word vectors [W, d] of a batch."""
        return self.table(batch.input_ids)


def _settings(config: PretrainedConfig, names: set[str], value: float | None) -> dict[str, float]:
    if value is None:
        return {}
    known = names & set(vars(config))
    if not known:
        raise InputError(f"encoder: no such dropout is known in a model of type {config.model_type}")
    return dict.fromkeys(known, value)


def _load(source: str, settings: dict[str, float]) -> PreTrainedModel:
    try:
        with _quiet():
            model, report = AutoModel.from_pretrained(
                source, dtype=torch.float32, output_loading_info=True, **settings
            )
    except OSError as error:
        raise InputError(f"encoder: no weights in '{source}': {str(error).splitlines()[0]}") from error
    missing = sorted(name for name in report["missing_keys"] if name.split(".")[0] not in _UNUSED)
    if missing:
        raise InputError(f"encoder: '{source}' has no {missing[0]} and lacks {len(missing)} weights in all")
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bar and its table of the weights that a checkpoint has too many of."""
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    if bars:
        enable_progress_bars()  # those of downloads, which the line before hides as well
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


# The names in BERT and most of its kin come first, then those in XLNet, DistilBERT and ModernBERT.
_DROPOUTS = {"hidden_dropout_prob", "dropout", "embedding_dropout", "mlp_dropout"}
_ATTENTION_DROPOUTS = {"attention_probs_dropout_prob", "attention_dropout"}
_UNUSED = {"pooler", "mask_emb"}
"""Parts of a transformer that words do not come from; without them, every parameter gets a gradient."""
