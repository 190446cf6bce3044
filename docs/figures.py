"""Writes the output of commands and code into the pages that show it: ``make figures``.

A page shows an output as a block of text behind one of these lines:

- ``<!-- output of: COMMAND -->``
- ``<!-- output in minutes of: COMMAND -->``, which ``python docs/figures.py --quick`` leaves as it is
- ``<!-- output of the code above -->``, of the Python block before it
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SHOWN = re.compile(
    r"(?<=<!-- output)( in minutes)? of(?:: (.+)| the code above) -->\n```text\n(.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Shown:
    """An output that a page shows, and where.

    Args:
        command: The shell command, or ``"python -"``.
        code: The standard input of the command.
        is_slow: Whether it takes minutes.
        output: What the page shows.
        span: Where that is in the page.
    """

    command: str
    code: str
    is_slow: bool
    output: str
    span: tuple[int, int]


def shown(text: str) -> Iterator[Shown]:
    """The outputs that a page shows, in their order."""
    for match in _SHOWN.finditer(text):
        slow, command, output = match.groups()
        code = "" if command else _CODE.findall(text, 0, match.start())[-1]
        yield Shown(command or "python -", code, bool(slow), output, match.span(3))


def output_of(each: Shown) -> str:
    """Run a command or code in an empty folder with ``docs``, and return what it prints."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "docs").symlink_to(ROOT / "docs")
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", each.command],
            input=each.code,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            cwd=folder,
            env={**os.environ, "PATH": path},
        )
    return done.stdout.rstrip("\n") + "\n"


def main() -> None:
    """Rewrite the pages."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="leave out what takes minutes")
    options = parser.parse_args()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for each in reversed([*shown(text)]):  # from the end, so that positions stay as they are
            if not (options.quick and each.is_slow):
                print(f"{page.relative_to(ROOT)}: {each.command}", file=sys.stderr)
                start, end = each.span
                text = text[:start] + output_of(each) + text[end:]
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
