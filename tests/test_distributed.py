"""What several processes exchange."""

import json
import subprocess
import sys

import pytest

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
    subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"),
            *(str(tmp_path / "script.py"), str(tmp_path)),
        ],
        check=True,
        timeout=300,
    )
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
