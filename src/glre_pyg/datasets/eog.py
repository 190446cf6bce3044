"""CDR in the files that EoG, ATLOP and the released code of GLRE use."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from glre_pyg.data.labels import Labels
from glre_pyg.datasets.base import Counts, FileCorpus
from glre_pyg.datasets.cdr import CHEMICAL_DISEASE
from glre_pyg.utils.exceptions import InputError


@dataclass(kw_only=True, eq=False)
class EoG(FileCorpus):
    """Chemical-disease relations as preprocessed by EoG's scripts (``train_filter.data``).

    Words and sentences come from the GENIA tools; pairs and labels are those of
    :class:`~glre_pyg.datasets.cdr.CDR` with the protocol ``"eog"``. The order of the pairs in the published
    files leaks the labels: see :mod:`glre_pyg.evaluation.label_leak`.

    Args:
        root, train, dev, test, dev_from_train: See :class:`~glre_pyg.datasets.base.FileCorpus`. ``root``
            has ``processed/train_filter.data`` or ``train_filter.data``; None stands for ``$GLRE_DATA/CDR``.
            Nothing is downloaded.

    STATS, as printed by ``python -m glre_pyg.stats dataset=eog``:

    ======  =========  ========  ========  ========  ========
    split   documents  mentions  positive  negative  ignored
    ======  =========  ========  ========  ========  ========
    train   500        9,412     1,038     4,202     192
    dev     500        9,635     1,012     4,075     174
    test    500        9,800     1,066     4,138     201
    ======  =========  ========  ========  ========  ========

    The training file has 9,414 mentions, two of them twice.
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
        """Return the path of the file of a split.

        Raises:
            InputError: If there is no such file.
        """
        if self.root is None and not os.environ.get("GLRE_DATA"):
            raise InputError(f"dataset.{split}: no file is given, and neither dataset.root nor $GLRE_DATA")
        root = self.root_folder or Path(os.environ["GLRE_DATA"], "CDR")
        paths = [folder / f"{split}_filter.data" for folder in (root / "processed", root)]
        for path in paths:
            if path.is_file():
                return path
        raise InputError(f"{paths[0]}: no such file")
