"""What commands print: lines that stay lines, in any encoding, printed by two functions alone."""

import ast
import sys
from contextlib import suppress
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

import glre_pyg
from commands import run_scripts
from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.formats.detection import write_documents
from glre_pyg.utils.console import echo, echo_error
from test_strict import SIZES

SOURCE = Path(glre_pyg.__file__).parent
ODD = ["a\nerror: forged", "\x1b[2J", "\ud800", "ü 中", "‮"]


def test_nothing_else_prints():
    """Other modules call ``echo`` and ``echo_error``; examples in docstrings may print."""
    others = []
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            text = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if text in ("print", "tqdm.write", "pprint", "sys.stdout.write", "sys.stderr.write"):
                others.append(path.relative_to(SOURCE).as_posix())
    assert set(others) == {"utils/console.py"}


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1252", "ascii"])
@pytest.mark.parametrize("text", ODD)
def test_a_line_is_one_line_in_any_encoding(encoding, text, monkeypatch):
    stream = TextIOWrapper(BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", stream)
    echo(text, "second")
    echo_error(text)
    stream.flush()
    first, second, third = stream.buffer.getvalue().decode(encoding).splitlines()
    assert second == "second"
    assert all(char.isprintable() for char in first + third)


STATS = """
import sys
for stream in (sys.stdout, sys.stderr):
    stream.reconfigure(encoding="{encoding}")
from glre_pyg.stats import main
main()
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_commands_work_with_odd_names_in_a_narrow_encoding(tmp_path, encoding):
    for split, size in SIZES.items():
        write_documents(SyntheticCorpus().generate(split, size), tmp_path / f"{split}.jsonl")
    options = [f"dataset.{split}={split}.jsonl" for split in SIZES]
    (tmp_path / "stats.py").write_text(STATS.format(encoding=encoding))
    out, _ = run_scripts(
        *(tmp_path / "stats.py", "dataset=jsonl", "dataset.name=中\x1b[2J", "dataset.relations=[CID]"),
        *(*options, "output=ü中.json", "cache=false"),
        cwd=tmp_path,
        environments=[{}],
        codes=[0],
    )
    assert out.startswith("\\u4e2d\\x1b[2J, protocol ")
    assert (tmp_path / "ü中.json").exists()


def test_standard_output_that_cannot_be_written_is_named(monkeypatch):
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(OSError, match="No space left") as caught:
            echo("a line")
        with suppress(OSError):
            full.close()
    assert caught.value.filename == "standard output"
