"""Corpora as datasets: documents by split, what is a candidate pair, and what counts (Section 4.1)."""

from glre_pyg.datasets.base import Corpus, FileCorpus
from glre_pyg.datasets.biored import BioRED
from glre_pyg.datasets.cdr import CDR
from glre_pyg.datasets.docred import DWIE, DocRED, ReDocRED
from glre_pyg.datasets.eog import EoG
from glre_pyg.datasets.gda import GDA
from glre_pyg.datasets.synthetic import Synthetic
from glre_pyg.datasets.user_files import Files

__all__ = [
    "CDR",
    "DWIE",
    "GDA",
    "BioRED",
    "Corpus",
    "DocRED",
    "EoG",
    "FileCorpus",
    "Files",
    "ReDocRED",
    "Synthetic",
]
