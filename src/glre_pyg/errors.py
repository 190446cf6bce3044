"""Error analysis (Section 4.5): ``python -m glre_pyg.errors run=RUN output=FILE``, then ``labels=FILE``."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from glre_pyg.extraction.run_settings import ScoredSettings
from glre_pyg.utils.cli import command, output_path
from glre_pyg.utils.console import echo
from glre_pyg.utils.exceptions import InputError


class Settings(ScoredSettings):
    """Settings of ``conf/errors.yaml``."""

    run: str | None  # type: ignore[misc]
    output: str | None
    inter_only: bool
    labels: str | None


@command("errors", Settings)
def main(config: DictConfig) -> None:
    """List the errors of a run for manual labelling, or count the labels."""
    errors(config)


def errors(config: DictConfig) -> None:
    """List the errors of a run for manual labelling, or count the labels (Section 4.5).

    Raises:
        InputError: If not exactly one of ``run`` and ``labels`` is given, if the output file already has
            labels, and as in :func:`glre_pyg.extraction.scoring.score_run`.
    """
    from glre_pyg.extraction.scoring import score_run
    from glre_pyg.reporting.error_analysis import (
        check_output,
        find_errors,
        format_shares,
        read_types,
        write_errors,
    )

    if (config.labels is None) == (config.run is None):
        raise InputError(
            "errors: give run=RUN and output=FILE to list errors, or labels=FILE to count labels"
        )
    if config.labels is not None:
        echo(*format_shares(read_types(Path(config.labels))).split("\n"))
        return
    if config.output is None:
        raise InputError("output: give output=FILE for the table")
    output = output_path(config, make_folder=True)
    check_output(output)
    run, corpus, documents, pairs = score_run(config)
    rows = list(find_errors(documents, pairs, run.threshold, inter_only=config.inter_only))
    write_errors(rows, output)
    missed = sum(row.kind == "missed" for row in rows)
    kind = "inter-sentence errors" if config.inter_only else "errors"
    counts = f"{len(rows)} {kind}, {missed} missed and {len(rows) - missed} wrong"
    echo(f"{output}: {corpus.name} {config.split}: {counts}")


if __name__ == "__main__":
    main()
