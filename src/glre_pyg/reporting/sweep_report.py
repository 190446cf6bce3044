"""A Hydra callback that leaves a report in the folder of a sweep, or of a run that belongs to a table."""

from __future__ import annotations

from pathlib import Path

import yaml
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from glre_pyg.reporting.run_report import Report
from glre_pyg.reporting.table_layout import Layout
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.exceptions import InputError


class SweepReport(Callback):
    """Writes the report of a sweep after its last job; where there can be none, a line says why.

    The config's ``report`` names a file in ``conf/table``; with none, a sweep gets a plain table and a run
    gets nothing.
    """

    def on_multirun_end(self, config: DictConfig, **kwargs: object) -> None:
        """Write ``report.md``, ``report.csv`` and the plots of a sweep, and print where."""
        folder = Path(config.hydra.sweep.dir)
        # Hydra gives the config without the overrides that were swept over: the jobs have it.
        tables = {yaml.safe_load(path.read_text()).get("report") for path in folder.glob("*/config.yaml")}
        self._report(folder, tables.pop() or "plain" if len(tables) == 1 else "plain")

    def on_run_end(self, config: DictConfig, **kwargs: object) -> None:
        """Write the same of one run."""
        if config.get("report"):
            self._report(Path(config.hydra.runtime.output_dir), config.report)

    def _report(self, folder: Path, table: str) -> None:
        try:
            layout = Layout.of(yaml.safe_load(Path(config_dir(), f"table/{table}.yaml").read_text()))
            try:
                report = Report.of([str(folder)], layout, "test")
            except InputError:
                report = Report.of([str(folder)], layout, "dev")  # the labels of test may be hidden
            print(report.write(folder))
            print(f"report: {folder / 'report.md'}")
        except (InputError, OSError) as error:
            print(f"no report: {str(error).splitlines()[0]}")
