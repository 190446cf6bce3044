"""Whether every document is predicted exactly once when workers are killed.

    python tests/trials/shards.py --run RUN --files 24 --workers 8 --shards 4 --kills 2 --seed 0

Workers predict the shards of a folder of generated documents, several of them the same shard at a time, and some are
killed (SIGKILL) at random moments. Then each shard is predicted once more, alone. In the end ``merge`` finds every
document once, and the facts are those of one process that predicts the folder at once. The exit code is 1 if not.
"""

import argparse
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.formats.jsonl import read_jsonl, write_jsonl

DOCUMENTS = 20  # in a file


def command(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"glre_pyg.{name}", *arguments]


def facts_of(path: Path) -> dict[str, dict[tuple[str, str, str], float]]:
    found: dict[str, dict[tuple[str, str, str], float]] = {}
    for document in read_jsonl(path):
        assert document.id not in found, f"{document.id} is there twice"
        found[document.id] = {
            (fact.head, fact.relation, fact.tail): fact.probability for fact in document.facts
        }
    return found


def differing(first: dict[str, dict], second: dict[str, dict]) -> list[str]:
    """Documents that do not have the same facts with the same probabilities, or are in one of two alone."""
    return [
        name
        for name in first.keys() | second.keys()
        if first.get(name, {}).keys() != second.get(name, {}).keys()
        or any(abs(first[name][fact] - value) > 1e-4 for fact, value in second.get(name, {}).items())
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--run", required=True)
    for name, default in (("files", 24), ("workers", 8), ("shards", 4), ("kills", 2), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    draw = Random(options.seed)
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        documents = [*SyntheticCorpus().generate("train", options.files * DOCUMENTS)]
        for number in range(options.files):
            part = documents[number * DOCUMENTS : (number + 1) * DOCUMENTS]
            write_jsonl([replace(each, facts=()) for each in part], folder / f"in/{number:03d}.jsonl")
        common = [f"run={Path(options.run).resolve()}", f"input={folder}/in", "chunk=5"]
        shard = [*common, f"output={folder}/out"]
        started = time.monotonic()
        workers = [
            subprocess.Popen(
                command("predict", *shard, f"shard={number % options.shards + 1}/{options.shards}"),
                stdout=subprocess.DEVNULL,
            )
            for number in range(options.workers)
        ]
        while not any((folder / "out").glob("*.part")) and any(each.poll() is None for each in workers):
            time.sleep(0.05)
        for victim in draw.sample(workers, options.kills):
            time.sleep(draw.uniform(0, 2))
            print(f"killed after {time.monotonic() - started:.1f} s, running: {victim.poll() is None}")
            victim.kill()
        for worker in workers:
            worker.wait()
        whole = len([*(folder / "out").glob("*.jsonl")])
        print(
            f"{whole} of {options.files} files after the kills, parts: {len([*(folder / 'out').glob('*.part')])}"
        )
        for number in range(options.shards):
            subprocess.run(
                command("predict", *shard, f"shard={number + 1}/{options.shards}"),
                stdout=subprocess.DEVNULL,
                check=True,
            )
        merge = ("merge", f"folder={folder}/out", f"input={folder}/in", f"output={folder}/all.jsonl")
        subprocess.run(command(*merge), check=True)
        subprocess.run(command("predict", *common, f"output={folder}/one.jsonl"), check=True)
        merged, one = facts_of(folder / "all.jsonl"), facts_of(folder / "one.jsonl")
    differ = differing(merged, one)
    print(f"{len(merged)} of {len(documents)} documents once each, {len(differ)} differ")
    sys.exit(bool(differ) or len(merged) != len(documents))


if __name__ == "__main__":
    main()
