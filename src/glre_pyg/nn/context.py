"""Section 3.4, Eq. 7: context relation representations by attention over a document's pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention

from glre_pyg.nn.layer import Layer
from glre_pyg.nn.pairs import DocumentGroup, PairFeatures

SMALL = 128
"""Pairs of neighbouring documents that share one product, behind a mask."""
LARGE = 2048
"""Pairs of a document above which its weights, pairs by pairs, are never in memory as a whole."""


class ContextAttention(Layer):
    r"""What the other relations of a document say about its topic (Eq. 7).

    .. math::
        o_c = \sum_{i=0}^{p} \theta_i o_i, \quad
        \theta_i = \frac{\exp(o_i W o_r')}{\sum_{j=0}^{p} \exp(o_j W o_r')}

    The sum runs over all candidate pairs of the document, never over a set that depends on labels. A product
    is computed for each document with many pairs, and one for its small neighbours together, which takes half
    the time of one product padded to the document with the most pairs.

    Args:
        in_channels: d_r, width of a target relation representation.
        diagonal: Whether W is diagonal, as in the released code. The linear term that stands beside it
            there cancels in the softmax and is left out.
        scaled: Whether logits are divided by the root of d_r; the paper and the released code do not.
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

    @overload
    def forward(
        self, relation: Tensor, document: Tensor, num_pairs: Sequence[int] | None = None
    ) -> Tensor: ...
    @overload
    def forward(
        self, relation: PairFeatures, document: Tensor, num_pairs: Sequence[int] | None = None
    ) -> ContextFeatures: ...
    def forward(
        self, relation: Tensor | PairFeatures, document: Tensor, num_pairs: Sequence[int] | None = None
    ) -> Tensor | ContextFeatures:
        """Context relations :math:`o_c` of pairs, as wide as target relations.

        Args:
            relation: Target relations :math:`o_r` of P pairs: a tensor [P, in_channels], or features, whose
                context relations are then features, too.
            document: Document of each pair [P], ascending.
            num_pairs: Pairs of each document; computed if not given, which waits for the device.
        """
        if isinstance(relation, Tensor):
            return self.forward(PairFeatures((relation,)), document, num_pairs).dense()
        if num_pairs is None:
            num_pairs = torch.bincount(document).tolist()
        return ContextFeatures(relation, self._matrix().t(), document, num_pairs, self.scale)

    def weights(
        self, relation: Tensor | PairFeatures, document: Tensor, *, rows: Tensor | None = None
    ) -> Tensor:
        r"""The :math:`\theta` of :meth:`forward`, which never computes them as a whole.

        Args:
            relation, document: See :meth:`forward`.
            rows: Pairs whose contexts are wanted [A]; None for all.

        Returns:
            [A, P]: a row has the weights of all pairs in the context of its pair; 0 across documents.
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
    r"""The sums of Eq. 7, :math:`\sum_i \theta_i o_i`, of each pair.

    A linear map of a sum is the sum of the maps, which are narrower.

    Args:
        relation: Target relations :math:`o_r` of P pairs.
        weight: :math:`W'` [d_r, d_r].
        document: Document of each pair [P], ascending.
        num_pairs: Pairs of each document.
        scale: Factor of the logits.
    """

    relation: PairFeatures
    weight: Tensor
    document: Tensor
    num_pairs: Sequence[int]
    scale: float

    @property
    def channels(self) -> int:
        """d_r, width of the sums."""
        return self.relation.channels

    def dense(self) -> Tensor:
        """The sum of each pair [P, d_r]."""
        return self._sum(self.relation.dense())

    def linear(self, weight: Tensor) -> Tensor:
        """A linear map of the sums: weight [out, d_r] to [P, out]."""
        if max(self.num_pairs, default=0) > LARGE:  # attention in blocks wants values as wide as keys
            return linear(self.dense(), weight)
        return self._sum(self.relation.linear(weight))

    def split(self, groups: Sequence[DocumentGroup]) -> list[PairFeatures]:
        """The sums of the pairs of each group of documents."""
        sums = self.dense().split([group.num_pairs for group in groups])
        return [PairFeatures((of_group,)) for of_group in sums]

    def _sum(self, value: Tensor) -> Tensor:
        """Sums of values [P, c] by the weights of Eq. 7."""
        groups = _neighbours(self.num_pairs)
        sizes = [group.num_pairs for group in groups]
        out = []
        for relation, values, document in zip(
            self.relation.split(groups), value.split(sizes), self.document.split(sizes), strict=True
        ):
            if len(document) > LARGE:
                query = relation.dense()
                key = query @ self.weight.t()
                q, k, v = (x[None, None] for x in (query, key, values))
                out.append(scaled_dot_product_attention(q, k, v, scale=self.scale)[0, 0])
                continue
            logits = relation.bilinear(self.weight) * self.scale
            if len(document) <= SMALL:  # perhaps of several documents
                logits = logits.masked_fill(document[:, None] != document, -torch.inf)
            out.append(logits.softmax(-1) @ values)
        return torch.cat(out) if out else value


class NoContext(Layer):
    """The ablation "w/o context relation representations" (Table 4): nothing is added to the pair."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.out_channels = 0

    def forward(
        self, relation: Tensor | PairFeatures, document: Tensor, num_pairs: Sequence[int] | None = None
    ) -> Tensor:
        """A tensor [P, 0]."""
        return torch.empty(len(document), 0, device=document.device)


def _neighbours(num_pairs: Sequence[int]) -> list[DocumentGroup]:
    """Documents that share a product: small neighbours together, others alone.

    >>> [(group.num_documents, group.num_pairs) for group in _neighbours([100, 20, 0, 20, 300, 5])]
    [(3, 120), (1, 20), (1, 300), (1, 5)]
    """
    groups: list[DocumentGroup] = []
    for count in num_pairs:
        if groups and groups[-1].num_pairs + count <= SMALL:
            groups[-1] = DocumentGroup(groups[-1].num_documents + 1, groups[-1].num_pairs + count)
        else:
            groups.append(DocumentGroup(1, count))
    return groups
