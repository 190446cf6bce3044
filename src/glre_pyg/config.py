"""Where the configs are: every number of every experiment stands in ``conf/``, not in code."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig
from omegaconf.errors import MissingMandatoryValue

from glre_pyg.document import InputError


def config_dir() -> str:
    """Absolute path of the configs, for ``@hydra.main(config_path=config_dir())``.

    An installed wheel has them beside this file, as the package ``glre_pyg.conf``; a checkout and an
    editable install have them at the top of the repository.

    >>> Path(config_dir(), "__init__.py").is_file()
    True
    """
    package = Path(__file__).resolve().parent
    candidates = [package / "conf", package.parents[1] / "conf"]
    for folder in candidates:
        if (folder / "__init__.py").is_file():
            return str(folder)
    raise FileNotFoundError(f"no configs at {' or '.join(map(str, candidates))}")


def command(main: Callable[[DictConfig], None]) -> Callable[[DictConfig], None]:
    """Make a command end with one line and exit code 2, not a traceback, on input that it cannot read."""

    @functools.wraps(main)
    def run(config: DictConfig) -> None:
        try:
            main(config)
        except Exception as error:
            reason = _input_error(error)
            if reason is None:
                raise
            print(f"error: {reason}", file=sys.stderr)
            sys.exit(2)

    return run


def _input_error(error: BaseException | None) -> str | None:
    while error is not None:
        if isinstance(error, InputError | MissingMandatoryValue):
            return str(error).splitlines()[0]
        error = error.__cause__
    return None
