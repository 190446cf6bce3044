"""BioC as XML and JSON: PubTator3's exports, CDR's and BioRED's relations, full text, what is refused, round trips."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from documents import random_documents
from glre_pyg.data.document import Document, Fact
from glre_pyg.formats.bioc import read_bioc_json, write_bioc_json
from glre_pyg.formats.bioc_xml import read_bioc_xml, write_bioc_xml
from glre_pyg.formats.conversion import convert
from glre_pyg.formats.detection import detect_format, read_documents
from glre_pyg.formats.jsonl import read_jsonl, write_jsonl
from glre_pyg.utils.exceptions import InputError, note
from test_convert import segmented

sys.path.insert(0, str(Path(__file__).parent / "trials"))

from new_miniatures import ABSTRACT, BIOC_JSON, BIOC_XML, TITLE


def annotation(number, name, at, **infons):
    locations = [{"offset": at, "length": len(name)}]
    return {"id": number, "text": name, "infons": infons, "locations": locations}


def record(*annotations, relations=(), text="Velorin and rash.", **more):
    passage = {"offset": 0, "infons": {"type": "title"}, "text": text, "annotations": list(annotations)}
    return {"id": "1", "passages": [passage], "relations": list(relations), **more}


VELORIN = annotation("T1", "Velorin", 0, type="Chemical", identifier="MESH:C1")
RASH = annotation("T2", "rash", 12, type="Disease", identifier="MESH:D1")


def read(tmp_path: Path, *records, wrapper="documents") -> list[Document]:
    (tmp_path / "a.json").write_text(json.dumps({wrapper: records} if wrapper else records), encoding="utf-8")
    return list(read_bioc_json(tmp_path / "a.json"))


def facts(tmp_path: Path, *relations, annotations=(VELORIN, RASH)) -> list[Fact]:
    (document,) = read(tmp_path, record(*annotations, relations=relations))
    return list(document.facts)


@pytest.mark.parametrize("files", [*BIOC_JSON, *BIOC_XML])
def test_a_miniature_of_each_kind(files, tmp_path, capsys):
    note.cache_clear()
    ((name, raw),) = files.items()
    (tmp_path / name).write_bytes(raw)
    full, short = read_documents(tmp_path / name)
    paragraph = "Head or neck tremor was seen."
    assert full.text == f"{TITLE} {ABSTRACT}   {paragraph}"
    assert [full.text[start:end] for start, end in full.sections] == [TITLE, ABSTRACT, paragraph]
    names = [full.text[mention.start : mention.end] for mention in full.mentions]
    assert names == ["Velmorine", "tremor", "c.5del", "GENA & GENB", "Chill", "Head or neck tremor"]
    variant = "tmVar:c|DEL|5|;HGVS:c.5del;RS#:7"
    ids = [("MESH:C01",), ("MESH:D01",), (variant,), ("11", "12"), (), ("MESH:D01", "MESH:D02")]
    assert [mention.ids for mention in full.mentions] == ids
    assert full.facts == (
        Fact("MESH:C01", "cause", "MESH:D01", ("0.9993",)),
        Fact("11", "Association", variant),
    )
    assert short.text == "Ostamide eased rash. Rash é returned."
    assert [mention.ids for mention in short.mentions] == [("T1",), ("D05", "D06"), ("T3",)]
    assert short.facts == (
        Fact("T1", "CID", "D05"),
        Fact("T1", "eases", "D05"),
        Fact("T1", "eases", "D06"),
    )
    assert capsys.readouterr().err.splitlines() == [
        f"note: {name}: annotations without a location, which are left out: 1",
        f"note: {name}: mentions in several pieces, which are read from the first to the last: 1",
        f"note: {name}: relations that are not of two entities, which are left out: 1",
    ]


def test_the_ends_of_a_relation(tmp_path):
    infons = {"type": "Association", "novel": "Novel"}
    novel = [Fact("MESH:C1", "Association", "MESH:D1", ("Novel",))]
    assert facts(tmp_path, {"infons": {**infons, "entity1": "MESH:C1", "entity2": "MESH:D1"}}) == novel
    roles = {"role1": "Chemical|MESH:C1", "role2": "Disease|MESH:D1"}
    assert facts(tmp_path, {"infons": {**infons, **roles}}) == novel
    nodes = [{"refid": "T2", "role": "object"}, {"refid": "T1", "role": "subject"}]
    assert facts(tmp_path, {"infons": infons, "nodes": nodes}) == novel
    cdr = {"relation": "CID", "Chemical": "MESH:C1", "Disease": "MESH:D1"}
    assert facts(tmp_path, {"infons": cdr}) == [Fact("MESH:C1", "CID", "MESH:D1")]
    with pytest.raises(
        InputError, match=r"^a\.json: document 0: 1: relations\[0\]\.infons\.role2: no mention has 'X'$"
    ):
        facts(tmp_path, {"infons": {"type": "a", "role1": "MESH:C1", "role2": "X"}})


def test_overlapping_offsets_of_passages(tmp_path):
    passages = [
        {"offset": 0, "text": "One é.", "annotations": []},
        {"offset": 3, "text": "Rash came.", "annotations": [annotation("1", "Rash", 3, type="Disease")]},
        {"offset": 10**9, "text": "Rash.", "annotations": [annotation("2", "Rash", 10**9, type="Disease")]},
    ]
    (document,) = read(tmp_path, {"id": "1", "passages": passages})
    assert document.text == "One é. Rash came. Rash."
    assert [mention.span for mention in document.mentions] == [(7, 11), (18, 22)]


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"text": "rush"}, "passages[0].annotations[0]: mention 'rush' is not at 12 to 16, there is 'rash'"),
        ({"locations": [{"offset": 15, "length": 4}]}, "passages[0].annotations[0].locations[0]: 15 to 19 is empty or not inside the text"),
        ({"locations": [{"offset": 12, "length": 0}]}, "passages[0].annotations[0].locations[0]: 12 to 12 is empty or not inside the text"),
        ({"infons": {}}, "passages[0].annotations[0].infons.type: missing, or not a text"),
        ({"text": None}, "passages[0].annotations[0].text: expected `str`, got `null`"),
    ],
)  # fmt: skip
def test_wrong_annotations(changed, error, tmp_path):
    with pytest.raises(InputError) as caught:
        read(tmp_path, record({**RASH, **changed}))
    assert str(caught.value) == f"a.json: document 0: 1: {error}"


def test_a_field_twice_is_refused(tmp_path):
    (tmp_path / "a.json").write_text(
        json.dumps(record(RASH)).replace('"identifier"', '"identifier": "x", "identifier"'), encoding="utf-8"
    )
    with pytest.raises(InputError, match=r"infons\[...\]: given twice$"):
        list(read_bioc_json(tmp_path / "a.json"))
    xml = "<collection><document><id>1</id><passage><infon key='a'>b</infon><infon key='a'>c</infon>"
    (tmp_path / "a.xml").write_text(
        f"{xml}<offset>0</offset><text>T</text></passage></document></collection>"
    )
    with pytest.raises(InputError, match=r"^a\.xml:1: 1: passages\[0\]\.infons\[...\]: given twice$"):
        list(read_bioc_xml(tmp_path / "a.xml"))


LAUGHS = '<!DOCTYPE c [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (f"{LAUGHS}<collection>&b;</collection>", "declarations of entities are not read"),
        ('<!DOCTYPE c [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]><c/>', "declarations of entities are not read"),
        ("<collection>" * 101, "more than 100 elements are inside each other"),
        ("<collection><document></collection>", "not XML: mismatched tag"),
        ('<?xml version="1.0" encoding="nonsense"?><collection/>', "not XML: unknown encoding: nonsense"),
        ("<collection>\0", "not XML: not well-formed (invalid token)"),
    ],
)  # fmt: skip
def test_hostile_and_broken_xml(raw, error, tmp_path):
    (tmp_path / "a.xml").write_text(raw, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        list(read_bioc_xml(tmp_path / "a.xml"))
    assert str(caught.value) == f"a.xml:1: ?: {error}"


def test_a_dtd_is_not_fetched_and_documents_before_an_error_are_read(tmp_path):
    document = "<document><id>{}</id><passage><offset>0</offset><text>One.</text></passage></document>"
    head = '<!DOCTYPE collection SYSTEM "http://127.0.0.1:9/BioC.dtd"><collection>\n'
    (tmp_path / "a.xml").write_text(head + document.format(1) + "\n" + document.format(2) + "<broken")
    errors: list[InputError] = []
    assert [each.id for each in read_bioc_xml(tmp_path / "a.xml", on_error=errors.append)] == ["1", "2"]
    assert [str(error) for error in errors] == ["a.xml:3: ?: not XML: unclosed token"]


def sorted_mentions(document: Document) -> Document:
    return replace(document, mentions=tuple(sorted(document.mentions, key=lambda mention: mention.start)))


@pytest.mark.parametrize("name", ["b.bioc.json", "b.xml", "b.xml.gz"])
def test_to_bioc_and_back(name, tmp_path):
    documents = [sorted_mentions(segmented(found)) for found in random_documents(20)]
    documents += [
        sorted_mentions(replace(segmented(found), id=f"{found.id}b", sections=()))
        for found in random_documents(3)
    ]
    some = documents[0]
    documents[0] = replace(some, facts=tuple(replace(fact, extra=("a", "b & <c>")) for fact in some.facts))
    write_jsonl(documents[:20], tmp_path / "a.jsonl")
    convert(tmp_path / "a.jsonl", tmp_path / name)
    convert(tmp_path / name, tmp_path / "c.jsonl")
    assert (tmp_path / "c.jsonl").read_bytes() == (tmp_path / "a.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("write", "reader"), [(write_bioc_json, read_bioc_json), (write_bioc_xml, read_bioc_xml)]
)
def test_what_bioc_cannot_hold(write, reader, tmp_path):
    (found,) = read(tmp_path, record(VELORIN, RASH))
    with pytest.raises(InputError, match=r"^1: BioC cannot hold mentions\[0\]\.ids: "):
        write([replace(found, mentions=(replace(found.mentions[0], ids=("a;b",)),))], tmp_path / "b")
    turned = replace(found, mentions=found.mentions[::-1], sections=((0, 7), (8, 17)))
    with pytest.raises(InputError, match=r"^1: BioC cannot hold the order of mentions$"):
        write([turned], tmp_path / "b")
    write([turned], tmp_path / "b", lossy=True)
    assert next(reader(tmp_path / "b")).mentions == found.mentions
    odd = replace(found, text=found.text.replace(" and ", "\0and\r"))
    if write is write_bioc_xml:
        with pytest.raises(InputError, match=r"^1: XML cannot hold character '\\x00'$"):
            write([odd], tmp_path / "b")
        write([odd], tmp_path / "b", lossy=True)
        assert next(reader(tmp_path / "b")).text == "Velorin and\rrash."


def test_forms_are_told_by_their_content(tmp_path):
    for number, (files, form) in enumerate([(BIOC_JSON[0], "bioc_json"), (BIOC_XML[0], "bioc_xml")]):
        for suffix in ("json", "xml", "pubtator", "anything"):
            (tmp_path / f"{number}.{suffix}").write_bytes(next(iter(files.values())))
            assert detect_format(tmp_path / f"{number}.{suffix}") == form
    (tmp_path / "a.txt").write_bytes(next(iter(BIOC_JSON[0].values())))
    assert detect_format(tmp_path / "a.txt") == "text"


def test_lines_of_documents(tmp_path):
    (tmp_path / "a.jsonl").write_text(f"{json.dumps(record(VELORIN))}\nnonsense\n", encoding="utf-8")
    errors: list[InputError] = []
    assert len(list(read_documents(tmp_path / "a.jsonl", on_error=errors.append))) == 1
    assert str(errors[0]).startswith("a.jsonl:2: ?: not JSON: ")
    write_jsonl([], tmp_path / "b.jsonl")
    with pytest.raises(InputError, match="there are no documents in this file"):
        list(read_jsonl(tmp_path / "b.jsonl"))
