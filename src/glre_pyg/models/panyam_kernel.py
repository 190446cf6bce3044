"""A graph kernel over dependency graphs with a support vector machine (Panyam et al., 2018)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from torch import Tensor

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.instance_words import WORDS
from glre_pyg.nn.linear_fitting import HashedLinear
from glre_pyg.nn.loss import RelationLoss
from glre_pyg.nn.mention_pairs import instance_numbers, per_batch
from glre_pyg.nn.path_kernel import AllPaths


class GraphKernel(RelationModel):
    r"""Support vector machine with the all-paths graph kernel.

    .. math:: y_r = \mathrm{sigmoid}\Big(\max_{i} w_r^\top \phi(G_i) / \lVert \phi(G_i) \rVert + b_r\Big)

    Instances *i* are the pairs of mentions of the two entities that share a sentence, or else the closest
    ones; :math:`\phi` are the features of their graphs, hashed to a fixed number of columns.

    Paper: several kernels, of which this one has the best result; enhanced dependencies. Here: a linear SVM
    with explicit features, the same but for what :class:`AllPaths` lists; dependencies that form a tree.
    Decision values become probabilities by a sigmoid, so that a threshold can be chosen on dev.

    Args:
        tokenizer: Tokenizer of the graphs; not used.
        num_relations: Number of relations R.
        parse: Pipeline that graphs are parsed with; see :mod:`glre_pyg.data.annotations`.
        tags: Whether it adds parts of speech, which the kernel reads.
        kernel: Features of instances; called without arguments.
        classifier: Linear classifier; called with R.
        loss: Loss, called with R, which defines the probabilities of R logits.
    """

    citation = (
        "Nagesh C. Panyam, Karin Verspoor, Trevor Cohn and Kotagiri Ramamohanarao: Exploiting graph kernels "
        "for high performance biomedical relation extraction. Journal of Biomedical Semantics 9:7, 2018. "
        "https://doi.org/10.1186/s13326-017-0168-3"
    )

    def __init__(
        self,
        tokenizer: Tokenizer,
        num_relations: int,
        *,
        parse: str,
        tags: Literal[True],
        kernel: Callable[[], AllPaths],
        classifier: Callable[[int], HashedLinear],
        loss: Callable[[int], RelationLoss],
    ) -> None:
        super().__init__(loss(num_relations))
        self.kernel, self.classifier = kernel(), classifier(num_relations)

    def document_numbers(self, graph: DocumentGraph) -> int:
        """Return about how many numbers a document needs, for ancestors, instances and features."""
        instances, numbers = instance_numbers(graph)
        return numbers + 1_500 * min(instances * len(graph.words), WORDS)

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the logits of all candidate pairs [P, R]."""
        return self.classifier(batch, per_batch(self.kernel)(batch))

    def prefit(self, graphs: Sequence[DocumentGraph]) -> None:
        """Fit the support vector machine."""
        self.classifier.fit(graphs, per_batch(self.kernel))
