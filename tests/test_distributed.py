"""What several processes exchange."""

import json
import time

import pytest

from commands import run, run_two
from glre_pyg.utils import distributed

UNEVEN = """
import json, sys
from pathlib import Path
from glre_pyg.utils import distributed

rank = distributed.rank()
out = {
    "in turn": distributed.all_gather([[rank, number] for number in range(3 - 2 * rank)]),
    "some have none": distributed.all_gather(["only the first"] if rank == 0 else []),
    "nobody has any": distributed.all_gather([]),
    "items": distributed.all_gather([item * 2 for item in distributed.shard(range(5))]),
    "broadcast": distributed.broadcast(f"of rank {rank}"),
}
Path(sys.argv[1], f"{rank}.json").write_text(json.dumps(out))
import torch
distributed.barrier()
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_processes_may_have_different_numbers_of_results(tmp_path):
    """One process may skip a document, or be the only one with an error to report."""
    (tmp_path / "script.py").write_text(UNEVEN)
    run_two(tmp_path / "script.py", str(tmp_path), cwd=tmp_path)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1))
    assert first == second
    assert first == {
        "in turn": [[0, 0], [1, 0], [0, 1], [0, 2]],
        "some have none": ["only the first"],
        "nobody has any": [],
        "items": [0, 2, 4, 6, 8],
        "broadcast": "of rank 0",
    }


def test_one_process_has_everything():
    assert distributed.all_gather([1, None, 2]) == [1, None, 2]
    assert list(distributed.shard(range(3))) == [0, 1, 2]
    assert distributed.broadcast("x") == "x"
    assert distributed.is_main_process()


FAULTY = """
import os
from glre_pyg.train import main
from glre_pyg.training.epochs import EpochTrainer

step = EpochTrainer._step

def faulty(self, batches):
    if os.environ["RANK"] == "1" and self.progress.step == 7:
        print("now", flush=True)
        raise MemoryError
    return step(self, batches)

EpochTrainer._step = faulty
main()
"""
TINY = [
    *("encoder=tiny", "dataset.sizes={train: 10, dev: 4, test: 4}", "model.nodes.hidden_channels=16"),
    *("training.epochs=2", "training.batch_size=1", "cache=false", "hydra.run.dir=run"),
]


@pytest.mark.slow
def test_a_process_without_memory_ends_the_others_and_the_run_goes_on_in_one(tmp_path):
    """The fault is in the second epoch; each process has its own line."""
    (tmp_path / "faulty.py").write_text(FAULTY)
    started = time.monotonic()
    _, err = run_two(tmp_path / "faulty.py", *TINY, cwd=tmp_path, codes=(2, 2))
    assert time.monotonic() - started < 120, "the other process ends at once, and both have to begin"
    assert "error: not enough memory" in err.splitlines()
    others = [line for line in err.splitlines() if line.startswith("error: another process of this")]
    assert len(others) == 1
    assert "Traceback" not in err
    assert not (tmp_path / "run/scores.json").exists()

    run("train", "training.resume=run", cwd=tmp_path)
    assert [json.loads(line)["epoch"] for line in (tmp_path / "run/log.jsonl").read_text().splitlines()] == [
        1,
        2,
    ]
    assert (tmp_path / "run/scores.json").exists()
