"""Statistics of a corpus (Table 1): ``python -m glre_pyg.stats dataset=cdr``."""

from __future__ import annotations

from typing import TypedDict

from omegaconf import DictConfig

from glre_pyg.utils.cli import command, output_path
from glre_pyg.utils.console import echo
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.ranges import CacheFolder


class Settings(TypedDict):
    """Settings of ``conf/stats.yaml``."""

    output: str | None
    strict: bool
    cache: CacheFolder


@command("stats", Settings)
def main(config: DictConfig) -> None:
    """Print the counts of a corpus beside the published ones."""
    stats(config)


def stats(config: DictConfig) -> dict[str, dict[str, int | None]]:
    """Print and return the counts of a corpus by split (Table 1).

    The table is followed by each count that differs from the published one and, for splits with labels, by
    the number of facts of no candidate pair, if any, and how well entity order alone predicts them (see
    :mod:`glre_pyg.evaluation.label_leak`). A split that cannot be read is named in one line.

    Raises:
        InputError: If no split of the corpus can be read.
    """
    from glre_pyg.evaluation.corpus_statistics import count, differences, facts_outside, format_table
    from glre_pyg.evaluation.label_leak import order_report
    from glre_pyg.evaluation.protocol import SPLITS
    from glre_pyg.extraction.scoring import check_not_read, load_corpus
    from glre_pyg.utils.files import write_json

    output = output_path(config) if config.output else None
    corpus = load_corpus(config.dataset, config)
    rows: dict[str, dict[str, int | None]] = {}
    unread: dict[str, str] = {}
    order: list[str] = []
    outside: list[str] = []
    for split in SPLITS:
        try:
            documents, labels = corpus.documents(split), corpus.labels
        except (InputError, OSError) as error:
            unread[split] = _reason(error)
            continue
        check_not_read(config.output, corpus, split)
        labelled = corpus.is_labelled(split)
        rows[split] = count(documents, labels.candidates, directed=labels.directed, labelled=labelled)
        if labelled:
            outside += facts_outside(split, documents, labels)
            order += order_report(split, documents, labels.candidates, directed=labels.directed)
    if not rows:
        raise InputError(unread[SPLITS[0]])
    lines = [
        f"{corpus.name}, protocol {corpus.protocol}",
        *format_table(rows).split("\n"),
        *(f"{split}: not read: {reason}" for split, reason in unread.items()),
        *differences(rows, corpus.published, corpus.source),
        *outside,
        *order,
    ]
    echo(*lines)
    if output:
        write_json(rows, output)
    return rows


def _reason(error: InputError | OSError) -> str:
    if isinstance(error, InputError):
        return str(error)
    return f"{error.filename}: {'no such file' if isinstance(error, FileNotFoundError) else error.strerror}"


if __name__ == "__main__":
    main()
