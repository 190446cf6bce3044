"""What every model of this library is: ``forward(batch)`` gives logits, ``loss`` says what they mean."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.nn.loss import RelationLoss


@dataclass(frozen=True, kw_only=True)
class PairNumbers:
    """Numbers that a model makes of pairs, by which :mod:`glre_pyg.runs.memory` knows the memory it needs.

    Args:
        kept: For each pair, as long as a batch is worked on.
        block: For each pair of a block, as long as the block is worked on.
        incidence: For each mention of either side of a pair of a block, likewise.
        cell: For each two pairs of a document, in a block of those.
    """

    kept: int = 0
    block: int = 0
    incidence: int = 0
    cell: int = 0


class RelationModel(nn.Module):
    """A model that scores candidate pairs.

    Args:
        loss: What its logits mean.

    Attributes:
        pair_numbers: How much it makes of pairs.
        blocks: See :meth:`set_blocks`.
    """

    pair_numbers = PairNumbers()
    blocks: tuple[int | None, int | None] = (None, None)

    def __init__(self, loss: RelationLoss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Logits of all candidate pairs [P, loss.num_logits]."""
        raise NotImplementedError

    def set_blocks(self, pairs: int | None, cells: int | None) -> None:
        """Work on at most so many pairs, and so many pairs of pairs, at a time; None for no limit.

        Without dropout, results and gradients stay the same. A model that does not work in blocks has nothing
        more to do.
        """
        self.blocks = pairs, cells

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities of the relations [P, R]."""
        return self.loss.probabilities(logits)
