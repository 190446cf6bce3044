"""Where the configs are: every number of every experiment stands in ``conf/``, not in code."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import hydra
from omegaconf import DictConfig
from omegaconf.errors import MissingMandatoryValue

from glre_pyg.utils.exceptions import InputError

Main = Callable[[DictConfig], None]
"""What a command does with its config."""


def config_dir() -> str:
    """Absolute path of the configs, for ``@hydra.main(config_path=config_dir())``.

    An installed wheel has them inside the package, as the package ``glre_pyg.conf``; a checkout and an
    editable install have them at the top of the repository.

    >>> Path(config_dir(), "__init__.py").is_file()
    True
    """
    package = Path(__file__).resolve().parents[1]
    candidates = [package / "conf", package.parents[1] / "conf"]
    for folder in candidates:
        if (folder / "__init__.py").is_file():
            return str(folder)
    raise FileNotFoundError(f"no configs at {' or '.join(map(str, candidates))}")


def command(name: str, *, shared: bool = False) -> Callable[[Main], Callable[[], None]]:
    """Make a function a command: its config is composed from ``conf/<name>.yaml`` and the command line.

    Input that it cannot read ends it with one line and exit code 2, not a traceback.

    Args:
        name: Name of the config.
        shared: Whether several processes, as ``torchrun`` starts them, are at it together; else the first
            does all, and the others nothing. The first prints, and its output directory is that of all.
    """

    def decorated(main: Main) -> Callable[[], None]:
        @functools.wraps(main)
        def run() -> None:
            bound_kernels()
            with _as_one_of_many(shared) as takes_part:
                if takes_part:
                    composed = hydra.main(version_base="1.3", config_path=config_dir(), config_name=name)
                    composed(_guarded(main))()

        return run

    return decorated


def output_path(setting: str) -> Path:
    """Return the path of an output file, checked before anything is computed.

    Raises:
        InputError: If its folder does not exist.
    """
    path = Path(setting)
    if not path.parent.is_dir():
        raise InputError(f"{path}: cannot be written, its folder is missing")
    return path


def bound_kernels() -> None:
    """Have oneDNN keep 64 of the kernels that it makes, in place of 1,024, before it makes the first.

    Nearly every batch has another shape and gets kernels of its own, so keeping more saves no time, and takes
    memory that grows for a thousand steps.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")


@contextmanager
def _as_one_of_many(shared: bool) -> Iterator[bool]:
    """Be the process that this is of those that ``torchrun`` has started; false if it has nothing to do."""
    count, number = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    if count == 1:
        yield True
    elif not shared:
        for name in ("WORLD_SIZE", "RANK", "LOCAL_WORLD_SIZE", "LOCAL_RANK"):
            os.environ.pop(name, None)  # so that nothing waits for the others
        yield number == 0
    else:
        os.environ.setdefault(
            "TORCH_CPP_LOG_LEVEL", "ERROR"
        )  # else each says that it looks after all weights
        try:
            with _quiet() if number else nullcontext():
                yield True
        except SystemExit:  # with which some commands end well, too
            _part()
            raise
        _part()


def _part() -> None:
    """Leave the other processes in order; without, some abort as they end."""
    import torch.distributed

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@contextmanager
def _quiet() -> Iterator[None]:
    """Print nothing, and let Hydra have a folder of its own that is removed afterwards."""
    with TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        sys.argv += [f"hydra.run.dir={folder}", f"hydra.sweep.dir={folder}"]
        yield


def _guarded(main: Main) -> Main:
    """End with one line and exit code 2 on input that cannot be read."""

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
