"""The site builds without warnings, and the commands and code on its pages and in the README work.

The commands and Python blocks of a page run in order, in a temporary folder. Blocks with a caption are files that are
created there first. Only sizes differ from what a reader would run: corpora are miniatures, pretrained encoders are
tiny, and training is one epoch of a narrow model.
"""

import ast
import csv
import json
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import dataclass, replace
from html import unescape
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from runpy import run_path
from typing import TYPE_CHECKING, TextIO
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from checkpoints import checkpoint
from documents import random_documents
from glre_pyg.data.document import Document
from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.formats.detection import write_documents
from glre_pyg.formats.docred_json import write_docred
from glre_pyg.formats.eog_data import write_eog
from glre_pyg.formats.pubtator_writer import write_pubtator
from glre_pyg.runs.checksums import write_checksums
from test_imports import ALLOWED

if TYPE_CHECKING:
    from spacy.language import Language

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
DOCS, CONF = ROOT / "docs", ROOT / "conf"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)
SOURCES = sorted((ROOT / "src/glre_pyg").glob("*/[!_]*.py"))
EVERYTHING = [*PAGES, ROOT / "README.md"]
INDEPENDENT_BLOCKS = ("README.md", "results.md")
"""Pages on which each block starts in a new folder."""
NOT_RUN = {
    ". .venv/": "activates the environment that the tests run in",
    "python benchmarks/": "takes minutes; test_benchmarks runs them",
    "python tests/trials/": "takes minutes; test_trials and test_mutants run them",
    "curl": "asks a service; test_service does",
    "torchrun": "starts processes; test_trials does so with two",
    "python docs/": "redraws a picture of the README, or runs the commands of pages; other tests do",
    "mentions=gliner": "needs a model from the hub; test_mentions has one that does not",
}
"""Beginnings of command lines, and texts in blocks without a shell, that are not run, with the reason."""

# Blocks of pages --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """A fenced block with its language, caption, text and position."""

    language: str
    caption: str
    text: str
    place: str


_FENCE = re.compile(r"^( *)(```+)(?:\{code-block\} *)?(\S*)\n((?:.*\n)*?)\1\2 *$", re.MULTILINE)


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(text):
        indent, _, language, body = match.groups()
        body = re.sub(rf"^{indent}", "", body, flags=re.MULTILINE)
        options, caption = re.match(r"(?::[\w-]+:.*\n)*\n?", body)[0], ""
        if options.startswith(":"):
            caption = (re.findall(r":caption: (.*)", options) or [""])[0]
            body = body[len(options) :]
        line = text.count("\n", 0, match.start()) + 1
        yield Block(language, caption, body, f"{page.name}:{line}")


def commands(block: Block) -> list[list[str]]:
    """Command lines of a shell block, split into words; a backslash at the end of a line continues it."""
    lines = re.sub(r"\\\n", " ", block.text).splitlines()
    if block.language == "console":
        lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def inline_commands(page: Path) -> list[list[str]]:
    """Commands in the text of a page, for instance in its tables."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    lines = re.findall(r"`(python\s+-m\s+glre_pyg\.[^`]*)`", text)
    return [shlex.split(line.replace("\n", " ")) for line in lines]


# Files of a reader --------------------------------------------------------------------------------------------


def miniature(split: str, count: int) -> list[Document]:
    """Generated abstracts about chemicals and diseases, with facts within and across sentences."""
    documents = SyntheticCorpus(bridged=0.5, gap=(0, 4)).generate(split, count)
    return [
        replace(document, mentions=tuple(mention for mention in document.mentions if mention.type != "Gene"))
        for document in documents
    ]


def renamed(documents: list[Document], types: dict[str, str], relations: dict[str, str]) -> list[Document]:
    """The documents with other names of entity types and relations."""
    return [
        replace(
            document,
            mentions=tuple(replace(mention, type=types[mention.type]) for mention in document.mentions),
            facts=tuple(replace(fact, relation=relations[fact.relation]) for fact in document.facts),
        )
        for document in documents
    ]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like ``$GLRE_DATA``, with a miniature of each corpus in its true format."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("CDR/processed", "MeSH", "DocRED", "Re-DocRED", "BioRED"):
        (folder / name).mkdir(parents=True)
    for split, name in {"train": "Training", "dev": "Development", "test": "Test"}.items():
        documents = miniature(split, 6)
        write_pubtator(documents, folder / f"CDR/CDR_{name}Set.PubTator.txt")
        write_eog(documents, folder / f"CDR/processed/{split}_filter.data")
        wikipedia = renamed(
            [
                replace(document, id=f"{split} {document.id}")
                for document in random_documents(6, composites=0)
            ],
            {"Chemical": "PER", "Disease": "LOC", "Gene": "ORG"},
            {"causes": "P17", "treats": "P27"},
        )
        write_docred(wikipedia, folder / f"Re-DocRED/{split}_revised.json", lossy=True)
        hidden = [replace(document, facts=()) for document in wikipedia] if split == "test" else wikipedia
        docred = {"train": "train_annotated"}.get(split, split)
        write_docred(hidden, folder / f"DocRED/{docred}.json", lossy=True)
        types = {"Chemical": "ChemicalEntity", "Disease": "DiseaseOrPhenotypicFeature"}
        genes = renamed(documents, types, {"CID": "Positive_Correlation"})
        write_documents(genes, folder / f"BioRED/{split.title()}.PubTator", "biored")
    (folder / "MeSH/2017MeshTree.txt").write_text("Tree Number\tDesc Ui\tTerm\nC01\tD0001\tdisease\n")
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint("bert_cased", tmp_path_factory.mktemp("encoder") / "bert", length=8192)


@pytest.fixture
def shell(data: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator["Shell"]:
    """Runs commands in an empty folder and restores the state of this process."""
    monkeypatch.setenv("GLRE_DATA", str(data))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "glre_pyg.data.tokenizer.find_pretrained",
        lambda name, *_: name if Path(name).is_dir() else str(encoder),
    )
    log, handlers = logging.getLogger(), logging.getLogger().handlers[:]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*sha256")
        warnings.filterwarnings("error", message="Callback ")
        yield Shell(tmp_path, monkeypatch)
    log.handlers[:] = handlers


@pytest.fixture(scope="module")
def run(data: Path, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, for RUN, A and B on the pages."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLRE_DATA", str(data))
        patch.chdir(folder)
        patch.setattr("glre_pyg.data.tokenizer.find_pretrained", lambda *_: str(encoder))
        patch.setattr(sys, "argv", ["train", *smaller(["dataset=cdr", "hydra.run.dir=RUN"])])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import_module("glre_pyg.train").main()
    scores = json.loads((folder / "RUN/scores.json").read_text())
    row = {"threshold": 0.5, "precision": 0.8, "interval": [0.7, 0.9], "recall": 0.1}
    scores["by_precision"]["0.80"] = row  # which so small a run does not reach
    (folder / "RUN/scores.json").write_text(json.dumps(scores))
    write_checksums(folder / "RUN")
    return folder / "RUN"


def prepare(folder: Path, block: Block, encoder: Path, run: Path) -> Path:
    """Create a folder with the files that a reader has, including those with names in capitals."""
    folder.mkdir()
    for name in ("RUN", "A", "B", "runs/cdr"):
        shutil.copytree(run, folder / name)
    config = (folder / "B/config.yaml").read_text().replace("seed: 0", "seed: 1")
    (folder / "B/config.yaml").write_text(config)
    documents = miniature("new", 4)
    for split in ("train", "dev", "test"):
        write_documents(miniature(split, 4), folder / f"{split}.jsonl")
    for name in ("FILE", "abstracts.pubtator", "documents.jsonl", "CDR_TrainingSet.PubTator.txt"):
        write_documents(documents, folder / name)
    shutil.copytree(DOCS / "example", folder / "docs/example")
    shutil.copy(DOCS / "example.pubtator", folder / "docs")
    for name in ("abstract.txt", "names.tsv"):
        shutil.copy(DOCS / "example" / name, folder / name)
    if "input=FOLDER" in block.text:
        (folder / "FOLDER").mkdir()
        shutil.copy(DOCS / "example/abstract.txt", folder / "FOLDER")
    else:
        shutil.copytree(encoder, folder / "FOLDER")
    (folder / "ontology.tsv").write_text("id\tparent\nD001249\tD012130\n")
    if "=NAME" in block.text:
        pipeline().to_disk(folder / "NAME")
    data = Path(os.environ["GLRE_DATA"])
    for name in ("Re-DocRED/dev_revised.json", "BioRED/Dev.PubTator"):
        shutil.copy(data / name, folder)
    if "dataset=redocred" in block.text:
        shutil.copy(data / "Re-DocRED/train_revised.json", folder / "FILE.json")
    (folder / "glove.txt").write_text("patients 0.1 0.2 0.3\nblood 0.3 0.2 0.1\n")
    return folder


def pipeline() -> "Language":
    """A spaCy pipeline that recognises two names."""
    spacy = pytest.importorskip("spacy")
    nlp = spacy.blank("en")
    names = {"clozapine": "CHEMICAL", "myocarditis": "DISEASE"}
    patterns = [{"label": label, "pattern": name} for name, label in names.items()]
    nlp.add_pipe("entity_ruler").add_patterns(patterns)
    return nlp


# Running ----------------------------------------------------------------------------------------------------


def smaller(words: list[str]) -> list[str]:
    """The arguments of `train`, with the sizes of a test."""
    if not {"--help", "--cfg", "--info"}.isdisjoint(words):
        return words
    given = dict(word.split("=", 1) for word in words if "=" in word)
    is_table = "name" in given or any(char in given.get("experiment", "") for char in ",(")
    words = [re.sub(r"^seed=\d,\S*", "seed=0" if is_table else "seed=0,1", word) for word in words]
    if "hydra/launcher=joblib" in words:  # starts two interpreters, as a trial of processes does
        words = ["--cfg", "hydra", *(word.replace("seed=0,1", "seed=0") for word in words if word != "-m")]
    words = [re.sub(r"^dataset\.dev_from_train=.*", "dataset.dev_from_train=2", word) for word in words]
    if given.get("training.resume", "auto") != "auto":
        return words
    sizes = ["training.epochs=1"]
    if "model" not in given:
        sizes += ["model.nodes.hidden_channels=16", "model.classifier.hidden_channels=16"]
    corpus = given.get("dataset") or _corpus_of(given.get("experiment", "null"))
    if corpus.startswith("synthetic"):
        sizes += [f"dataset.sizes.{split}={size}" for split, size in (("train", 6), ("dev", 3), ("test", 3))]
    return [*words, *sizes]


def _corpus_of(experiment: str) -> str:
    name = re.sub(r"^glob\((.*)\)$", r"\1", experiment.split(",")[0])
    for path in (CONF / "experiment").glob(f"{name}.yaml"):
        for each in yaml.safe_load(path.read_text()).get("defaults", ()):
            if "override /dataset" in each:
                return each["override /dataset"]
    return "synthetic"


class Shell:
    """Runs the commands of a page."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.patch, self.folder, self.last_run = patch, folder, "RUN"

    def enter(self, folder: Path) -> None:
        """Change to a folder in which nothing has been run yet."""
        self.patch.chdir(folder)
        self.folder, self.last_run = folder, "RUN"

    def run(self, words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
        """Run a command and return its exit code, output and errors."""
        words, source = self._with_input(words)
        scripts = _setup_cfg()["options.entry_points"]["console_scripts"]
        module = dict(re.findall(r"^(\S+) = (\S+):main", scripts, re.MULTILINE)).get(words[0])
        if words[0] in ("python", ".venv/bin/python") and words[1] == "-m":
            module, words = words[2], words[2:]
        assert module, f"{shlex.join(words)}: cannot be run here, and NOT_RUN does not say why"
        words = words[1:]
        if module == "glre_pyg.train":
            replaced = {"fixed_by=RUN": f"fixed_by={self.last_run}"}
            if "dataset=redocred" in words:
                replaced["dataset.train=FILE"] = "dataset.train=FILE.json"
            words = smaller([replaced.get(word, word) for word in words])
            if "hydra.run.dir=runs/cdr" in words:  # created for blocks without this command
                shutil.rmtree(self.folder / "runs/cdr")
        for word in words:
            if module == "glre_pyg.errors" and word.startswith("labels="):
                _label(self.folder / word.removeprefix("labels="))
        if module == "glre_pyg.serve":  # answers until it is ended, as in test_service
            words = [*words, "--cfg", "job"]
        self.patch.setattr(sys, "argv", [module, *words])
        self.patch.setattr(sys, "stdin", source)
        capsys.readouterr()
        code = 0
        try:
            import_module(module).main()
        except SystemExit as error:
            code = int(error.code or 0)
        out, err = capsys.readouterr()
        self.last_run = (re.findall(r"^run directory: (.*)$", out, re.MULTILINE) or [self.last_run])[-1]
        return code, out, err

    def _with_input(self, words: list[str]) -> tuple[list[str], TextIO]:
        """Split ``... < FILE`` or ``cat FILE | ...`` into the command and its standard input."""
        if words[0] == "cat" and words[2] == "|":
            return words[3:], (self.folder / words[1]).open(encoding="utf-8")
        if words[-2:-1] == ["<"]:
            return words[:-2], (self.folder / words[-1]).open(encoding="utf-8")
        return words, sys.stdin


def _setup_cfg() -> ConfigParser:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return config


def _label(table: Path) -> None:
    """Fill in the table of errors, as a person would."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(row | {"type": "other"} for row in rows)


def is_not_run(words: list[str]) -> bool:
    """Whether a command is not run here; the targets and extras that it names have to exist."""
    if words[0] == "make":
        targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert {word for word in words[1:] if "=" not in word} <= targets
    elif words[:2] == ["pip", "install"]:
        extras = re.findall(r"\[([\w,]+)\]", shlex.join(words))
        assert {name for each in extras for name in each.split(",")} <= set(
            _setup_cfg()["options.extras_require"]
        )
    else:
        line = shlex.join(words)
        return any(line.startswith(start) for start in NOT_RUN)
    return True


@pytest.mark.parametrize("page", EVERYTHING, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_commands_and_code_of_a_page_work(page, shell, encoder, run, tmp_path, capsys):
    named: dict[str, object] = {"__name__": "__main__"}
    for number, block in enumerate(blocks(page)):
        if number == 0 or page.name in INDEPENDENT_BLOCKS:
            shell.enter(prepare(tmp_path / str(number), block, encoder, run))
        if block.caption:
            place = shell.folder / block.caption
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            exec(compile(block.text, block.place, "exec"), named)
        elif block.language in ("sh", "console"):
            errors: list[str] = []
            for words in commands(block):
                if is_not_run(words):
                    continue
                code, out, err = shell.run(words, capsys)
                assert code == (0 if block.language == "sh" else 2), (
                    f"{block.place}: {shlex.join(words)}\n{out}\n{err}"
                )
                errors += re.findall("^error: .*$", err, re.MULTILINE)
            assert errors == re.findall("^error: .*$", block.text, re.MULTILINE), block.place
        else:
            assert "-m glre_pyg." not in block.text or any(text in block.text for text in NOT_RUN), (
                block.place
            )


@pytest.mark.parametrize("page", EVERYTHING, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_inside_the_text_compose(page, shell, capsys):
    """Commands in tables and sentences."""
    for words in inline_commands(page):
        if "..." in words:
            continue
        code, _, err = shell.run([*words, "--cfg", "job"] if "--cfg" not in words else words, capsys)
        assert code == 0, f"{shlex.join(words)}: {err}"


# Outputs that pages show ------------------------------------------------------------------------------------

FIGURES = run_path(str(DOCS / "figures.py"))
SHOWN = [
    pytest.param(each, id=f"{page.name}: {each.command}", marks=[pytest.mark.trial] if each.is_slow else [])
    for page in FIGURES["PAGES"]
    for each in FIGURES["shown"](page.read_text(encoding="utf-8"))
]


def test_the_outputs_that_pages_show_are_found():
    marked = [
        page for page in EVERYTHING for _ in re.findall("<!-- output ", page.read_text(encoding="utf-8"))
    ]
    assert len(marked) == len(SHOWN) >= 4


def test_pages_agree_on_the_scores_of_the_default_corpus():
    [train] = [each.values[0] for each in SHOWN if "glre_pyg.train" in each.values[0].command]
    scores = re.search(r"P 0\.(\d{4})  R 0\.(\d{4})  F1 0\.(\d{4})", train.output).groups()
    p, r, f1 = (f"{int(score) / 100:.1f}" for score in scores)
    assert f"| synthetic | GLRE here, MiniLM | 1 | {p} / {r} / {f1} |" in (ROOT / "README.md").read_text()
    assert f"gives P {p}, R {r}, F1 {f1} on test" in (DOCS / "results.md").read_text()


@pytest.mark.parametrize("each", SHOWN)
def test_a_page_shows_what_is_printed(each):
    """Up to what differs between processors; ``make figures`` writes it anew."""
    printed = FIGURES["output_of"](each)
    decimal = re.compile(r"\d+\.\d+")
    assert decimal.sub("0.0", printed) == decimal.sub("0.0", each.output)
    found, expected = (list(map(float, decimal.findall(text))) for text in (printed, each.output))
    assert found == pytest.approx(expected, abs=0.02)


# The site ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    options = ("-q", "-W", "--keep-going", "-b", "html")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *options, "-d", folder / "trees", DOCS, folder / "html"],
        capture_output=True,
        text=True,
        env={**os.environ, "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "html"


class Links(HTMLParser):
    """Links of a page, and its anchors."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.to: list[str] = []
        self.places: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.places |= {given["id"]} if given.get("id") else set()
        self.to += [value for name in ("href", "src") if (value := given.get(name))]


def test_every_page_is_built_and_every_link_leads_somewhere(site):
    pages = {path: Links(path) for path in site.rglob("*.html")}
    assert {page.relative_to(DOCS).with_suffix("") for page in PAGES} <= {
        path.relative_to(site).with_suffix("") for path in pages
    }
    broken, inside = [], 0
    for path, links in pages.items():
        for link in links.to:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            inside += 1
            target = path.parent / unquote(parts.path) if parts.path else path
            found = target.resolve() / "index.html" if target.is_dir() else target.resolve()
            if not found.is_file() or (
                parts.fragment and found in pages and unquote(parts.fragment) not in pages[found].places
            ):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert not broken
    assert inside > 200


@pytest.mark.parametrize("page", EVERYTHING, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_that_a_page_names_are_there(page):
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    for name in re.findall(r"`((?:src|conf|docs|notebooks|tests|benchmarks)/[^`\s]*)`", text):
        assert (ROOT / name).exists() or name == "docs/_build", name


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_links_of_a_page_outside_the_site_lead_to_files(name):
    text = _FENCE.sub("", (ROOT / name).read_text(encoding="utf-8"))
    links = [link for link in re.findall(r"\]\(([^)\s]*)\)", text) if not urlsplit(link).scheme]
    for link in links:
        path, _, place = link.partition("#")
        path = path or name
        titles = (
            re.findall(r"^#+ (.*)$", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE) if place else []
        )
        assert (ROOT / path).is_file(), link
        assert not place or place in {_anchor(title) for title in titles}, link
    assert links or name != "README.md"


def _anchor(title):
    """The anchor of a title on GitHub."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def test_the_readme_lists_the_dependencies():
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Dependencies")[2]
    listed = set(re.findall(r"[\w-]+", " ".join(re.findall(r"^\| ([^|]*) \|", text, re.MULTILINE))))
    required = re.findall(r"^([\w-]+)", _setup_cfg()["options"]["install_requires"], re.MULTILINE)
    assert {name.replace("_", "-") for name in required} <= {name.replace("_", "-") for name in listed}


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 200


def test_the_site_loads_nothing_from_the_network_and_shows_equations_and_sources(site):
    for path in site.rglob("*.html"):
        assert not re.search(r'<(script|link|img)[^>]*(src|href)="https?:', path.read_text(encoding="utf-8"))
    assert "<math" in (site / "api/nn.html").read_text(encoding="utf-8")
    extraction = (site / "api/extraction.html").read_text(encoding="utf-8")
    assert "RelationExtractor.__call__" in extraction
    assert "_modules/glre_pyg/extraction/extractor.html" in extraction


def test_the_reference_has_every_public_name_and_no_private_one(site):
    places = {place for page in (site / "api").glob("*.html") for place in Links(page).places}
    private = [
        place
        for place in places
        if place.startswith("glre_pyg.")
        and any(part.startswith("_") and part != "__call__" for part in place.split("."))
    ]
    assert not private
    sources = {".".join(path.relative_to(ROOT / "src").with_suffix("").parts): path for path in SOURCES}
    public = {
        f"{module}.{node.name}"
        for module, path in sources.items()
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
    }
    assert len(public) > 400
    assert not public - places
    text = "".join(page.read_text(encoding="utf-8") for page in (site / "api").glob("*.html"))
    signatures = re.findall(r'<dl class="py (?:class|function|method)">.*?</dt>', text, re.DOTALL)
    assert len(signatures) > len(public)
    written = [unescape(re.sub("<[^>]*>", "", signature)).strip() for signature in signatures]
    assert not [each for each in written if re.search(r"<(function|class|factory)|object at|\*args, ", each)]


def test_pictures_of_the_pages_are_in_the_site(site):
    shown = {
        Path(link).name for path in site.glob("*.html") for link in Links(path).to if link.endswith(".png")
    }
    meant = {
        Path(name).name for page in PAGES for name in re.findall(r"!\[[^\]]*\]\(([^)]*)\)", page.read_text())
    }
    assert meant <= shown


# The configuration reference --------------------------------------------------------------------------------


def keys_of(path: Path) -> Iterator[tuple[str, object]]:
    """Every key of a file in conf/, as on a command line, with its value."""
    text, group = path.read_text(encoding="utf-8"), path.parent.relative_to(CONF).as_posix()
    package = (re.findall(r"^# @package (\S+)", text) or ["" if group == "." else group.replace("/", ".")])[0]
    content = {key: value for key, value in (yaml.safe_load(text) or {}).items() if key != "defaults"}

    def walk(value: object, above: str) -> Iterator[tuple[str, object]]:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                yield from walk(inner, f"{above}.{key}" if above else str(key))
        else:
            yield above, value

    if content:
        yield from walk(content, "" if package == "_global_" else package)


@pytest.fixture(scope="module")
def reference(site: Path) -> dict[str, str]:
    """Sections of the reference as text, by title."""
    page = re.sub(r"<(h[123])>", r"\n<\1>", (site / "configuration.html").read_text(encoding="utf-8"))
    parts = re.split(r"<h[123]>(.*?)<a class=\"headerlink\"", page)
    return {
        unescape(re.sub("<[^>]*>", "", title)): parts[2 * index + 2]
        for index, title in enumerate(parts[1::2])
    }


CONFIGS = sorted(CONF.rglob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.relative_to(CONF).as_posix())
def test_the_reference_names_every_key_with_its_default_and_its_comment(path, reference):
    group = path.parent.relative_to(CONF).as_posix()
    titles = [path.stem, f"{path.stem}: shared by commands"] if group == "." else [f"{group}={path.stem}"]
    [section] = [reference[title] for title in titles if title in reference]
    rows = {}
    for row in re.findall(r"<tr[^>]*>(.*?)</tr>", section, re.DOTALL):
        cells = [
            unescape(re.sub("<[^>]*>", "", cell)).strip()
            for cell in re.findall("<td>(.*?)</td>", row, re.DOTALL)
        ]
        if cells:
            rows[cells[0]] = cells[1:]
    for key, value in keys_of(path):
        if key == "hydra.help.template":
            assert value.split("\n")[0] in " ".join(unescape(re.sub("<[^>]*>", "", section)).split("\n"))
            continue
        shown, _ = rows[key]
        assert yaml.safe_load(shown) == value
    text = unescape(re.sub("<[^>]*>", "", section))
    for line in path.read_text(encoding="utf-8").splitlines():
        comment = re.search(r"[^#\s].*\s#\s(.*)$", line)
        if comment and not line.startswith("      "):
            assert comment[1].replace("`", "") in text


# The architecture -------------------------------------------------------------------------------------------


def test_the_architecture_shows_the_allowed_imports():
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \|([^|]*)\|$", text, re.MULTILINE)
    shown = {package: set(re.findall(r"`(\w+)`", cell)) for package, cell in rows}
    shown["training"] = set(shown) - {"training", "service"}  # "all of the above"
    assert shown == ALLOWED


def test_the_files_of_the_way_through_exist():
    text = (DOCS / "architecture.md").read_text(encoding="utf-8").partition("## Packages")[0]
    files = re.findall(r"`(src/[\w/]+\.py)`", text)
    assert len(files) == len(set(files)) > 16
    assert [file for file in files if not (ROOT / file).is_file()] == []


# The paper --------------------------------------------------------------------------------------------------


def paper_rows() -> list[list[str]]:
    lines = (DOCS / "paper.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return [row for row in rows if row[0] != "paper"]


def test_the_names_in_the_map_of_the_paper_exist():
    equations, shown = set(), set()
    for paper, what, file, name, *command in paper_rows():
        path = ROOT / file.strip("`")
        assert path.is_file(), what
        if name:
            thing = import_module(".".join(path.relative_to(ROOT / "src").with_suffix("").parts))
            for part in name.strip("`").split("."):
                thing = getattr(thing, part)
            own = thing.__module__.replace(".", "/")
            assert path.as_posix().endswith(f"{own}.py"), f"{name} is from {own}"
        shown |= set(re.findall(r"(?:Figure|Table|Section) \d(?:\.\d)?", paper))
        for number in re.findall(r"Eq\. (\d)", paper):
            equations.add(int(number))
            assert int(number) in equations_of(path), f"{path.name} does not say that it is Eq. {number}"
        if command and path.parent.name == "experiment":
            assert command[0] == f"`python -m glre_pyg.train experiment={path.stem}`"
    assert equations == set(range(1, 10))
    assert shown >= {f"Table {number}" for number in range(1, 7)} | {
        f"Figure {number}" for number in (2, 3, 4)
    }
    assert shown >= {f"Section 3.{number}" for number in range(1, 5)} | {
        f"Section 4.{number}" for number in range(1, 6)
    }


def equations_of(path: Path) -> set[int]:
    """Numbers of the equations that a file cites."""
    found: set[int] = set()
    for first, last in re.findall(r"Eqs?\. (\d)(?:(?:-| and | to )(\d))?", path.read_text(encoding="utf-8")):
        found |= set(range(int(first), int(last or first) + 1))
    return found


def test_the_map_of_the_paper_has_every_experiment():
    named = {Path(row[2].strip("`")).stem for row in paper_rows()}
    commands = {row[4].rpartition("=")[2].strip("`") for row in paper_rows() if len(row) > 4}
    tables = {path.stem for path in (CONF / "experiment").glob("[tf]*.yaml")}
    assert tables <= named | commands
