"""A linear layer over hashed features of instances, trained by gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch_geometric.utils import scatter

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.nn.dependency_paths import DocumentTree
from glre_pyg.nn.hashed_features import weighted_sums
from glre_pyg.nn.instance_words import WORDS
from glre_pyg.nn.lexical_features import LexicalFeatures
from glre_pyg.nn.mention_pairs import mention_pairs
from glre_pyg.nn.path_features import PathFeatures
from glre_pyg.utils.ranges import PositiveFloat, PositiveInt, Rate

_NUMBERS_OF_A_WORD = 200
"""About how many numbers the features of a word of an instance take while they are computed."""


class SparseLinear(nn.Module):
    r"""Linear layer over hashed features of instances; a pair has the largest logit of its instances.

    .. math:: q_r(p) = \max_{i \in p} \sum_k w_r^\top f_{ik}

    :math:`f_{ik}` are the features *k* of instance *i*, each a vector of length 1. The weights begin as 0.

    Args:
        num_logits: Number of logits.
        lexical: Features of instances; called without arguments.
        path: Further features of them; called without arguments.
        bits: Logarithm of the largest number of columns, which features share by their hash.
        max_weights: Largest number of weights: with many logits, there are fewer columns.
        dropout: Dropout rate of the features.
        lr: Learning rate.

    Shape:
        Batch to [P, num_logits].
    """

    def __init__(
        self,
        num_logits: int,
        *,
        lexical: Callable[[], LexicalFeatures],
        path: Callable[[], PathFeatures],
        bits: PositiveInt,
        max_weights: PositiveInt,
        dropout: Rate,
        lr: PositiveFloat,
    ) -> None:
        super().__init__()
        self.features = (lexical(), path())
        bits = min(bits, max(max_weights // num_logits, 2).bit_length() - 1)
        self.weight = nn.Parameter(torch.zeros(1 << bits, num_logits))
        self.dropout, self.lr = dropout, lr

    @staticmethod
    def numbers_of_words(count: int) -> int:
        """Return about how many numbers some words of instances take; only a part is computed at a time."""
        return _NUMBERS_OF_A_WORD * min(count, WORDS)

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the logits of all candidate pairs [P, num_logits]."""
        tree = DocumentTree(batch)
        instances = mention_pairs(batch, tree)
        logits, none = self.weight.new_zeros(()), self.weight[:0]
        for features in self.features:
            parts = [
                weighted_sums(part, self.weight, self._dropped) for part in features(batch, tree, instances)
            ]
            logits = logits + torch.cat([none, *parts])  # [I, num_logits]
        return scatter(logits, instances.pair, dim_size=batch.pair_index.size(1), reduce="max")

    def _dropped(self, values: Tensor) -> Tensor:
        return dropout(values, self.dropout, self.training)
