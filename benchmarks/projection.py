"""Core-hours and bytes that ``predict`` needs for many documents, projected from measurements of one worker.

    python benchmarks/projection.py --input CDR_TestSet.PubTator.txt --documents 37e6

A worker is one process of ``predict`` on one core, with 1, 2 and 4 partitions, each a Parquet file. Its cost
is time on cores, which other programs on the machine lengthen less than time on the clock: a start, and so
much for each document. GPU-hours are those of a rate that you have measured: ``--gpu-rate``.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np

from glre_pyg.data.document import Document
from glre_pyg.formats.detection import read_documents
from glre_pyg.formats.parquet import write_parquet

PARTITIONS = (1, 2, 4)


class Measurement(NamedTuple):
    """What a worker took: time on cores, and bytes of Parquet, of its outputs, and of their summaries."""

    documents: int
    core_seconds: float
    parquet: int
    outputs: int
    summaries: int


def measure(run: str, documents: Sequence[Document], partitions: int) -> Measurement:
    """Let a worker predict documents in some partitions."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        for number in range(partitions):
            write_parquet(documents[number::partitions], folder / f"in/{number}.parquet")
        arguments = [f"run={run}", f"input={folder}/in", f"output={folder}/out", "cache=false", "device=cpu"]
        before = _core_seconds()
        subprocess.run(
            [sys.executable, "-m", "glre_pyg.predict", *arguments],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            check=True,
        )
        seconds = _core_seconds() - before
        sizes = (_bytes(folder / part, "*") for part in ("in", "out", "out/.summaries"))
        return Measurement(len(documents), seconds, *sizes)


def _core_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _bytes(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(pattern) if path.is_file())


def costs(measured: Sequence[Measurement]) -> tuple[float, float]:
    """Core-seconds of a worker's start and of a document: the line through the measurements."""
    document, start = np.polyfit(
        [each.documents for each in measured], [each.core_seconds for each in measured], 1
    )
    return max(float(start), 0.0), float(document)


def main() -> None:
    """Print the measurements and the projection."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", required=True, help="file of documents like those that there will be")
    parser.add_argument("--run", default="cdr", help="the model (%(default)s)")
    parser.add_argument("--sample", type=int, default=100, help="documents of a partition here (%(default)s)")
    parser.add_argument(
        "--documents", type=float, default=37e6, help="documents of the projection (%(default)g)"
    )
    parser.add_argument("--partition", type=int, default=10_000, help="of a partition there (%(default)s)")
    parser.add_argument(
        "--gpu-rate", type=float, help="documents per second of one GPU, as you have measured it"
    )
    options = parser.parse_args()
    most = max(PARTITIONS) * options.sample
    documents = list(islice(read_documents(Path(options.input)), most))
    if len(documents) < most:
        parser.error(f"--input: has {len(documents)} documents, and {most} are needed; --sample takes fewer")
    measured = [measure(options.run, documents[: count * options.sample], count) for count in PARTITIONS]
    start, document = costs(measured)
    first = measured[0].core_seconds
    print("| partitions a worker | documents | core-seconds | times the cost of 1 |\n|---:|---:|---:|---:|")
    for count, each in zip(PARTITIONS, measured, strict=True):
        print(f"| {count} | {each.documents} | {each.core_seconds:.1f} | {each.core_seconds / first:.2f} |")
    print(f"\na start takes {start:.1f} core-seconds, a document {document:.3f}\n")
    number, partitions = options.documents, options.documents / options.partition
    print(f"{number:,.0f} documents in {partitions:,.0f} partitions of {options.partition:,}:\n")
    print("| partitions a worker | workers | core-hours | of which starts |\n|---:|---:|---:|---:|")
    for count in PARTITIONS:
        starts = partitions / count * start / 3600
        hours = number * document / 3600 + starts
        print(f"| {count} | {partitions / count:,.0f} | {hours:,.0f} | {starts:,.1f} |")
    names = ("parquet", "outputs", "summaries")
    sizes = {name: getattr(measured[-1], name) / most * number / 1e9 for name in names}
    print("\nGB: " + ", ".join(f"{size:,.1f} of {name}" for name, size in sizes.items()))
    if options.gpu_rate:
        print(
            f"GPU-hours at {options.gpu_rate:g} documents per second: {number / options.gpu_rate / 3600:,.0f}"
        )


if __name__ == "__main__":
    main()
