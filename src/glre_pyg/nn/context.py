"""Section 3.4, Eq. 7: context relation representations by attention over a document's pairs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from glre_pyg.nn.attention import attend_in_blocks
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.pairs import PairVectors

SMALL = 128
"""Pairs of neighbouring documents that share one product, behind a mask."""


class ContextLayer(Layer):
    """What every layer of Eq. 7 is: given what it made of all pairs, it says what to add to each.

    Attributes:
        block_cells: Logits, pairs by pairs, that exist at a time; None for no limit. With gradients, a batch
            that has more computes them twice.
    """

    block_cells: int | None = None

    def inputs(self, relation: PairVectors) -> tuple[Tensor, Tensor]:
        """What the layer needs of some pairs: two tensors [P, ·]."""
        raise NotImplementedError

    def forward(self, relation: Tensor, key: Tensor, value: Tensor, document: Tensor) -> Tensor:
        """What is added to each pair [P, c], from :meth:`inputs`, values [P, c] and documents [P]."""
        raise NotImplementedError


class ContextAttention(ContextLayer):
    r"""What the other relations of a document say of its topic (Eq. 7).

    .. math::
        o_c = \sum_{i=0}^{p} \theta_i o_i, \quad
        \theta_i = \frac{\exp(o_i W o_r')}{\sum_{j=0}^{p} \exp(o_j W o_r')}

    The sum runs over all candidate pairs of the document, never over a set that depends on labels. What is
    summed may be any linear map of the :math:`o_i`.

    A product is made for each document that has many pairs, and one for its small neighbours together: half
    the time of one product that is padded to the document with the most pairs.

    Args:
        in_channels: d_r, width of a target relation representation.
        diagonal: Whether W is diagonal, as in the released code. The linear term that stands beside it
            there cancels in the softmax and is left out.
        scaled: Whether logits are divided by the root of d_r; the paper and the released code do not.

    Shape:
        :meth:`inputs`, values [P, c], and the documents of pairs [P], ascending, to [P, c].
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

    def inputs(self, relation: PairVectors) -> tuple[Tensor, Tensor]:
        """Target relations :math:`o_r` and keys :math:`o_i W`, each [P, in_channels]."""
        dense = relation.dense()
        return dense, dense * self.weight if self.diagonal else relation.linear(self.weight.t())

    def forward(self, relation: Tensor, key: Tensor, value: Tensor, document: Tensor) -> Tensor:
        """Sums of values by the weights of Eq. 7, [P, c]."""
        groups = _together(torch.bincount(document).tolist())
        sizes = [sum(group) for group in groups]
        cells = sum(size**2 for size in sizes)
        limit = self.block_cells or cells
        sums = []
        for group, *inputs in zip(
            groups, *(each.split(sizes) for each in (relation, key, value, document)), strict=True
        ):
            asking, keys, values, documents = inputs
            of = documents if len(group) > 1 else None
            if cells > limit:
                rows = max(limit // len(asking), 1)
                sums.append(attend_in_blocks(asking, keys, values, of, scale=self.scale, rows=rows))
            else:
                sums.append(self._sum(asking, keys, values, None if of is None else of[:, None] == of))
        return torch.cat(sums) if sums else value

    def weights(
        self, relation: Tensor, key: Tensor, value: Tensor, document: Tensor, *, rows: Tensor | None = None
    ) -> Tensor:
        r"""The :math:`\theta` of :meth:`forward`, which never makes them as a whole.

        Args:
            relation, key, value, document: What :meth:`forward` is given.
            rows: The pairs whose contexts are asked for [A]; None for all.

        Returns:
            [A, P]: a row has the weights of all pairs in the context of its pair; 0 across documents.
        """
        asking, of = (relation, document) if rows is None else (relation[rows], document[rows])
        logits = asking @ key.t() * self.scale
        return logits.masked_fill(of[:, None] != document, -torch.inf).softmax(-1)

    def _sum(self, relation: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        out = scaled_dot_product_attention(
            relation[None, None], key[None, None], value[None, None], attn_mask=mask, scale=self.scale
        )
        return out[0, 0]


class NoContext(ContextLayer):
    """The ablation "w/o context relation representations" (Table 4): nothing is added to the pair."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.out_channels = 0

    def inputs(self, relation: PairVectors) -> tuple[Tensor, Tensor]:
        """Nothing is needed: two tensors [P, 0]."""
        empty = relation.parts[0].rows.new_zeros(len(relation.parts[0].index), 0)
        return empty, empty

    def forward(self, relation: Tensor, key: Tensor, value: Tensor, document: Tensor) -> Tensor:
        """Zero."""
        return value.new_zeros(())


def _together(counts: Sequence[int]) -> list[list[int]]:
    """Pairs of documents by what is worked on at once: small neighbours together, others alone.

    >>> _together([100, 20, 0, 20, 300, 5])
    [[100, 20], [20], [300], [5]]
    """
    groups: list[list[int]] = []
    for count in filter(None, counts):
        if groups and sum(groups[-1]) + count <= SMALL:
            groups[-1].append(count)
        else:
            groups.append([count])
    return groups
