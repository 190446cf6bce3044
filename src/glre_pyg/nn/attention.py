"""Section 3.4, Eq. 7, for documents with very many pairs: attention in blocks of rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from glre_pyg.nn.pairs import blocks


def attend_in_blocks(
    query: Tensor, key: Tensor, value: Tensor, document: Tensor | None, *, scale: float, rows: int
) -> Tensor:
    r"""Sums of values, by weights that exist for a block of rows at a time.

    .. math:: o_a = \sum_i \theta_{ai} v_i, \quad
        \theta_{ai} = \exp(s q_a k_i - z_a), \quad z_a = \log \sum_j \exp(s q_a k_j)

    Of a block only :math:`z` is kept, and gradients compute the weights once more. Both ways are one step of
    autograd each: many small ones would lie between the blocks in memory, and those would not be had back.

    Args:
        query: :math:`q` [A, c].
        key: :math:`k` [P, c].
        value: :math:`v` [P, v].
        document: Document of each row, which are then those of the keys, too [P]; None if all are one.
        scale: :math:`s`.
        rows: Rows of a block.

    Returns:
        [A, v].
    """
    device = query.device.type
    if torch.is_autocast_enabled(device):  # as torch's own attention does
        query, key, value = (each.to(torch.get_autocast_dtype(device)) for each in (query, key, value))
    with torch.autocast(device, enabled=False):
        return _Attention.apply(query, key, value, document, scale, rows)


class _Attention(torch.autograd.Function):
    """See :func:`attend_in_blocks`. Half precision is for products alone."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, document: Tensor | None, scale: float, rows: int
    ) -> Tensor:
        ctx.scale, ctx.rows = scale, rows
        out = value.new_empty(len(query), value.size(1))
        total = query.new_empty(len(query), 1, dtype=_wide(query))
        for part in blocks(len(query), rows):
            logits = _logits(query, key, document, scale, part)
            torch.logsumexp(logits, -1, keepdim=True, out=total[part])
            out[part] = logits.sub_(total[part]).exp_().to(value.dtype) @ value
        ctx.save_for_backward(query, key, value, document, out, total)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, document, out, total = ctx.saved_tensors
        gradients = [torch.zeros_like(each, dtype=_wide(each)) for each in (query, key, value)]
        of_query, of_key, of_value = gradients
        inner = (gradient * out).sum(-1, keepdim=True, dtype=_wide(out))
        with torch.autocast(query.device.type, enabled=False):
            for part in blocks(len(query), ctx.rows):
                weights = _logits(query, key, document, ctx.scale, part).sub_(total[part]).exp_()
                of_value += weights.to(value.dtype).t() @ gradient[part]
                weights *= (gradient[part] @ value.t()).to(weights.dtype).sub_(inner[part])
                of_logits = weights.mul_(ctx.scale).to(query.dtype)
                of_query[part] = of_logits @ key
                of_key += of_logits.t() @ query[part]
        given = zip(gradients, (query, key, value), strict=True)
        return *(each.to(of.dtype) for each, of in given), None, None, None


def _logits(query: Tensor, key: Tensor, document: Tensor | None, scale: float, part: slice) -> Tensor:
    """Logits of a block of rows [rows, P]."""
    logits = (query[part] @ key.t()).to(_wide(query)).mul_(scale)
    if document is not None:
        logits.masked_fill_(document[part, None] != document, -torch.inf)
    return logits


def _wide(of: Tensor) -> torch.dtype:
    return torch.promote_types(of.dtype, torch.float32)
