"""Whether a long stream of documents takes no more memory the longer it goes on, and survives being killed.

    python tests/trials/stream.py --documents 100000 --kills 5 --seed 0

Trains a tiny model, generates documents, and has ``predict`` work on them. It is killed (SIGKILL) at random moments in
the first half and started again with the same command; the second half is one stretch, over which its memory is
looked at, from its document 8,000 on. In the end every document stands in the output once, in order, with the
facts that a run that was not killed finds in a sample. The exit code is 1 if not, or if memory has grown by more
than 5 %.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory

import psutil

from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.formats.jsonl import format_jsonl

GROWTH = 0.05
SAMPLE = 2_000
WARM = 8_000  # documents until all code has been in use, and what is kept of words has been filled
MIB = 2**20
TRAINING = [
    *("encoder=tiny", "dataset.sizes.train=200", "dataset.sizes.dev=20", "dataset.sizes.test=20"),
    *("training.epochs=2", "model.nodes.hidden_channels=16"),
]


def started(folder: Path, command: str, *options: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", f"glre_pyg.{command}", *options],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},
    )


def run(folder: Path, command: str, *options: str) -> None:
    if started(folder, command, *options).wait():
        sys.exit(f"{command} failed")


def prediction(folder: Path, source: str, target: str) -> subprocess.Popen[bytes]:
    return started(
        folder, "predict", "run=run", f"input={source}", f"output={target}", "cache=false", "device=cpu"
    )


def done(folder: Path, target: str) -> int:
    """Documents that are on the disk."""
    try:
        return int(json.loads((folder / f"{target}.progress").read_text())["done"]["documents"])
    except (OSError, ValueError):
        return 0


@dataclass
class Stretch:
    """Memory of a process over the documents that it has done: (documents, bytes)."""

    seen: list[tuple[int, int]] = field(default_factory=list)

    def look(self, process: subprocess.Popen[bytes], documents: int) -> None:
        if not self.seen or documents > self.seen[-1][0]:
            self.seen.append((documents, psutil.Process(process.pid).memory_info().rss))

    def early_and_late(self) -> tuple[float, float]:
        """Medians of the tenth that begins when it is warm, and of its last tenth."""
        tenth = max(1, len(self.seen) // 10)
        memory = [of for _, of in self.seen]
        warm = next(
            (number for number, (of, _) in enumerate(self.seen) if of >= self.seen[0][0] + WARM), tenth
        )
        return median(memory[warm : warm + tenth]), median(memory[-tenth:])


def lines(path: Path) -> Iterator[str]:
    with path.open() as file:
        yield from file


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--documents", type=int, default=100_000, help="documents (100000)")
    parser.add_argument("--kills", type=int, default=5, help="times that it is killed (5)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments (0)")
    options = parser.parse_args()
    random, count = Random(options.seed), options.documents
    with TemporaryDirectory() as name:
        folder = Path(name)
        run(folder, "train", *TRAINING, "hydra.run.dir=run", "cache=false")
        with (folder / "in.jsonl").open("w") as file:
            file.writelines(map(format_jsonl, SyntheticCorpus().generate("stream", count)))
        with (folder / "sample.jsonl").open("w") as file:
            file.writelines(islice(lines(folder / "in.jsonl"), SAMPLE))
        prediction(folder, "sample.jsonl", "sample.out.jsonl").wait()

        begun, moments = (
            time.perf_counter(),
            sorted(random.randrange(count // 2) for _ in range(options.kills)),
        )
        for moment in moments:
            process = prediction(folder, "in.jsonl", "out.jsonl")
            while done(folder, "out.jsonl") < moment and process.poll() is None:
                time.sleep(0.05)
            time.sleep(random.random())
            process.kill()
            process.wait()
            print(f"killed behind document {done(folder, 'out.jsonl'):,}", flush=True)
        process, stretch, first = (
            prediction(folder, "in.jsonl", "out.jsonl"),
            Stretch(),
            done(folder, "out.jsonl"),
        )
        while process.poll() is None:
            if (now := done(folder, "out.jsonl")) > first:
                stretch.look(process, now)
            time.sleep(0.2)
        seconds = time.perf_counter() - begun

        ids = [json.loads(line)["id"] for line in lines(folder / "out.jsonl")]
        expected = [json.loads(line)["id"] for line in lines(folder / "in.jsonl")]
        pairs = zip(lines(folder / "sample.out.jsonl"), lines(folder / "out.jsonl"), strict=False)
        differing = sum(not same(*map(json.loads, pair)) for pair in pairs)
    early, late = stretch.early_and_late()
    behind = [documents for documents, _ in stretch.seen]
    print(
        f"{len(ids):,} of {count:,} documents, {'once each and in order' if ids == expected else 'NOT THE SAME'}, "
        f"killed {options.kills} times; {differing} of {min(SAMPLE, count):,} differ from a run that was not; "
        f"{count / seconds:.0f} documents a second, starts included; memory {early / MIB:.0f} MiB early and "
        f"{late / MIB:.0f} MiB late in a stretch of {behind[-1] - behind[0]:,} documents, {late / early:.3f} times as much"
    )
    sys.exit(not (ids == expected and not differing and late <= (1 + GROWTH) * early))


def same(one: dict[str, object], other: dict[str, object]) -> bool:
    """Whether two lines of output say the same; probabilities to what batches may make of them."""
    facts = [of.pop("facts") for of in (one, other)]
    known = [{(fact["head"], fact["tail"]): fact["probability"] for fact in of} for of in facts]  # type: ignore[attr-defined]
    return (
        one == other
        and known[0].keys() == known[1].keys()
        and all(abs(known[0][pair] - known[1][pair]) < 1e-4 for pair in known[0])
    )


if __name__ == "__main__":
    main()
