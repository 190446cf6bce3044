"""Load the run that a command's config names, and score it on documents of a corpus."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from glre_pyg.data.document import Document
from glre_pyg.datasets.base import Corpus, FileCorpus, read_all
from glre_pyg.evaluation.protocol import SPLITS
from glre_pyg.evaluation.scores import ScoredPairs
from glre_pyg.runs.ensemble import load_all
from glre_pyg.runs.hub import resolve_folder
from glre_pyg.runs.run import Run
from glre_pyg.utils import distributed
from glre_pyg.utils.cache import Cache
from glre_pyg.utils.cli import output_path
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import check_output
from glre_pyg.utils.settings import make


def load_run(config: DictConfig) -> Run:
    """Load a run, or the average of several, as the settings of ``conf/run.yaml`` say."""
    device = distributed.usable_device(config.device)  # before anything is read or downloaded
    return load_all(
        [resolve_folder(name) for name in names_of_runs(config)],
        device=device,
        cache=Cache.from_setting(config.cache),
        memory=config.memory,
        compile=config.compile,
        precision=config.precision,
    )


def names_of_runs(config: DictConfig) -> list[str]:
    """Return the runs that a config names: one, or several to average."""
    names = [config.run] if isinstance(config.run, str) else [*config.run]
    if not names:
        raise InputError("run: give a run, or several as [RUN,RUN]")
    return names


def displayed_name(config: DictConfig) -> str:
    """Return the displayed name of the run that a config names, or of several that are averaged."""
    return ", ".join(Path(name).name for name in names_of_runs(config))


def make_corpus(dataset: DictConfig) -> Corpus:
    """Create a corpus.

    Raises:
        InputError: If the config is not that of a corpus.
    """
    corpus: Corpus = make(dataset, Corpus, "dataset")
    return corpus


def load_corpus(dataset: DictConfig, config: DictConfig) -> Corpus:
    """Create a corpus with a command's settings for its cache and for documents with errors.

    Args:
        dataset: Config of the corpus.
        config: Config of the command, with ``cache`` and ``strict``.
    """
    if config.get("output"):
        output_path(config, dataset)  # before anything is computed
    corpus = make_corpus(dataset)
    corpus.cache, corpus.strict = Cache.from_setting(config.cache), config.strict
    return corpus


def load_documents(corpus: Corpus, split: str, file: str | None) -> list[Document]:
    """Return the documents of a file, prepared as the corpus prepares its own; without a file, of a split."""
    return read_all(corpus, Path(file), name=file)[0] if file else corpus.documents(split)


def check_not_read(output: str | None, corpus: Corpus, split: str) -> None:
    """Refuse an output that would replace a file that a split is read from."""
    if output and isinstance(corpus, FileCorpus):
        check_output(Path(output), corpus.sources(corpus.file(split)))


def score_run(config: DictConfig) -> tuple[Run, Corpus, list[Document], ScoredPairs]:
    """Score a run as the settings of ``conf/scored.yaml`` say.

    Returns:
        The run, its corpus, the documents of the split, and their scored pairs.

    Raises:
        InputError: If the run or a file cannot be read, or the split does not exist or has no facts.
    """
    split = config.split
    run = load_run(config)
    for name, value in config.dataset.items():
        if value is None or name == split:
            continue
        if name in SPLITS or name not in run.config.dataset:
            raise InputError(f"dataset.{name}: split is {split}, and the corpus has no such setting")
        run.config.dataset[name] = value
    corpus = load_corpus(run.config.dataset, config)
    file = config.dataset[split]
    if not file and not corpus.is_labelled(split):
        raise InputError(f"split: the facts of {corpus.name} {split} are not known")
    documents = load_documents(corpus, split, file)
    if not file:
        check_not_read(config.get("output"), corpus, split)
    return run, corpus, documents, run.score(documents, progress=split)
