"""Which package may import which, and which of them may import torch, Hydra or another library."""

import ast
import subprocess
import sys
from collections import Counter, defaultdict
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import glre_pyg
from glre_pyg.__main__ import COMMANDS
from glre_pyg.utils.deferred import deferred

SOURCE = Path(glre_pyg.__file__).parent
EXTRACTION = {"runs", "mentions", "formats", "datasets", "evaluation", "models", "nn", "data", "utils"}
ALLOWED = {
    "utils": set(),
    "data": {"utils"},
    "evaluation": {"data", "utils"},
    "formats": {"data", "utils"},
    "mentions": {"data", "formats", "utils"},
    "nn": {"data", "utils"},
    "models": {"nn", "data", "utils"},
    "datasets": {"data", "formats", "mentions", "evaluation", "utils"},
    "runs": {"data", "models", "nn", "evaluation", "utils"},  # and datasets by Hydra alone
    "extraction": EXTRACTION,
    "reporting": {"extraction", "runs", "evaluation", "data", "utils"},
    "service": EXTRACTION | {"extraction"},
    "training": EXTRACTION | {"extraction", "reporting"},
}
"""For each package, the packages that it may import. Commands may import all of them."""
HYDRA = (
    "training",
    "runs",
    "extraction.extractor",
    "extraction.pipeline",
    "extraction.ray_actors",
    "extraction.shards",
    "extraction.scoring",
    "reporting.run_records",
    "reporting.sweep_report",
    "utils.cli",
    "utils.command_line",
    "utils.settings",
)
LIBRARIES = {
    "torch": (
        *("data.annotations", "data.batch", "data.graph", "data.ontology", "data.parser"),
        *("data.tokenizer", "data.word_tokenizer"),
        *("nn", "models", "runs", "extraction", "training"),
        *("reporting.drawing", "utils.distributed", "utils.cli"),
    ),
    "torch_geometric": ("data.batch", "data.graph", "nn", "models", "runs", "training"),
    "hydra": (*COMMANDS, *HYDRA),
    "omegaconf": (*COMMANDS, *HYDRA),
    "transformers": ("data.pretrained", "data.tokenizer", "nn.transformer", "training.pretraining"),
    "accelerate": ("runs", "training", "utils.distributed"),
    "huggingface_hub": ("runs", "nn.transformer"),
    "matplotlib": ("reporting",),
    "ray": ("extraction.ray_actors",),
    "scipy": ("evaluation", "nn.linear_fitting"),
    "fastapi": ("service.web_app",),
    "fastapi_offline": ("service.web_app", "serve"),
    "prometheus_client": ("service.service_metrics", "serve"),
    "uvicorn": ("serve",),
    "sklearn": ("nn.linear_fitting",),
    "spacy": ("data.parser", "formats", "mentions", "extraction"),
}
"""For each library, the packages and modules that may import it."""


def names_of(path):
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


MODULES = {names_of(path): path for path in sorted(SOURCE.rglob("*.py"))}


def imports(path):
    """Absolute names of what a module imports, inside functions too, but not for type checking alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    checking = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in checking:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_of(name):
    """The module of the package that an imported name is, or is from."""
    name = name.removeprefix("glre_pyg.")
    return name if name in MODULES else name.rpartition(".")[0]


@cache
def all_imports():
    """Names of what each module imports."""
    return {module: sorted(set(imports(path))) for module, path in MODULES.items()}


def internal_imports():
    """Modules of the package that each module imports."""
    return {
        module: {module_of(name) for name in names if name.startswith("glre_pyg.")}
        for module, names in all_imports().items()
    }


def package_of(module):
    return module.partition(".")[0]


def crossings():
    """Pairs of packages of which the first imports the second, and where."""
    found = defaultdict(list)
    for module, targets in internal_imports().items():
        for target in targets:
            pair = package_of(module), package_of(target)
            if pair[0] in ALLOWED and pair[0] != pair[1]:
                found[pair].append(f"{module} imports {target}")
    return found


def test_every_package_is_in_the_table():
    packages = {path.parent.name for path in SOURCE.glob("*/__init__.py")} - {"conf"}
    assert packages == set(ALLOWED)
    assert len(packages) <= 13


def test_packages_import_only_what_the_table_allows():
    found = crossings()
    wrong = [line for pair, lines in found.items() if pair[1] not in ALLOWED[pair[0]] for line in lines]
    assert not wrong


def test_no_circle_of_imports():
    graph = {module: set(filter(None, targets)) for module, targets in internal_imports().items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_the_library_imports_no_public_names_of_the_top():
    """They would hide which package they are from."""
    assert not [module for module, targets in internal_imports().items() if "" in targets]


@pytest.mark.parametrize("library", LIBRARIES)
def test_only_some_packages_import_a_library(library):
    users = {
        module for module, names in all_imports().items() for name in names if package_of(name) == library
    }
    allowed = LIBRARIES[library]
    assert not [user for user in users if not any(f"{user}.".startswith(f"{name}.") for name in allowed)]


def test_modules_have_names_of_their_own():
    """Only ``base`` stands twice: the base class of a package."""
    names = Counter(path.stem for path in MODULES.values())
    assert {name for name, count in names.items() if count > 1} <= {"__init__", "base"}


def test_at_the_top_lie_the_commands():
    assert {module for module in MODULES if "." not in module and module not in ALLOWED} == {
        "__init__",
        "__main__",
        *COMMANDS,
    }


def import_without(libraries, code):
    """Run code where some libraries cannot be imported."""
    script = f"""
import sys
from importlib.abc import MetaPathFinder

class Blocked(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {libraries!r}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Blocked())
{code}
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_build_graph_needs_neither_transformers_nor_hydra():
    """PyG itself imports transformers where it can; so they are made impossible to import."""
    code = """
from glre_pyg import Document, build_graph
graph = build_graph(Document(id="x", text="", words=(), sentences=(), mentions=()))
print(len(graph.edge_types), [name for name in ("transformers", "hydra") if name in sys.modules])
"""
    out = import_without(("transformers", "tokenizers", "hydra", "omegaconf", "accelerate"), code)
    assert out.split("\n")[0] == "5 []"


HEAVY = ("matplotlib", "networkx", "pandas", "scipy", "sklearn", "spacy", "sympy", "transformers")
"""What PyG imports, or could, and takes more than a graph does."""


def run_alone(code):
    """Run code in an interpreter that has imported nothing yet."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_build_graph_loads_neither_the_compiler_nor_datasets():
    """Which modules there are decides how long the import takes."""
    code = """
import sys
from glre_pyg import build_graph
print(*sys.modules)
"""
    loaded = set(run_alone(code).split())
    assert {"torch", "torch_geometric.data"} <= loaded
    assert not loaded & {*HEAVY, "torch._dynamo", "torch_geometric.datasets", "torch_geometric.llm"}


def test_what_build_graph_left_out_is_there_when_it_is_used():
    run_alone("""
import sys
import torch
from glre_pyg import build_graph
import torch_geometric
assert torch_geometric.is_torch_instance(torch.nn.ReLU(), torch.nn.Module)
assert torch_geometric.datasets.FakeHeteroDataset.__module__ == "torch_geometric.datasets.fake"
assert torch_geometric.datasets is sys.modules["torch_geometric.datasets"]
from torch_geometric.datasets import FakeDataset
assert type(torch.compile(torch.nn.ReLU())).__name__ == "OptimizedModule"
assert torch._dynamo is sys.modules["torch._dynamo"]
""")


def test_a_deferred_module_is_the_one_that_import_gives(tmp_path, monkeypatch):
    """Also when its attributes are used while it is deferred, and if it is there already."""
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "__init__.py").write_text("from . import early, late, used\nvalue = used.number\n")
    for name in ("early", "late", "used"):
        (tmp_path / "later" / f"{name}.py").write_text("number = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "later.early", early := ModuleType("later.early"))
        with deferred("later.early", "later.late", "later.used", "later.missing"):
            later = import_module("later")
            assert "later.used" in sys.modules
            assert "number" not in vars(later.late)
        assert sys.modules["later.early"] is early
        assert later.value == 3
        assert later.late.number == 3
        assert later.late is import_module("later.late")
        with pytest.raises(ModuleNotFoundError, match=r"later\.missing"):
            _ = later.missing.number
    for name in [name for name in sys.modules if name.partition(".")[0] == "later"]:
        del sys.modules[name]


def test_documents_formats_corpora_and_evaluation_need_no_torch():
    names = [
        *("data.document", "data.explanation", "data.paths"),
        *(name for name in MODULES if name.startswith(("formats.", "datasets.", "evaluation."))),
    ]
    code = "\n".join(f"import glre_pyg.{name}" for name in names)
    import_without(("torch", "torch_geometric", "transformers", "accelerate", "hydra", "omegaconf"), code)
