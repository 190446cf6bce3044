"""Notebooks as pages, with the outputs that are stored in them.

In a page, the line ``<!-- notebook NAME -->`` is replaced by the cells of ``notebooks/NAME.ipynb``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from sphinx.application import Sphinx

_FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
_PLACE = re.compile(r"<!-- notebook (\w+) -->")
_NAME = re.compile(r"`(\w+)\.ipynb`")
_DOCS = re.compile(r"`docs/(\w+\.md)`")


def page(path: Path) -> str:
    """Return a notebook as Markdown."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join(block for cell in cells for block in _blocks(cell))


def _blocks(cell: Mapping) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield _DOCS.sub(r"[](../\1)", _NAME.sub(r"[](\1.md)", source))
        return
    yield _fence("{code-block} python\n:force:", source)  # also what only IPython reads
    for output in cell["outputs"]:
        data = {name: "".join(value) for name, value in output.get("data", output).items()}
        if "text/html" in data:
            yield _fence("{raw} html", f'<div class="output">\n{data["text/html"]}\n</div>')
        elif "image/png" in data:
            source = f"data:image/png;base64,{data['image/png']}"
            yield _fence("{raw} html", f'<img alt="The output of the code above" src="{source}">')
        elif "text/markdown" in data:
            yield re.sub("^#+ (.*)$", r"**\1**", data["text/markdown"], flags=re.MULTILINE)
        else:
            yield _fence("text", data.get("text/plain") or data["text"])


def _fence(language: str, text: str) -> str:
    return f"`````{language}\n{text.rstrip()}\n`````"


def _fill(app: Sphinx, name: str, source: list[str]) -> None:
    source[0] = _PLACE.sub(lambda place: page(_FOLDER / f"{place[1]}.ipynb"), source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to Sphinx."""
    app.connect("source-read", _fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
