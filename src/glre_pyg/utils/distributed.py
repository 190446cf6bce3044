"""Several processes at work together, as ``torchrun`` starts them.

With one process, that one is the main process and does everything. Functions marked as collective have to be
called by all processes, or those that call them wait for ever.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import zip_longest
from typing import TypeVar

import torch
from accelerate.state import PartialState
from accelerate.utils import broadcast_object_list, gather_object

from glre_pyg.utils.exceptions import InputError

_T = TypeVar("_T")


def state() -> PartialState:
    """Accelerate's state of the processes; the first call joins them."""
    several = int(os.environ.get("WORLD_SIZE", 1)) > 1
    return PartialState(cpu=several and not torch.accelerator.is_available())


def usable_device(name: str | torch.device | None) -> torch.device:
    """Return a device that tensors can be on; None for the best one of this process.

    Raises:
        InputError: If there is no such device here.
    """
    if name is None:
        return state().device
    try:
        torch.zeros(1, device=name).tolist()
        return torch.device(name)
    except (RuntimeError, AssertionError, ImportError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"device: '{name}' is not a device that can be used here: {reason}") from None


def world_size() -> int:
    """Number of processes."""
    return int(state().num_processes)


def rank() -> int:
    """Number of this process, from 0."""
    return int(state().process_index)


def is_main_process() -> bool:
    """Whether this is the first process, which alone writes and prints."""
    return rank() == 0


def barrier() -> None:
    """Wait for the other processes; collective."""
    state().wait_for_everyone()


def broadcast(value: _T) -> _T:
    """The value of the main process; collective."""
    return broadcast_object_list([value])[0] if world_size() > 1 else value


def shard(items: Sequence[_T]) -> Sequence[_T]:
    """The items of this process: with two processes, every second one."""
    return items[rank() :: world_size()]


def all_gather(results: Sequence[_T]) -> list[_T]:
    """The results of all processes, one of each process in turn; collective.

    If every process has one result for each item of its :func:`shard`, they come in the order of the items.
    Processes may have different numbers of results.
    """
    if world_size() == 1:
        return list(results)
    shards: list[list[_T]] = gather_object([list(results)])
    return _in_turn(shards)


def _in_turn(shards: Sequence[Sequence[_T]]) -> list[_T]:
    """One element of each sequence in turn, as long as there are any.

    >>> _in_turn([[0, 2, 4], [1]])
    [0, 1, 2, 4]
    """
    missing = object()
    turns = zip_longest(*shards, fillvalue=missing)
    return [result for turn in turns for result in turn if result is not missing]  # type: ignore[misc]


def any_process(*flags: bool) -> list[bool]:
    """For each flag, whether it is true in any of the processes; collective."""
    if world_size() == 1:
        return list(flags)
    counts = all_reduce(torch.tensor(flags, dtype=torch.float32, device=state().device))
    return [count > 0 for count in counts.tolist()]


def all_reduce(values: torch.Tensor) -> torch.Tensor:
    """The sum of the tensors of all processes; collective."""
    if world_size() > 1:
        values = values.clone()
        torch.distributed.all_reduce(values)
    return values
