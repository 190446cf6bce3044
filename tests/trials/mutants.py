"""Damaged files of every format: each is read correctly or refused with one line, never a traceback, hang or wrong span.

    python tests/trials/mutants.py --seed 0 --count 10000
    python tests/trials/mutants.py --seed 0 --formats eog --only 4711

Each mutant is a good file with one to three changes (:mod:`mutations`). What is read of it is compared with what
the file says (:mod:`oracles`), and has to be a document in itself that JSON lines hold. It is read a second time
with bad documents left out: then every document that was not touched is there, equal to what it was. The second
command shows a mutant and what becomes of it.
"""

import argparse
import re
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import oracles
from formats import FORMATS, Format, plain, spacy_format
from miniatures import Files

from glre_pyg.data.document import Document
from glre_pyg.data.segmentation import Segmenter, segment
from glre_pyg.utils.exceptions import InputError

SECONDS = 10.0
"""A reader that takes longer hangs."""
REAL = 10
"""One in so many texts is cut into sentences as in earnest; the others in no time."""
OUTCOMES = ("as before", "otherwise", "refused", "traceback", "hang", "wrong")
FAILURES = OUTCOMES[3:]
_SHOWN = 10  # failures of a format that are printed


class Hang(BaseException):
    """A reader took too long. No reader may catch it."""


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant."""

    kind: str
    detail: str = ""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    def ring(number: int, frame: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def random_of(seed: int, format: Format, number: int) -> Random:
    return Random(f"{seed} {format.name} {number}")


def tried(format: Format, seed: int, number: int, folder: Path) -> Outcome:
    """Make a mutant and read it."""
    good, files = format.mutant(random_of(seed, format, number))
    segmenter = segment if number % REAL == 0 else plain
    try:
        with limited(SECONDS):
            return _outcome(format, good, files, segmenter, folder)
    except Hang:
        return Outcome("hang", f"more than {SECONDS:.0f} seconds")


def _outcome(format: Format, good: Files, files: Files, segmenter: Segmenter, folder: Path) -> Outcome:
    place = folder / "files"
    place.mkdir(exist_ok=True)
    for path in place.iterdir():
        path.unlink()
    for name, raw in files.items():
        (place / name).write_bytes(raw)
    found, error = None, None
    try:
        try:
            found = format.read(place, segmenter, None)
        except InputError as caught:
            error = caught
        rest, told = _without_refused(format, place, segmenter)
    except Exception:
        return Outcome("traceback", traceback.format_exc())
    try:
        for each in filter(None, [error, *told]):
            _check_line(str(each), place, format.message)
        before = _good(format, tuple(sorted(good.items())), segmenter)
        if error is None:
            same = not told and repr(rest) == repr(found)  # as texts: NaN is not equal to itself
            assert same, "read, and refused where documents may be left out"
            format.oracle(files, found)
        if format.untouched is not None:
            for number in format.untouched(good, files):
                assert before[number] in rest, f"the untouched document {before[number].id!r} was not read"
        documents = [each for each in rest if isinstance(each, Document)] if isinstance(rest, list) else []
        for document in documents:
            oracles.whole(document)
        oracles.comes_back([each for each in documents if each not in before], folder / "again.jsonl")
    except Exception:
        return Outcome("wrong", traceback.format_exc())
    if error is not None:
        return Outcome("refused", str(error))
    return Outcome("as before" if repr(found) == repr(before) else "otherwise")


def _without_refused(format: Format, place: Path, segmenter: Segmenter) -> tuple[Any, list[InputError]]:
    """What is read where bad documents are left out, and what is told of them."""
    told: list[InputError] = []
    try:
        rest = format.read(place, segmenter, told.append)
    except InputError as error:
        return [], [*told, error]
    return rest, told


def _check_line(line: str, folder: Path, pattern: str) -> None:
    assert line.isprintable(), f"not one printable line: {line!r}"
    bare = line.removeprefix(f"{folder}/")
    assert re.fullmatch(pattern, bare), f"names not file, line or document, and field: {line}"


@cache
def _goods() -> dict[Any, Any]:
    return {}


def _good(format: Format, files: tuple[tuple[str, bytes], ...], segmenter: Segmenter) -> Any:
    """What is read of a miniature."""
    known, key = _goods(), (format.name, id(format.read), files, segmenter)
    if key not in known:
        with tempfile.TemporaryDirectory() as folder:
            for name, raw in files:
                Path(folder, name).write_bytes(raw)
            known[key] = format.read(Path(folder), segmenter, None)
            format.oracle(dict(files), known[key])
    return known[key]


def run(format: Format, seed: int, count: int, *, shown: int = _SHOWN) -> Counter[str]:
    """Try mutants of a format, and print what fails."""
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        for number in range(count):
            outcome = tried(format, seed, number, Path(folder))
            counts[outcome.kind] += 1
            if outcome.kind in FAILURES and sum(counts[kind] for kind in FAILURES) <= shown:
                last = outcome.detail.strip().splitlines()[-1][:300]
                print(
                    f"{format.name}: --seed {seed} --formats {format.name} --only {number}: {outcome.kind}: {last}"
                )
    return counts


def _memory() -> str | None:
    """Where files are in memory, if there is such a place: each is written, and brought to the disk."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def show(format: Format, seed: int, number: int) -> Outcome:
    """Print a mutant and what becomes of it."""
    good, files = format.mutant(random_of(seed, format, number))
    for name, raw in files.items():
        print(f"{name}, {'as it was' if raw == good.get(name) else 'changed'}:")
        sys.stdout.flush()
        sys.stdout.buffer.write(raw[:20_000] + b"\n")
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        outcome = tried(format, seed, number, Path(folder))
    print(f"{outcome.kind}: {outcome.detail}")
    return outcome


def table(counts: dict[str, Counter[str]]) -> str:
    """A Markdown table, a row a format."""
    names = [
        "format",
        "mutants",
        "read as before",
        "read otherwise, checked",
        "refused",
        "tracebacks",
        "hangs",
        "wrong",
    ]
    rows = [
        [format, str(of.total()), *(str(of[outcome]) for outcome in OUTCOMES)]
        for format, of in counts.items()
    ]
    total = sum(counts.values(), Counter[str]())
    rows.append(["all", str(total.total()), *(str(total[outcome]) for outcome in OUTCOMES)])
    lines = [names, ["---", *["---:"] * (len(names) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def formats() -> dict[str, Format]:
    """All formats; spaCy's where it is installed."""
    try:
        return {**FORMATS, "spacy": spacy_format()}
    except (ImportError, InputError):
        return dict(FORMATS)


def main(arguments: Sequence[str] | None = None) -> int:
    known = formats()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of all changes (%(default)s)")
    parser.add_argument("--count", type=int, default=10_000, help="mutants of each format (%(default)s)")
    parser.add_argument(
        "--formats", nargs="+", choices=known, default=list(known), metavar="FORMAT", help="all"
    )
    parser.add_argument("--only", type=int, metavar="NUMBER", help="show one mutant of one format")
    options = parser.parse_args(arguments)
    if options.only is not None:
        if len(options.formats) != 1:
            parser.error("--only: name its format with --formats")
        return int(show(known[options.formats[0]], options.seed, options.only).kind in FAILURES)
    counts, start = {}, time.monotonic()
    for name in options.formats:
        counts[name] = run(known[name], options.seed, options.count)
    print(table(counts))
    print(f"\n{time.monotonic() - start:.0f} seconds")
    return int(any(of[kind] for of in counts.values() for kind in FAILURES))


if __name__ == "__main__":
    sys.exit(main())
