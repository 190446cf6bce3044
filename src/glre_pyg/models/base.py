"""What every model of this library is: ``forward(batch)`` gives logits, ``loss`` says what they mean."""

from __future__ import annotations

from torch import Tensor, nn

from glre_pyg.graph import DocumentGraph
from glre_pyg.nn.loss import RelationLoss


class RelationModel(nn.Module):
    """A model that scores candidate pairs.

    Args:
        loss: What its logits mean.
    """

    def __init__(self, loss: RelationLoss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Logits of all candidate pairs [P, loss.num_logits]."""
        raise NotImplementedError

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities of the relations [P, R]."""
        return self.loss.probabilities(logits)
