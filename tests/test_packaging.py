"""The package as others get it: its metadata agree, and a built wheel works far from the repository."""

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from commands import run as run_command
from glre_pyg.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ["src", "conf", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"]
CONDA_NAMES = {
    "pytorch": "torch",
    "pytorch_geometric": "torch-geometric",
    "pytorch_scatter": "torch-scatter",
    "matplotlib-base": "matplotlib",
    "python-build": "build",
}


@pytest.fixture(scope="module")
def setup_cfg():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def constraints(requirements):
    """Name to version constraint, and nothing named twice."""
    parsed = [Requirement(line) for line in requirements]
    table = {canonicalize_name(CONDA_NAMES.get(r.name, r.name)): r.specifier for r in parsed}
    assert len(table) == len(parsed), "a requirement is listed twice"
    return table


def requirements(setup_cfg):
    """All but those of GLiNER, which asks for an older transformers than conda's solution has, and of Ray."""
    extras = setup_cfg["options.extras_require"]
    asked = [extras[name] for name in extras if name not in ("gliner", "ray")]
    return "\n".join([setup_cfg["options"]["install_requires"], *asked]).split("\n")


def test_environment_yml_asks_for_what_setup_cfg_asks_for(setup_cfg):
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    lines = [line for line in conda if isinstance(line, str)]
    lines += [line for entry in conda if isinstance(entry, dict) for line in entry["pip"]]
    asked = constraints(lines)
    python, _ = asked.pop("python"), asked.pop("pip")
    assert str(python) == setup_cfg["options"]["python_requires"]
    assert asked == constraints(line for line in requirements(setup_cfg) if line)


def test_every_requirement_has_a_lowest_version(setup_cfg):
    """That is what ``make test-lowest`` installs."""
    lines = [line for line in requirements(setup_cfg) if line]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9_-]+[>=]=[0-9.]+", line)] == []


@pytest.mark.parametrize("extra", ["scatter", "minilm"])
def test_makefile_installs_the_versions_of_setup_cfg(setup_cfg, extra):
    [requirement] = setup_cfg["options.extras_require"][extra].split()
    assert requirement in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_the_image_has_the_torch_of_the_makefile_and_what_the_sdist_has(tmp_path):
    torch, image = ((ROOT / name).read_text(encoding="utf-8") for name in ("Makefile", "Dockerfile"))
    assert re.findall(r"^TORCH \?= (.*)$", torch, re.MULTILINE) == re.findall(
        r"^ARG TORCH=(.*)$", image, re.MULTILINE
    )
    copied = re.findall(r"^COPY ((?!--|docs).*) \S+$", image, re.MULTILINE)
    assert sorted(" ".join(copied).split()) == sorted(SHIPPED)
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    entry, command = (
        json.loads(found) for found in re.findall(r"^(?:ENTRYPOINT|CMD) (.*)$", image, re.MULTILINE)
    )
    assert entry[0] == "glre"
    run_command(entry[1], *entry[2:], *command, "--cfg", "job", cwd=tmp_path)
    assert {*SHIPPED, "docs/example/names.tsv"} == {*re.findall(r"^!(.*)$", ignored, re.MULTILINE)}


def test_pyproject_holds_the_build_system_and_ruff_only():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(pyproject) == {"build-system", "tool"}
    assert set(pyproject["tool"]) == {"ruff"}


def test_every_package_is_listed(setup_cfg):
    folders = {file.parent.relative_to(ROOT / "src") for file in (ROOT / "src").rglob("*.py")}
    packages = {".".join(folder.parts) for folder in folders} | {"glre_pyg.conf"}
    assert set(setup_cfg["options"]["packages"].split()) == packages
    assert all((ROOT / "src" / folder / "__init__.py").is_file() for folder in folders)


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """A sdist of a clean copy, and the wheel built from that sdist; no network."""
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    for name in SHIPPED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(source, copy / name, ignore=ignored)
        else:
            shutil.copy(source, copy / name)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, copy, cwd=copy)
    return out


@pytest.fixture(scope="module")
def elsewhere(dist, tmp_path_factory):
    """A command runner in an empty folder, in a virtual environment that holds the wheel.

    The other packages are those that run this test: a ``.pth`` file puts their folder last on the path, and as
    ``.pth`` files in that folder are not read, an editable install of this project stays out of sight.
    """
    folder, home = tmp_path_factory.mktemp("elsewhere"), tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=False)
    binaries = home / ("Scripts" if os.name == "nt" else "bin")
    variables = {"base": str(home), "platbase": str(home)}
    site_packages = Path(sysconfig.get_path("purelib", "venv", vars=variables))
    borrowed = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    (site_packages / "borrowed.pth").write_text("\n".join(borrowed), encoding="utf-8")
    [wheel] = dist.glob("*.whl")
    target = ["--python", binaries / "python", "install", "--no-deps", "--no-index", "--force-reinstall"]
    run(sys.executable, "-m", "pip", *target, wheel, cwd=folder)
    return lambda command, *arguments: run(binaries / command, *arguments, cwd=folder)


def run(*command, cwd):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_wheel_and_sdist_hold_every_module_and_config(dist):
    package = ROOT / "src/glre_pyg"
    shipped = [
        *package.rglob("*.py"),
        package / "py.typed",
        package / "runs/model_card.md",
        *(file for file in (package / "formats/page_assets").iterdir() if file.is_file()),
        *(package / f"service/start_page.{kind}" for kind in ("html", "css")),
        *(file for file in (package / "trained").rglob("*") if file.is_file()),
    ]
    sources = {str(file.relative_to(ROOT / "src")) for file in shipped}
    configs = {str(file.relative_to(ROOT)) for file in (ROOT / "conf").rglob("*.yaml")} | {"conf/__init__.py"}
    [wheel], [sdist] = dist.glob("*.whl"), dist.glob("*.tar.gz")

    files = zipfile.ZipFile(wheel).namelist()
    held = {name for name in files if name.startswith("glre_pyg/")}
    assert held == sources | {f"glre_pyg/{name}" for name in configs}
    assert any(name.endswith("LICENSE") for name in files)

    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert held >= {f"src/{name}" for name in sources} | configs


@pytest.mark.slow
def test_installed_wheel_finds_its_configs(elsewhere):
    printed = elsewhere("python", "-c", "from glre_pyg.utils.cli import config_dir; print(config_dir())")
    where = Path(printed.strip())
    assert where.parts[-3:] == ("site-packages", "glre_pyg", "conf")
    assert (where / "train.yaml").is_file()


@pytest.mark.slow
def test_installed_commands_explain_themselves(elsewhere):
    assert "dataset" in elsewhere("python", "-m", "glre_pyg.train", "--help")
    assert "dataset" in elsewhere("glre-train", "--help")


@pytest.mark.slow
def test_every_entry_point_leads_somewhere(elsewhere, setup_cfg):
    names = elsewhere(
        "python",
        "-c",
        "from importlib.metadata import distribution\n"
        "for script in distribution('glre_pyg').entry_points: script.load(); print(script.group, script.name)",
    )
    listed = {
        f"{group} {line.partition(' ')[0]}"
        for group, lines in setup_cfg["options.entry_points"].items()
        for line in lines.strip().splitlines()
    }
    assert set(names.splitlines()) == listed


def test_every_command_has_an_entry_point(setup_cfg):
    scripts = setup_cfg["options.entry_points"]["console_scripts"].split("\n")
    expected = [f"glre-{name.replace('_', '-')} = glre_pyg.{name}:main" for name in COMMANDS]
    assert sorted(filter(None, scripts)) == sorted([*expected, "glre = glre_pyg.__main__:main"])


@pytest.mark.slow
def test_configs_of_the_wheel_extend_those_of_a_user(elsewhere, tmp_path):
    mine = "defaults: [{dataset: synthetic}, _self_]\nhydra: {searchpath: ['pkg://glre_pyg.conf']}\n"
    (tmp_path / "mine.yaml").write_text(mine, encoding="utf-8")
    composed = elsewhere(
        "python",
        "-c",
        "from hydra import compose, initialize_config_dir\n"
        f"with initialize_config_dir({str(tmp_path)!r}, version_base='1.3'): print(list(compose('mine')))",
    )
    assert "dataset" in composed
