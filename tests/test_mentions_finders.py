"""spaCy pipelines and GLiNER models as finders, and the configs of all finders."""

import os
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from glre_pyg.mentions.dictionary import Dictionary
from glre_pyg.mentions.documents import document_of
from glre_pyg.mentions.finder import FoundMention
from glre_pyg.mentions.gliner_finder import GlinerFinder
from glre_pyg.mentions.spacy_finder import SpacyFinder
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.exceptions import InputError

ROOT = Path(__file__).resolve().parent.parent
PATTERNS = [
    {"label": "CHEMICAL", "pattern": "velorin", "id": "C1"},
    {"label": "CHEMICAL", "pattern": "ostamide"},
    {"label": "DISEASE", "pattern": [{"LOWER": "skin"}, {"LOWER": "rash"}]},
]
TEXTS = ["velorin and ostamide", "", "a Skin rash after ostamide", "nothing"]
CHEMICALS = [
    [FoundMention(0, 7, "Chemical", "C1"), FoundMention(12, 20, "Chemical")],
    [],
    [FoundMention(18, 26, "Chemical")],
    [],
]


@pytest.fixture(scope="module")
def pipeline():
    spacy = pytest.importorskip("spacy")
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns(PATTERNS)
    return nlp


def test_spacy_entities_become_mentions(pipeline):
    assert list(SpacyFinder(pipeline, types={"CHEMICAL": "Chemical"}, batch_size=2)(iter(TEXTS))) == CHEMICALS
    labels = [[one.type for one in found] for found in SpacyFinder(pipeline)(TEXTS)]
    assert labels == [["CHEMICAL", "CHEMICAL"], [], ["DISEASE", "CHEMICAL"], []]


def test_spacy_pipeline_of_a_folder(pipeline, tmp_path):
    pipeline.to_disk(tmp_path / "pipeline")
    for name in (tmp_path / "pipeline", str(tmp_path / "pipeline")):
        assert list(SpacyFinder(name, types={"CHEMICAL": "Chemical"})(TEXTS)) == CHEMICALS


@pytest.mark.parametrize("name", ["config.cfg", "meta.json", "tokenizer", "vocab/strings.json"])
def test_no_pipe_in_a_spacy_pipeline_is_waited_for(pipeline, tmp_path, name):
    pipeline.to_disk(tmp_path / "pipeline")
    (tmp_path / "pipeline" / name).unlink()
    os.mkfifo(tmp_path / "pipeline" / name)
    with pytest.raises(InputError, match=f"{name}: not a regular file"):
        SpacyFinder(tmp_path / "pipeline")


def test_no_pipe_in_a_model_of_gliner_is_waited_for(gliner, tmp_path):
    os.mkfifo(tmp_path / "gliner_config.json")
    with pytest.raises(InputError, match=r"gliner_config.json: not a regular file"):
        GlinerFinder(tmp_path, types={"drug": "Drug"})


def test_spacy_links_are_identifiers():
    spacy = pytest.importorskip("spacy")
    nlp = spacy.blank("en")

    def linked(doc):
        doc.ents = [
            spacy.tokens.Span(doc, number, number + 1, label="X", kb_id=kb)
            for number, kb in enumerate(["Q1", "NIL", ""])
        ]
        return doc

    nlp._components.append(("linker", linked))
    nlp._pipe_configs["linker"] = {}
    [found] = SpacyFinder(nlp)(["one two three"])
    assert [one.id for one in found] == ["Q1", None, None]


@pytest.mark.parametrize("length", [8, 9, 20, 47, 48])
def test_spacy_texts_beyond_what_it_reads_are_cut_at_white_space(pipeline, monkeypatch, length):
    text = "velorin ostamide\nvelorin  velorin\n\nostamide end"
    [whole] = SpacyFinder(pipeline)([text])
    monkeypatch.setattr(pipeline, "max_length", length)
    assert list(SpacyFinder(pipeline, batch_size=1)([text, text])) == [whole, whole]
    assert len(whole) == 5


def test_spacy_text_without_white_space_is_cut_anyway(pipeline, monkeypatch):
    monkeypatch.setattr(pipeline, "max_length", 10)
    assert list(SpacyFinder(pipeline)(["x" * 35])) == [[]]


def test_spacy_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(InputError) as caught:
        SpacyFinder("en_core_web_sm")
    assert str(caught.value) == "mentions: spaCy is not installed: pip install 'glre_pyg[spacy]'"


@pytest.mark.parametrize("name", ["en_no_such_pipeline", "folder"])
def test_spacy_pipeline_is_missing(tmp_path, name):
    pytest.importorskip("spacy")
    name = str(tmp_path) if name == "folder" else name
    with pytest.raises(InputError) as caught:
        SpacyFinder(name)
    assert str(caught.value).startswith(f"mentions: spaCy cannot load the pipeline '{name}': ")
    assert "\n" not in str(caught.value)


class StandIn:
    """GLiNER 0.2.29's interface; finds its labels' names, and no more of a text than it can read."""

    loaded = ()

    def __init__(self, max_len=384):
        self.config = SimpleNamespace(max_len=max_len)
        self.data_processor = SimpleNamespace(words_splitter=self.words)
        self.read = []

    @classmethod
    def from_pretrained(cls, name, *, map_location):
        if name != "a/model":
            raise FileNotFoundError(f"no model\n{name}")
        model = cls()
        model.loaded = (name, map_location)
        return model

    @staticmethod
    def words(text):
        for match in re.finditer(r"\w+(?:[-_]\w+)*|\S", text):
            yield match.group(), match.start(), match.end()

    def inference(self, texts, labels, *, threshold, batch_size):
        assert isinstance(texts, list)
        assert isinstance(labels, list)
        self.read += texts
        self.asked = (threshold, batch_size)
        tables = []
        for text in texts:
            words = list(self.words(text))
            assert len(words) <= self.config.max_len
            end = words[-1][2] if words else 0
            tables.append(
                [
                    {"start": m.start(), "end": m.end(), "text": m.group(), "label": label, "score": 0.9}
                    for label in labels
                    for m in re.finditer(rf"\b{label}\b", text[:end])
                ]
            )
        return tables


@pytest.fixture
def gliner(monkeypatch):
    module = ModuleType("gliner")
    module.GLiNER = StandIn
    monkeypatch.setitem(sys.modules, "gliner", module)


TYPES = {"chemical": "Chemical", "disease": "Disease"}


def test_gliner_labels_become_types(gliner):
    finder = GlinerFinder("a/model", TYPES, threshold=0.3, batch_size=2, device="cuda:1")
    texts = ["a disease", "", "the chemical caused disease"]
    found = [
        [FoundMention(2, 9, "Disease")],
        [],
        [FoundMention(4, 12, "Chemical"), FoundMention(20, 27, "Disease")],
    ]
    assert list(finder(iter(texts))) == found
    assert finder.model.loaded == ("a/model", "cuda:1")
    assert finder.model.asked == (0.3, 2)


@pytest.mark.parametrize("window", [1, 4, 5, 9, 30, 500])
@pytest.mark.parametrize("max_len", [3, 384])
def test_gliner_reads_every_word_of_long_texts_once(window, max_len):
    text = "A chemical, it is said, may cause a disease. " * 4 + "So-called disease\n\nends here (chemical)  "
    model = StandIn(max_len)
    [found] = GlinerFinder(model, TYPES, window=window)([text])
    expected = [(m.start(), m.end()) for m in re.finditer("chemical|disease", text)]
    assert sorted((one.start, one.end) for one in found) == expected
    assert "".join(model.read).split() == text.split() or window < 9 or max_len == 3
    assert "".join("".join(model.read).split()) == "".join(text.split())
    assert all(len(list(model.words(part))) <= window for part in model.read)


def test_gliner_texts_are_cut_at_sentences():
    text = "One two three. Four five six. Seven eight."
    model = StandIn()
    list(GlinerFinder(model, TYPES, window=6)([text]))
    assert [part.strip() for part in model.read] == ["One two three.", "Four five six.", "Seven eight."]
    model.read.clear()
    list(GlinerFinder(model, TYPES, window=8)([text]))
    assert [part.strip() for part in model.read] == ["One two three. Four five six.", "Seven eight."]


def test_gliner_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "gliner", None)
    with pytest.raises(InputError) as caught:
        GlinerFinder("a/model", TYPES)
    assert str(caught.value) == "mentions: GLiNER is not installed: pip install 'glre_pyg[gliner]'"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("no/model", TYPES), "mentions: GLiNER cannot load the model 'no/model': no model no/model"),
        (("a/model", {}), "mentions.types: GLiNER needs at least one label"),
    ],
)
def test_bad_settings_of_gliner(gliner, arguments, message):
    with pytest.raises(InputError) as caught:
        GlinerFinder(*arguments)
    assert str(caught.value) == message


def mentions(*overrides):
    """What the commands find under ``mentions``."""
    with initialize_config_dir(config_dir(), version_base="1.3"):
        return compose(overrides=[f"+mentions={overrides[0]}", *overrides[1:]]).get("mentions")


def test_config_of_given_mentions_names_no_finder():
    assert mentions("given") == {"types": None, "unlinked": "drop"}


def test_config_of_dictionaries(tmp_path):
    file = tmp_path / "names.tsv"
    file.write_text("velorin\tC1\tChemical\n", encoding="utf-8")
    finder = instantiate(mentions("dictionary", f"mentions.file={file}"))
    assert isinstance(finder, Dictionary)
    assert finder.find("Velorin") == [FoundMention(0, 7, "Chemical", "C1")]


def test_config_of_spacy(pipeline, tmp_path):
    pipeline.to_disk(tmp_path / "pipeline")
    given = [f"mentions.pipeline={tmp_path / 'pipeline'}", "mentions.types={CHEMICAL:Chemical}"]
    finder = instantiate(mentions("spacy", *given))
    assert list(finder(TEXTS)) == CHEMICALS
    assert instantiate(mentions("spacy", given[0])).types is None


def test_config_of_gliner(gliner):
    given = ["mentions.name=a/model", "mentions.types={a chemical:Chemical}"]
    finder = instantiate(mentions("gliner", *given))
    assert list(finder(["this is a chemical"])) == [[FoundMention(8, 18, "Chemical")]]


@pytest.mark.parametrize("name", ["dictionary", "spacy", "gliner"])
def test_every_setting_stands_in_the_config(name):
    """A number lives once in the configs: whatever a finder can be told has a line there."""
    from inspect import signature

    from hydra.utils import get_object

    config = OmegaConf.to_container(mentions(name))
    assert set(config) - {"_target_"} == set(signature(get_object(config["_target_"])).parameters)


def test_example_of_the_documentation():
    text = (ROOT / "docs" / "example" / "abstract.txt").read_text(encoding="utf-8")
    names = ROOT / "docs" / "example" / "names.tsv"
    document = document_of("abstract", text, Dictionary.read(names).find(text))
    assert len(document.entities) == 10
    assert {entity.type for entity in document.entities} == {"Chemical", "Disease"}
    known = {entity.id: document.names(entity) for entity in document.entities}
    assert known["D014635"] == {"valproic acid", "VPA"}
    assert known["D005334"] == {"fever", "fevers"}
