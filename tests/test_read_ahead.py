"""Items come in order from the other process, which ends with this one and leaves nothing behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from itertools import count, islice

import pytest

from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.read_ahead import read_ahead

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads ahead on Linux only")


def processes():
    while True:
        yield os.getpid()


@pytest.mark.parametrize("number", [0, 1, 3, 4, 5, 50])
def test_items_come_in_order(number):
    assert list(read_ahead(iter(range(number)), 3)) == [*range(number)]
    assert not multiprocessing.active_children()


def test_none_is_an_item():
    assert list(read_ahead(iter([None] * 4), 2)) == [None] * 4


def test_few_items_need_no_process(monkeypatch):
    monkeypatch.setattr(multiprocessing, "get_context", None)
    assert list(read_ahead(iter(range(3)), 3)) == [0, 1, 2]


def test_later_items_are_from_one_other_process():
    found = list(islice(read_ahead(processes(), 2), 10))
    assert found[:3] == [os.getpid()] * 3
    assert len({*found[3:]}) == 1
    assert found[3] != os.getpid()


def test_it_is_only_so_far_ahead(tmp_path):
    """What waits is bounded, however many items there are."""

    def items():
        for number in count():
            (tmp_path / "reached").write_text(str(number))
            yield bytes(100_000)  # more than a pipe holds

    ahead = read_ahead(items(), 4)
    next(ahead)
    time.sleep(0.5)
    assert int((tmp_path / "reached").read_text() or 0) < 15
    ahead.close()
    assert not multiprocessing.active_children()


def test_an_error_comes_after_the_items_before_it():
    def items():
        yield from range(5)
        raise InputError("file:6: wrong")

    ahead = read_ahead(items(), 2)
    assert list(islice(ahead, 5)) == [*range(5)]
    with pytest.raises(InputError, match=r"^file:6: wrong$"):
        next(ahead)


@pytest.mark.parametrize("end", ["killed", "not pickled"])
def test_a_process_that_ends_too_early_is_one_line(end):
    def items():
        yield from range(3)
        if end == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        yield lambda: None

    with pytest.raises(InputError, match=r"^the process that reads the input was ended"):
        list(read_ahead(items(), 2))
    assert not multiprocessing.active_children()


def test_it_ends_when_this_process_is_killed():
    script = (
        "import os; from glre_pyg.utils.read_ahead import read_ahead\n"
        "def items():\n"
        "    while True: yield os.getpid()\n"
        "for number, item in enumerate(read_ahead(items(), 2)):\n"
        "    if number == 3: print(item, flush=True); os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    other = int(done.stdout)
    for _ in range(100):
        try:
            os.kill(other, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the other process still runs")
