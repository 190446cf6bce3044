"""The base class of models: ``forward`` maps a batch to logits, and ``loss`` defines what these mean."""

from __future__ import annotations

from torch import Tensor, nn

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.nn.loss import RelationLoss


class RelationModel(nn.Module):
    """A model that scores candidate pairs.

    Args:
        loss: The loss of the logits, and their probabilities.

    Attributes:
        pair_channels: Numbers that prediction computes for each pair, about; estimates of memory need it.
    """

    pair_channels: int = 0

    def __init__(self, loss: RelationLoss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Logits of all candidate pairs [P, loss.num_logits]."""
        raise NotImplementedError

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities of the relations [P, R]."""
        return self.loss.probabilities(logits)
