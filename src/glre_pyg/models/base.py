"""Base class of models: ``forward`` maps a batch to logits, ``loss`` defines their loss and probabilities."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.nn.loss import RelationLoss


class RelationModel(nn.Module):
    """Base class of models that score candidate pairs.

    Args:
        loss: Loss and probabilities of the logits.

    Attributes:
        citation: Citation of the model's paper, in Markdown, for the model card.
        reads_features: Whether it needs only the words of its encoder; a frozen one then computes them once.
        pair_channels: Approximate number of values computed per pair in prediction, for estimates of memory.
    """

    citation: str = ""
    reads_features: bool = True
    pair_channels: int = 0

    def __init__(self, loss: RelationLoss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the logits of all candidate pairs [P, loss.num_logits]."""
        raise NotImplementedError

    def document_numbers(self, graph: DocumentGraph) -> int:
        """Return about how many numbers a document needs in prediction beside its words and its encoder."""
        return self.pair_channels * graph.pair_index.size(1)

    def prefit(self, graphs: Sequence[DocumentGraph]) -> None:
        """Fit the parts that are not trained by gradients, before training; by default, there are none.

        Args:
            graphs: Graphs to train on, with labels.

        Raises:
            InputError: If a library is not installed.
        """

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probabilities of the relations [P, R]."""
        return self.loss.probabilities(logits)
