"""What the commands that read runs and corpora do with their configs."""

from __future__ import annotations

import sys
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig
from tqdm import tqdm

from glre_pyg.data.document import Document
from glre_pyg.datasets import Corpus
from glre_pyg.datasets.base import SPLITS, read_all
from glre_pyg.datasets.wikidata import PROPERTIES
from glre_pyg.evaluation.corpus_statistics import count, differences, format_table
from glre_pyg.evaluation.label_leak import order_report
from glre_pyg.evaluation.predictions import write_predictions
from glre_pyg.evaluation.scores import ScoredPairs
from glre_pyg.extraction.extractor import RelationExtractor
from glre_pyg.extraction.outputs import Output
from glre_pyg.extraction.pipeline import check_settings, extract
from glre_pyg.formats.submission import check_submission, submission_rows, write_submission
from glre_pyg.reporting.case_studies import write_case_study
from glre_pyg.reporting.error_analysis import (
    check_output,
    format_shares,
    mistakes,
    read_types,
    write_mistakes,
)
from glre_pyg.runs.hub import folder_of
from glre_pyg.runs.run import Run, best_device, load, report
from glre_pyg.utils import distributed
from glre_pyg.utils.cache import Cache
from glre_pyg.utils.exceptions import InputError, is_strict, printable
from glre_pyg.utils.files import write_json


def evaluate(config: DictConfig) -> dict[str, object]:
    """Score a run on a split of its corpus with the threshold it has; print and return the scores.

    ``dataset.*`` of the command replaces what the run was trained with; ``dataset.<split>=FILE`` scores
    a file, under the protocol of the run's corpus.

    Raises:
        InputError: If the run or the file cannot be read, or there is no such split.
    """
    output = _output(config.output) if config.output else None
    run, corpus, _, pairs = scored(config)
    scores = report(pairs, run.threshold, f"{corpus.name} {config.split}", corpus.protocol)
    if output and distributed.is_main_process():
        write_predictions(pairs, output, run.threshold)
    return scores


def submit(config: DictConfig) -> None:
    """Write what a run predicts as a checked submission to DocRED's leaderboard.

    Raises:
        InputError: If the run or a document cannot be read, or a rule of the format is broken.
    """
    output = _output(config.output)
    run = load_run(config)
    corpus: Corpus = instantiate(run.config.dataset)
    corpus.cache, corpus.strict = Cache.of(config.cache), is_strict(config.get("strict", True))
    documents = _read(corpus, config.input) if config.input else corpus.documents("test")
    bar = tqdm(documents, unit=" documents", disable=None)
    rows = submission_rows(RelationExtractor(run).stream(bar, chunk=_chunk(config.chunk)))
    check_submission(rows, documents, PROPERTIES)
    write_submission(rows, output)
    print(f"{output}: {len(rows)} facts in {len(documents)} documents")


def load_run(config: DictConfig) -> Run:
    """The run that a command is about."""
    device = config.device or best_device()
    cache = Cache.of(config.cache)
    folder = folder_of(config.run)
    return load(folder, device=device, cache=cache, memory=config.memory, compile=config.compile)


def _chunk(size: int) -> int:
    """Documents in memory at a time: one at least."""
    if size < 1:
        raise InputError(f"chunk: {size} documents at a time are none")
    return size


def _output(path: str) -> Path:
    """A file that can be written, as is said before anything is computed."""
    output = Path(path)
    if not output.parent.is_dir():
        raise InputError(f"{output}: cannot be written, its folder is missing")
    return output


def case_study(config: DictConfig) -> None:
    """Write the hardest facts of a split with the answers of a run and its reasons (Table 6).

    Raises:
        InputError: See :func:`scored`.
    """
    if config.count < 1:
        raise InputError(f"count: {config.count} facts are none")
    run, corpus, documents, pairs = scored(config)
    title = f"{corpus.name} {config.split}"
    write_case_study(
        run,
        documents,
        pairs,
        Path(config.output),
        title=title,
        count=config.count,
        top_k=config.top_k,
    )


def errors(config: DictConfig) -> None:
    """List the wrong answers of a run for a person to label, or count the labels (Section 4.5).

    Raises:
        InputError: If not one of the two is asked for, or a file holds labels; and see :func:`scored`.
    """
    if (config.labels is None) == (config.run is None):
        raise InputError(
            "errors: give run=RUN and output=FILE to list errors, or labels=FILE to count labels"
        )
    if config.labels is not None:
        print(format_shares(read_types(Path(config.labels))))
        return
    if config.output is None:
        raise InputError("output: give output=FILE for the table")
    output = Path(config.output)
    check_output(output)
    run, corpus, documents, pairs = scored(config)
    rows = list(mistakes(documents, pairs, run.threshold, inter_only=config.inter_only))
    write_mistakes(rows, output)
    missed = sum(row.kind == "missed" for row in rows)
    kind = "between sentences" if config.inter_only else "in all"
    line = (
        f"{output}: {corpus.name} {config.split}: {len(rows)} errors {kind}, {missed} missed and "
        f"{len(rows) - missed} wrong"
    )
    print(printable(line))


def scored(config: DictConfig) -> tuple[Run, Corpus, list[Document], ScoredPairs]:
    """A run, its corpus, the documents of a split, and what the run says of them.

    Raises:
        InputError: If the run or a file cannot be read, or there is no such split, or no facts in it.
    """
    if config.split not in SPLITS:
        raise InputError(f"split: '{config.split}' is not one of {', '.join(SPLITS)}")
    run = load_run(config)
    for name, value in config.dataset.items():
        if value is None or name == config.split:
            continue
        if name in SPLITS or name not in run.config.dataset:
            raise InputError(f"dataset.{name}: split is {config.split}, and the corpus has no such setting")
        run.config.dataset[name] = value
    corpus: Corpus = instantiate(run.config.dataset)
    corpus.cache, corpus.strict = Cache.of(config.cache), is_strict(config.get("strict", True))
    file = config.dataset[config.split]
    if not file and not corpus.is_labelled(config.split):
        raise InputError(f"split: the facts of {corpus.name} {config.split} are not known")
    documents = _read(corpus, file) if file else corpus.documents(config.split)
    return run, corpus, documents, run.score(documents, progress=config.split)


def _read(corpus: Corpus, file: str) -> list[Document]:
    """The documents of a file, as the protocol has them."""
    return read_all(corpus, Path(file), name=file)[0]


def predict(config: DictConfig) -> None:
    """Write documents with the facts that a run finds in them; see :mod:`glre_pyg.extraction.pipeline`.

    Raises:
        InputError: If the run cannot be read, or a setting is wrong.
        SystemExit: With code 2, if a document could not be worked on; the others are written.
    """
    check_settings(config)
    output = Output(Path(str(config.output)))
    sys.exit(2 if extract(load_run(config), config, output) else 0)


def stats(config: DictConfig) -> dict[str, dict[str, int | None]]:
    """Print and return the counts of a corpus by split (Table 1).

    Below stands each count that is not the published one and, for splits with labels, how well the order of
    entities alone predicts them: see :mod:`glre_pyg.evaluation.label_leak`. A split that cannot be read is
    named in one line.

    Raises:
        InputError: If no split of the corpus can be read.
    """
    corpus: Corpus = instantiate(config.dataset)
    corpus.cache, corpus.strict = Cache.of(config.cache), is_strict(config.get("strict", True))
    rows: dict[str, dict[str, int | None]] = {}
    unread: list[str] = []
    order: list[str] = []
    for split in SPLITS:
        try:
            documents, labels = corpus.documents(split), corpus.labels
        except (InputError, FileNotFoundError) as error:
            unread.append(str(error) if isinstance(error, InputError) else f"{error.filename}: no such file")
            continue
        labelled = corpus.is_labelled(split)
        rows[split] = count(documents, labels.candidates, directed=labels.directed, labelled=labelled)
        if labelled:
            order += order_report(split, documents, labels.candidates, directed=labels.directed)
    if not rows:
        raise InputError(unread[0])
    print(printable(f"{corpus.name}, protocol {corpus.protocol}"))
    print(format_table(rows))
    missing = [split for split in SPLITS if split not in rows]
    for line in [
        *(f"{split}: not read: {reason}" for split, reason in zip(missing, unread, strict=True)),
        *differences(rows, corpus.published, corpus.source),
        *order,
    ]:
        print(line)
    if config.output:
        write_json(rows, config.output)
    return rows
