"""Extract relations from documents: ``python -m glre_pyg.predict run=RUN input=FILE output=FILE``."""

from __future__ import annotations

import sys
from contextlib import nullcontext

from omegaconf import DictConfig

from glre_pyg.utils.cli import command, output_path


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
    from glre_pyg.utils.distributed import is_main_process
    from glre_pyg.utils.files import exclusive

    check_settings(config)
    output = Output(output_path(config))
    with exclusive(output.path) if is_main_process() else nullcontext():
        errors = extract(load_run(config), config, output)
    sys.exit(2 if errors else 0)


if __name__ == "__main__":
    main()
