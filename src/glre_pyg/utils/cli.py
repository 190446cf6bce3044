"""Commands: functions run by Hydra with a config from ``conf/``, alone or in several processes."""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from importlib import import_module
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from glre_pyg.utils.command_line import (
    check_arguments,
    hydra_errors,
    literal_values,
    typed_texts,
    with_comments,
)
from glre_pyg.utils.console import echo, echo_error
from glre_pyg.utils.exceptions import InputError, is_out_of_memory
from glre_pyg.utils.files import WriteError, check_output
from glre_pyg.utils.interrupts import interruptible
from glre_pyg.utils.settings import check_given, check_settings, set_texts, text_settings

Main = Callable[[DictConfig], None]
"""A command's function of its config."""


def config_dir() -> str:
    """Return the absolute path of the configs, for ``@hydra.main(config_path=config_dir())``.

    They are inside the package in an installed wheel (``glre_pyg.conf``), and at the top of the repository in
    a checkout or an editable install.

    >>> Path(config_dir(), "__init__.py").is_file()
    True
    """
    package = Path(__file__).resolve().parents[1]
    candidates = [package / "conf", package.parents[1] / "conf"]
    for folder in candidates:
        if (folder / "__init__.py").is_file():
            return str(folder)
    raise FileNotFoundError(f"no configs at {' or '.join(map(str, candidates))}")


def command(
    name: str, schema: type, *, shared: bool = False, nested: bool = False
) -> Callable[[Main], Callable[[], None]]:
    """Decorator for commands, whose config is composed from ``conf/<name>.yaml`` and the command line.

    Wrong settings and input, files that cannot be read or written, and too little memory end a command with
    one line and exit code 2; signals end it with one line and 128 plus their number. An error of the program
    has a traceback.

    Args:
        name: Name of the config.
        schema: ``TypedDict`` of its settings.
        shared: Whether the processes that ``torchrun`` starts share the work; if not, only the first runs.
            The first prints and has the output directory.
        nested: Whether the settings of settings are required, too, as those of a corpus are in training.
    """

    def decorator(main: Main) -> Callable[[], None]:
        @functools.wraps(main)
        def run() -> None:
            if main.__module__ == "__main__" and (spec := main.__globals__["__spec__"]):
                import_module(spec.name).main()  # launchers of other processes need a name to import
                return
            if sys.argv[1:] == ["--version"]:
                echo(f"glre_pyg {version('glre_pyg')}")
                return
            typed = typed_texts(sys.argv[1:])

            @functools.wraps(main)
            def checked(config: DictConfig) -> None:
                with _one_line_errors(name), _no_empty_folder():
                    check_given(config, nested=nested)  # before the check that imports what settings name
                    if HydraConfig.get().mode is RunMode.RUN:
                        set_texts(config, schema, typed)
                    check_settings(config, schema, HydraConfig.get().overrides.task)
                    main(config)

            limit_kernel_cache()
            with _process(shared) as is_active, interruptible(), _threads(), _one_line_errors(name):
                if is_active:
                    check_arguments(sys.argv[1:], config_dir())
                    sys.argv[1:] = literal_values(sys.argv[1:], text_settings(schema))
                    composed = hydra.main(version_base="1.3", config_path=config_dir(), config_name=name)
                    with _help_with_comments(name):
                        composed(checked)()

        return run

    return decorator


@contextmanager
def _no_empty_folder() -> Iterator[None]:
    """Remove the run directory, which Hydra makes first, if an error ends a command before it has a file."""
    try:
        yield
    except InputError:
        folder = Path(HydraConfig.get().runtime.output_dir)
        for each in (folder, *folder.parents[:2]):  # runs/cdr/DATE
            if not Path.cwd().is_relative_to(each):
                with suppress(OSError):  # it is not empty
                    each.rmdir()
        raise


def output_path(config: DictConfig, *more: DictConfig, file: str = "", make_folder: bool = False) -> Path:
    """Return the path of a command's output file, checked before anything is computed.

    No file is replaced that a setting names, and nothing is written into a run, a saved model, a pipeline or
    a folder of inputs.

    Args:
        config: Config of the command.
        *more: Other configs that name files, such as that of a run's corpus.
        file: Name of the file in the folder ``output``; without it, ``output`` is the file.
        make_folder: Whether to create the folder of the file.

    Raises:
        InputError: If the file cannot be written, or must not be.
    """
    path = Path(str(config.output), file)
    for folder in Path(os.path.realpath(path)).parents:
        if (folder / "config.yaml").exists() and any((folder / name).exists() for name in _OF_RUNS):
            raise InputError(f"{path}: lies in the folder of a run: write somewhere else")
    if make_folder:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError.from_error(path, error) from None
    check_output(path, [source for each in (config, *more) for source in input_paths(each)])
    return path


_FOLDERS = ("run", "input", "pipeline", "folder")
"""Settings that name a folder whose files are read."""
_OF_RUNS = ("labels.json", "config.yaml.hmac")
"""Files beside ``config.yaml`` that a saved model or a run has."""


def input_paths(config: DictConfig) -> Iterator[Path]:
    """Yield the files that settings name, whatever the settings are called, and folders of inputs."""
    nodes: list[tuple[object, object]] = [("", OmegaConf.to_container(config, resolve=True))]
    while nodes:
        name, node = nodes.pop()
        if isinstance(node, dict):
            nodes += node.items()
        elif isinstance(node, list):
            nodes += [(name, value) for value in node]
        elif isinstance(node, str) and name != "output":
            with suppress(OSError):  # too long for a name
                if Path(node).is_file() or (name in _FOLDERS and Path(node).is_dir()):
                    yield Path(node)


def limit_kernel_cache() -> None:
    """Limit oneDNN's kernel cache to 64 entries in place of 1,024; called before it compiles the first.

    Nearly every batch has a new shape and needs new kernels, so a larger cache saves no time, and its memory
    grows over a thousand steps.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")


@contextmanager
def _process(shared: bool) -> Iterator[bool]:
    """Set up one of the processes that ``torchrun`` has started; yield whether it has work to do."""
    world_size, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    if world_size == 1:
        yield True
    elif not shared:
        for name in ("WORLD_SIZE", "RANK", "LOCAL_WORLD_SIZE", "LOCAL_RANK"):
            os.environ.pop(name, None)  # so that nothing waits for the other processes
        yield rank == 0
    else:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # else each process warns
        try:
            with _silent() if rank else nullcontext():
                yield True
        except SystemExit:  # also raised by commands that succeed
            _destroy_process_group()
            raise
        _destroy_process_group()


def _destroy_process_group() -> None:
    """Shut down the process group; without this, processes may abort at exit."""
    import torch.distributed

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@contextmanager
def _silent() -> Iterator[None]:
    """Suppress output, and give Hydra a temporary output directory."""
    with (
        TemporaryDirectory() as folder,
        open(os.devnull, "w", encoding="utf-8") as null,
        redirect_stdout(null),
    ):
        sys.argv += [f"hydra.run.dir={folder}", f"hydra.sweep.dir={folder}"]
        yield


@contextmanager
def _help_with_comments(name: str) -> Iterator[None]:
    """Add the comments of the config files to what ``--help`` prints."""
    arguments = sys.argv[1:]
    if not {"-h", "--help"} & set(arguments):
        yield
        return
    with redirect_stdout(StringIO()) as printed, suppress(SystemExit):
        yield
    overrides = [argument for argument in arguments if not argument.startswith("-")]
    text = with_comments(printed.getvalue(), overrides, config_folder=config_dir(), config_name=name)
    echo(*text.split("\n"))


@contextmanager
def _threads() -> Iterator[None]:
    """Print no traceback of a thread if a disk fails: TensorBoard raises the error in the main one, too."""

    def print_error(error: threading.ExceptHookArgs) -> None:
        if not isinstance(error.exc_value, OSError):
            threading.__excepthook__(error)

    before, threading.excepthook = threading.excepthook, print_error
    try:
        yield
    finally:
        threading.excepthook = before


@contextmanager
def _one_line_errors(name: str) -> Iterator[None]:
    """Turn errors that are not of the program into one line and exit code 2."""
    try:
        with hydra_errors(config_dir(), name):
            yield
    except BrokenPipeError:  # the reader of standard output has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            raise
        echo_error(f"error: {reason}")
        sys.exit(2)


def _reason(error: BaseException | None) -> str | None:
    """Return the line for an error in input or settings, or of the machine; None for one of the program."""
    while error is not None:
        text = str(error)
        if isinstance(error, InputError):
            return text
        if isinstance(error, OmegaConfBaseException):
            return text.splitlines()[0]
        if isinstance(error, OSError):
            reason = error.strerror or text
            return reason if error.filename is None else f"{error.filename}: {reason}"
        if is_out_of_memory(error):
            return f"not enough memory{': ' + text.splitlines()[0] if text else ''}"
        if _is_disconnected(error):
            return "another process of this command has ended; its own line says why"
        error = error.__cause__
    return None


def _is_disconnected(error: BaseException) -> bool:
    """Whether gloo or NCCL has lost the connection to another process."""
    is_gloo = isinstance(error, RuntimeError) and ("gloo" in str(error) or "by peer" in str(error))
    return is_gloo or type(error).__name__ in ("DistBackendError", "DistNetworkError", "DistStoreError")
