"""Whether several processes do what one does.

    python tests/trials/processes.py

Trains with 1, 2 and 4 processes (``torchrun``) and one global batch of 8 documents, without dropout, on documents of
which some have no pair; the last batch of an epoch has one document, so three of four processes have none. Prints
the losses, and how far losses, weights and dev's probabilities are from those of one process; counts what is
evaluated and predicted; kills a run of two processes, which goes on; lets two runs build one cache at once; and lets
a sweep go on that was killed, with the launcher of joblib. The exit code is 1 if something is not as it should be.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
import torch

from glre_pyg.data.document import Document, Sentence
from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.formats.detection import read_documents, write_documents

TOLERANCE = {"loss": 1e-5, "weights": 1e-4, "probabilities": 1e-4}
"""Of losses, relative; of weights and probabilities, absolute. Sums are made in another order, in fp32."""
GLOBAL_BATCH = 8
SIZES = {"train": 25, "dev": 13, "test": 11}
NO_DROPOUT = [
    *("encoder.module.dropout=0", "encoder.module.attention_dropout=0", "model.classifier.dropout=0"),
    *("layer.local.dropout=0", "layer.global.dropout=0", "layer.global.dropout_in=0"),
]
OPTIONS = [
    *("dataset=jsonl", "dataset.relations=[CID]", "dataset.types=[Chemical,Disease,Gene]"),
    *("dataset.pair_types=[[Chemical,Disease]]", "encoder=tiny", "model.nodes.hidden_channels=16"),
    *("training.epochs=3", "optimizer.lr=1e-3", "cache=false"),
]
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


class Failures(list[str]):
    """What is not as it should be."""

    def check(self, is_so: bool, what: str) -> None:
        """Print what was looked at, and keep it if it is not so."""
        print(f"{'yes' if is_so else 'NO '}  {what}", flush=True)
        if not is_so:
            self.append(what)


def started(folder: Path, processes: int, command: str, options: Sequence[str]) -> subprocess.Popen[str]:
    torchrun = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}"]
    return subprocess.Popen(
        [*(torchrun if processes > 1 else [sys.executable]), "-m", f"glre_pyg.{command}", *options],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **ENVIRONMENT},
    )


def run(folder: Path, processes: int, command: str, *options: str) -> str:
    process = started(folder, processes, command, options)
    said, _ = process.communicate(timeout=900)
    if process.returncode:
        sys.exit(said)
    return said


def prepare(folder: Path) -> None:
    """Write the corpus: every fourth training document has no pair."""
    for split, size in SIZES.items():
        documents = list(SyntheticCorpus().generate(split, size))
        if split == "train":
            documents[::4] = [_without_pairs(document) for document in documents[::4]]
        write_documents(documents, folder / f"{split}.jsonl")
        OPTIONS.append(f"dataset.{split}={folder / split}.jsonl")


def _without_pairs(document: Document) -> Document:
    text = "Nothing was found ."
    words = ((0, 7), (8, 11), (12, 17), (18, 19))
    return Document(document.id, text, words, (Sentence(0, 4),), ())


def compare_training(folder: Path, counts: Sequence[int], failures: Failures) -> None:
    losses, weights, probabilities = {}, {}, {}
    for count in counts:
        place = folder / f"{count} processes"
        options = [f"training.batch_size={GLOBAL_BATCH // count}", f"hydra.run.dir={place / 'run'}"]
        run(folder, count, "train", *OPTIONS, *NO_DROPOUT, *options)
        rows = [json.loads(line) for line in (place / "run/log.jsonl").read_text().splitlines()]
        losses[count] = [row["loss"] for row in rows]
        checkpoint = torch.load(place / "run/checkpoint.pt", weights_only=True)
        weights[count] = {name: of.numpy() for name, of in checkpoint["parts"]["model"].items()}
        lines = (place / "run/predictions_dev.jsonl").read_text().splitlines()
        pairs = {
            (row["document"], row["head"], row["tail"]): row["probability"] for row in map(json.loads, lines)
        }
        probabilities[count] = np.array([of.get("CID", 0) for _, of in sorted(pairs.items())])
        failures.check(len(pairs) == len(lines), f"{count} processes: every pair of dev once, {len(lines)}")
        failures.check(
            [path.name for path in place.iterdir()] == ["run"], f"{count} processes: one directory"
        )
    print("| processes | " + " | ".join(f"loss of epoch {number + 1}" for number in range(3)) + " |")
    print("|---:|" + "---:|" * 3)
    for count in counts:
        print(f"| {count} | " + " | ".join(f"{loss:.7f}" for loss in losses[count]) + " |")
    for count in counts[1:]:
        apart = {
            "loss": max(abs(a - b) / b for a, b in zip(losses[count], losses[1], strict=True)),
            "weights": max(np.abs(weights[count][name] - of).max() for name, of in weights[1].items()),
            "probabilities": np.abs(probabilities[count] - probabilities[1]).max(),
        }
        for name, value in apart.items():
            limit = TOLERANCE[name]
            failures.check(
                value <= limit, f"{count} processes: {name} at most {value:.1e} apart (limit {limit})"
            )


def compare_use(folder: Path, counts: Sequence[int], failures: Failures) -> None:
    """Evaluation and prediction of one run by several processes."""
    source, scores = f"run={folder / '1 processes' / 'run'}", {}
    for count in counts:
        output = folder / f"test {count}.jsonl"
        said = run(folder, count, "evaluate", source, f"output={output}")
        rows = [json.loads(line) for line in output.read_text().splitlines()]
        pairs = [tuple(row[name] for name in ("document", "head", "tail")) for row in rows]
        scores[count] = [line for line in said.splitlines() if " P " in line]
        failures.check(
            len(set(pairs)) == len(pairs), f"evaluate, {count} processes: {len(pairs)} pairs, once each"
        )
        output = folder / f"found {count}.jsonl"
        run(folder, count, "predict", source, f"input={folder / 'test.jsonl'}", f"output={output}", "chunk=4")
        ids = [document.id for document in read_documents(output)]
        expected = [document.id for document in read_documents(folder / "test.jsonl")]
        failures.check(
            ids == expected, f"predict, {count} processes: {len(ids)} documents, once each, in order"
        )
    failures.check(all(of == scores[1] for of in scores.values()), f"evaluate: {scores[1][0].strip()}")


def kill_and_go_on(folder: Path, failures: Failures) -> None:
    """A run of two processes that is killed behind its first checkpoint, and goes on."""
    options = [*OPTIONS, "training.batch_size=4", "training.epochs=6", "training.resume=auto"]
    run(folder, 2, "train", *options, f"hydra.run.dir={folder / 'undisturbed'}")
    place = folder / "killed"
    process = started(folder, 2, "train", [*options, f"hydra.run.dir={place}"])
    while not (place / "checkpoint.pt").exists():
        if process.poll() is not None:
            sys.exit(process.communicate()[0])
        time.sleep(0.05)
    kill(process)
    epochs = len((place / "log.jsonl").read_text().splitlines())
    run(folder, 2, "train", *options, f"hydra.run.dir={place}")
    names = ("model.safetensors", "scores.json", "predictions_test.jsonl")
    same = all((place / name).read_bytes() == (folder / "undisturbed" / name).read_bytes() for name in names)
    failures.check(
        same, f"2 processes, killed in epoch {epochs + 1} of 6, end bit for bit as undisturbed ones"
    )


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a process and what it has started; torchrun has its workers begin sessions of their own."""
    below = psutil.Process(process.pid).children(recursive=True)
    for each in (process, *below):
        each.kill()
    process.communicate()


def share_a_cache(folder: Path, failures: Failures) -> None:
    """Two runs that build one cache at once."""
    options = [*OPTIONS, f"cache={folder / 'cache'}", "encoder.module.trainable=false", "training.epochs=1"]
    both = [
        started(folder, 1, "train", [*options, f"hydra.run.dir={folder / 'at once' / name}"]) for name in "ab"
    ]
    said = [process.communicate(timeout=900)[0] for process in both]
    failures.check(not any(process.returncode for process in both), "two runs that build one cache succeed")
    files = [(folder / "at once" / name / "model.safetensors").read_bytes() for name in "ab"]
    failures.check(files[0] == files[1], "and end with the same weights")
    kept = [path for path in (folder / "cache").rglob("*") if path.suffix in (".jsonl", ".safetensors")]
    keys = [path.name[:64] for path in kept if path.parent.name in ("documents", "graphs")]
    failures.check(len(set(keys)) == len(keys) > 0, f"each of {len(kept)} files of the cache was made once")
    if failures:
        print(*said, sep="\n")


def sweep(folder: Path, failures: Failures) -> None:
    """A sweep of joblib's that is killed and goes on."""
    place = folder / "sweep"
    options = [
        *("-m", *OPTIONS, "seed=0,1,2,3", "training.epochs=2", f"hydra.sweep.dir={place}"),
        *("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "training.resume=auto"),
    ]
    process = started(folder, 1, "train", options)
    while not list(place.glob("*/checksums.json")):
        if process.poll() is not None:
            sys.exit(process.communicate()[0])
        time.sleep(0.1)
    kill(process)
    done = {path.parent.name: path.stat().st_mtime_ns for path in place.glob("*/checksums.json")}
    said = run(folder, 1, "train", *options)
    finished = sorted(path.parent.name for path in place.glob("*/scores.json"))
    failures.check(
        finished == ["0", "1", "2", "3"], f"a sweep that was killed after {len(done)} of 4 jobs ended"
    )
    after = {name: (place / name / "checksums.json").stat().st_mtime_ns for name in done}
    failures.check(after == done, "what was finished was left as it was")
    failures.check((place / "report.md").exists() and "4" in said, "and there is a report of all")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 2, 4], help="processes (1 2 4)")
    parts = ("training", "use", "kill", "cache", "sweep")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts, help="what is looked at (all)")
    options = parser.parse_args()
    failures = Failures()
    with TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        if {"training", "use"} & {*options.parts}:
            compare_training(folder, options.counts, failures)
        if "use" in options.parts:
            compare_use(folder, options.counts, failures)
        if "kill" in options.parts:
            kill_and_go_on(folder, failures)
        if "cache" in options.parts:
            share_a_cache(folder, failures)
        if "sweep" in options.parts:
            sweep(folder, failures)
    print("all as it should be" if not failures else f"{len(failures)} not as it should be")
    sys.exit(len(failures) > 0)


if __name__ == "__main__":
    main()
