"""Files in each form, from the file to relations by one command, and as a corpus to train on."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from commands import run
from glre_pyg.formats.conversion import convert
from glre_pyg.formats.detection import read_documents, write_documents
from glre_pyg.utils.exceptions import InputError

FORMS = ("a.pubtator.gz", "a.jsonl.gz", "a.xml", "a.bioc.json", "a.label_studio.json", "a.brat", "a.json")
PUBTATOR = """\
{0}|t|Velorin and rash.
{0}|a|Velorin raised rash, and ostamide eased a cough.
{0}\t0\t7\tVelorin\tChemical\tC1
{0}\t12\t16\trash\tDisease\tD1
{0}\t18\t25\tVelorin\tChemical\tC1
{0}\t33\t37\trash\tDisease\tD1
{0}\t43\t51\tostamide\tChemical\tC2
{0}\t60\t65\tcough\tDisease\tD2
{0}\tCID\tC1\tD1

"""
SMALL = (
    "encoder=tiny", "training.epochs=1", "model.nodes.hidden_channels=16", "model.classifier.hidden_channels=16",
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of each form, and a run that was trained on a folder of brat's files."""
    folder = tmp_path_factory.mktemp("forms")
    (folder / "a.pubtator").write_text("".join(map(PUBTATOR.format, range(3))))
    for name in FORMS:
        convert(folder / "a.pubtator", folder / name, lossy=True)
    splits = [f"dataset.{split}=a.brat" for split in ("train", "dev", "test")]
    run("train", "dataset=files", *splits, *SMALL, "hydra.run.dir=RUN", cwd=folder)
    return folder


@pytest.mark.parametrize("name", FORMS)
def test_from_a_file_to_relations(name, folder, tmp_path):
    run("predict", "run=RUN", f"input={name}", f"output={tmp_path}/o.jsonl", "threshold=0", cwd=folder)
    found = list(read_documents(tmp_path / "o.jsonl"))
    assert [len(document.facts) for document in found] == [12, 12, 12]  # each pair of four entities
    run("predict", "run=RUN", "input=a.pubtator", f"output={tmp_path}/{name}", "threshold=0", cwd=folder)
    back = list(read_documents(tmp_path / name))
    assert [len(document.facts) for document in back] == [12, 12, 12]


@pytest.mark.parametrize("name", FORMS)
def test_each_form_is_a_corpus(name, folder):
    splits = [f"dataset.{split}={name}" for split in ("train", "dev", "test")]
    out, _ = run("stats", "dataset=files", *splits, cwd=folder)
    assert re.search(r"^train +3 ", out, re.MULTILINE)


def test_passages_and_tables_are_reached_by_the_commands(folder, tmp_path):
    passages = PUBTATOR.format(1) + "1|t|Velorin.\n1\t0\t7\tVelorin\tChemical\tC1\n"
    (tmp_path / "p.pubtator").write_text(passages.replace("1\tCID\tC1\tD1\n", ""))
    (tmp_path / "p.relations.tsv").write_text("1\tCID\tC1\tD1\n")
    more = (f"input={tmp_path}/p.pubtator", "passages=join")
    run("predict", "run=RUN", *more, f"output={tmp_path}/o.jsonl", "threshold=0", cwd=folder)
    (found,) = read_documents(tmp_path / "o.jsonl")
    assert (len(found.sections), len(found.facts)) == (3, 12)
    run("convert", *more, f"output={tmp_path}/c.jsonl", cwd=folder)
    (found,) = read_documents(tmp_path / "c.jsonl")
    assert [fact.relation for fact in found.facts] == ["CID"]
    splits = [f"dataset.{split}={tmp_path}/p.pubtator" for split in ("train", "dev", "test")]
    run("stats", "dataset=files", *splits, "dataset.passages=join", cwd=folder)


@pytest.mark.parametrize("suffix", ["spacy", "csv", "html", "nt.gz"])
def test_what_convert_does_not_write(suffix, folder):
    _, err = run("convert", "input=a.pubtator", f"output=o.{suffix}", cwd=folder, code=2)
    assert err.startswith(
        f"error: o.{suffix}: convert does not write .spacy .html .csv .nt, but predict does"
    )


def test_a_document_without_identifier_is_not_written_for_spacy(folder, tmp_path):
    pytest.importorskip("spacy")
    from glre_pyg.formats.spacy_docs import write_spacy

    documents = [replace(document, id="") for document in read_documents(folder / "a.pubtator")]
    with pytest.raises(InputError, match="a document without identifier would be read back with its number"):
        write_spacy(documents, tmp_path / "o.spacy")


@pytest.mark.parametrize("name", ["b.label_studio.json", "b.brat"])
def test_facts_of_mentions_of_several_entities_come_back_in_any_order(tmp_path, name):
    """Both forms relate mentions, and so the facts of all their entities at once."""
    text = "1|t|velorin and ostamide cause rash\n1\t0\t7\tvelorin\tChemical\tC1\n"
    text += "1\t12\t20\tostamide\tChemical\tC2\n1\t27\t31\trash\tDisease\tD1|D2\n"
    text += "".join(f"1\tCID\t{head}\t{tail}\n" for tail in ("D1", "D2") for head in ("C1", "C2"))
    (tmp_path / "a.pubtator").write_text(text)
    [wanted] = read_documents(tmp_path / "a.pubtator")
    write_documents([wanted], tmp_path / name, lossy=True)
    [held] = read_documents(tmp_path / name)
    assert len(held.facts) == 4
    assert set(held.facts) == set(wanted.facts)
