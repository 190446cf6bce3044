"""Attention biased by the structure between two tokens, in all layers (SSAN; Xu et al., AAAI 2021)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from glre_pyg.data.batch import sizes_of
from glre_pyg.data.graph import DocumentGraph, word_counts
from glre_pyg.nn.local import target_of_mentions
from glre_pyg.nn.nodes import words_of_spans
from glre_pyg.utils.exceptions import InputError

STRUCTURES = 5
"""Mentions of the same entity in a sentence (1) and in two (2), of two entities in a sentence (3) and in two
(4), and a mention with another word of its sentence (5); 0 for all other tokens."""


class StructureBias(nn.Module):
    r"""Biaffine term of attention for each structure between two tokens.

    .. math::
        \tilde e_{ij}^l = \frac{q_i^{l\top} k_j^l + q_i^{l\top} A_{l,s_{ij}} k_j^l + b_{l,s_{ij}}}{\sqrt{d}}

    Here *q* and *k* are those of a head, *l* is the layer, and :math:`s_{ij}` is one of :data:`STRUCTURES`.
    Without a structure, there is no term. Here: terms are 0 at first, so that training starts from the
    pretrained transformer; tokens that two mentions share are in both.

    Args:
        num_layers: Number of layers.
        heads: Number of heads.
        channels: Width d of a head.
    """

    def __init__(self, num_layers: int, heads: int, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(num_layers, STRUCTURES, heads, channels, channels))  # A
        self.bias = nn.Parameter(torch.zeros(num_layers, STRUCTURES, heads))

    def term(self, layer: int, query: Tensor, key: Tensor, structure: Tensor) -> Tensor:
        """Return the term [N, z, L, L] of a layer before scaling.

        Args:
            layer: The layer.
            query: [N, z, L, d].
            key: [N, z, L, d].
            structure: [N, L, L].
        """
        total = query.new_zeros(())
        for number, (weight, bias) in enumerate(zip(self.weight[layer], self.bias[layer], strict=True), 1):
            term = query @ weight.to(query.dtype) @ key.transpose(2, 3) + bias[:, None, None].to(query.dtype)
            total = total + term.masked_fill((structure != number)[:, None], 0.0)
        return total

    def modes(
        self, batch: DocumentGraph, cell: Tensor, groups: Sequence[tuple[int, int]]
    ) -> Iterator[BiasedAttention]:
        """Yield a context manager for the transformer's pass over each group of windows.

        Args:
            batch: The batch.
            cell: Cell of each token [T].
            groups: (number of windows, padded length) of each group.
        """
        for structure in token_structures(batch, cell, groups):
            yield BiasedAttention(self, structure)


class BiasedAttention(TorchFunctionMode):
    """Context manager that adds :class:`StructureBias` to each scaled dot-product attention inside it.

    Args:
        bias: The terms; the first attention is that of the first layer.
        structure: Structures between tokens [N, L, L].

    Raises:
        InputError: If there are not as many attentions as layers, or one is causal.
    """

    def __init__(self, bias: StructureBias, structure: Tensor) -> None:
        super().__init__()
        self.bias, self.structure, self.layer = bias, structure, 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch, with a term in its mask if it is attention."""
        if func is not scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        options = dict(zip(_ARGUMENTS, args, strict=False)) | (kwargs or {})
        if self.layer == len(self.bias.weight) or options.get("is_causal"):
            raise InputError(
                "encoder: in a model of this type, a layer does not have a single attention over all tokens"
            )
        query, key = options["query"], options["key"]
        scale = query.size(-1) ** -0.5 if options.get("scale") is None else options["scale"]
        key = key.repeat_interleave(query.size(1) // key.size(1), dim=1)  # heads may share keys
        mask = self.bias.term(self.layer, query, key, self.structure) * scale
        given = options.get("attn_mask")
        if given is not None:
            lowest = torch.finfo(mask.dtype).min
            mask = mask.masked_fill(~given, lowest) if given.dtype == torch.bool else mask + given
        self.layer += 1
        return func(**options | {"attn_mask": mask})

    def __exit__(self, *error: Any) -> None:
        """Check the number of attentions."""
        super().__exit__(*error)
        if error[0] is None and self.layer != len(self.bias.weight):
            raise InputError("encoder: a model of this type does not offer its attention in all layers")


_ARGUMENTS = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")


def token_structures(
    batch: DocumentGraph, cell: Tensor, groups: Sequence[tuple[int, int]]
) -> Iterator[Tensor]:
    """Yield the number of the structure between tokens [N, L, L] of each group of windows; 0 for none."""
    count = sum(rows * width for rows, width in groups)
    of_word = _entities_of_words(batch)
    entities = of_word.new_zeros(count, of_word.size(1)).index_copy(0, cell, of_word[batch.word_index])
    sentences = sentences_of_cells(batch, cell, count)
    start = 0
    for rows, width in groups:
        inside = slice(start, start + rows * width)
        entity, sentence = entities[inside].view(rows, width, -1), sentences[inside].view(rows, width)
        is_same = (sentence[:, :, None] == sentence[:, None]) & (sentence >= 0)[:, None]
        is_coreferent = (entity @ entity.transpose(1, 2)) > 0
        named = entity.any(-1)
        both, one = named[:, :, None] & named[:, None], named[:, :, None] ^ named[:, None]
        number = torch.where(both, 4 - 2 * is_coreferent.long() - is_same.long(), 0)
        yield torch.where(one & is_same, STRUCTURES, number)
        start += rows * width


def sentences_of_cells(batch: DocumentGraph, cell: Tensor, count: int) -> Tensor:
    """Return the sentence of each of the cells of padded windows, given the cell of tokens; -1 for none."""
    sentences = torch.full((count,), -1, device=cell.device)
    ends = batch["sentence"].span[:, 1].contiguous()
    sentences[cell] = torch.bucketize(batch.word_index, ends, right=True)
    return sentences


def _entities_of_words(batch: DocumentGraph) -> Tensor:
    """Return 1 for each entity of a document that a word mentions, otherwise 0 [W, most entities]."""
    sizes = sizes_of(batch)
    word, mention = words_of_spans(batch["mention"].span, sizes.mention_words)
    entity = target_of_mentions(batch["mention", "refers_to", "entity"].edge_index)[mention]
    place = torch.cat([torch.arange(count, device=word.device) for count in sizes.entities])
    out = torch.zeros(sum(word_counts(batch)), max(sizes.entities), device=word.device)
    out[word, place[entity]] = 1.0
    return out
