"""What every model of this library is: ``forward(batch)`` gives logits, ``loss`` is Eq. 9."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from glre_pyg.graph import IGNORED, DocumentGraph


class RelationModel(nn.Module):
    r"""A model that scores candidate pairs, trained with binary cross-entropy (Eq. 9).

    .. math:: L = -\sum_{r \in R} (y_r^* \log y_r + (1 - y_r^*) \log(1 - y_r))

    Paper: the sum over relations. Here: by default the mean over pairs and relations, as in the released
    code, so that the learning rate does not depend on the number of relations.

    Args:
        num_relations: R.
        na_column: Whether one more logit, the last, is trained to say "no relation", as in the released code.
        reduction: ``"mean"`` over pairs and relations, or ``"sum"`` over relations and mean over pairs.
    """

    def __init__(self, *, num_relations: int, na_column: bool, reduction: Literal["mean", "sum"]) -> None:
        super().__init__()
        self.num_relations, self.na_column, self.reduction = num_relations, na_column, reduction
        self.num_logits = num_relations + na_column

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Logits of all candidate pairs [P, R], or [P, R + 1] with a column for "no relation"."""
        raise NotImplementedError

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of logits [P, R or R + 1] against labels [P, R]; pairs labelled -1 take no part."""
        kept = (labels != IGNORED).all(-1)
        logits, labels = logits[kept].float(), labels[kept]
        if self.na_column:
            labels = torch.cat([labels, 1 - labels.amax(-1, keepdim=True)], dim=-1)
        total = binary_cross_entropy_with_logits(logits, labels, reduction="sum")
        pairs = max(len(labels), 1)
        return total / (pairs * self.num_logits if self.reduction == "mean" else pairs)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities of the relations [P, R]."""
        return logits[:, : self.num_relations].float().sigmoid()
