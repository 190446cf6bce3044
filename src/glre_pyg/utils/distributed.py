"""Several processes at one piece of work, as ``torchrun`` starts them: which is the first, which does what.

All functions are for one process, too, which is the first and does everything. Where it is said that all take
part, each process has to call the function, or the others wait.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

import torch
from accelerate.state import PartialState
from accelerate.utils import broadcast_object_list, gather_object

_T = TypeVar("_T")


def state() -> PartialState:
    """Accelerate's view of the processes, which it joins when this is first asked for."""
    several = int(os.environ.get("WORLD_SIZE", 1)) > 1
    return PartialState(cpu=several and not torch.accelerator.is_available())


def world_size() -> int:
    """How many there are."""
    return int(state().num_processes)


def rank() -> int:
    """The number of this one, from 0."""
    return int(state().process_index)


def is_main_process() -> bool:
    """Whether this one is the first, which alone writes and prints."""
    return rank() == 0


def barrier() -> None:
    """Wait for the others; all take part."""
    state().wait_for_everyone()


def broadcast(value: _T) -> _T:
    """What the first process has; all take part."""
    return broadcast_object_list([value])[0] if world_size() > 1 else value


def shard(items: Sequence[_T]) -> Sequence[_T]:
    """This process's share of items that all have: of two processes, every other one."""
    return items[rank() :: world_size()]


def all_gather(results: Sequence[_T]) -> list[_T]:
    """What all processes have made of their items, in the order of the items; all take part."""
    shares: list[list[_T]] = gather_object([list(results)]) if world_size() > 1 else [list(results)]
    out: list[_T] = [result for share in shares for result in share]
    for number, share in enumerate(shares):
        out[number :: len(shares)] = share
    return out


def all_reduce(values: torch.Tensor) -> torch.Tensor:
    """The sum of the tensors of all processes; all take part."""
    if world_size() > 1:
        values = values.clone()
        torch.distributed.all_reduce(values)
    return values
