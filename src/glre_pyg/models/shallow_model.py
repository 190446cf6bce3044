"""A model without an encoder: counts, an ontology, and sparse features of words and dependency paths."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.loss import RelationLoss
from glre_pyg.nn.shallow import ShallowScorer


class ShallowModel(RelationModel):
    """A shallow scorer alone, which is trained in less than a minute on CDR; ours, in no paper.

    Args:
        tokenizer: Tokenizer of the graphs; not used.
        num_relations: Number of relations R.
        ontology: Ontology that graphs are annotated with; see :mod:`glre_pyg.data.annotations`.
        parse: Pipeline that graphs are parsed with; likewise.
        shallow: The scorer; called with the number of logits, and whether there are an ontology and parses.
        loss: Loss, which defines the number of logits; called with R.
    """

    citation = (
        "In no paper. It combines a small network with a wide linear layer over sparse features, as in "
        "Heng-Tze Cheng et al.: Wide & Deep Learning for Recommender Systems, 2016. "
        "https://doi.org/10.1145/2988450.2988454"
    )

    def __init__(
        self,
        tokenizer: Tokenizer,
        num_relations: int,
        *,
        ontology: str | None,
        parse: str | None,
        shallow: Callable[[int, bool, bool], ShallowScorer],
        loss: Callable[[int], RelationLoss],
    ) -> None:
        super().__init__(loss(num_relations))
        has_ontology, has_parse = ontology is not None, parse is not None
        self.shallow = shallow(self.loss.num_logits, has_ontology, has_parse)

    def document_numbers(self, graph: DocumentGraph) -> int:
        """Return about how many numbers a document needs."""
        return self.shallow.document_numbers(graph)

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the logits of all candidate pairs [P, loss.num_logits]."""
        return self.shallow(batch)
