"""Signals that end a command: SIGINT, SIGTERM and SIGHUP."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from glre_pyg.utils.console import echo_error

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Interrupted(KeyboardInterrupt):
    """A signal that ends a command; its notes say where the work stands.

    Args:
        number: Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = signal.Signals(number)

    def line(self) -> str:
        """Return a line for the terminal."""
        notes = getattr(self, "__notes__", ["run the same command again"])
        return f"interrupted by {self.signal.name}: {'; '.join(notes)}"


class _State:
    """Whether signals are deferred, and the first that was."""

    deferred = False
    pending: Interrupted | None = None


@contextmanager
def raise_interrupts() -> Iterator[None]:
    """Raise :class:`Interrupted` at the first signal, and ignore further ones while the command cleans up."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    _State.deferred, _State.pending = False, None
    for number in _SIGNALS:
        if before[number] != signal.SIG_IGN:  # as under nohup
            signal.signal(number, _handle)
    try:
        yield
    finally:
        _State.pending = None
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interruptible() -> Iterator[None]:
    """End with one line and an exit code at a signal."""
    try:
        with raise_interrupts():
            yield
    except Interrupted as error:
        if os.environ.get("RANK", "0") == "0":
            echo_error(error.line())
        sys.exit(128 + error.signal)


def _handle(number: int, frame: FrameType | None) -> None:
    for other in _SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    error = Interrupted(number)
    if not _State.deferred:
        raise error
    _State.pending = error


@contextmanager
def deferred_interrupts() -> Iterator[None]:
    """Defer signals to the end of the block, which may ask :func:`is_interrupted`."""
    _State.deferred = True
    try:
        yield
    finally:
        _State.deferred = False
    if _State.pending is not None:
        raise _State.pending


def is_interrupted() -> bool:
    """Whether a signal has been deferred."""
    return _State.pending is not None


def interruption() -> Interrupted:
    """Return the deferred signal; if another process has received it, SIGTERM."""
    return _State.pending or Interrupted(signal.SIGTERM)
