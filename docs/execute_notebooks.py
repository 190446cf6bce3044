"""Executes notebooks and stores their outputs in them: ``make notebooks``.

``python docs/execute_notebooks.py FILE ...`` executes some of them. Paths of temporary folders and messages
on standard error are left out. By the hash of the source in the metadata, a test sees whether the two belong
together.
"""

import re
import sys
from hashlib import sha256
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
_TEMPORARY = re.compile(r"/\S*?/tmp\w{8}/")


def source_hash(notebook: NotebookNode) -> str:
    """Return the hash of the code of a notebook."""
    return sha256("\n\n".join(c.source for c in notebook.cells if c.cell_type == "code").encode()).hexdigest()


def cleaned(output: NotebookNode) -> NotebookNode:
    """Remove the paths of temporary folders from an output."""
    texts = output.get("data", output)
    for kind, value in texts.items():
        if isinstance(value, str) and kind != "image/png":
            texts[kind] = _TEMPORARY.sub("", value)
    return output


def execute(path: Path) -> None:
    """Execute a notebook in its folder, and write it with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=None, coalesce_streams=True, resources=resources).execute()
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            outputs = [each for each in cell.outputs if each.get("name") != "stderr"]
            cell.outputs = [cleaned(each) for each in outputs]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    notebook.metadata["source_hash"] = source_hash(notebook)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for path in [Path(each) for each in sys.argv[1:]] or sorted(NOTEBOOKS.glob("*.ipynb")):
        print(path.name, file=sys.stderr)
        execute(path)
