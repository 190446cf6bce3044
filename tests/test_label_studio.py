"""Label Studio's JSON: which annotation is read, regions and relations, what is refused, and the way there and back."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from documents import random_documents
from glre_pyg.data.document import Document, Fact
from glre_pyg.data.explanation import PredictedFact
from glre_pyg.data.segmentation import segment
from glre_pyg.formats.conversion import convert
from glre_pyg.formats.detection import detect_format, read_documents, write_documents
from glre_pyg.formats.jsonl import write_jsonl
from glre_pyg.formats.label_studio import read_label_studio, write_label_studio
from glre_pyg.utils.exceptions import InputError, note

sys.path.insert(0, str(Path(__file__).parent / "trials"))

from new_miniatures import LABEL_STUDIO

REGIONS = [
    {"id": "a", "type": "labels", "value": {"start": 0, "end": 7, "text": "Velorin", "labels": ["Chemical"]}},
    {"id": "b", "type": "labels", "value": {"start": 12, "end": 16, "text": "rash", "labels": ["Disease"]}},
]
LINK = {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right", "labels": ["CID"]}


def read(folder: Path, *items, **data) -> Document:
    task = {"data": data or {"text": "Velorin and rash."}, "annotations": [{"result": [*REGIONS, *items]}]}
    (folder / "a.json").write_text(json.dumps([task]), encoding="utf-8")
    return next(read_label_studio(folder / "a.json"))


@pytest.mark.parametrize("files", LABEL_STUDIO)
def test_a_miniature(files, tmp_path, capsys):
    note.cache_clear()
    (tmp_path / "mini.json").write_bytes(files["mini.json"])
    assert detect_format(tmp_path / "mini.json") == "label_studio"
    first, old, new = read_documents(tmp_path / "mini.json")
    assert [document.id for document in (first, old, new)] == ["5", "old", "3"]
    names = [first.text[mention.start : mention.end] for mention in first.mentions]
    assert names == ["Velorin", "rash.", "Velorin", "é", "helped"]
    assert [mention.ids for mention in first.mentions] == [("C1",), ("D1", "D2"), ("C1",), (), ("e",)]
    assert first.sections == ((0, 16), (17, 42))
    assert first.facts == (
        Fact("C1", "CID", "D1"), Fact("C1", "CID", "D2"),
        Fact("C1", "of", "D1"), Fact("C1", "of", "D2"), Fact("C1", "by", "D1"), Fact("C1", "by", "D2"),
        Fact("e", "with", "C1"), Fact("C1", "with", "e"),
    )  # fmt: skip
    assert [(old.text[mention.start : mention.end], mention.ids) for mention in old.mentions] == [
        ("rash", ("a",)),
        ("Velorin", ("C1",)),
    ]
    assert new.facts == (Fact("C2", "CID", "D3", ("0.987654",)),)
    assert sorted(capsys.readouterr().err.splitlines()) == [
        "note: mini.json: annotations besides the one of a task that is read: 1",
        "note: mini.json: relations without label, which are left out: 1",
        "note: mini.json: results that are no regions or relations, which are left out: 1",
        "note: mini.json: tasks that were cancelled, which are left out: 1",
        "note: mini.json: tasks without annotation, whose prediction is read: 1",
    ]


@pytest.mark.parametrize(
    ("item", "what"),
    [
        ({**LINK, "to_id": "c"}, "annotations[0].result[2].to_id: there is no region 'c'"),
        ({**LINK, "direction": "up"}, "annotations[0].result[2].direction: 'up' is not right, left or bi"),
        (REGIONS[0], "annotations[0].result[2].id: region 'a' is there twice"),
        ({"type": "labels", "value": {"start": 1, "end": 7, "text": "Velorin", "labels": ["A"]}}, "annotations[0].result[2]: mention 'Velorin' is not at 1 to 7, there is 'elorin'"),
        ({"type": "labels", "value": {"start": 7, "end": 99, "text": "x", "labels": ["A"]}}, "annotations[0].result[2].value: 7 to 99 is empty or not inside the text"),
        ({"type": "labels", "value": {"start": 0, "end": 7, "text": "Velorin", "labels": ["A", "B"]}}, "annotations[0].result[2].value.labels: 2 labels, a mention has one type"),
        ({"type": "hypertextlabels", "value": {"start": "/p[1]", "end": "/p[2]", "labels": ["A"]}}, "annotations[0].result[2].value: not a region of a plain text, with start, end and text"),
    ],
)  # fmt: skip
def test_wrong_items(item, what, tmp_path):
    with pytest.raises(InputError) as caught:
        read(tmp_path, item)
    assert str(caught.value) == f"a.json: document 0: 0: {what}"


def test_the_field_of_the_text(tmp_path):
    assert read(tmp_path, LINK, id=8, body="Velorin and rash.").id == "8"
    with pytest.raises(InputError, match=r"data: which of its fields is the text, one, two\?$"):
        read(tmp_path, one="Velorin and rash.", two="x")


def predicted(found: Document) -> Document:
    """The document with its facts as predictions."""
    entities = {entity.id: entity for entity in found.entities}
    facts = (
        PredictedFact.between(
            entities[fact.head], fact.relation, entities[fact.tail], probability=0.75, threshold=0.5
        )
        for fact in found.facts
    )
    return replace(found, facts=tuple(facts))


def test_predictions_go_out_and_corrections_come_back(tmp_path):
    """As the documentation has it: a person takes a relation back and adds a region and a relation."""
    found = read(tmp_path, LINK)
    write_documents([predicted(found)], tmp_path / "tasks.label_studio.json", lossy=True)
    (task,) = json.loads((tmp_path / "tasks.label_studio.json").read_text(encoding="utf-8"))
    (prediction,) = task["predictions"]
    assert task["data"] == {"id": "0", "text": "Velorin and rash."}
    assert prediction["result"][-1] == {**LINK, "from_id": "m0", "to_id": "m1", "score": 0.75}
    corrected = [
        *prediction["result"][:-1],
        {"id": "x", "type": "labels", "value": {"start": 8, "end": 11, "text": "and", "labels": ["Disease"]}, "meta": {"text": ["D9"]}},
        {**LINK, "from_id": "m0", "to_id": "x"},
    ]  # fmt: skip
    export = [{"id": 1, "data": task["data"], "annotations": [{"result": corrected}], "predictions": [1]}]
    export[0]["predictions"] = [prediction]
    (tmp_path / "export.json").write_text(json.dumps(export), encoding="utf-8")
    (back,) = read_documents(tmp_path / "export.json")
    assert back.facts == (Fact("a", "CID", "D9"),)
    assert [mention.ids for mention in back.mentions] == [("a",), ("b",), ("D9",)]


def test_there_and_back(tmp_path):
    documents = []
    for found in random_documents(20):
        facts = {
            (fact.head, fact.relation, fact.tail): replace(fact, extra=("x", "y")) for fact in found.facts
        }
        mentions = (*found.mentions, replace(found.mentions[0], ids=()))
        words, sentences = segment(found.text, [mention.span for mention in mentions], [(0, 5)])
        alone = {mention.ids[0] for mention in mentions if len(mention.ids) == 1}
        kept = tuple(fact for fact in facts.values() if {fact.head, fact.tail} <= alone)
        documents.append(
            replace(
                found, words=words, sentences=sentences, mentions=mentions, facts=kept, sections=((0, 5),)
            )
        )
    write_jsonl(documents, tmp_path / "a.jsonl")
    convert(tmp_path / "a.jsonl", tmp_path / "b.label_studio.json")
    convert(tmp_path / "b.label_studio.json", tmp_path / "c.jsonl")
    assert (tmp_path / "c.jsonl").read_bytes() == (tmp_path / "a.jsonl").read_bytes()


def test_what_it_cannot_hold(tmp_path):
    found = read(tmp_path, LINK)
    with pytest.raises(InputError, match=r"^0: Label Studio cannot hold facts: "):
        write_label_studio([replace(found, facts=found.facts * 2)], tmp_path / "b.json")
    write_label_studio([replace(found, facts=found.facts * 2)], tmp_path / "b.json", lossy=True)
    assert next(read_label_studio(tmp_path / "b.json")) == found


def test_null_is_nothing_and_results_of_other_kinds_may_hold_anything(tmp_path, capsys):
    region = {"id": "r", "type": "labels", "value": {"start": 0, "end": 1, "text": "a", "labels": ["A"]}}
    others = [{"type": "textarea", "value": {"text": ["a note"]}}, {"type": "taxonomy", "score": "high"}]
    tasks = [
        {"data": {"text": "a b"}, "annotations": None, "predictions": None},
        {"data": {"text": "a b"}, "annotations": [{"result": [{**region, "meta": {"text": None}}, *others]}]},
    ]
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))
    found = list(read_label_studio(tmp_path / "tasks.json"))
    assert [len(each.mentions) for each in found] == [0, 1]
    assert "results that are no regions or relations, which are left out: 2\n" in capsys.readouterr().err
