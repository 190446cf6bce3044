"""Several models as one, whose probabilities are the mean of theirs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.models.base import RelationModel


class Average(RelationModel):
    """Mean of the probabilities of trained models; it is not trained itself.

    Args:
        models: The models, for the same graphs and relations.
    """

    def __init__(self, models: Sequence[RelationModel]) -> None:
        super().__init__(models[0].loss)
        self.models = nn.ModuleList(models)

    @property
    def _each(self) -> Iterable[RelationModel]:
        return cast(Iterable[RelationModel], self.models)

    def document_numbers(self, graph: DocumentGraph) -> int:
        """Return about how many numbers a document needs: the models predict one after the other."""
        return max(model.document_numbers(graph) for model in self._each)

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the logits of all candidate pairs [P, ·], those of the models side by side."""
        return torch.cat([model(batch) for model in self._each], dim=-1)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probabilities of the relations [P, R]."""
        parts = logits.split([model.loss.num_logits for model in self._each], dim=-1)
        each = [model.probabilities(part) for model, part in zip(self._each, parts, strict=True)]
        return torch.stack(each).mean(dim=0)
