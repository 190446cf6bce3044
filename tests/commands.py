"""Commands as tests run them: in the test's own process, which spares the imports, or in a process of theirs."""

import multiprocessing
import os
import resource
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import torch


@contextmanager
def small_files(size: int) -> Iterator[None]:
    """Files may have so many bytes; what would be longer is an error, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[0][1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before[0])
        signal.signal(signal.SIGXFSZ, before[1])


def run_process(
    command: str, *arguments: str, cwd: Path, code: int = 0, **environment: str
) -> tuple[str, str]:
    """What a command prints that runs in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, "-m", f"glre_pyg.{command}", *arguments],
        cwd=cwd,
        text=True,
        capture_output=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def run_two(script: Path, *arguments: str, cwd: Path, codes: tuple[int, int] = (0, 0)) -> tuple[str, str]:
    """What two processes print that run a script together, with the variables that torchrun sets."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [{**shared, "RANK": rank, "LOCAL_RANK": rank} for rank in "01"]
    return run_scripts(script, *arguments, cwd=cwd, environments=ranks, codes=codes)


def run_scripts(
    script: Path, *arguments: str, cwd: Path, environments: Sequence[dict[str, str]], codes: Sequence[int]
) -> tuple[str, str]:
    """What processes print that run a script at the same time, each with some variables of its own.

    They are forks of a process that has imported what takes seconds, once for all tests.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["glre_pyg.training.experiment", "glre_pyg.extraction.pipeline"])
    with TemporaryDirectory() as name:
        places = [Path(name, str(number)) for number in range(len(environments))]
        processes = [
            context.Process(target=_run_script, args=([str(script), *arguments], cwd, place, variables))
            for place, variables in zip(places, environments, strict=True)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(300)
        out, err = (
            "".join(place.with_suffix(kind).read_text() for place in places) for kind in (".out", ".err")
        )
    assert [process.exitcode for process in processes] == [*codes], (out, err)
    return out, err


def _run_script(argv: list[str], cwd: Path, place: Path, variables: dict[str, str]) -> None:
    os.environ.update(variables)
    os.chdir(cwd)
    sys.argv = argv
    for suffix, stream in ((".out", sys.stdout), (".err", sys.stderr)):
        os.dup2(os.open(place.with_suffix(suffix), os.O_WRONLY | os.O_CREAT), stream.fileno())
    torch.set_num_threads(1)
    runpy.run_path(argv[0], run_name="__main__")


def run(command: str, *arguments: str, cwd: Path, code: int = 0, **environment: str) -> tuple[str, str]:
    """What a command prints."""
    module = import_module(f"glre_pyg.{command}")
    out, err = StringIO(), StringIO()
    with (
        chdir(cwd),
        patch.dict(os.environ, environment),
        patch.object(sys, "argv", [str(module.__file__), *arguments]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            module.main()
            status = 0
        except SystemExit as end:
            status = int(end.code or 0)
    assert status == code, err.getvalue()
    return out.getvalue(), err.getvalue()
