"""The document graphs of a corpus as a dataset of PyG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Literal

import torch
from hydra import compose, initialize_config_dir
from torch_geometric.data import InMemoryDataset

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.data.labels import Labels
from glre_pyg.datasets.base import Corpus
from glre_pyg.runs.directory import LABELS, read_labels
from glre_pyg.utils.cache import key_of
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.command_line import hydra_errors
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import write_json
from glre_pyg.utils.settings import check_given, make

Transform = Callable[[DocumentGraph], DocumentGraph]


class DocumentDataset(InMemoryDataset):
    """The document graphs of a split of a corpus, with their labels.

    The graphs are built once and saved in ``root/name/processed``. Use folders of your own: graphs are loaded
    with ``weights_only=True``, but PyG unpickles a file that this does not allow, with a warning.

    Args:
        root: Folder of the processed graphs. Official files are found or downloaded as in training.
        name: Name of the corpus: an option of ``conf/dataset``.
        split: The split.
        transform: Applied to a graph at each access.
        pre_transform: Applied to each graph before it is saved.
        pre_filter: Whether to save a graph.
        force_reload: Whether to build the graphs again, for instance after a file of your own has changed.
        overrides: Settings of the corpus as on the command line, ``["dataset.protocol=bran"]``; each choice
            has a folder of its own.

    Attributes:
        labels: Relations, entity types and candidate pairs, which number the columns and types of the graphs.

    Raises:
        InputError: If there is no such corpus, a setting is wrong, or a file cannot be read.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as root:
        ...     DocumentDataset(root, "synthetic", "dev", overrides=["dataset.sizes.dev=3"])
        DocumentDataset(synthetic, dev, 3)
    """

    def __init__(
        self,
        root: str | PathLike[str],
        name: str = "cdr",
        split: Literal["train", "dev", "test"] = "train",
        transform: Transform | None = None,
        pre_transform: Transform | None = None,
        pre_filter: Callable[[DocumentGraph], bool] | None = None,
        force_reload: bool = False,
        *,
        overrides: Sequence[str] = (),
    ) -> None:
        if split not in ("train", "dev", "test"):
            raise InputError(f"split: '{split}' is not one of train, dev, test")
        self.name, self.split, self.overrides = name, split, tuple(overrides)
        super().__init__(
            str(root), transform, pre_transform, pre_filter, log=False, force_reload=force_reload
        )
        with torch.serialization.safe_globals([DocumentGraph]):
            self.load(self.processed_paths[0], data_cls=DocumentGraph)
        self.labels: Labels = read_labels(Path(self.processed_paths[1]))

    @property
    def processed_dir(self) -> str:
        """Folder of the graphs; other settings of the corpus have another."""
        suffix = f"_{key_of(*self.overrides)[:12]}" if self.overrides else ""
        return str(Path(self.root, self.name, f"processed{suffix}"))

    @property
    def processed_file_names(self) -> list[str]:
        """Files of the graphs and of their labels."""
        return [f"{self.split}.pt", LABELS]

    def process(self) -> None:
        """Build the graphs and save them."""
        corpus = self._corpus()
        graphs = map(corpus.labels.graph, corpus.documents(self.split))
        chosen = [graph for graph in graphs if self.pre_filter is None or self.pre_filter(graph)]
        if not chosen:
            raise InputError(f"{self.name}: {self.split} has no documents")
        self.save(
            [self.pre_transform(graph) if self.pre_transform else graph for graph in chosen],
            self.processed_paths[0],
        )
        write_json(asdict(corpus.labels), Path(self.processed_paths[1]))

    def _corpus(self) -> Corpus:
        settings = [f"dataset={self.name}", *self.overrides]
        folder = config_dir()
        with hydra_errors(folder, "stats", settings), initialize_config_dir(folder, version_base="1.3"):
            config = compose("stats", settings)
        check_given(config, nested=True)
        corpus: Corpus = make(config.dataset, Corpus, "dataset")
        return corpus

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, {self.split}, {len(self)})"
