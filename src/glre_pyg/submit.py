"""A submission to DocRED's leaderboard: ``python -m glre_pyg.submit run=RUN output=result.zip``."""

from __future__ import annotations

from omegaconf import DictConfig

from glre_pyg.extraction.run_settings import RunSettings
from glre_pyg.utils.cli import command, output_path
from glre_pyg.utils.console import echo, plural
from glre_pyg.utils.ranges import PositiveInt


class Settings(RunSettings):
    """Settings of ``conf/submit.yaml``."""

    output: str
    input: str | None
    chunk: PositiveInt
    strict: bool


@command("submit", Settings)
def main(config: DictConfig) -> None:
    """Write a submission to DocRED's leaderboard."""
    submit(config)


def submit(config: DictConfig) -> None:
    """Predict the test documents with a run, check the facts against the rules, and write the zip file.

    Raises:
        InputError: If the run or a document cannot be read, or a fact breaks a rule.
    """
    from tqdm import tqdm

    from glre_pyg.datasets.wikidata import PROPERTIES
    from glre_pyg.extraction.extractor import RelationExtractor
    from glre_pyg.extraction.scoring import check_not_read, load_corpus, load_documents, load_run
    from glre_pyg.formats.submission import check_submission, submission_rows, write_submission

    output = output_path(config)
    run = load_run(config)
    corpus = load_corpus(run.config.dataset, config)
    documents = load_documents(corpus, "test", config.input)
    if not config.input:
        check_not_read(config.output, corpus, "test")
    bar = tqdm(documents, unit=" documents", disable=None)
    rows = submission_rows(RelationExtractor(run).stream(bar, chunk=config.chunk))
    check_submission(rows, documents, PROPERTIES)
    write_submission(rows, output)
    facts, number = plural(len(rows), "fact"), len(documents)
    echo(f"{output}: {len(rows)} {facts} in {number} {plural(number, 'document')}")


if __name__ == "__main__":
    main()
