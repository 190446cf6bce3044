"""Section 3.4, Eq. 7: context relation representations by attention over a document's pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from glre_pyg.nn.layer import Layer
from glre_pyg.nn.pairs import PairFeatures, group_documents

MAX_SHARED_PAIRS = 128
"""Maximum number of pairs of consecutive documents that share one masked matrix product."""
MAX_DENSE_PAIRS = 2048
"""Number of pairs of a document above which its attention weights [P, P] are not computed at once."""


class ContextAttention(Layer):
    r"""Context relation representations: attention over the target relations of a document (Eq. 7).

    .. math::
        o_c = \sum_{i=0}^{p} \theta_i o_i, \quad
        \theta_i = \frac{\exp(o_i W o_r')}{\sum_{j=0}^{p} \exp(o_j W o_r')}

    The sum is over all candidate pairs of the document, and does not depend on labels. A document with many
    pairs has its own matrix product and small consecutive documents share one, which takes half the time of
    one product padded to the document with the most pairs.

    Args:
        in_channels: d_r, width of the target relation representations.
        diagonal: Whether W is diagonal, as in the released code. The released code also has a linear term,
            which cancels in the softmax and is omitted here.
        scaled: Whether to divide the logits by the square root of d_r; the paper does not.
    """

    def __init__(self, in_channels: int, *, diagonal: bool, scaled: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty((in_channels,) if diagonal else (in_channels, in_channels)))
        self.diagonal = diagonal
        self.scale = in_channels**-0.5 if scaled else 1.0
        self.out_channels = in_channels
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initialize W uniformly in ±1/√d_r; a diagonal in [1/√d_r, 1], as in the released code."""
        bound = len(self.weight) ** -0.5
        nn.init.uniform_(self.weight, bound if self.diagonal else -bound, 1.0 if self.diagonal else bound)

    def forward(
        self, relation: Tensor | PairFeatures, document: Tensor, num_pairs: Sequence[int] | None = None
    ) -> Tensor | ContextFeatures:
        """Return context relations :math:`o_c`, which have the width of the target relations.

        Args:
            relation: Target relations :math:`o_r` of P pairs: a tensor [P, in_channels], for which a tensor
                is returned, or pair features, for which features are returned.
            document: Document of each pair [P], ascending.
            num_pairs: Number of pairs of each document; computed by default, which synchronizes the device.
        """
        features = PairFeatures((relation,)) if isinstance(relation, Tensor) else relation
        if num_pairs is None:
            num_pairs = torch.bincount(document).tolist()
        context = ContextFeatures(features, self._matrix().t(), document, num_pairs, self.scale)
        return context.dense() if isinstance(relation, Tensor) else context

    def weights(
        self, relation: Tensor | PairFeatures, document: Tensor, *, rows: Tensor | None = None
    ) -> Tensor:
        r"""Return the attention weights :math:`\theta` of :meth:`forward`.

        Args:
            relation, document: See :meth:`forward`.
            rows: Indices [A] of the pairs to return weights for; None for all pairs.

        Returns:
            Weights [A, P] of all pairs in the context of each of these pairs; 0 for pairs of other documents.
        """
        relation = PairFeatures((relation,)) if isinstance(relation, Tensor) else relation
        query, documents = relation.dense(), document
        if rows is not None:
            query, documents = query[rows], document[rows]
        logits = query @ (relation.dense() @ self._matrix()).t() * self.scale
        return logits.masked_fill(documents[:, None] != document, -torch.inf).softmax(-1)

    def _matrix(self) -> Tensor:
        return self.weight.diag() if self.diagonal else self.weight


@dataclass(frozen=True)
class ContextFeatures:
    r"""Context relations :math:`\sum_i \theta_i o_i` of pairs (Eq. 7), computed on demand.

    A linear map is applied to the terms of the sum, which makes them narrower, rather than to the sum.

    Args:
        relation: Target relations :math:`o_r` of P pairs.
        weight: :math:`W'` [d_r, d_r].
        document: Document of each pair [P], ascending.
        num_pairs: Number of pairs of each document.
        scale: Factor applied to the logits.
    """

    relation: PairFeatures
    weight: Tensor
    document: Tensor
    num_pairs: Sequence[int]
    scale: float

    @property
    def channels(self) -> int:
        """Width d_r of the context relations."""
        return self.relation.channels

    def dense(self) -> Tensor:
        """Return the context relation of each pair [P, d_r]."""
        return self._sum(self.relation.dense())

    def linear(self, weight: Tensor) -> Tensor:
        """Return a linear map [P, out] of the context relations, with weight [out, d_r]."""
        if max(self.num_pairs, default=0) > MAX_DENSE_PAIRS:  # fused: values are as wide as keys
            return linear(self.dense(), weight)
        return self._sum(self.relation.linear(weight))

    def _sum(self, value: Tensor) -> Tensor:
        """Return sums of values [P, c], weighted as in Eq. 7."""
        groups = group_documents(self.num_pairs, MAX_SHARED_PAIRS)
        sizes = [group.num_pairs for group in groups]
        out = []
        for relation, values, document in zip(
            self.relation.split(groups), value.split(sizes), self.document.split(sizes), strict=True
        ):
            if len(document) > MAX_DENSE_PAIRS:
                query = relation.dense()
                key = query @ self.weight.t()
                q, k, v = (x[None, None] for x in (query, key, values))
                out.append(scaled_dot_product_attention(q, k, v, scale=self.scale)[0, 0])
                continue
            logits = relation.bilinear(self.weight) * self.scale
            if len(document) <= MAX_SHARED_PAIRS:  # possibly several documents
                logits = logits.masked_fill(document[:, None] != document, -torch.inf)
            out.append(logits.softmax(-1) @ values)
        return torch.cat(out) if out else value


class NoContext(Layer):
    """The ablation "w/o context relation representations" (Table 4); adds no channels."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.out_channels = 0

    def forward(self, relation: Tensor | PairFeatures, document: Tensor, *_: object) -> Tensor:
        """Return a tensor [P, 0]."""
        return torch.empty(len(document), 0, device=document.device)
