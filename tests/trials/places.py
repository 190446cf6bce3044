"""Hostile places: two writers of one file, full disks, and what is no regular file where one should be.

    python tests/trials/hostile.py writers --count 30 --seed 0
    python tests/trials/hostile.py disks --count 40 --seed 0     # as root, who may mount a small disk
    python tests/trials/hostile.py files --count 40 --seed 0

``writers``: pairs of ``predict`` with one output, of which the first is killed in every third pair, and processes
that write one file all at once. The output is that of one command alone, and of two at a time one is refused.
``disks``: every command and format writes to a disk with too little room; it ends in one line that names its output.
``files``: a pipe, socket, device, folder or link stands for each file that commands read; each ends in one line.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import chdir
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from kills import CHECKPOINT, OPTIONS, finished, options_of, prepare, small_disk

from glre_pyg import from_pretrained, save_pretrained

SECONDS = 120
KINDS = ("pipe", "socket", "device", "folder", "loop", "dangling")
FORMATS = ("jsonl", "csv", "nt", "data", "pubtator", "json", "html", "spacy")


class Commands:
    """Commands in a folder with a trained run, a saved model and a corpus."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.failures = folder, 0
        prepare(folder)
        code, said = finished(folder, options_of(folder / "run", folder / "cache"))
        if code:
            sys.exit(said)
        shutil.copytree(folder / "run", folder / "run2")
        save_pretrained(from_pretrained(folder / "run"), folder / "model")
        (folder / "names.tsv").write_text("name\tid\ttype\nvelorin\tC1\tChemical\n")

    def start(self, name: str, *settings: str) -> subprocess.Popen[str]:
        """Start a command."""
        return subprocess.Popen(
            [sys.executable, "-m", "glre_pyg", name, *settings],
            cwd=self.folder,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def run(self, name: str, *settings: str) -> tuple[int, str]:
        """Return exit code and errors of a command; -1 if it does not end."""
        process = self.start(name, *settings)
        try:
            _, said = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return -1, f"no end after {SECONDS} seconds"
        return process.returncode, said

    def report(self, number: int, what: str, is_good: bool, said: str) -> None:
        """Print what became of a try, and count it if it failed."""
        self.failures += not is_good
        line = (said.strip().splitlines() or [""])[-1]
        print(f"{number}: {what}: {line if is_good else f'FAILED: {said[-2000:]}'}", flush=True)


def is_line(code: int, said: str, name: str) -> bool:
    """Whether a command ended in one line that names a file, and no file beside it."""
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    return (
        code == 2
        and "Traceback" not in said
        and len(lines) == 1
        and name in lines[0]
        and ".part" not in lines[0]
    )


def predict(name: str, output: str, *settings: str) -> list[str]:
    """Settings of a prediction without facts below a threshold."""
    return [
        f"run={name}",
        "input=test.pubtator",
        f"output={output}",
        "chunk=1",
        "threshold=0",
        "cache=false",
        *settings,
    ]


def writers(commands: Commands, numbers: Iterable[int], seed: int) -> None:
    expected = set()
    for top in (3, 4):
        commands.run("predict", *predict("model", f"alone{top}.jsonl", "reasons=true", f"top_k={top}"))
        expected.add((commands.folder / f"alone{top}.jsonl").read_bytes())
    write = "import sys; from glre_pyg.utils.files import write_text; [write_text(sys.argv[2] * 99999, sys.argv[1]) for _ in range(20)]"
    for number in numbers:
        random = Random(f"{seed} writers {number}")
        out, text = commands.folder / f"out{number}.jsonl", commands.folder / "text"
        first = commands.start("predict", *predict("model", out.name, "reasons=true", "top_k=3"))
        time.sleep(random.uniform(0, 2))
        if number % 3 == 2:
            first.send_signal(signal.SIGKILL)
        second = commands.start(
            "predict", *predict("model", out.name, "reasons=true", f"top_k={random.choice([3, 4])}")
        )
        many = [subprocess.Popen([sys.executable, "-c", write, text, letter]) for letter in "abcdef"]
        said = [process.communicate(timeout=SECONDS)[1] for process in (first, second)]
        codes = [first.returncode, second.returncode]
        refused = [
            line for errors in said for line in errors.splitlines() if "is being written by process" in line
        ]
        is_good = out.exists() and out.read_bytes() in expected and codes.count(2) == len(refused) <= 1
        is_good &= not [path for path in commands.folder.iterdir() if path.name.startswith(f"{out.name}.")]
        is_good &= {process.wait() for process in many} == {0} and text.read_text() in [
            letter * 99999 for letter in "abcdef"
        ]
        commands.report(
            number, f"exit codes {codes}", is_good, "\n".join(refused) or "\n".join(said) * (not is_good)
        )


def disks(commands: Commands, numbers: Iterable[int], seed: int) -> None:
    scored = ["run=run", "split=test", "cache=false"]
    cases = {f"predict.{ending}": ("predict", predict("model", "OUT")) for ending in FORMATS}
    cases |= {
        f"convert.{ending}": ("convert", ["input=test.pubtator", "output=OUT", "lossy=true"])
        for ending in ("jsonl", "json", "data", "pubtator")
    }
    cases |= {
        "evaluate.jsonl": ("evaluate", [*scored, "output=OUT"]),
        "case_study.md": ("case_study", [*scored, "output=OUT"]),
        "errors.csv": ("errors", [*scored, "output=OUT", "inter_only=false"]),
        "stats.json": ("stats", [*OPTIONS[:3], *OPTIONS[-3:], "output=OUT", "cache=false"]),
    }
    for number in numbers:
        name = list(cases)[number % len(cases)]
        command, settings = cases[name]
        whole = commands.folder / name
        if not whole.exists():
            code, said = commands.run(command, *(each.replace("OUT", name) for each in settings))
            if code:
                sys.exit(said)
        pages = -(-whole.stat().st_size // 4096)
        full = Random(f"{seed} disks {number}").randrange(pages)
        with small_disk(commands.folder / f"disk{number}", 4 * (full + 1)) as disk:
            (disk / "filler").write_bytes(b"x" * 4096)
            code, said = commands.run(
                command, *(each.replace("OUT", f"disk{number}/{name}") for each in settings)
            )
            is_good = is_line(code, said, f"disk{number}/{name}: ") and "No space left on device" in said
            is_good &= not (disk / name).exists()
        commands.report(number, f"{name}, {4 * full} of {4 * pages} KiB", is_good, said)


def put(kind: str, path: Path) -> None:
    """Put something else in the place of a file."""
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with chdir(path.parent), socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    else:
        path.symlink_to({"device": "/dev/zero", "loop": path.name, "dangling": "nowhere"}[kind])


def files(commands: Commands, numbers: Iterable[int], seed: int) -> None:
    model = [
        str(path.relative_to(commands.folder)) for path in sorted((commands.folder / "model").rglob("*.*"))
    ]
    cached = [
        str(path.relative_to(commands.folder)) for path in sorted((commands.folder / "cache").rglob("*-*.*"))
    ]
    dictionary = ["mentions=dictionary", "mentions.file=names.tsv"]
    copied = [f"dataset.{split}=x.{split}.pubtator" for split in ("train", "dev", "test")]
    cases = {
        f"x.{ending}": ("predict", ["run=model", f"input=x.{ending}", "output=o.jsonl"])
        for ending in ("pubtator", "jsonl", "json", "data", "spacy")
    }
    cases |= {
        "x.txt": ("predict", ["run=model", "input=x.txt", "output=o.jsonl", *dictionary]),
        "names.tsv": ("predict", ["run=model", "text=Velorin.", "output=o.jsonl", *dictionary]),
        "x.test.pubtator": ("stats", [*OPTIONS, copied[2]]),
        "x.labels.csv": ("errors", ["labels=x.labels.csv"]),
        "y.pubtator": ("convert", ["input=y.pubtator", "output=o.jsonl"]),
        "y.jsonl": ("convert", ["input=test.pubtator", "output=y.jsonl"]),
        "run/predictions_test.jsonl": ("compare", ["runs=[run,run2]"]),
        f"run/{CHECKPOINT}": ("train", options_of(commands.folder / "run", commands.folder / "cache")),
    }
    del cases["x.test.pubtator"]  # a split that cannot be read is named among the counts
    cases |= {
        name: ("predict", predict("model", "o.jsonl")) for name in model if not name.endswith("README.md")
    }
    cases |= {name: ("evaluate", ["run=run", "split=test", "cache=cache"]) for name in cached}
    for number in numbers:
        random = Random(f"{seed} files {number}")
        name, kind = list(cases)[number % len(cases)], random.choice(KINDS)
        path, kept = commands.folder / name, commands.folder / "kept"
        if path.exists():
            shutil.move(path, kept)
        if name == f"run/{CHECKPOINT}":
            shutil.move(commands.folder / "run/checksums.json", commands.folder / "checksums.json")
        put(kind, path)
        before = path.lstat()
        code, said = commands.run(cases[name][0], *cases[name][1])
        if name in cached:
            is_good = code == 0 and "Traceback" not in said
        elif kind == "dangling" and (code == 0 or name == "y.jsonl"):
            is_good = name in (
                "y.jsonl",
                "model/environment.json",
                "model/checksums.json",
                f"run/{CHECKPOINT}",
            )
        else:
            is_good = is_line(code, said, "") and os.path.samestat(path.lstat(), before)
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        if kept.exists():
            shutil.move(kept, path)
        if name == f"run/{CHECKPOINT}" and not (commands.folder / "run/checksums.json").exists():
            shutil.move(commands.folder / "checksums.json", commands.folder / "run/checksums.json")
        commands.report(number, f"{kind} for {name}", is_good, said)


def run_trial(trial: Callable[[Commands, Iterable[int], int], None], options: argparse.Namespace) -> int:
    """Run a trial of ``hostile.py``."""
    with TemporaryDirectory() as folder:
        commands = Commands(Path(folder))
        numbers = range(options.count) if options.only is None else [options.only]
        trial(commands, numbers, options.seed)
    print(f"{len(numbers) - commands.failures} of {len(numbers)} tries ended as they should")
    return commands.failures


TRIALS = {trial.__name__: partial(run_trial, trial) for trial in (writers, disks, files)}
