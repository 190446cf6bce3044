"""Many files, each predicted into a file of its own by actors of a Ray cluster.

An actor does with a file what the worker of a shard does, :func:`~glre_pyg.extraction.shards.extract_file`:
finished files are left as they are, and one goes on after its last chunk if its actor or the driver was
killed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig

from glre_pyg.extraction.pipeline import settings_key
from glre_pyg.extraction.scoring import load_run
from glre_pyg.extraction.shards import Outcome, extract_file, files_of_shard, report
from glre_pyg.runs.run import Run
from glre_pyg.utils.cli import limit_kernel_cache
from glre_pyg.utils.console import echo, echo_error
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.interrupts import deferred_interrupts

_RETRIES = 3
"""How often a file is tried again when its actor has died."""


def extract_files_with_ray(config: DictConfig) -> int:
    """Predict the files of a shard with Ray, each into a file of the output folder.

    Args:
        config: Composed from ``conf/predict.yaml``, with an input and a folder as output.

    Returns:
        Number of errors, also of files that were written before.

    Raises:
        InputError: If Ray is not installed, has no room for the actors, or see
            :func:`~glre_pyg.extraction.shards.extract_files`.
    """
    files, total = files_of_shard(config)
    with _connected() as ray:
        size = _number_of_actors(ray.nodes(), config)
        remote = ray.remote(FileExtractor).options(
            num_cpus=1, num_gpus=config.gpus, max_restarts=-1, max_task_retries=_RETRIES
        )
        actors = (remote.remote(config, os.getcwd()) for _ in range(size))
        return report(config, _outcomes(ray, actors, files), total)


class FileResult(NamedTuple):
    """What came of a file.

    Args:
        outcome: What was done.
        out, err: What the terminal is to show.
        failure: The error that ends the command, if there was one.
    """

    outcome: Outcome
    out: str
    err: str
    failure: str | None


class FileExtractor:
    """Predicts files; an actor has one, and loads the model with its first file.

    Args:
        config: Composed from ``conf/predict.yaml``.
        folder: Folder that relative paths in it start from.
    """

    def __init__(self, config: DictConfig, folder: str) -> None:
        self.config = config.copy()
        if not config.gpus and config.device is None:
            self.config.device = "cpu"  # Ray does not hide GPUs from actors without one
        self.folder = folder
        limit_kernel_cache()

    @cached_property
    def _run(self) -> Run:
        return load_run(self.config)

    @cached_property
    def _settings(self) -> str:
        return settings_key(self._run, self.config)

    def extract(self, name: str, file: Path, output: Path) -> FileResult:
        """Predict a file.

        Args:
            name, file, output: See :func:`~glre_pyg.extraction.shards.inputs_and_outputs`.
        """
        outcome, failure = Outcome(""), None
        with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
            try:
                os.chdir(self.folder)
                outcome = extract_file(self._run, self.config, self._settings, name, file, output)
            except InputError as error:
                failure = str(error)
            except OSError as error:
                failure = f"{error.filename or file}: {error.strerror or error}"
        return FileResult(outcome, out.getvalue(), err.getvalue(), failure)


def _outcomes(ray: Any, actors: Iterable[Any], files: Sequence[tuple[str, Path, Path]]) -> Iterator[Outcome]:
    """Yield what was done with each file, and print what its actor has printed.

    No actor is kept once there is no file for it: its place is then free for one that has to be restarted.

    Raises:
        InputError: If an error ends the command.
    """
    waiting = iter(files)
    working = {
        actor.extract.remote(*file): (actor, file) for actor, file in zip(actors, waiting, strict=False)
    }
    while working:
        with deferred_interrupts():  # which Ray would replace by errors of its own
            ready, _ = ray.wait([*working], timeout=1)
        for done in ready:
            actor, file = working.pop(done)
            if (following := next(waiting, None)) is not None:
                working[actor.extract.remote(*following)] = actor, following
            try:
                result = ray.get(done)
            except (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError):
                hint = "if it was its memory, memory=GIB limits it"
                echo_error(f"error: {file[1]}: its actor died {_RETRIES + 1} times; {hint}")
                yield Outcome("given up", errors=1)
                continue
            for text, show in ((result.err, echo_error), (result.out, echo)):
                for line in text.splitlines():
                    show(line)
            if result.failure is not None:
                raise InputError(result.failure)
            yield result.outcome


@contextmanager
def _connected() -> Iterator[Any]:
    """Connect to the Ray cluster of ``RAY_ADDRESS``, or else one on this machine, which may be started.

    Raises:
        InputError: If Ray is not installed, or there is no such cluster.
    """
    try:
        import ray
    except ImportError as error:
        raise InputError(f"engine: {error}: pip install 'glre_pyg[ray]'") from None
    was_connected, handler = ray.is_initialized(), signal.getsignal(signal.SIGTERM)
    try:
        ray.init(ignore_reinit_error=True, logging_level="warning")
    except Exception as error:  # it raises bare ones, if it does not start in time
        raise InputError(f"engine: Ray cannot be used: {' '.join(str(error).split())}") from None
    try:
        if not was_connected:
            signal.signal(signal.SIGTERM, handler)  # which Ray replaces
        yield ray
    finally:
        if not was_connected:
            ray.shutdown()


def _number_of_actors(nodes: Sequence[Mapping[str, Any]], config: DictConfig) -> int:
    """Return the number of actors.

    Args:
        nodes: What ``ray.nodes()`` returns.
        config: Composed from ``conf/predict.yaml``.

    Raises:
        InputError: If there is no room for them, for which Ray would wait without end.
    """
    room = 0
    for resources in (node["Resources"] for node in nodes if node["Alive"]):
        free = int(resources.get("CPU", 0)) - 1  # for Ray itself, and for tasks that read
        if config.gpus:
            free = min(free, int(resources.get("GPU", 0)) * int(1 / config.gpus))
        room += max(free, 0)
    wanted = config.actors or room
    if not 0 < wanted <= room:
        wants = f", not for {wanted}" if wanted else ""
        takes = f"a CPU and {config.gpus:g} of a GPU" if config.gpus else "a CPU"
        raise InputError(
            f"actors: Ray has room for {room}{wants}: each takes {takes}, and a CPU of each node stays free"
        )
    return wanted
