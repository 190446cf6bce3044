"""Files that are not read are named by their content, with what to do; gzip files are read and written."""

import gzip
import json

import pytest

from glre_pyg.data.segmentation import segment
from glre_pyg.extraction.inputs import Inputs
from glre_pyg.formats.conversion import convert
from glre_pyg.formats.detection import detect_format, read_documents
from glre_pyg.utils import compression
from glre_pyg.utils.exceptions import InputError, note
from glre_pyg.utils.resumable_writer import ResumableWriter

PUBTATOR = "1|t|Velorin and rash.\n1\t0\t7\tVelorin\tChemical\tC1\n\n"


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"%PDF-1.7 ...", "this is a PDF: extract its text first, for instance with pdftotext"),
        (b"PK\x03\x04...", "this is a Word or OpenDocument file, or another zip file: "),
        (b"{\\rtf1 text}", "this is RTF: save it as plain text first"),
        ("Text.".encode("utf-16"), "this is UTF-16: save it as UTF-8 first"),
        (b"\xfd7zXZ\0", "this is an xz file: unpack it first"),
        (b"<!doctype html>\n<html><p>Text.", "BioC is the XML that is read, this is HTML: extract its text first"),
        (b"Velorin NN O\neased VB O\nrash NN B-Disease\n", "this is CoNLL's form, which has no relations "),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["a", "a.txt", "a.json", "a.xml", "a.pubtator"])
def test_what_is_no_text_is_named(name, raw, what, tmp_path):
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(InputError) as caught:
        list(read_documents(tmp_path / name))
    assert str(caught.value).startswith(f"{name}: {what}")


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        ('<?xml version="1.0"?><!-- a --><!DOCTYPE article [<!ENTITY a "b">]><article a="b"/>', "JATS"),
        ("<PubmedArticleSet>\n</PubmedArticleSet>", "PubMed's XML"),
        ("<corpus><document/></corpus>", "XML of another kind, 'corpus'"),
        (json.dumps({"id": 1, "text": "T.", "label": [[0, 1, "A"]]}), "doccano's form"),
        (json.dumps({"doc_key": "1", "sentences": [], "ner": [], "relations": []}), "the form of SciERC and DyGIE++"),
        (json.dumps([{"id": 1, "text": "T.", "annotator": 1, "annotation_id": 2}]), "Label Studio's JSON-MIN"),
    ],
)  # fmt: skip
def test_other_forms_of_xml_and_json_are_named_and_a_text_may_be_about_them(raw, what, tmp_path):
    (tmp_path / "a.json").write_text(raw, encoding="utf-8")
    with pytest.raises(InputError, match=f"this is {what}".replace("+", r"\+")):
        list(read_documents(tmp_path / "a.json"))
    (tmp_path / "a.txt").write_text(raw, encoding="utf-8")
    assert detect_format(tmp_path / "a.txt") == "text"


@pytest.mark.parametrize(
    "name", ["a.pubtator.gz", "a.jsonl.gz", "a.bioc.json.gz", "a.xml.gz", "a.data.gz", "a.json.gz"]
)
def test_gzip_files_are_read_and_written(name, tmp_path):
    (tmp_path / "a.pubtator").write_text(PUBTATOR)
    (before,) = read_documents(tmp_path / "a.pubtator")
    convert(tmp_path / "a.pubtator", tmp_path / name, lossy=True)
    assert (tmp_path / name).read_bytes()[:2] == b"\x1f\x8b"
    (after,) = read_documents(tmp_path / name)
    assert before.text.split() == after.text.replace(" .", ".").split()


def test_a_gzip_file_of_text_has_the_name_of_the_text(tmp_path):
    (tmp_path / "a.b.txt.gz").write_bytes(gzip.compress(b"Velorin."))
    assert [document.id for document in read_documents(tmp_path / "a.b.txt.gz")] == ["a.b"]


def test_broken_gzip_files_and_bombs(tmp_path, monkeypatch):
    whole = gzip.compress(PUBTATOR.encode() * 100)
    (tmp_path / "a.pubtator.gz").write_bytes(whole[:-20])
    with pytest.raises(
        InputError, match=r"a\.pubtator\.gz: cannot be unpacked: Compressed file ended before "
    ):
        list(read_documents(tmp_path / "a.pubtator.gz", on_error=lambda error: None))
    monkeypatch.setattr(compression, "_UNPACKED", 1_000_000)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b" " * 4_000_000))
    with pytest.raises(InputError, match="cannot be read: the gzip file unpacks to far more than its size"):
        list(read_documents(tmp_path / "a.txt.gz"))


def test_an_output_that_grows_may_be_a_gzip_file(tmp_path):
    writer = ResumableWriter(tmp_path / "a.jsonl.gz", key="k", header="head\n")
    writer.write("one\n")
    writer.checkpoint({"documents": 1})
    writer.write("lost\n")
    again = ResumableWriter(tmp_path / "a.jsonl.gz", key="k", header="head\n")
    assert again.last_checkpoint() == {"documents": 1}
    again.write("two\n")
    again.finish()
    assert gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()) == b"head\none\ntwo\n"


def test_files_of_a_folder_that_are_left_out_are_counted(tmp_path, capsys):
    note.cache_clear()
    for name in ("a.pubtator", "b.pdf", "c.pdf", "d.md", ".hidden", "sub/e.pubtator"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(
            PUBTATOR.replace("1", str(ord(name[-10]))) if "pubtator" in name else "x"
        )

    def ids(recursive):
        errors: list[InputError] = []
        inputs = Inputs(
            read_corpus=lambda path, on_error: read_documents(path, on_error=on_error),
            format=None, passages=None, segmenter=segment, finder=None, max_words=100, recursive=recursive, on_error=errors.append,
        )  # fmt: skip
        return len(list(inputs.documents(str(tmp_path)))), list(map(str, errors))

    assert ids(recursive=False) == (1, [])
    assert capsys.readouterr().err.splitlines() == [
        f"note: {tmp_path}: 3 files with other endings are left out: 2 .pdf, 1 .md",
        f"note: {tmp_path}: 1 folder in it is left out; recursive=true reads it, too",
    ]
    assert ids(recursive=True)[0] == 2
    (tmp_path / "sub" / "linked").symlink_to(tmp_path)
    capsys.readouterr()
    assert ids(recursive=True)[0] == 2
    linked = f"note: {tmp_path}: 1 folder in it is left out; links to folders are not followed"
    assert linked in capsys.readouterr().err.splitlines()


def test_records_of_docred_a_line_each(tmp_path):
    pos = {"name": "Velorin", "pos": [0, 1], "sent_id": 0, "type": "Chemical"}
    record = {"title": "A", "sents": [["Velorin", "."]], "vertexSet": [[pos]], "labels": []}
    lines = f"{json.dumps(record)}\n\n{json.dumps({**record, 'title': 'B'})}\n"
    for name in ("a.json", "a.jsonl"):
        (tmp_path / name).write_text(lines, encoding="utf-8")
        assert [document.id for document in read_documents(tmp_path / name)] == ["A", "B"]
    (tmp_path / "one.json").write_text(json.dumps(record), encoding="utf-8")
    assert [document.id for document in read_documents(tmp_path / "one.json")] == ["A"]
    convert(tmp_path / "a.json", tmp_path / "b.jsonl.gz", target_format="docred_json")
    assert gzip.decompress((tmp_path / "b.jsonl.gz").read_bytes()).count(b"\n") == 2
    (tmp_path / "a.jsonl").write_text(lines.replace('"sent_id": 0', '"sent_id": 7', 1), encoding="utf-8")
    errors: list[InputError] = []
    assert [document.id for document in read_documents(tmp_path / "a.jsonl", on_error=errors.append)] == ["B"]
    assert str(errors[0]) == "a.jsonl:1: A: vertexSet[0][0].sent_id: 7 is not one of 1 sentences"


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.nbib", "PMID- 1\nTI  - Velorin\n", "PubMed's MEDLINE form"),
        ("a.ris", "TY  - JOUR\nTI  - Velorin\n", "RIS"),
        ("a.bib", "@article{x, title={Velorin}}", "BibTeX"),
        ("a.tsv", "#FORMAT=WebAnno TSV 3.3\n", "WebAnno's form"),
        ("a.a1", "T1\tChemical 0 7\tVelorin\n", "brat's form: its name has to end in .ann"),
        ("a.json", '{"text": "Velorin", "denotations": []}', "PubAnnotation's form"),
        ("a.jsonl", '{"tokens": ["a"], "ner_tags": [0]}\n', "a form of tokens"),
        ("a.json", '[{"id": "1", "passages": [], "entities": []}]', "BigBio's form"),
    ],
)
def test_more_forms_that_are_not_read_are_named(name, content, what, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=rf"^{name}: this is {what}"):
        list(read_documents(tmp_path / name))


def test_json_lines_may_end_in_json(tmp_path):
    (tmp_path / "a.json").write_text('{"id": "1", "text": "a b"}\n{"id": "2", "text": "c d"}\n')
    assert [each.id for each in read_documents(tmp_path / "a.json")] == ["1", "2"]


def test_nul_characters_are_counted_in_a_line(tmp_path, capsys):
    (tmp_path / "a.pubtator").write_text("1|t|a\0b\n\n2|t|c d\n")
    assert len(list(read_documents(tmp_path / "a.pubtator"))) == 2
    assert capsys.readouterr().err == "note: a.pubtator: documents with NUL characters in their text: 1\n"
