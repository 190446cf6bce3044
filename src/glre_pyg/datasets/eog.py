"""CDR in the files of EoG, ATLOP and the released code of GLRE."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from glre_pyg.data.graph import Labels
from glre_pyg.datasets.base import Counts, FileCorpus
from glre_pyg.datasets.cdr import CHEMICAL_DISEASE
from glre_pyg.utils.exceptions import InputError


@dataclass(kw_only=True, eq=False)
class EoG(FileCorpus):
    """Chemical-disease relations, segmented and filtered by EoG's scripts (``train_filter.data``).

    Its words and sentences are the GENIA tools', which this project does not run; the pairs and labels are
    those of :class:`~glre_pyg.datasets.cdr.CDR` under its protocol ``"eog"``. The order of the pairs in the
    published files tells the labels: see :mod:`glre_pyg.evaluation.label_leak`.

    Args:
        root, train, dev, test, dev_from_train: See :class:`~glre_pyg.datasets.base.FileCorpus`. ``root`` is
            looked into for ``processed/train_filter.data`` and ``train_filter.data``; None stands for
            ``$GLRE_DATA/CDR``. Nothing is downloaded.

    STATS; ``python -m glre_pyg.stats dataset=eog`` prints them from the files:

    ======  =========  ========  ========  ========  ========
    split   documents  mentions  positive  negative  left out
    ======  =========  ========  ========  ========  ========
    train   500        9,412     1,038     4,202     192
    dev     500        9,635     1,012     4,075     174
    test    500        9,800     1,066     4,138     201
    ======  =========  ========  ========  ========  ========

    The training file lists two of its 9,414 mentions twice.
    """

    name = "eog"
    protocol = "eog"
    source = "EoG"
    labels: ClassVar[Labels] = CHEMICAL_DISEASE
    published: ClassVar[Counts] = {
        "train": {"documents": 500, "positive": 1_038, "negative": 4_202},
        "dev": {"documents": 500, "positive": 1_012, "negative": 4_075},
        "test": {"documents": 500, "positive": 1_066, "negative": 4_138},
    }

    def official(self, split: str) -> Path:
        """Where the file of a split is.

        Raises:
            InputError: If it is not there.
        """
        if self.root is None and not os.environ.get("GLRE_DATA"):
            raise InputError(f"dataset.{split}: no file is given, and neither dataset.root nor $GLRE_DATA")
        folder = Path(self.root) if self.root else Path(os.environ["GLRE_DATA"], "CDR")
        places = [place / f"{split}_filter.data" for place in (folder / "processed", folder)]
        for place in places:
            if place.is_file():
                return place
        raise InputError(f"{places[0]}: no such file")
