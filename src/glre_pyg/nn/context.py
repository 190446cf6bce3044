"""Section 3.4, Eq. 7: context relation representations by attention over a document's pairs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch_geometric.utils import to_dense_batch

from glre_pyg.nn.layer import Layer


class ContextAttention(Layer):
    r"""What the other relations of a document say of its topic (Eq. 7).

    .. math::
        o_c = \sum_{i=0}^{p} \theta_i o_i, \quad
        \theta_i = \frac{\exp(o_i W o_r')}{\sum_{j=0}^{p} \exp(o_j W o_r')}

    The sum runs over all candidate pairs of the document, never over a set that depends on labels.

    Args:
        in_channels: d_r, width of a target relation representation.
        diagonal: Whether W is diagonal, as in the released code. The linear term that stands beside it
            there cancels in the softmax and is left out.
        scaled: Whether logits are divided by the root of d_r; the paper and the released code do not.

    Shape:
        Target relations [P, in_channels] and their documents [P], ascending, to [P, in_channels].
    """

    def __init__(self, in_channels: int, *, diagonal: bool, scaled: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty((in_channels,) if diagonal else (in_channels, in_channels)))
        self.diagonal = diagonal
        self.scale = in_channels**-0.5 if scaled else 1.0
        self.out_channels = in_channels
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform within one over the root of d_r; a diagonal up to one, as in the released code."""
        bound = len(self.weight) ** -0.5
        nn.init.uniform_(self.weight, bound if self.diagonal else -bound, 1.0 if self.diagonal else bound)

    def forward(self, relation: Tensor, document: Tensor) -> Tensor:
        """Context relation representations [P, in_channels]."""
        if not len(relation):
            return relation
        keys, real = to_dense_batch(self._keys(relation), document)  # [B, P*, d_r]
        relations, _ = to_dense_batch(relation, document)
        mask = real[:, None, :].expand(-1, real.size(1), -1)
        context = scaled_dot_product_attention(relations, keys, relations, attn_mask=mask, scale=self.scale)
        return context[real]

    def weights(self, relation: Tensor, document: Tensor) -> Tensor:
        r"""The :math:`\theta` of :meth:`forward`, which never makes them as a whole.

        Returns:
            [P, P]: row *r* has the weights of all pairs in the context of pair *r*; 0 across documents.
        """
        logits = relation @ self._keys(relation).t() * self.scale
        return logits.masked_fill(document[:, None] != document, -torch.inf).softmax(-1)

    def _keys(self, relation: Tensor) -> Tensor:
        return relation * self.weight if self.diagonal else relation @ self.weight  # o_i W


class NoContext(Layer):
    """The ablation "w/o context relation representations" (Table 4): nothing is added to the pair."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.out_channels = 0

    def forward(self, relation: Tensor, document: Tensor) -> Tensor:
        """A tensor [P, 0]."""
        return relation.new_zeros(len(relation), 0)
