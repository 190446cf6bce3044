"""Attention weights of a transformer's last layer, without giving up fused attention in the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import dropout, scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from glre_pyg.utils.exceptions import InputError


class LastAttention(TorchFunctionMode):
    """Context manager that records the arguments of the last scaled dot-product attention inside it.

    Models that use torch's function, as most of transformers' do, need no change, and no attention weights
    are computed but those that :meth:`weights` returns.
    """

    def __init__(self) -> None:
        super().__init__()
        self.query: Tensor | None = None
        self.key: Tensor | None = None
        self.scale: float | None = None
        self.dropout = 0.0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch, and record it if it is attention."""
        options = kwargs or {}
        if func is scaled_dot_product_attention:
            self.query, self.key = args[:2] if args else (options["query"], options["key"])
            self.scale, self.dropout = options.get("scale"), options.get("dropout_p", 0.0)
        return func(*args, **options)

    def weights(self, index: Tensor, mask: Tensor) -> Tensor:
        """Return the attention weights [N, z, K, L] of some tokens of each sequence.

        They have the dropout of the attention, but not that of the same weights.

        Args:
            index: Positions of the tokens in their sequence [N, K].
            mask: 1 for the tokens of a sequence, 0 for padding [N, L].

        Raises:
            InputError: If no attention was recorded.
        """
        if self.query is None or self.key is None:
            raise InputError("encoder: a model of this type does not offer its attention weights")
        query, key = self.query.float(), self.key.float()  # [N, z, L, d/z]
        key = key.repeat_interleave(query.size(1) // key.size(1), dim=1)  # heads may share keys
        query = query.take_along_dim(index[:, None, :, None], dim=2)  # [N, z, K, d/z]
        scale = query.size(-1) ** -0.5 if self.scale is None else self.scale
        logits = query @ key.transpose(2, 3) * scale
        weights = torch.softmax(logits.masked_fill(mask[:, None, None] == 0, -torch.inf), dim=-1)
        return dropout(weights, self.dropout) if self.dropout else weights
