"""BioRED: eight relations between six types of biomedical entities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from glre_pyg.data.labels import Labels
from glre_pyg.datasets.base import Counts, FileCorpus
from glre_pyg.datasets.official_files import BIORED

_CHEMICAL, _DISEASE, _GENE, _VARIANT = (
    "ChemicalEntity",
    "DiseaseOrPhenotypicFeature",
    "GeneOrGeneProduct",
    "SequenceVariant",
)


@dataclass(kw_only=True, eq=False)
class BioRED(FileCorpus):
    """Relations of genes, variants, diseases and chemicals in 600 abstracts (Luo et al., 2022).

    Pairs are undirected, (a, b) and (b, a) are the same, and have at most one relation. Whether a relation is
    novel (the fifth column of its line) is kept in ``Fact.extra`` and is not predicted.

    Args:
        root, train, dev, test, dev_from_train: See :class:`~glre_pyg.datasets.base.FileCorpus`.

    STATS, as printed by ``python -m glre_pyg.stats dataset=biored``, which counts a mention once for each of
    its entities:

    ======  =========  =============  =====
    split   documents  mention lines  facts
    ======  =========  =============  =====
    train   400        13,351         4,178
    dev     100        3,533          1,162
    test    100        3,535          1,163
    ======  =========  =============  =====
    """

    name = "biored"
    pubtator = "biored"
    protocol = "undirected pairs"
    source = "official files"
    published: ClassVar[Counts] = {
        "train": {"documents": 400, "positive": 4_178},
        "dev": {"documents": 100, "positive": 1_162},
        "test": {"documents": 100, "positive": 1_163},
    }
    labels: ClassVar[Labels] = Labels(
        relations=(
            "Association",
            "Bind",
            "Comparison",
            "Conversion",
            "Cotreatment",
            "Drug_Interaction",
            "Negative_Correlation",
            "Positive_Correlation",
        ),
        types=("CellLine", _CHEMICAL, _DISEASE, _GENE, "OrganismTaxon", _VARIANT),
        pair_types=(
            (_CHEMICAL, _CHEMICAL),
            (_CHEMICAL, _DISEASE),
            (_CHEMICAL, _GENE),
            (_CHEMICAL, _VARIANT),
            (_DISEASE, _GENE),
            (_DISEASE, _VARIANT),
            (_GENE, _GENE),
            (_VARIANT, _VARIANT),
        ),
        directed=False,
    )
    splits = BIORED
