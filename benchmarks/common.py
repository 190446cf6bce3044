"""What the benchmarks share: who measured, fresh processes, medians, exponents and tables. Needs no torch.

A measurement runs in a process of its own, so that its peak of memory is its own. The process is forked from
one that has imported the libraries and done nothing else (:func:`in_child`).
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import json
import math
import multiprocessing
import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
MIB, GIB = 1024**2, 1024**3
PACKAGES = (
    *("torch", "torch-geometric", "torch-scatter", "transformers", "tokenizers", "accelerate", "numpy"),
    "glre_pyg",
)
SHADES = ("#222222", "#777777", "#bbbbbb", "#eeeeee")
HATCHES = ("", "//", "..", "xx", "\\\\", "++", "oo", "--", "**", "||", "OO", "/.", "-x")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
STYLES = ("-", "--", "-.", ":")

Record = dict[str, Any]
"""A measurement as JSON has it; one that could not be made says why under ``failed``."""


def parser(description: str, examples: str) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has."""
    out = argparse.ArgumentParser(
        description=description, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    out.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where the model is (cpu)")
    out.add_argument(
        "--precision", choices=("no", "bf16", "fp16"), default="no", help="mixed precision (no: fp32)"
    )
    out.add_argument("--threads", type=int, default=0, help="torch's threads (0: as torch chooses)")
    out.add_argument("--seed", type=int, default=0, help="seed of weights, documents and batches (0)")
    out.add_argument(
        "--output", type=Path, default=Path("runs/benchmarks"), help="folder of JSON and plot (%(default)s)"
    )
    out.add_argument(
        "--quick", action="store_true", help="a tiny encoder and few documents, as a test has it"
    )
    return out


def check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse options that do not go together."""
    if options.precision == "fp16" and options.device == "cpu":
        parser.error("--precision fp16: a CPU has bf16 only")


def header(benchmark: str, seed: int, *, device: str, threads: int) -> Record:
    """Who measured what, where, with what and when.

    Args:
        benchmark: Name of the command.
        seed: Its seed.
        device, threads: What torch is to run on.
    """
    torch = in_child("environment", device=device, threads=threads)
    if "failed" in torch:
        sys.exit(f"error: {torch['failed']}")
    return {
        "benchmark": benchmark,
        "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "command": " ".join(["python", *sys.argv]),
        "seed": seed,
        "commit": _git("rev-parse", "HEAD"),
        "modified": bool(_git("status", "--porcelain")),
        "machine": {
            "cpu": _line("/proc/cpuinfo", "model name") or platform.processor(),
            "cores": os.cpu_count(),
            "ram_gib": round(int((_line("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) / 1024**2, 1),
            "system": platform.platform(),
            "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY"),
            **torch,
        },
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
    }


def machine_line(record: Mapping[str, Any]) -> str:
    """One line that names the machine of a record."""
    machine, versions = record["machine"], record["versions"]
    place = (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads, {machine['ram_gib']} GiB"
    )
    return (
        f"{place}, GPU {machine['gpu'] or 'none'}; torch {machine['torch_build']}, "
        f"PyG {versions['torch-geometric']}, transformers {versions['transformers']}; "
        f"commit {str(record['commit'])[:8]}{' with changes' if record['modified'] else ''}, {record['date']}"
    )


def spread(values: Sequence[float]) -> Record:
    """Median and quartiles of some numbers, and how many they are."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return {"median": float(middle), "q1": float(low), "q3": float(high), "n": len(values)}


def exponent(sizes: Sequence[float], values: Sequence[float]) -> Record:
    """Slope of log value on log size by least squares: over all sizes, and over their upper half.

    A constant cost flattens the small sizes, so that the upper half says more of what comes after.
    Values that are not above zero are left out.
    """
    points = sorted((size, value) for size, value in zip(sizes, values, strict=True) if value > 0)
    upper = points[len(points) // 2 :] if len(points) > 3 else points
    return {"exponent": _slope(points), "upper_half": _slope(upper), "points": len(points)}


def _slope(points: Sequence[tuple[float, float]]) -> float | None:
    if len({size for size, _ in points}) < 2:
        return None
    logs = np.log(np.array(points))
    return float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])


def number(value: float | None, form: str = ".2f") -> str:
    """A number of a table; a dash where there is none."""
    return "–" if value is None or math.isnan(value) else format(value, form)


def with_spread(of: Mapping[str, Any], form: str = ".2f") -> str:
    """``median (q1 to q3)``."""
    return f"{of['median']:{form}} ({of['q1']:{form}} to {of['q3']:{form}})"


def write(record: Record, path: Path) -> None:
    """Write JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(record, indent=2) + "\n")
    partial.replace(path)


def read(path: Path) -> Record:
    """A record that was written."""
    return json.loads(path.read_text())


def hide_scatter() -> None:
    """Let every later child find no torch-scatter."""
    sys.path.insert(0, str(HERE / "without"))
    _pass_on(HERE / "without")


def _pass_on(folder: Path) -> None:
    """Let the interpreters that are started from here look for modules in a folder first."""
    others = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each != str(folder)]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *filter(None, others)])


def in_child(job: str, *, device: str, **options: Any) -> Record:
    """Run a function of :mod:`jobs` in a fresh process.

    Args:
        job: Its name.
        device: ``"cuda"`` starts a new interpreter, as CUDA does not survive a fork.
        options: Its arguments.

    Returns:
        What it gives, or ``{"failed": why}``.
    """
    context = multiprocessing.get_context("spawn" if device == "cuda" else "forkserver")
    context.set_forkserver_preload(["jobs"])
    _pass_on(HERE)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the Makefile has it
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler's stages
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(send, job, {"device": device, **options}))
    process.start()
    send.close()
    try:
        result: Record = receive.recv()
    except EOFError:
        result = {}
    process.join()
    return result or {"failed": f"the process was ended with code {process.exitcode}"}


def _answer(send: Connection, job: str, options: Record) -> None:
    sys.stdout = sys.stderr  # the parent prints tables
    try:
        result = getattr(importlib.import_module("jobs"), job)(**options)
    except Exception as error:
        reason = str(error).strip().splitlines()
        result = {"failed": f"{type(error).__name__}: {reason[0] if reason else ''}"[:300]}
        if not is_refusal(error):
            traceback.print_exc()
    send.send(result)
    send.close()


def is_refusal(error: BaseException) -> bool:
    """Whether an error says that there is no room, or that the input is none: a result, not a mistake."""
    text = str(error).lower()
    return (
        isinstance(error, MemoryError)
        or {kind.__name__ for kind in type(error).__mro__} & {"InputError", "OutOfMemoryError"} != set()
        or "allocate memory" in text
        or "bad_alloc" in text
    )


def resident() -> int:
    """Resident memory of this process in bytes; 0 where the system does not say."""
    return _status("VmRSS")


def peak() -> int:
    """Highest resident memory since :func:`reset_peak`, in bytes."""
    if found := _status("VmHWM"):
        return found
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def reset_peak() -> bool:
    """Give freed memory back and let :func:`peak` begin anew; whether the system can do so."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return False
    return True


def limit_memory(budget: int) -> bool:
    """Let this process take so many bytes of memory in all; whether the system can do so."""
    import resource

    data = _status("VmData")
    if not data:
        return False
    limit = data + max(0, budget - resident())
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    return True


def _status(field: str) -> int:
    line = _line("/proc/self/status", field)
    return int(line.split()[0]) * 1024 if line else 0


def _line(path: str, field: str) -> str | None:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.split(":")[0].strip() == field), None
    )


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=HERE, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
