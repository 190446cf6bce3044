"""Whether Ray Data predicts every document once with ExtractBatch, also if an actor is killed.

    pip install 'ray[data]'
    python tests/trials/ray_data.py --run RUN --documents 1600 --partitions 16 --seed 0

Generated documents are written to Parquet files, which two actors predict; one of them is killed (SIGKILL) while they
work. In the end every document is there once, with the facts that one process finds. The exit code is 1 if not.
"""

import argparse
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from shards import differing

from glre_pyg import ExtractBatch, RelationExtractor
from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.formats.parquet import write_parquet


class Watched(ExtractBatch):
    """An ExtractBatch that says where it works."""

    def __init__(self, run, folder):
        super().__init__(run)
        Path(folder, str(os.getpid())).touch()


def kill_one(folder, draw, killed):
    while len(found := sorted(folder.iterdir())) < 2:
        time.sleep(0.2)
    time.sleep(draw.uniform(1, 4))
    killed.append(int(draw.choice(found).name))
    os.kill(killed[0], signal.SIGKILL)


def main():
    import ray

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--run", required=True)
    for name, default in (("documents", 1600), ("partitions", 16), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    run = str(Path(options.run).resolve())
    documents = [replace(each, facts=()) for each in SyntheticCorpus().generate("train", options.documents)]
    with TemporaryDirectory() as name:
        folder, killed = Path(name), []
        for part in ("in", "actors"):
            (folder / part).mkdir()
        for number in range(options.partitions):
            write_parquet(documents[number :: options.partitions], folder / f"in/{number:03d}.parquet")
        ray.data.DataContext.get_current().enable_progress_bars = False
        ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="error")
        killer = threading.Thread(target=kill_one, args=(folder / "actors", Random(options.seed), killed))
        killer.start()
        started = time.monotonic()
        rows = ray.data.read_parquet(str(folder / "in")).repartition(
            options.partitions
        )  # small files are one block
        rows = rows.map_batches(
            Watched,
            fn_constructor_args=[run, str(folder / "actors")],
            batch_format="pyarrow",
            batch_size=20,
            num_cpus=1,
            concurrency=2,
        ).take_all()
        seconds = time.monotonic() - started
        killer.join()
        ray.shutdown()
    found = {
        row["id"]: {
            (fact["head"], fact["relation"], fact["tail"]): fact["probability"] for fact in row["facts"]
        }
        for row in rows
    }
    expected = {
        each.id: {(fact.head, fact.relation, fact.tail): fact.probability for fact in each.facts}
        for each in RelationExtractor.from_pretrained(run)(documents, reasons=False)
    }
    differ = differing(found, expected)
    print(f"killed actor {killed[0]}; {seconds:.0f} s")
    print(f"{len(rows)} rows, {len(found)} of {len(documents)} documents, {len(differ)} differ")
    sys.exit(bool(differ) or not len(rows) == len(found) == len(documents))


if __name__ == "__main__":
    main()
