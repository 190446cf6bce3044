"""Fine-tuned encoder and a bilinear layer, in two steps (Wang et al., 2019)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from glre_pyg.data.batch import sizes_of
from glre_pyg.data.graph import DocumentGraph
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.bilinear import Bilinear
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.loss import RelationLoss
from glre_pyg.nn.pairs import entities_of_pairs
from glre_pyg.nn.pooling import mean_of_mentions
from glre_pyg.utils.ranges import PositiveInt


class TwoStepBilinear(RelationModel):
    r"""Bilinear classifier of two entities, which are means of their mentions' words.

    .. math:: l_r = (W e_s)^\top M_r (W e_o) + b_r

    The two steps are in the loss, :class:`~glre_pyg.nn.loss.TwoStep`.

    Paper: the first step is trained on three pairs without a relation for each pair with one. Here: on all
    pairs.

    Args:
        tokenizer: Tokenizer of the graphs.
        num_relations: Number of relations R.
        encoder: Encoder from a batch to words; called with the tokenizer.
        channels: Width of the projection *W*.
        loss: Loss, which defines the number of logits; called with R.
    """

    citation = (
        "Hong Wang, Christfried Focke, Rob Sylvester, Nilesh Mishra and William Wang: Fine-tune Bert for "
        "DocRED with Two-step Process. 2019. https://arxiv.org/abs/1909.11898"
    )

    def __init__(
        self,
        tokenizer: Tokenizer,
        num_relations: int,
        *,
        encoder: Callable[[Tokenizer], Layer],
        channels: PositiveInt,
        loss: Callable[[int], RelationLoss],
    ) -> None:
        super().__init__(loss(num_relations))
        self.encoder = encoder(tokenizer)
        self.project = nn.Linear(self.encoder.out_channels, channels)
        self.classifier = Bilinear(channels, self.loss.num_logits)
        self.pair_channels = 2 * self.loss.num_logits

    def document_numbers(self, graph: DocumentGraph) -> int:
        """Return about how many numbers a document needs in prediction beside its words and its encoder."""
        return super().document_numbers(graph) + self.classifier.num_values(graph["entity"].num_nodes)

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the logits of all candidate pairs [P, loss.num_logits]."""
        words = self.encoder(batch)  # [W, ·]
        _, entity = mean_of_mentions(words, batch)  # [E, ·]
        head, tail = entities_of_pairs(self.project(entity), batch)
        return self.classifier((head,), (tail,), sizes_of(batch).pairs)
