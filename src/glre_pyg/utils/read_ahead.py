"""An iterator that a process of its own goes on with, ahead of this one."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from itertools import chain, islice
from multiprocessing.connection import Connection
from queue import Queue
from threading import Thread
from typing import Any, TypeVar

from glre_pyg.utils.exceptions import InputError

_T = TypeVar("_T")


def read_ahead(items: Iterator[_T], size: int) -> Iterator[_T]:
    """Yield the items of an iterator, of which a process of its own computes all but the first.

    The process is forked, so what the iterator does beside yielding is not seen here. It ends with this one,
    however that ends. With few items, and on systems other than Linux, there is none.

    Args:
        items: The iterator; its items can be pickled.
        size: Number of the first items, and of items that wait in the other process at most.

    Raises:
        InputError: If the process ends too early, killed for want of memory, for instance.
    """
    first = list(islice(items, size + 1))
    if len(first) <= size or sys.platform != "linux":
        yield from chain(first, items)
        return
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_produce, args=(items, receive, send, size), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch's threads, which it does not use
        process.start()
    send.close()
    try:
        yield from first
        while (item := _received(receive)) is not None:
            yield item[0]
    finally:
        process.kill()
        process.join()
        receive.close()


def _received(receive: Connection) -> tuple[Any] | None:
    """Return the next item; None at the end."""
    try:
        message: tuple[Any] | Exception | None = receive.recv()
    except EOFError:
        raise InputError("the process that reads the input was ended; is there not enough memory?") from None
    if isinstance(message, Exception):
        raise message
    return message


def _produce(items: Iterator[object], receive: Connection, send: Connection, size: int) -> None:
    receive.close()  # then sending fails when the receiving process has ended
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGHUP):  # these go to all processes of a terminal
        signal.signal(number, signal.SIG_IGN)
    buffer: Queue[tuple[object] | Exception | None] = Queue(size)
    sender = Thread(target=_send, args=(buffer, send))
    sender.start()
    try:
        for item in items:
            buffer.put((item,))
    except Exception as error:
        buffer.put(error)
    else:
        buffer.put(None)
    sender.join()


def _send(buffer: Queue[tuple[object] | Exception | None], send: Connection) -> None:
    try:
        while isinstance(message := buffer.get(), tuple):
            send.send(message)
        send.send(message)
    except Exception:  # nobody receives it, or it cannot be pickled
        os._exit(1)
