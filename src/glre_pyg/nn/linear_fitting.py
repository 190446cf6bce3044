"""Linear classifiers of sparse features, which scikit-learn fits, and which predict without it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix, vstack
from torch import Tensor, nn
from torch_geometric.utils import scatter

from glre_pyg.data.batch import collate
from glre_pyg.data.graph import IGNORED, DocumentGraph
from glre_pyg.nn.hashed_features import Features, weighted_sums
from glre_pyg.utils.console import echo
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.ranges import PositiveFloat, PositiveInt

Instances = Callable[[DocumentGraph], Iterable[Features]]
"""Returns the features of instances of a batch, some instances at a time; each pair has an instance."""

_DOCUMENTS = 8
_CERTAIN = 20.0
"""Logit of a relation that all instances in training have; if none has it, with the other sign."""


class HashedLinear(nn.Module):
    r"""Linear classifier of instances over hashed features; a pair has the best score of its instances.

    .. math:: s_r(p) = \max_{i \in p} w_r^\top f_i + b_r

    Weights are fitted by scikit-learn, for one relation after the other, and not trained by gradients. An
    instance in training has the relations of its pair.

    Args:
        num_relations: Number of relations R.
        bits: Logarithm of the number of columns.
        cost: Weight C of the losses of instances, as against the regularization.
        positive_weight: Weight of the losses of instances of a relation, as against those of the others.
        max_pairs: About how many pairs without a relation it is fitted to; of more, some are drawn.

    Shape:
        Batch, and the features of its instances, to [P, R].
    """

    def __init__(
        self,
        num_relations: int,
        *,
        bits: PositiveInt,
        cost: PositiveFloat,
        positive_weight: PositiveFloat,
        max_pairs: PositiveInt,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1 << bits, num_relations), requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(num_relations), requires_grad=False)
        self.bits, self.cost, self.positive_weight, self.max_pairs = bits, cost, positive_weight, max_pairs

    def forward(self, batch: DocumentGraph, instances: Iterable[Features]) -> Tensor:
        """Return the scores of all candidate pairs [P, R]."""
        scores, pair = [self.weight.new_zeros(0, len(self.bias))], [batch.pair_index.new_zeros(0)]
        for features in instances:
            scores.append(weighted_sums(features, self.weight) + self.bias)
            pair.append(features.pair)
        return scatter(torch.cat(scores), torch.cat(pair), dim_size=batch.pair_index.size(1), reduce="max")

    @torch.no_grad()
    def fit(self, graphs: Sequence[DocumentGraph], instances: Instances) -> None:
        """Fit the weights to the instances of graphs with labels.

        Raises:
            InputError: If scikit-learn is not installed.
        """
        estimator = self.estimator()
        blocks, labels = zip(*self._blocks(graphs, instances), strict=True)
        features, label = vstack(blocks, "csr"), np.concatenate(labels)
        for relation, target in enumerate(label.T > 0):
            weight, bias = np.zeros(len(self.weight)), _CERTAIN if target.any() else -_CERTAIN
            if target.any() and not target.all():
                estimator.fit(features, target.astype(np.int64))
                weight, bias = estimator.coef_[0], float(estimator.intercept_[0])
            self.weight[:, relation] = torch.from_numpy(weight)
            self.bias[relation] = bias

    def estimator(self) -> Any:
        """Return scikit-learn's estimator of one relation.

        Raises:
            InputError: If scikit-learn is not installed.
        """
        raise NotImplementedError

    def _blocks(
        self, graphs: Sequence[DocumentGraph], instances: Instances
    ) -> Iterator[tuple[csr_matrix, np.ndarray]]:
        """Yield features [I, 2**bits] and labels [I, R] of the instances of a few documents at a time."""
        yield csr_matrix((0, len(self.weight))), np.zeros((0, len(self.bias)))
        started, size = time.perf_counter(), 0
        graphs = [*_drawn(graphs, self.max_pairs)]
        for first in range(0, len(graphs), _DOCUMENTS):
            batch = collate(graphs[first : first + _DOCUMENTS])
            for features in instances(batch):
                rows = features.rows(self.bits)
                cells = (rows.row.numpy(), rows.column.numpy())
                block = csr_matrix((rows.value.numpy(), cells), (rows.num_rows, len(self.weight)))
                label = batch.pair_label[features.pair].numpy()
                known = (label != IGNORED).all(1)
                yield block[known], label[known]
                size += block.nnz
            if first == _DOCUMENTS:
                share = 2 * _DOCUMENTS / len(graphs)
                _announce((time.perf_counter() - started) / share, size / share)


class LinearSVM(HashedLinear):
    """Support vector machine with the squared hinge loss; see :class:`HashedLinear`."""

    def estimator(self) -> Any:
        """Return scikit-learn's estimator of one relation."""
        with _scikit_learn():
            from sklearn.svm import LinearSVC
        weight = {1: self.positive_weight}
        return LinearSVC(C=self.cost, class_weight=weight, max_iter=10_000, random_state=0)


class MaximumEntropy(HashedLinear):
    """Logistic regression; see :class:`HashedLinear`."""

    def estimator(self) -> Any:
        """Return scikit-learn's estimator of one relation."""
        with _scikit_learn():
            from sklearn.linear_model import LogisticRegression
        weight = {1: self.positive_weight}
        return LogisticRegression(
            C=self.cost, class_weight=weight, solver="liblinear", max_iter=1_000, random_state=0
        )


@contextmanager
def _scikit_learn() -> Iterator[None]:
    try:
        yield
    except ImportError:
        raise InputError(
            "model: scikit-learn, which fits it, is not installed: pip install 'glre_pyg[classical]'"
        ) from None


def _drawn(graphs: Sequence[DocumentGraph], max_pairs: int) -> Iterator[DocumentGraph]:
    """Yield graphs with all pairs that have a relation, and about as many of the others, drawn at random."""
    share = max_pairs / max(sum(int((graph.pair_label <= 0).all(1).sum()) for graph in graphs), 1)
    generator = torch.Generator().manual_seed(0)
    for graph in graphs:
        if share < 1:
            draw = torch.rand(len(graph.pair_label), generator=generator) < share
            kept, graph = draw | (graph.pair_label > 0).any(1), copy(graph)
            graph.pair_index, graph.pair_label = graph.pair_index[:, kept], graph.pair_label[kept]
            graph.pair_distance, graph.pair_evidence = graph.pair_distance[kept], graph.pair_evidence[:, :0]
        yield graph


def _announce(seconds: float, values: float) -> None:
    """Print a line if the features of all documents take more than a minute or 2 GiB."""
    gib = 36 * values / 2**30  # 12 bytes each, and copies in scikit-learn
    if seconds > 60 or gib > 2:
        echo(f"features of the training documents: about {seconds:.0f} s, and {gib:.1f} GiB while fitted")
