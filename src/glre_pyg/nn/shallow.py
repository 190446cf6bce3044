"""Logits of pairs from counts, an ontology and sparse features, without an encoder."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.nn.mention_pairs import instance_numbers
from glre_pyg.nn.ontology_features import OntologyFeatures
from glre_pyg.nn.pair_statistics import PairStatistics
from glre_pyg.nn.sparse_linear import SparseLinear
from glre_pyg.utils.ranges import PositiveFloat, PositiveInt, Rate


class ShallowScorer(nn.Module):
    r"""Logits of pairs from their statistics, an ontology, and the words and dependency paths between them.

    .. math::
        z_{ab} = W_2 \, \mathrm{ReLU}(W_1 [s_{ab}; k_a; k_b] + b_1) + b_2 + \max_{i \in ab} W_3 f_i

    Instances *i* are the mentions of a pair that share a sentence, or else the closest ones.

    Not in the paper.

    Args:
        num_logits: Number of logits of a pair.
        has_ontology: Whether graphs are annotated with an ontology; see :mod:`glre_pyg.data.annotations`.
        has_parse: Whether graphs are annotated with dependency parses.
        statistics: :math:`s_{ab}`; called without arguments.
        knowledge: :math:`k_e`, if there is an ontology; called without arguments.
        words: The last term, if there are parses; called with the number of logits.
        hidden_channels: Width of the hidden layer.
        dropout: Dropout rate before both layers.
        lr: Learning rate of all but the last term.

    Shape:
        Batch to [P, num_logits].
    """

    def __init__(
        self,
        num_logits: int,
        has_ontology: bool,
        has_parse: bool,
        *,
        statistics: Callable[[], PairStatistics],
        knowledge: Callable[[], OntologyFeatures],
        words: Callable[[int], SparseLinear],
        hidden_channels: PositiveInt,
        dropout: Rate,
        lr: PositiveFloat,
    ) -> None:
        super().__init__()
        self.lr = lr
        self.statistics, self.knowledge = statistics(), knowledge() if has_ontology else None
        self.words = words(num_logits) if has_parse else None
        width = self.statistics.out_channels + (2 * self.knowledge.out_channels if self.knowledge else 0)
        self.layers = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(width, hidden_channels),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_channels, num_logits),
        )

    def document_numbers(self, graph: DocumentGraph) -> int:
        """Return about how many numbers a document needs for pairs of mentions, and of entities."""
        mentions = torch.bincount(
            graph["mention", "refers_to", "entity"].edge_index[1], minlength=graph["entity"].num_nodes
        )
        head, tail = mentions[graph.pair_index]
        width = sum(layer.in_features for layer in self.layers if isinstance(layer, nn.Linear))
        numbers = 10 * int((head * tail).sum()) + 2 * width * len(head)
        if self.words is None:
            return numbers
        instances, of_instances = instance_numbers(graph)
        return numbers + of_instances + self.words.numbers_of_words(instances * len(graph.words))

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the logits of the candidate pairs [P, num_logits]."""
        parts = [self.statistics(batch)]
        if self.knowledge is not None:
            known = self.knowledge(batch)
            parts += [known.index_select(0, index) for index in batch.pair_index]
        logits = self.layers(torch.cat(parts, dim=-1))
        return logits if self.words is None else logits + self.words(batch)
