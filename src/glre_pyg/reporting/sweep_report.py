"""A Hydra callback that writes a report into the folder of a sweep, or of a run that belongs to a table."""

from __future__ import annotations

from pathlib import Path

import yaml
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from glre_pyg.reporting.run_report import Report
from glre_pyg.reporting.tables import Layout
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.console import echo
from glre_pyg.utils.exceptions import InputError


class SweepReport(Callback):
    """Write the report of a sweep after its last job, or print a line that says why there is none.

    The setting ``report`` names a file in ``conf/table``. Without it, sweeps get a plain table, and single
    runs get no report.
    """

    def on_multirun_end(self, config: DictConfig, **kwargs: object) -> None:
        """Write the report of a sweep."""
        folder = Path(config.hydra.sweep.dir)
        # Hydra passes the config without the overrides of the sweep; the jobs' configs have them.
        tables = {
            yaml.safe_load(path.read_text(encoding="utf-8")).get("report")
            for path in folder.glob("*/config.yaml")
        }
        self._report(folder, tables.pop() or "plain" if len(tables) == 1 else "plain")

    def on_run_end(self, config: DictConfig, **kwargs: object) -> None:
        """Write the report of a single run."""
        if config.get("report"):
            self._report(Path(config.hydra.runtime.output_dir), config.report)

    def _report(self, folder: Path, table: str) -> None:
        try:
            layout = Layout.of(
                yaml.safe_load(Path(config_dir(), f"table/{table}.yaml").read_text(encoding="utf-8"))
            )
            try:
                report = Report.of(str(folder), layout, "test")
            except InputError:
                report = Report.of(str(folder), layout, "dev")  # the labels of test may be hidden
            echo(*report.write(folder).split("\n"))
            echo(f"report: {folder / 'report.md'}")
        except (InputError, OSError) as error:
            echo(f"no report: {str(error).splitlines()[0]}")
