"""``python -m glre_pyg.train`` for ``kills.py``: times the calls of some functions, or ends itself in one of them.

``$CALLS`` names a file for the seconds of the calls of each function. ``$KILL`` is ``[place, call, delay]``: so
many seconds after that call has begun, the process gets SIGKILL.
"""

import atexit
import json
import os
import signal
import threading
import time
from collections import defaultdict
from importlib import import_module
from pathlib import Path

from kills import PLACES


def watch(place: str, seconds: dict[str, list[float]]) -> None:
    """Put a function in place of another that does the same."""
    module, _, name = place.partition(":")
    *above, last = name.split(".")
    owner = import_module(module)
    for part in above:
        owner = getattr(owner, part)
    function = getattr(owner, last)
    calls: list[None] = []

    def watched(*args, **options):  # type: ignore[no-untyped-def]
        calls.append(None)
        if os.environ.get("KILL"):
            wanted, call, delay = json.loads(os.environ["KILL"])
            if wanted == place and call == len(calls) - 1:
                threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()
        begun = time.perf_counter()
        try:
            return function(*args, **options)
        finally:
            seconds[place].append(time.perf_counter() - begun)

    setattr(owner, last, watched)


def main() -> None:
    """Train."""
    import glre_pyg.training.experiment
    from glre_pyg.train import main as train

    assert glre_pyg.training.experiment
    seconds: dict[str, list[float]] = defaultdict(list)
    for place in (place for places in PLACES.values() for place in places):
        watch(place, seconds)
    if os.environ.get("CALLS"):
        atexit.register(lambda: Path(os.environ["CALLS"]).write_text(json.dumps(seconds)))
    train()


if __name__ == "__main__":
    main()
