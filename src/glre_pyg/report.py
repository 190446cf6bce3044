"""Tables and plots of runs: ``python -m glre_pyg.report runs=multirun table=table4_cdr output=FOLDER``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

from omegaconf import DictConfig

from glre_pyg.utils.cli import command, output_path
from glre_pyg.utils.console import echo


class Settings(TypedDict):
    """Settings of ``conf/report.yaml``."""

    runs: str | Sequence[str]
    split: Literal["dev", "test"]
    output: str | None


@command("report", Settings)
def main(config: DictConfig) -> None:
    """Report mean and standard deviation over seeds beside the paper's figures, as tables and plots."""
    from omegaconf import OmegaConf

    from glre_pyg.reporting.run_report import Report
    from glre_pyg.reporting.tables import Layout

    layout = Layout.of(OmegaConf.to_container(config.table, resolve=True))  # type: ignore[arg-type]
    output = output_path(config, file="report.md", make_folder=True).parent if config.output else None
    report = Report.of(config.runs, layout, config.split)
    text = report.write(output) if output else report.markdown()
    echo(*text.split("\n"))


if __name__ == "__main__":
    main()
