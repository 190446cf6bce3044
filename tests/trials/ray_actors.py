"""Whether ``predict engine=ray`` predicts every document exactly once when an actor and the driver are killed.

    pip install 'glre_pyg[ray]'
    python tests/trials/ray_actors.py --run RUN --documents 10000 --partitions 16 --seed 0

Generated documents are written to Parquet files, which two actors predict. One of them is killed (SIGKILL) when a few
files are finished, and the driver when half are; then the same command is given again. In the end ``merge`` finds
every document once, and the facts are those of one process that predicts the folder without Ray. The exit code is 1
if not.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import psutil
from shards import command, differing, facts_of

from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.formats.parquet import write_parquet


def actors() -> list[psutil.Process]:
    """Actors that predict a file now, of the cluster that this process has started."""
    found = psutil.Process().children(recursive=True)
    return [each for each in found if each.name().startswith("ray::FileExtr") and is_alive(each)]


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def wait_for(folder: Path, finished: int, driver: subprocess.Popen) -> None:
    """Wait until so many files are finished and both actors are at work."""
    while len([*folder.glob("*.jsonl")]) < finished or len(actors()) < 2:
        if driver.poll() is not None:
            sys.exit(f"the driver has ended with {driver.returncode}")
        time.sleep(0.1)


def main() -> None:
    import ray

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--run", required=True)
    for name, default in (("documents", 10000), ("partitions", 16), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    draw, started = Random(options.seed), time.monotonic()
    run = Path(options.run).resolve() if Path(options.run).exists() else options.run

    def say(line: str) -> None:
        print(f"{time.monotonic() - started:.0f} s: {line}", flush=True)

    documents = [replace(each, facts=()) for each in SyntheticCorpus().generate("train", options.documents)]
    with TemporaryDirectory() as name:
        folder, out = Path(name), Path(name, "out")
        (folder / "in").mkdir()
        for number in range(options.partitions):
            write_parquet(documents[number :: options.partitions], folder / f"in/{number:03d}.parquet")
        cluster = ray.init("local", num_cpus=3, include_dashboard=False, logging_level="error")
        environment = {**os.environ, "RAY_ADDRESS": cluster.address_info["gcs_address"]}
        common = [f"run={run}", f"input={folder}/in"]
        with_ray = command("predict", *common, f"output={out}", "chunk=64", "engine=ray", "actors=2")
        driver = subprocess.Popen(with_ray, env=environment, stdout=subprocess.DEVNULL)
        wait_for(out, options.partitions // 8, driver)
        victim = draw.choice(actors())
        victim.kill()
        say(f"an actor was killed with {len([*out.glob('*.jsonl')])} of {options.partitions} files finished")
        wait_for(out, options.partitions // 2, driver)
        driver.kill()
        driver.wait()
        finished = len([*out.glob("*.jsonl")])
        say(f"the driver was killed with {finished} of {options.partitions} files finished")
        again = subprocess.run(with_ray, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        say(again.stdout.splitlines()[-1])
        ray.shutdown()
        merge = ("merge", f"folder={out}", f"input={folder}/in", f"output={folder}/all.jsonl")
        subprocess.run(command(*merge), check=True)
        subprocess.run(command("predict", *common, f"output={folder}/one.jsonl"), check=True)
        merged, one = facts_of(folder / "all.jsonl"), facts_of(folder / "one.jsonl")
    differ = differing(merged, one)
    say(f"{len(merged)} of {len(documents)} documents once each, {len(differ)} differ")
    resumed = int(re.search(r"(\d+) finished before", again.stdout)[1])
    whole = finished <= resumed < options.partitions
    sys.exit(bool(differ) or not whole or len(merged) != len(documents))


if __name__ == "__main__":
    main()
