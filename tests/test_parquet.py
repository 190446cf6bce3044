"""Documents and facts as Parquet and Arrow tables."""

import json
from dataclasses import replace

import pytest

from commands import run as command
from documents import random_documents, untrained_run
from glre_pyg import Dictionary, ExtractBatch, RelationExtractor
from glre_pyg.data.document import Fact
from glre_pyg.data.explanation import PredictedFact
from glre_pyg.formats.csv_facts import COLUMNS
from glre_pyg.formats.detection import detect_format, read_documents, write_documents
from glre_pyg.formats.jsonl import read_jsonl, write_jsonl
from glre_pyg.formats.parquet import fact_table, read_parquet, row_of, schema, write_parquet
from glre_pyg.utils.exceptions import InputError

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

DOCUMENTS = [replace(each, id=f"d{number}") for number, each in enumerate(random_documents(12))]


def written(rows, path, form=None):
    parquet.write_table(pa.Table.from_pylist(rows, form), path)
    return path


def test_documents_come_back_as_they_were(tmp_path):
    first = DOCUMENTS[0]
    head, tail = first.entities[:2]
    predicted = PredictedFact.between(head, "CID", tail, probability=0.3, threshold=0.25)
    documents = [replace(first, facts=(Fact(head.id, "x", tail.id, ("1",), (0,)), predicted)), *DOCUMENTS[1:]]
    write_parquet(documents, tmp_path / "documents.parquet")
    write_jsonl(documents, tmp_path / "documents.jsonl")
    assert [*read_parquet(tmp_path / "documents.parquet")] == [*read_jsonl(tmp_path / "documents.jsonl")]
    assert parquet.read_schema(tmp_path / "documents.parquet").equals(schema())
    assert detect_format(tmp_path / "documents.parquet") == "parquet"
    (tmp_path / "documents.parquet").rename(tmp_path / "unnamed")
    assert [*read_documents(tmp_path / "unnamed")] == [*read_jsonl(tmp_path / "documents.jsonl")]


def test_many_documents_are_several_row_groups(tmp_path):
    documents = [replace(DOCUMENTS[0], id=str(number)) for number in range(600)]
    write_documents(documents, tmp_path / "many.parquet")
    assert parquet.ParquetFile(tmp_path / "many.parquet").num_row_groups == 3
    assert [each.id for each in read_parquet(tmp_path / "many.parquet")] == [each.id for each in documents]


def test_a_table_of_ones_own(tmp_path):
    rows = [
        {"id": 7, "text": "Aspirin may cause asthma.", "year": 1999, "mentions": None},
        {
            "id": 8,
            "text": "Nothing.",
            "year": None,
            "mentions": [{"start": 0, "end": 7, "type": "T", "ids": [5], "score": 0.5}],
        },
    ]
    found = [*read_parquet(written(rows, tmp_path / "own.parquet"))]
    assert [(each.id, each.text, len(each.mentions)) for each in found] == [
        ("7", "Aspirin may cause asthma.", 0),
        ("8", "Nothing.", 1),
    ]
    assert found[1].mentions[0].ids == ("5",)


def test_errors_name_file_row_document_and_field(tmp_path):
    rows = [
        {"id": "a", "text": "x", "mentions": [{"start": 0, "end": 5, "type": "T"}]},
        {"id": "b", "text": None},
        {"id": None, "text": "x"},
        {"id": "c", "text": "y"},
        {"id": "c", "text": "y"},
    ]
    errors = []
    found = [*read_parquet(written(rows, tmp_path / "bad.parquet"), on_error=errors.append)]
    assert [each.id for each in found] == ["c"]
    assert [str(error) for error in errors] == [
        "bad.parquet: row 0: a: mentions[0]: 0 to 5 is not inside 0 to 1",
        "bad.parquet: row 1: b: text: missing",
        "bad.parquet: row 2: ?: id: missing",
        "bad.parquet: row 4: c: a document of this identifier was in the file before",
    ]


@pytest.mark.parametrize(
    ("rows", "line"),
    [([{"text": "x"}], "there is no column 'id'"), ([{"id": "x"}], "there is no column 'text'")],
)
def test_tables_without_documents(tmp_path, rows, line):
    with pytest.raises(InputError, match=f"bad.parquet: {line}"):
        list(read_parquet(written(rows, tmp_path / "bad.parquet")))


def test_a_damaged_file(tmp_path):
    write_parquet(DOCUMENTS, tmp_path / "cut.parquet")
    whole = (tmp_path / "cut.parquet").read_bytes()
    for damaged in (whole[: len(whole) // 2], b"PAR1", b""):
        (tmp_path / "cut.parquet").write_bytes(damaged)
        with pytest.raises(InputError, match=r"cut\.parquet: not a whole file of Parquet: "):
            list(read_parquet(tmp_path / "cut.parquet"))


def test_facts_are_a_table():
    head, tail = DOCUMENTS[0].entities[:2]
    predicted = PredictedFact.between(head, "CID", tail, probability=0.3, threshold=0.25)
    table = fact_table([replace(DOCUMENTS[0], facts=(predicted, Fact(tail.id, "x", head.id)))])
    assert table.column_names == list(COLUMNS)
    rows = table.to_pylist()
    assert [(row["head"], row["relation"], row["probability"]) for row in rows] == [
        (head.id, "CID", 0.3),
        (tail.id, "x", None),
    ]
    assert all(number >= 1 for number in rows[0]["sentences"])
    assert fact_table([]).num_rows == 0


@pytest.fixture(scope="module")
def extractor():
    return RelationExtractor(untrained_run(DOCUMENTS, threshold=0.4))


@pytest.fixture
def batches(extractor, monkeypatch):
    """What makes an ExtractBatch of the extractor."""
    monkeypatch.setattr(RelationExtractor, "from_pretrained", lambda run, **options: extractor)
    return lambda **options: ExtractBatch("run", **options)


def test_the_extractor_makes_a_table(extractor):
    table = extractor.table(DOCUMENTS, threshold=0.3)
    facts = [fact for each in extractor(DOCUMENTS, threshold=0.3, reasons=False) for fact in each.facts]
    assert table.num_rows == len(facts) > 0
    assert table["probability"].to_pylist() == [fact.probability for fact in facts]


def test_batches_have_the_facts_of_the_extractor_and_errors_in_a_column(extractor, batches):
    rows = [row_of(replace(each, facts=())) for each in DOCUMENTS]
    rows.insert(3, {"id": "bad", "text": "x", "mentions": [{"start": 0, "end": 9, "type": "T"}]})
    rows.insert(5, {"id": None, "text": "x"})
    table = pa.Table.from_pylist(rows, schema()).append_column("more", pa.array(range(len(rows))))
    found = batches(threshold=0.3)(table)
    assert found["id"].to_pylist() == [row["id"] for row in rows]
    errors = found["error"].to_pylist()
    assert [number for number, error in enumerate(errors) if error] == [3, 5]
    assert errors[3] == "row 3: bad: mentions[0]: 0 to 9 is not inside 0 to 1"
    expected = extractor([replace(each, facts=()) for each in DOCUMENTS], threshold=0.3, reasons=False)
    facts = [each for number, each in enumerate(found["facts"].to_pylist()) if number not in (3, 5)]
    for row, document in zip(facts, expected, strict=True):
        assert [(fact["head"], fact["relation"], fact["tail"]) for fact in row] == [
            (fact.head, fact.relation, fact.tail) for fact in document.facts
        ]
        assert [fact["probability"] for fact in row] == pytest.approx(
            [fact.probability for fact in document.facts], abs=1e-5
        )
    again = batches(threshold=0.3)(table.to_batches()[0])
    assert again.equals(found)
    assert batches()(table.slice(0, 0)).num_rows == 0


def test_batches_of_texts_need_a_finder(batches):
    dictionary = Dictionary([("aspirin", "C1", "Chemical"), ("asthma", "D1", "Disease")])
    table = pa.table({"id": [1, 2], "text": ["Aspirin induced asthma.", ""]})
    found = batches(mentions=dictionary, threshold=0.0)(table)
    assert len(found["mentions"][0].as_py()) == 2
    assert found["facts"][0].as_py()
    assert found["error"].to_pylist()[0] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reasons": True}, "reasons: is not one of"),
        ({"threshold": 7.0}, "threshold: 7.0 is not a probability"),
        ({"threshold": {"NOPE": 0.5}}, "threshold: "),
        ({"types": {"Drug": "Nope"}}, "mentions.types: 'Nope' is not one of"),
        ({"unlinked": "zzz"}, "unlinked: 'zzz' is not one of drop, name"),
        ({"mentions": "names.tsv"}, "mentions: a str finds no mentions"),
    ],
)
def test_wrong_options_are_no_errors_of_documents(batches, options, message):
    with pytest.raises(InputError, match=message):
        batches(**options)


def test_given_facts_decide_nothing(batches):
    row = row_of(DOCUMENTS[0]) | {"facts": [{"head": "X", "relation": "r", "tail": "Y"}]}
    found = batches(threshold=0.3)(pa.Table.from_pylist([row], schema()))
    assert found["error"].to_pylist() == [None]


def test_texts_that_are_not_utf8_are_errors_of_their_rows(batches, tmp_path):
    text = pa.array([b"x", b"\xff", b"y"]).cast(pa.binary()).view(pa.string())
    table = pa.table({"id": ["a", "b", "c"], "text": text})
    assert batches()(table)["error"].to_pylist() == [None, "row 1: ?: a text is not UTF-8", None]
    parquet.write_table(table, tmp_path / "bad.parquet")
    errors = []
    found = [*read_parquet(tmp_path / "bad.parquet", on_error=errors.append)]
    assert [each.id for each in found] == ["a", "c"]
    assert [str(error) for error in errors] == ["bad.parquet: row 1: ?: a text is not UTF-8"]


def test_two_columns_of_one_name(batches):
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["x"]), pa.array(["y"])], ["id", "text", "text"])
    with pytest.raises(InputError, match="table: there are two columns 'text'"):
        batches()(table)


def test_predict_reads_and_writes_parquet(tmp_path):
    sizes = [f"dataset.sizes.{split}=8" for split in ("train", "dev", "test")]
    tiny = ["encoder=tiny", "training.epochs=1", "model.nodes.hidden_channels=16"]
    command("train", *tiny, *sizes, "hydra.run.dir=run", cwd=tmp_path)
    write_parquet([replace(each, facts=()) for each in DOCUMENTS], tmp_path / "in.parquet")
    command("predict", "run=run", "input=in.parquet", "output=out.parquet", "threshold=0.3", cwd=tmp_path)
    command("predict", "run=run", "input=in.parquet", "output=out.jsonl", "threshold=0.3", cwd=tmp_path)
    assert [*read_parquet(tmp_path / "out.parquet")] == [*read_jsonl(tmp_path / "out.jsonl")]
    command("convert", "input=out.parquet", "output=again.jsonl", cwd=tmp_path)
    assert [json.loads(line)["id"] for line in (tmp_path / "again.jsonl").read_text().splitlines()] == [
        each.id for each in DOCUMENTS
    ]
