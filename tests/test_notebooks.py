"""Every notebook runs from beginning to end, and is kept with the outputs of its present source."""

import ast
import json
import re
import sys
from pathlib import Path
from runpy import run_path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXECUTE = run_path(str(ROOT / "docs" / "execute_notebooks.py"))
TIMEOUT = 600  # seconds a cell: each notebook takes one to two minutes, but a machine may be busy


@pytest.fixture
def _kernel(tmp_path, monkeypatch):
    """A kernel of this very interpreter, known to this test only; it leaves nothing behind."""
    folder = tmp_path / "kernels" / "python3"
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "Python 3", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("MPLBACKEND", raising=False)


def test_there_are_notebooks():
    assert {path.stem for path in NOTEBOOKS} == {"document_graph", "extraction", "paper_tables", "training"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_its_code_compiles_and_its_imports_are_there(path):
    """What can be said in a second; to run a notebook takes one to two minutes, and is a trial."""
    source = "\n".join(cell.source for cell in cells(path, "code"))
    source = "\n".join(line for line in source.splitlines() if not line.startswith(("%", "!")))
    tree = ast.parse(source)
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imports
    exec(compile(ast.Module(imports, []), str(path), "exec"), {})


@pytest.mark.trial
@pytest.mark.usefixtures("_kernel")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs(path):
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("import sys; print(sys.executable)"))
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        startup_timeout=TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    assert notebook.cells[-1].outputs[0].text.strip() == sys.executable


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_has_the_outputs_of_its_source(path):
    """``make notebooks`` writes them anew."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = cells(path, "code")
    assert notebook.metadata.source_hash == EXECUTE["source_hash"](notebook)
    assert [cell.execution_count for cell in code] == [*range(1, len(code) + 1)]
    outputs = [output for cell in code for output in cell.outputs]
    assert len(outputs) >= len(code) / 2
    assert {output.output_type for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert "stderr" not in {output.get("name") for output in outputs}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_of_modest_size_and_tells_nothing_of_the_machine(path):
    text = path.read_text(encoding="utf-8")
    assert len(text) < 400_000
    for cell in cells(path, "code"):
        for output in cell.outputs:
            texts = [output.get("text", ""), *output.get("data", {}).values()]
            assert not re.search(r"/(tmp|home|root|work|Users|usr)/|\d+(\.\d+)? s\b|it/s|\r", str(texts))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_begins_with_few_imports(path):
    lines = cells(path, "code")[0].source.splitlines()
    assert sum(line.startswith(("import ", "from ")) for line in lines) <= 6


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_its_commands_are_those_of_the_docs(path):
    text = "\n".join(cell.source for cell in cells(path, "markdown"))
    assert commands(text) <= commands((ROOT / "docs/researchers.md").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_for_reading(path):
    """It begins with a title, and no line of code is cut off where a page is narrow."""
    assert cells(path, "markdown")[0].source.startswith("# ")
    lines = [line for cell in cells(path, "code") for line in cell.source.splitlines()]
    assert max(map(len, lines)) <= 120


def cells(path, kind):
    """The cells of one kind."""
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def commands(text):
    """Command lines of a text, without the comments behind them."""
    lines = (line.partition(" #")[0].strip() for line in text.splitlines())
    return {line for line in lines if line.startswith("python -m glre_pyg.")}
