"""Whether a run that is killed, or whose disk is full, ends as one that was not, once it has gone on.

    python tests/trials/kills.py --kills 20 --seed 0
    python tests/trials/kills.py --kills 0 --disks 6        # as root, who may mount a small disk

A run is killed (SIGKILL) at random moments: in a step, while it saves weights and checkpoints, while it evaluates,
while it writes a cache, and anywhere. Right after that, every file that it left is whole; then the same command with
``training.resume=auto`` goes on. In the end, weights, scores, predictions and the log (but for times) are those
of an undisturbed run, bit for bit. The exit code is 1 if one differs.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from shutil import copytree, rmtree
from tempfile import TemporaryDirectory

from safetensors import safe_open

from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.formats.detection import write_documents
from glre_pyg.training.checkpoint import CHECKPOINT

HERE = Path(__file__).resolve().parent
SIZES = {"train": 24, "dev": 12, "test": 12}
OPTIONS = [
    *("dataset=pubtator", "dataset.relations=[CID]", "dataset.types=[Chemical,Disease,Gene]"),
    *("dataset.pair_types=[[Chemical,Disease]]", "encoder=tiny", "model.nodes.hidden_channels=16"),
    *("training.epochs=4", "training.batch_size=4", "training.ema=0.9", "eval_batch_size=4"),
]
PLACES = {
    "in a step": ["glre_pyg.training.epochs:EpochTrainer._step"],
    "saving": ["glre_pyg.training.checkpoint:Checkpoint._write", "glre_pyg.training.loop:_save_weights"],
    "evaluating": ["glre_pyg.training.fitting:predict", "glre_pyg.runs.run:predict"],
    "caching": ["glre_pyg.utils.cache:Cache.save"],
    "anywhere": [],
}
TIMES = ("seconds", "documents_per_second")


@dataclass(frozen=True)
class Moment:
    """When to kill: so many seconds after the beginning of a call of a function, or of the run.

    Args:
        kind: One of :data:`PLACES`.
        place: ``module:function``; None for the run, which begins when its directory has a config.
        call: Which call of it, from 0.
        delay: Seconds.
    """

    kind: str
    place: str | None
    call: int
    delay: float

    def __str__(self) -> str:
        at = f"call {self.call + 1} of {self.place}" if self.place else "the run has begun"
        return f"{1000 * self.delay:.0f} ms after {at}"


def started(folder: Path, options: list[str], **environment: str) -> subprocess.Popen[str]:
    """Training in a process of its own, which counts the calls of the functions of :data:`PLACES`."""
    return subprocess.Popen(
        [sys.executable, HERE / "watched_train.py", *options],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", **environment},
    )


def finished(folder: Path, options: list[str], **environment: str) -> tuple[int, str]:
    process = started(folder, options, **environment)
    said, _ = process.communicate(timeout=600)
    return process.returncode, said


def options_of(run: Path, cache: Path, *more: str) -> list[str]:
    return [*OPTIONS, *more, f"hydra.run.dir={run}", f"cache={cache}", "training.resume=auto"]


def prepare(folder: Path) -> None:
    """Write the corpus."""
    for split, size in SIZES.items():
        write_documents(SyntheticCorpus().generate(split, size), folder / f"{split}.pubtator")
    OPTIONS.extend(f"dataset.{split}={folder / split}.pubtator" for split in SIZES)


def results(run: Path) -> dict[str, bytes | list[dict[str, object]]]:
    """What has to be the same in the end."""
    names = ("model.safetensors", "scores.json", "predictions_dev.jsonl", "predictions_test.jsonl")
    found: dict[str, bytes | list[dict[str, object]]] = {name: (run / name).read_bytes() for name in names}
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    found["log.jsonl"] = [{key: of for key, of in row.items() if key not in TIMES} for row in rows]
    return found


def broken(*folders: Path) -> list[Path]:
    """Files that are not whole; those that are being written have names of their own."""
    found = []
    for path in (path for folder in folders for path in folder.rglob("*") if path.is_file()):
        if ".part" in str(path) or path.suffix not in (".json", ".jsonl", ".safetensors", ".yaml"):
            continue
        try:
            if path.suffix == ".safetensors":
                with safe_open(path, "pt") as file:
                    list(file.keys())
            elif path.name != "log.jsonl":  # whose last line is cut off when a run goes on
                [
                    json.loads(line) for line in path.read_text().splitlines()
                ] if path.suffix == ".jsonl" else None
                json.loads(path.read_text()) if path.suffix == ".json" else None
        except Exception:
            found.append(path)
    return found


def moments(random: Random, calls: dict[str, list[float]], seconds: float, count: int) -> Iterator[Moment]:
    """Random moments of an undisturbed run, of each kind in turn."""
    kinds = list(PLACES)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        places = [place for place in PLACES[kind] if calls.get(place)]
        if not places:
            yield Moment(kind, None, 0, random.uniform(0, seconds))
            continue
        place = random.choice(places)
        call = random.randrange(len(calls[place]))
        yield Moment(kind, place, call, random.uniform(0, calls[place][call]))


def killed(folder: Path, run: Path, cache: Path, moment: Moment, *more: str) -> bool:
    """Kill a run at a moment; false if it was over before."""
    if moment.place is not None:
        at = json.dumps([moment.place, moment.call, moment.delay])
        code, _ = finished(folder, options_of(run, cache, *more), KILL=at)
        return code == -signal.SIGKILL
    process = started(folder, options_of(run, cache, *more))
    while not (run / "config.yaml").exists() and process.poll() is None:
        time.sleep(0.001)
    time.sleep(moment.delay)
    process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL


def trial_of_kills(folder: Path, count: int, random: Random) -> int:
    """Kill runs, and say of each how it ended; give the failures."""
    undisturbed = {}
    for name, more in (("trained", []), ("frozen", ["encoder.module.trainable=false"])):
        calls = folder / f"{name}.json"
        run, cache = folder / name, folder / f"{name}.cache"
        code, said = finished(folder, options_of(run, cache, *more), CALLS=str(calls))
        if code:
            sys.exit(said)
        begun, ended = ((run / file).stat().st_mtime for file in ("config.yaml", "checksums.json"))
        undisturbed[name] = (more, results(run), json.loads(calls.read_text()), ended - begun)
    failures, survived = 0, dict.fromkeys(PLACES, 0)
    planned = {
        name: moments(random, calls, seconds, count) for name, (_, _, calls, seconds) in undisturbed.items()
    }
    for number in range(count):
        name = ["trained", "frozen"][number % 2]
        more, expected, _, _ = undisturbed[name]
        moment = next(planned[name])
        run, cache = folder / f"run {number}", folder / f"cache {number}"
        while not killed(folder, run, cache, moment, *more):  # it was over before
            moment = replace(moment, delay=moment.delay / 2)
            for left in (run, cache):
                rmtree(left, ignore_errors=True)
        halves = broken(run, cache)
        had = "a checkpoint" if (run / CHECKPOINT).exists() else "a config" if run.exists() else "nothing"
        code, said = finished(folder, options_of(run, cache, *more))
        found = results(run) if not code else {}
        differing = [file for file in expected if found.get(file) != expected[file]]
        is_good = not (halves or code or differing)
        failures += not is_good
        survived[moment.kind] += is_good
        outcome = (
            "the same" if is_good else f"FAILED: {[str(half) for half in halves]} {differing} {said[-300:]}"
        )
        print(f"{number + 1}: {name}, {moment.kind}, {moment}: left {had}; {outcome}", flush=True)
    kinds = ", ".join(f"{number} {kind}" for kind, number in survived.items() if number)
    print(f"{sum(survived.values())} of {count} kills survived bit for bit: {kinds}")
    return failures


@contextmanager
def small_disk(folder: Path, kib: int) -> Iterator[Path]:
    """A disk of so many KiB."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def trial_of_disks(folder: Path, count: int, random: Random) -> int:
    """Let runs fill disks, and go on with them on one with room; give the failures."""
    whole, cache = folder / "whole", folder / "cache"
    code, said = finished(folder, options_of(whole, cache))
    if code:
        sys.exit(said)
    expected = results(whole)
    needed = sum(path.stat().st_size for path in whole.rglob("*")) // 1024
    needed += (whole / CHECKPOINT).stat().st_size // 1024  # while one replaces another, there are two
    failures = 0
    for number in range(count):
        kib = random.randint(needed // 10, needed - needed // 20)
        copy = folder / f"copy {number}"
        with small_disk(folder / f"disk {number}", kib) as disk:
            code, said = finished(folder, options_of(disk / "run", cache))
            line = said.strip().splitlines()[-1]
            halves = broken(disk)
            if (disk / "run").exists():
                copytree(disk / "run", copy)
        is_clear = code == 2 and line.startswith("error: ") and "No space left on device" in line
        code, said = finished(folder, options_of(copy, cache))
        is_good = is_clear and not halves and not code and results(copy) == expected
        failures += not is_good
        outcome = "the same" if is_good else f"FAILED: {halves} {said[-300:]}"
        print(f"{number + 1}: {kib} of {needed} KiB: {line}; {outcome}", flush=True)
    print(f"{count - failures} of {count} full disks ended in a line and went on bit for bit")
    return failures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, help="runs to kill (20)")
    parser.add_argument("--disks", type=int, default=0, help="disks to fill (0); takes root")
    parser.add_argument("--seed", type=int, default=0, help="seed of the moments (0)")
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        failures = trial_of_kills(folder, options.kills, Random(options.seed)) if options.kills else 0
        failures += trial_of_disks(folder, options.disks, Random(options.seed)) if options.disks else 0
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
