"""Extract relations from documents: ``python -m glre_pyg.predict run=RUN input=FILE output=FILE``."""

from __future__ import annotations

import sys
from pathlib import Path

from omegaconf import DictConfig

from glre_pyg.utils.cli import command


@command("predict", shared=True)
def main(config: DictConfig) -> None:
    """Write documents with the relations that a run finds in them."""
    predict(config)


def predict(config: DictConfig) -> None:
    """Write documents with the relations that a run finds in them; see :mod:`glre_pyg.extraction.pipeline`.

    Raises:
        InputError: If the run cannot be read, or a setting is wrong.
        SystemExit: With code 2 if documents with errors were skipped.
    """
    from glre_pyg.extraction.outputs import Output
    from glre_pyg.extraction.pipeline import check_settings, extract
    from glre_pyg.extraction.scoring import load_run

    check_settings(config)
    output = Output(Path(str(config.output)))
    sys.exit(2 if extract(load_run(config), config, output) else 0)


if __name__ == "__main__":
    main()
