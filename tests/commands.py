"""Commands as tests run them: in the test's own process, which spares the imports, or in a process of theirs."""

import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from unittest.mock import patch


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


def start(command: str, *arguments: str, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    """A command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", f"glre_pyg.{command}", *arguments],
        cwd=cwd,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


def run_process(
    command: str, *arguments: str, cwd: Path, code: int = 0, **environment: str
) -> tuple[str, str]:
    """What a command prints that runs in a process of its own."""
    process = start(command, *arguments, cwd=cwd, **environment)
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    return out, err


def run_two(script: Path, *arguments: str, cwd: Path) -> tuple[str, str]:
    """What two processes print that run a script together, with the variables that torchrun sets."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), *arguments],
            cwd=cwd,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **shared, "OMP_NUM_THREADS": "1", "RANK": rank, "LOCAL_RANK": rank},
        )
        for rank in "01"
    ]
    printed = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed
    return "".join(out for out, _ in printed), "".join(err for _, err in printed)


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
