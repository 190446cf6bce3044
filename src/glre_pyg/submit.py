"""Predictions as DocRED's organisers take them: ``python -m glre_pyg.submit run=RUN output=result.zip``."""

import hydra
from omegaconf import DictConfig

from glre_pyg.config import command, config_dir


def submit(config: DictConfig) -> None:
    """Write what a run predicts as a checked submission.

    Raises:
        InputError: If the run or a document cannot be read, or a rule of the form is broken.
    """
    from pathlib import Path

    from hydra.utils import instantiate
    from tqdm import tqdm

    from glre_pyg.commands import predicted
    from glre_pyg.corpora.submission import check_submission, submission_rows, write_submission
    from glre_pyg.datasets.wikidata import PROPERTIES
    from glre_pyg.document import InputError
    from glre_pyg.runs import best_device, load

    output = Path(config.output)
    if not output.parent.is_dir():
        raise InputError(f"{output}: cannot be written, its folder is missing")
    run = load(Path(config.run), device=config.device or best_device())
    corpus = instantiate(run.config.dataset)
    read = corpus.prepare(corpus.read(Path(config.input))) if config.input else corpus.documents("test")
    documents = list(read)
    found = predicted(run, tqdm(documents, unit=" documents"), run.threshold, config.chunk)
    rows = submission_rows(found)
    check_submission(rows, documents, PROPERTIES)
    write_submission(rows, output)
    print(f"{output}: {len(rows)} facts in {len(documents)} documents")


@hydra.main(version_base="1.3", config_path=config_dir(), config_name="submit")
@command
def main(config: DictConfig) -> None:
    """Write a submission to DocRED's leaderboard."""
    submit(config)


if __name__ == "__main__":
    main()
