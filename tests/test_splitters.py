"""The splitter that a run was trained with cuts whatever the run reads, and a corpus whatever has no sentences."""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from commands import run as run_command
from documents import random_documents, untrained_run
from glre_pyg import Dictionary, ExtractBatch, RelationExtractor, datasets
from glre_pyg.data.segmentation import segment, segmenter_of
from glre_pyg.datasets import Corpus
from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.extraction.outputs import Output
from glre_pyg.extraction.pipeline import extract
from glre_pyg.formats.detection import read_documents, write_documents
from glre_pyg.mentions.spacy_documents import read_spacy
from glre_pyg.runs.legacy import upgrade
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.settings import make

TEXT = "Velorin was given i.v. The fevers eased. So did the rash."
"""Three sentences of pysbd, two of sentencex."""
NUMBER = {"pysbd": 3, "sentencex": 2}
NAMES = "name\tid\ttype\nvelorin\tC1\tChemical\nfevers\tD1\tDisease\nrash\tD2\tDisease\n"
FINDER = Dictionary.parse(NAMES)
GIVEN = {"root": None, "train": None, "dev": None, "test": None, "dev_from_train": 0}


@pytest.fixture(params=NUMBER)
def splitter(request):
    return request.param


@pytest.fixture
def extractor(splitter):
    """An untrained run, whose config has the splitter."""
    run = untrained_run(random_documents(20), threshold=0.0)
    run.config.dataset.sentences = splitter
    return RelationExtractor(run)


def number_of(document):
    assert {fact.head for fact in document.facts} <= {entity.id for entity in document.entities}
    return len(document.sentences)


def test_texts_and_files_of_the_extractor(extractor, splitter, tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "a.pubtator").write_text(f"1|t|{TEXT}\n1\t0\t7\tVelorin\tChemical\tC1\n")
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": "1", "text": TEXT, "mentions": []}) + "\n")
    assert [number_of(each) for each in extractor([TEXT], mentions=FINDER)] == [NUMBER[splitter]]
    for name, finder in (("a.txt", FINDER), ("a.pubtator", FINDER), ("a.pubtator", None), ("a.jsonl", None)):
        [found] = extractor.from_file(tmp_path / name, finder)
        assert number_of(found) == NUMBER[splitter]
    [joined] = extractor.inputs(passages="join").documents(str(tmp_path / "a.pubtator"))
    [named] = extractor.inputs(format="pubtator").documents(str(tmp_path / "a.pubtator"))
    assert number_of(joined) == number_of(named) == NUMBER[splitter]


def test_predict(extractor, splitter, tmp_path):
    (tmp_path / "in.txt").write_text(TEXT)
    (tmp_path / "names.tsv").write_text(NAMES)
    out = tmp_path / "out.jsonl"
    overrides = [f"input={tmp_path}/in.txt", f"output={out}", f"mentions.file={tmp_path}/names.tsv"]
    with initialize_config_dir(config_dir(), version_base="1.3"):
        config = compose("predict", ["run=run", "mentions=dictionary", *overrides])
    assert extract(extractor.run, config, Output(out)).num_errors == 0
    [found] = read_documents(out)
    assert (number_of(found), len(found.entities)) == (NUMBER[splitter], 3)


def test_documents_that_have_sentences_keep_them(extractor, tmp_path):
    documents = random_documents(5)
    write_documents(documents, tmp_path / "a.jsonl")
    found = extractor.from_file(tmp_path / "a.jsonl")
    assert [each.sentences for each in found] == [each.sentences for each in documents]


def test_tables(extractor, splitter, monkeypatch):
    pa = pytest.importorskip("pyarrow")
    seen = []
    monkeypatch.setattr(RelationExtractor, "from_pretrained", lambda *_, **__: extractor)
    monkeypatch.setattr(extractor, "predict", lambda batch, **_: seen.extend(batch) or [()] * len(batch))
    mentions = [{"start": 0, "end": 7, "type": "Chemical", "ids": ["C1"]}]
    table = pa.Table.from_pylist([{"id": "1", "text": TEXT, "mentions": mentions}])
    for finder in (None, FINDER):
        ExtractBatch("run", mentions=finder)(table)
    assert [number_of(each) for each in seen] == [NUMBER[splitter]] * 2


def test_service(extractor, splitter):
    pytest.importorskip("fastapi")
    from glre_pyg.service.answering import Answering
    from glre_pyg.service.extraction_request import parse_json

    answering = Answering(
        extractor, dictionaries={}, finder=FINDER, given={}, max_sentences=9, on_batch=lambda _: None
    )
    for body in ({"text": TEXT}, {"documents": [{"id": "1", "text": TEXT, "mentions": []}]}):
        [found] = answering._documents(parse_json(json.dumps(body).encode()))
        assert number_of(found) == NUMBER[splitter]


def test_spacy(extractor, splitter, tmp_path, monkeypatch):
    spacy = pytest.importorskip("spacy")
    from glre_pyg.extraction.spacy_component import Relations

    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns(
        [{"label": "Chemical", "pattern": "Velorin"}, {"label": "Disease", "pattern": "fevers"}]
    )
    bin_ = spacy.tokens.DocBin(docs=[nlp(TEXT)])
    bin_.to_disk(tmp_path / "a.spacy")
    [found] = extractor.inputs().documents(str(tmp_path / "a.spacy"))
    assert number_of(found) == NUMBER[splitter]
    assert len(next(iter(read_spacy(tmp_path / "a.spacy"))).sentences) == NUMBER["pysbd"]
    monkeypatch.setattr(RelationExtractor, "from_pretrained", lambda *_, **__: extractor)
    seen, stream = [], extractor.stream
    monkeypatch.setattr(
        extractor, "stream", lambda batch, **options: seen.extend(batch) or stream(batch, **options)
    )
    component = Relations(nlp, "glre", "run", None, None, False, None, "cpu", None)
    assert component(nlp(TEXT))._.relations
    assert [number_of(each) for each in seen] == [NUMBER[splitter]]


@pytest.mark.parametrize("form", ["pubtator", "biored", "bioc_xml", "bioc_json", "label_studio", "brat"])
def test_every_format_without_sentences_is_cut(form, splitter, tmp_path):
    (tmp_path / "a.pubtator").write_text(f"1|t|{TEXT}\n1\t0\t7\tVelorin\tChemical\tC1\n")
    write_documents(read_documents(tmp_path / "a.pubtator"), tmp_path / "out", form, lossy=True)
    [found] = read_documents(tmp_path / "out", form, segmenter=segmenter_of(splitter))
    assert len(found.sentences) == NUMBER[splitter]


def test_corpora(splitter, tmp_path):
    pubtator = tmp_path / "a.pubtator"
    pubtator.write_text(f"1|t|{TEXT}\n1\t0\t7\tVelorin\tChemical\tC1\n1\t27\t33\tfevers\tDisease\tD1\n")
    words = [*TEXT[:-1].replace("d. S", "d . S").split(), "."]
    mention = {"name": "Velorin", "pos": [0, 1], "sent_id": 0, "type": "ORG"}
    dwie = tmp_path / "dwie.json"
    dwie.write_text(json.dumps([{"title": "1", "sents": [words], "vertexSet": [[mention]], "labels": []}]))
    gda = tmp_path / "gda"
    gda.mkdir()
    (gda / "abstracts.txt").write_text(f"1\n{TEXT}\n")
    (gda / "anns.txt").write_text("1\t0\t7\tVelorin\tGene\t1\n")
    (gda / "labels.csv").write_text("pmid,geneId,diseaseId,label\n")
    given = {**GIVEN, "sentences": splitter}
    files = datasets.Files(**given, name="x", relations=["CID"], types=None, pair_types=None, directed=True)
    for corpus, path in (
        (files, pubtator),
        (datasets.CDR(**given, protocol="unfiltered"), pubtator),
        (datasets.BioRED(**given), pubtator),
        (datasets.DocRED(**given, ignore="train"), pubtator),
        (datasets.GDA(**given), gda),
    ):
        [found] = corpus.read(path)
        assert len(found.sentences) == NUMBER[splitter], corpus.name
    [found] = datasets.DWIE(**given, ignore="train").read(dwie)
    expected = segment(found.text, (), (), splitter=splitter)[1]
    assert len(found.sentences) == len(expected) > 1


@pytest.mark.parametrize("corpus", ["CDR", "GDA"])
def test_a_splitter_that_is_not_installed_is_named_before_anything_is_read(corpus, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencex", None)
    options = {"protocol": "eog"} if corpus == "CDR" else {}
    getattr(datasets, corpus)(**GIVEN, **options)
    with pytest.raises(InputError, match=r"^sentences: sentencex is not installed: pip"):
        getattr(datasets, corpus)(**GIVEN, sentences="sentencex", **options)


def test_convert(splitter, tmp_path):
    (tmp_path / "in.pubtator").write_text(f"1|t|{TEXT}\n1\t0\t7\tVelorin\tChemical\tC1\n")
    run_command("convert", "input=in.pubtator", "output=o.jsonl", f"sentences={splitter}", cwd=tmp_path)
    run_command("convert", "input=o.jsonl", "output=o.pubtator", f"sentences={splitter}", cwd=tmp_path)
    [found] = read_documents(tmp_path / "o.jsonl")
    assert len(found.sentences) == NUMBER[splitter]
    if splitter == "sentencex":  # pysbd, by default, would read other sentences than were written
        _, err = run_command("convert", "input=o.jsonl", "output=p.pubtator", cwd=tmp_path, code=2)
        assert "sentences" in err
    _, err = run_command("convert", "input=o.jsonl", "output=q.jsonl", "sentences=x", cwd=tmp_path, code=2)
    assert err == "error: sentences: 'x' is not one of pysbd, sentencex\n"


def test_a_run_reads_with_the_splitter_that_it_was_trained_with(tmp_path):
    for split, size in {"train": 8, "dev": 4, "test": 4}.items():
        write_documents(SyntheticCorpus().generate(split, size), tmp_path / f"{split}.pubtator")
    (tmp_path / "in.txt").write_text(TEXT)
    (tmp_path / "names.tsv").write_text(NAMES)
    files = [f"dataset.{split}={tmp_path}/{split}.pubtator" for split in ("train", "dev", "test")]
    small = ["encoder=tiny", "training.epochs=1", "model.nodes.hidden_channels=8", "hydra.run.dir=run"]
    run_command("train", "dataset=pubtator", "dataset.sentences=sentencex", *files, *small, cwd=tmp_path)
    mentions = ["mentions=dictionary", "mentions.file=names.tsv"]
    run_command("predict", "run=run", "input=in.txt", "output=o.jsonl", *mentions, cwd=tmp_path)
    [found] = read_documents(tmp_path / "o.jsonl")
    assert len(found.sentences) == NUMBER["sentencex"]
    environment = json.loads((tmp_path / "run/environment.json").read_text())
    assert {environment[name] for name in NUMBER} == {version(name) for name in NUMBER}


def test_a_splitter_that_is_not_known():
    with pytest.raises(InputError, match=r"^dataset.sentences: 'x' is not one of pysbd, sentencex$"):
        make(
            OmegaConf.create({"_target_": "glre_pyg.datasets.EoG", **GIVEN, "sentences": "x"}),
            Corpus,
            "dataset",
        )


def test_runs_of_before_were_trained_with_pysbd():
    dataset = {"_target_": "glre_pyg.datasets.CDR", **GIVEN, "protocol": "eog"}
    assert upgrade(OmegaConf.create({"dataset": dataset})).dataset.sentences == "pysbd"
    for kept in ({**dataset, "sentences": "sentencex"}, {"_target_": "glre_pyg.datasets.Synthetic"}):
        assert upgrade(OmegaConf.create({"dataset": kept})).dataset == kept


def test_all_corpora_of_files_have_the_setting():
    for file in sorted(Path(config_dir(), "dataset").glob("*.yaml")):
        dataset = yaml.safe_load(file.read_text(encoding="utf-8"))
        assert (dataset.get("sentences") == "pysbd") == ("dev_from_train" in dataset), file.stem
