"""What each part of a model takes of a step, forward and backward, by torch's profiler.

Every method of a part is put under its name, whatever its signature, so that parts may be called on blocks,
in any order, or again while gradients are computed. What runs in the backward pass belongs to the part whose
forward operation has its sequence number. A span of time counts for the innermost name around it.
"""

from __future__ import annotations

import functools
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile, record_function

PARTS = (
    *("encoder", "nodes", "global_layer", "local_layer", "distance", "context_layer", "classifier"),
    "loss",
)
OTHERS = ("pairs", "collate", "clipping", "optimizer", "rest")
"""``pairs`` is what the model does itself between its parts, ``rest`` what has no name."""
_ENGINE = "autograd::engine::evaluate_function"
_FORWARD, _BACKWARD = 0, 1  # scopes of torch's RecordFunction
_PREFIX = "part: "


def shares(model: nn.Module, steps: Iterable[Callable[[], object]], *, cuda: bool) -> dict[str, float]:
    """Share of each of :data:`PARTS` and :data:`OTHERS` in the time of some steps; they sum to 1.

    Args:
        model: The model, whose parts are attributes.
        steps: The steps; those of ``collate``, ``clipping`` and ``optimizer`` are recorded by these names.
        cuda: Whether the device's time is counted, not the host's.
    """
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    seconds: dict[str, float] = defaultdict(float)
    for step in steps:
        with named(model), profile(activities=activities) as found, record_function("step"):
            step()
        for event, name in attributed(list(found.events() or [])):
            value = event.self_device_time_total if cuda else event.self_cpu_time_total
            seconds[name or "rest"] += max(value, 0.0)
    total = sum(seconds.values())
    return {name: seconds[name] / total for name in (*PARTS, *OTHERS)}


def attributed(events: Sequence[FunctionEvent]) -> list[tuple[FunctionEvent, str | None]]:
    """The host's events of a profile, each with the name that its own time counts for."""
    events = [event for event in events if event.device_type == DeviceType.CPU]
    maker: dict[tuple[int, int], FunctionEvent] = {}
    for event in sorted(events, key=lambda event: event.time_range.start):
        if not _is_backward(event) and event.scope == _FORWARD and event.sequence_nr >= 0:
            # Of the operations with one number, the last to begin is the one that made the gradient's node.
            maker[event.thread, event.sequence_nr] = event
    known: dict[int, str | None] = {}

    def name_of(event: FunctionEvent | None) -> str | None:
        if event is None:
            return None
        if id(event) not in known:
            own = _own_name(event)
            if own is None and _is_backward(event):
                own = name_of(maker.get((event.fwd_thread, event.sequence_nr)))
            known[id(event)] = own or name_of(event.cpu_parent)
        return known[id(event)]

    return [(event, name_of(event)) for event in events]


def _is_backward(event: FunctionEvent) -> bool:
    return event.scope == _BACKWARD or event.name.startswith(_ENGINE)


def _own_name(event: FunctionEvent) -> str | None:
    if event.name.startswith(_PREFIX):
        return event.name.removeprefix(_PREFIX)
    return event.name if event.name in OTHERS else None


@contextmanager
def named(model: nn.Module) -> Iterator[None]:
    """Record what the methods of each part do under its name, and those of the model itself as pairs."""
    patched: list[tuple[nn.Module, str, Any]] = []
    owners = [(model, "pairs")]
    owners += [(module, part) for part in PARTS for module in getattr(model, part).modules()]
    for module, part in owners:
        for name in _methods(module):
            patched.append((module, name, vars(module).get(name)))
            object.__setattr__(module, name, _recorded(getattr(module, name), _PREFIX + part))
    try:
        yield
    finally:
        for module, name, own in reversed(patched):
            object.__delattr__(module, name)
            if own is not None:
                object.__setattr__(module, name, own)


def _methods(module: nn.Module) -> list[str]:
    """Methods that the library's own classes give a module."""
    own = [base for base in type(module).__mro__ if base.__module__.startswith("glre_pyg")]
    names = {name for base in own for name, value in vars(base).items() if _is_plain(value)}
    return sorted(name for name in names if not name.startswith("__") and name != "train")


def _is_plain(value: object) -> bool:
    return inspect.isfunction(value) and not inspect.isgeneratorfunction(inspect.unwrap(value))


def _recorded(method: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(method)
    def run(*arguments: Any, **options: Any) -> Any:
        with record_function(name):
            return method(*arguments, **options)

    return run
