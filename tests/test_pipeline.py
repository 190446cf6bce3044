"""From files to files: every kind of input and output, and what becomes of input that is bad."""

import csv
import io
import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from spacy.tokens import DocBin
from spacy.vocab import Vocab

from commands import run_two, small_files
from documents import random_documents, untrained_run
from glre_pyg.data.document import Document
from glre_pyg.datasets import Files
from glre_pyg.extraction.extractor import RelationExtractor
from glre_pyg.extraction.outputs import Output
from glre_pyg.extraction.pipeline import extract
from glre_pyg.formats.detection import read_documents, write_documents
from glre_pyg.formats.spacy_docs import to_spacy
from glre_pyg.mentions.spacy_documents import read_spacy
from glre_pyg.predict import Settings, predict
from glre_pyg.runs.run import Run
from glre_pyg.utils.cli import config_dir, output_path
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import WriteError, exclusive
from glre_pyg.utils.resumable_writer import ResumableWriter
from glre_pyg.utils.settings import check_settings

TEXT = "Velorin was given to patients.\nTwo days later a severe rash followed. Querine eased the rashes."
NAMES = "name\tid\ttype\nvelorin\tC1\tChemical\nquerine\tC2\tChemical\nrash\tD1\tDisease\n"


@pytest.fixture(scope="module")
def run() -> Run:
    return untrained_run(random_documents(6), threshold=0.0)


class Places(Files):
    """A corpus whose identifiers are places in a document."""

    local_ids = True


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "names.tsv").write_text(NAMES)
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path


DICTIONARY = ("mentions=dictionary", "mentions.file=names.tsv")


def settings(*overrides: str) -> DictConfig:
    with initialize_config_dir(config_dir(), version_base="1.3"):
        return compose("predict", ["run=run", *overrides])


def extracted(run: Run, *overrides: str) -> int:
    config = settings(*overrides)
    check_settings(config, Settings)
    return extract(run, config, Output(output_path(config))).num_errors


def documents(count: int = 5) -> list[Document]:
    """Documents whose mentions do not cross."""
    return [
        each
        for each in random_documents(40, composites=0)
        if not any(
            one.start < other.start < one.end < other.end for one in each.mentions for other in each.mentions
        )
    ][:count]


# Inputs


def test_a_text_file_and_a_dictionary(run, here):
    assert extracted(run, "input=text.txt", "output=out.jsonl", *DICTIONARY) == 0
    [found] = read_documents(here / "out.jsonl")
    assert (found.id, found.text) == ("text", TEXT)
    assert [(entity.id, len(entity.mentions)) for entity in found.entities] == [
        ("C1", 1),
        ("D1", 2),
        ("C2", 1),
    ]
    assert len(found.sentences) == 3
    assert len(found.facts) == 12  # the threshold is 0: every pair


def test_types_of_names_that_the_run_does_not_know_are_named(run, here, capsys):
    (here / "names.tsv").write_text(NAMES + "hela\tL1\tCellLine\nmouse\tM1\tAnimal\n")
    assert extracted(run, "input=text.txt", "output=out.jsonl", *DICTIONARY) == 0
    line = "note: names.tsv: types unknown to the run (Chemical, Disease, Gene): Animal, CellLine\n"
    assert capsys.readouterr().err == line


def test_a_text_can_be_typed_or_piped_in(run, here, monkeypatch):
    extracted(run, "input=text.txt", "output=file.jsonl", *DICTIONARY)
    settings_of_text = settings("output=typed.jsonl", *DICTIONARY)
    settings_of_text.text = TEXT
    assert extract(run, settings_of_text, Output(Path("typed.jsonl"))).num_errors == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    assert extracted(run, "input=-", "output=piped.jsonl", *DICTIONARY) == 0
    [one], [two], [three] = (read_documents(here / f"{name}.jsonl") for name in ("file", "typed", "piped"))
    assert replace(two, id="text", facts=()) == replace(three, id="text", facts=()) == replace(one, facts=())
    assert (two.id, three.id) == ("text", "stdin")


def test_documents_can_be_piped_in(run, here, monkeypatch):
    write_documents(documents(), here / "in.pubtator")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((here / "in.pubtator").read_bytes())))
    assert extracted(run, "input=-", "format=pubtator", "output=out.jsonl") == 0
    assert [each.id for each in read_documents(here / "out.jsonl")] == [each.id for each in documents()]


@pytest.mark.parametrize("ending", ["pubtator", "jsonl", "json", "spacy"])
def test_marked_mentions_are_taken_as_they_are(run, here, ending):
    given = documents()
    extracted_name = f"in.{ending}"
    if ending == "spacy":
        from glre_pyg.formats.spacy_docs import write_spacy

        write_spacy(given, here / extracted_name)
    else:
        write_documents(given, here / extracted_name, lossy=True)
    assert extracted(run, f"input={extracted_name}", "output=out.jsonl") == 0
    found = list(read_documents(here / "out.jsonl"))
    assert [each.id for each in found] == [each.id for each in given]
    for one, other in zip(found, given, strict=True):
        assert {mention.span for mention in one.mentions} == {mention.span for mention in other.mentions}


def test_a_folder_is_read_file_by_file(run, here, capsys):
    folder = here / "folder"
    folder.mkdir()
    write_documents(documents(2), folder / "b.pubtator")
    (folder / "a.txt").write_text(TEXT)
    (folder / "c.txt").write_bytes(b"caf\xe9 velorin")
    (folder / "notes.md").write_text("no document")
    assert extracted(run, "input=folder", "output=out.jsonl", *DICTIONARY) == 1
    found = list(read_documents(here / "out.jsonl"))
    assert [each.id for each in found] == ["a", *(each.id for each in documents(2))]
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [
        "note: folder: 1 file with another ending is left out: 1 .md",
        "error: c.txt: c: line 1: byte 4 is not UTF-8",
    ]
    assert "; 1 error\n" in printed.out


def test_a_dictionary_replaces_the_mentions_that_are_there(run, here):
    write_documents(documents(), here / "in.pubtator")
    extracted(run, "input=in.pubtator", "output=out.jsonl", *DICTIONARY)
    for each in read_documents(here / "out.jsonl"):
        assert {identifier for mention in each.mentions for identifier in mention.ids} <= {"C1", "C2", "D1"}


def test_mentions_of_other_types_are_left_out_and_counted(run, here, capsys):
    (here / "names.tsv").write_text(NAMES + "patients\tP\tPeople\n")
    extracted(run, "input=text.txt", "output=out.jsonl", *DICTIONARY)
    [found] = read_documents(here / "out.jsonl")
    assert {mention.type for mention in found.mentions} == {"Chemical", "Disease"}
    assert capsys.readouterr().out.splitlines()[-1] == (
        "mentions of types unknown to the run (Chemical, Disease, Gene) were left out: 1 People"
    )


@pytest.mark.parametrize(
    ("lines", "overrides", "reason"),
    [
        ("", [], "1 in which no mention was found"),
        ("1\t0\t7\tvelorin\tPlant\tC\n1\t11\t15\tmice\tFish\tG\n", [], None),
        ("1\t0\t7\tvelorin\tChemical\n", [], "1 whose mentions have no identifier"),
        ("1\t0\t7\tvelorin\tChemical\tC\n", [], "1 without a candidate pair"),
        (
            "1\t0\t7\tvelorin\tChemical\tC\n1\t21\t25\trash\tDisease\tD\n",
            ["threshold=1"],
            "1 with no probability above the threshold",
        ),
    ],
)
def test_nothing_found_is_explained(run, here, capsys, lines, overrides, reason):
    (here / "in.pubtator").write_text(f"1|t|velorin in mice with rash\n{lines}")
    code = extracted(run, "input=in.pubtator", "output=out.jsonl", *overrides)
    out, err = capsys.readouterr()
    if reason is None:
        assert code == 1
        assert "were left out: 1 Plant, 1 Fish" in err
        reason = "1 with mentions of unknown types only"
    assert f"no facts in 1 of 1 document: {reason}\n" in out


def test_names_that_are_not_found_are_explained(run, here, capsys):
    (here / "other.txt").write_text("Nothing happened.")
    extracted(run, "input=other.txt", "output=out.jsonl", *DICTIONARY)
    *_, why, hint = capsys.readouterr().out.splitlines()
    assert why.endswith("1 in which no mention was found")
    assert hint.startswith("names.tsv: none of its names was found; names match whole words, and acronyms")


def test_names_of_unknown_types_were_found(run, here, capsys):
    (here / "in.txt").write_text("Velorin in mice.")
    (here / "plants.tsv").write_text("velorin\tP1\tPlant\n")
    extracted(run, "input=in.txt", "output=out.jsonl", "mentions=dictionary", "mentions.file=plants.tsv")
    out, err = capsys.readouterr()
    assert "with mentions of unknown types only" in out
    assert "none of its names was found" not in out + err


def test_facts_of_other_relations_are_no_gold(run, here, capsys):
    (here / "in.pubtator").write_text(
        "1|t|velorin in mice with rash\n1\t0\t7\tvelorin\tChemical\tC\n1\t21\t25\trash\tDisease\tD\n"
        "1\tcures\tC\tD\n"
    )
    assert extracted(run, "input=in.pubtator", "output=out.html", "threshold=0") == 0
    assert "given facts of relations unknown to the run were left out: 1 cures\n" in capsys.readouterr().out
    assert "cures" not in (here / "out.html").read_text()


def test_mentions_that_are_replaced_are_counted(run, here, capsys):
    write_documents(documents(2), here / "in.pubtator")
    extracted(run, "input=in.pubtator", "output=out.jsonl", *DICTIONARY)
    assert "2 documents had mentions, which were replaced by those found\n" in capsys.readouterr().out


def test_types_are_mapped_to_those_of_the_run_alone(run, here):
    write_documents(documents(2), here / "in.pubtator")
    with pytest.raises(InputError, match=r"mentions.types: 'Fish' is not one of Chemical, Disease, Gene"):
        extracted(run, "input=in.pubtator", "output=out.jsonl", "mentions.types={Gene: Fish}")


def test_mentions_without_identifier_are_joined_by_name(run, here, capsys):
    text = "velorin (VLN) in mice with rash. Rashes after VLN"
    spans = [
        (0, 7, "Chemical"),
        (9, 12, "Chemical"),
        (27, 31, "Disease"),
        (33, 39, "Disease"),
        (46, 49, "Chemical"),
    ]
    lines = "".join(f"1\t{start}\t{end}\t{text[start:end]}\t{kind}\n" for start, end, kind in spans)
    (here / "in.pubtator").write_text(f"1|t|{text}\n{lines}")
    assert extracted(run, "input=in.pubtator", "output=out.jsonl", "threshold=0") == 0
    assert (
        "5 mentions have no identifier and belong to no entity; mentions.unlinked=name"
        in capsys.readouterr().out
    )
    extracted(run, "input=in.pubtator", "output=out.jsonl", "threshold=0", "mentions.unlinked=name")
    [found] = read_documents(here / "out.jsonl")
    assert [mention.ids for mention in found.mentions] == [
        *([("velorin",)] * 2),
        *([("rashes",)] * 2),
        ("velorin",),
    ]
    assert found.facts
    assert "no identifier" not in capsys.readouterr().out


def test_types_of_marked_mentions_are_mapped(run, here):
    (here / "in.pubtator").write_text(
        "1|t|velorin in mice with rash\n1\t0\t7\tvelorin\tDrug\tC\n1\t21\t25\trash\tDisease\tD\n"
    )
    assert (
        extracted(
            run, "input=in.pubtator", "output=out.jsonl", "threshold=0", "mentions.types={Drug: Chemical}"
        )
        == 0
    )
    [found] = read_documents(here / "out.jsonl")
    assert [mention.type for mention in found.mentions] == ["Chemical", "Disease"]
    assert found.facts


def test_a_text_file_that_begins_as_pubtator_does_is_pubtator(run, here):
    write_documents(documents(2), here / "in.pubtator")
    (here / "in.pubtator").rename(here / "in.txt")
    assert extracted(run, "input=in.txt", "output=out.jsonl") == 0
    assert len(list(read_documents(here / "out.jsonl"))) == 2


# Outputs


def test_outputs_hold_the_same_facts(run, here):
    write_documents(documents(), here / "in.jsonl")
    for ending in ("jsonl", "pubtator", "json", "csv", "nt", "spacy", "html"):
        assert extracted(run, "input=in.jsonl", f"output=out.{ending}", "reasons=false") == 0
    found = {each.id: each for each in read_documents(here / "out.jsonl")}
    count = sum(len(each.facts) for each in found.values())
    assert count
    for ending in ("pubtator", "json"):
        assert sum(len(each.facts) for each in read_documents(here / f"out.{ending}")) == count
    with (here / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["document"], row["head"], row["tail"], row["relation"]) for row in rows] == [
        (each.id, fact.head, fact.tail, fact.relation) for each in found.values() for fact in each.facts
    ]
    statements = re.findall(r"rdf-syntax-ns#Statement>", (here / "out.nt").read_text())
    assert len(statements) == count


def test_line_breaks_of_a_text_are_spaces_in_pubtator(run, here):
    assert extracted(run, "input=text.txt", "output=out.pubtator", *DICTIONARY) == 0
    [found] = read_documents(here / "out.pubtator")
    assert found.text == TEXT.replace("\n", " ")


def test_a_page_has_candidates_down_to_the_floor_and_the_gold_facts(run, here):
    given = documents()
    write_documents(given, here / "in.jsonl")
    extracted(
        run, "input=in.jsonl", "output=out.html", "threshold=0.99", "min_probability=0.2", "reasons=false"
    )
    page = (here / "out.html").read_text()
    assert all(each.id in page for each in given)
    assert "Content-Security-Policy" in page


def test_reasons_are_given_where_they_are_asked_for(run, here):
    write_documents(documents(2), here / "in.jsonl")
    extracted(run, "input=in.jsonl", "output=out.jsonl", "reasons=true")
    for line in (here / "out.jsonl").read_text().splitlines():
        for fact in json.loads(line)["facts"]:
            assert fact["reasons"]["path"]
            assert fact["sentence_ablation"]


def test_the_command_is_the_extractor(run, here):
    write_documents(documents(), here / "in.jsonl")
    extracted(run, "input=in.jsonl", "output=out.jsonl", "threshold=0.5", "chunk=2")
    found = RelationExtractor(run)(documents(), threshold=0.5, reasons=False)
    for one, other in zip(read_documents(here / "out.jsonl"), found, strict=True):
        written, returned = (
            {(fact.head, fact.tail, *fact.extra[:-1]): float(fact.extra[-1]) for fact in each.facts}
            for each in (one, other)
        )
        assert written == pytest.approx(returned, abs=2e-6)  # batches differ


def test_identifiers_that_are_places_are_named_by_their_documents_in_rdf(run, here):
    dataset = OmegaConf.to_container(run.config.dataset)
    config = OmegaConf.create({"eval_batch_size": 4, "dataset": dataset | {"_target_": f"{__name__}.Places"}})
    write_documents(documents(2), here / "in.jsonl")
    for name, each in (("global", run), ("local", replace(run, config=config))):
        extracted(each, "input=in.jsonl", f"output={name}.nt", "threshold=0")
        entities = set(re.findall(r"/entity/([^>]*)>", (here / f"{name}.nt").read_text()))
        assert entities == {
            quote(of.id) + f"/{entity.id}" if name == "local" else entity.id
            for of in documents(2)
            for entity in of.entities
        }


# Bad input: one line each, and the others are written

GOOD = '{"id": "good", "text": "velorin rash", "mentions": []}\n'
BAD = {
    "not UTF-8": ("bad.txt", b"caf\xe9", "bad.txt: bad: line 1: byte 4 is not UTF-8"),
    "empty text": ("bad.txt", b" \n", "bad.txt: bad: there is no text"),
    "empty file": ("bad.jsonl", b"", "bad.jsonl: there are no documents in this file"),
    "too long": (
        "bad.txt",
        b"word " * 100_000,
        "bad.txt: bad: the text has 100000 words, and max_words is 50000",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_named_in_one_line_and_the_others_are_written(run, here, capsys, kind):
    name, content, line = BAD[kind]
    folder = here / "folder"
    folder.mkdir()
    (folder / name).write_bytes(content)
    (folder / "good.jsonl").write_text(GOOD)
    searched = DICTIONARY if name.endswith(".txt") else ()
    assert extracted(run, "input=folder", "output=out.jsonl", *searched) == 1
    assert capsys.readouterr().err.splitlines() == [f"error: {line}"]
    assert [each.id for each in read_documents(here / "out.jsonl")] == ["good"]


def record(**fields):
    mention = {"start": 0, "end": 1, "type": "Disease", "ids": ["A"]}
    return json.dumps({"id": "1", "text": "a b", "mentions": [mention], **fields}) + "\n"


MENTION = {"infons": {"type": "Disease", "identifier": "A"}, "text": "a"}
PASSAGE = {
    "offset": 0,
    "text": "a b",
    "annotations": [{**MENTION, "locations": [{"offset": 0, "length": 1}]}],
}
LABEL = {"h": 0, "t": 0, "r": "treats"}
VERTICES = [[{"name": "a", "pos": [0, 1], "sent_id": 0, "type": "Disease"}]]
PAIR = [
    "L2R",
    "NON-CROSS",
    "0-1",
    "1-2",
    "A",
    "a",
    "Disease",
    "0",
    "1",
    "0",
    "B",
    "b",
    "Disease",
    "1",
    "2",
    "0",
]
FACT = {"head": "A", "relation": "treats", "tail": "A"}
REGION = {"id": "r", "type": "labels", "value": {"start": 0, "end": 1, "text": "a", "labels": ["Disease"]}}
UNUSABLE = {
    "in.pubtator": ("1|t|a b\n1\t0\t1\ta\tDisease\tA\n1\ttreats\tA\tB\n", "facts (1)"),
    "head.jsonl": (record(facts=[{**FACT, "head": "B"}, FACT]), "facts (1)"),
    "evidence.jsonl": (record(facts=[{**FACT, "evidence": [0, 7, -1]}]), "sentences of evidence (2)"),
    "ignored.jsonl": (record(ignored=[["A", "B"], ["A", "A"]]), "ignored pairs (1)"),
    "in.json": (
        json.dumps(
            [
                {
                    "title": "1",
                    "sents": [["a", "b"]],
                    "vertexSet": VERTICES,
                    "labels": [{**LABEL, "t": 1}, {**LABEL, "evidence": [3]}],
                }
            ]
        ),
        "facts (1), sentences of evidence (1)",
    ),
    "in.bioc.json": (
        json.dumps(
            {"id": "1", "passages": [PASSAGE], "relations": [{"infons": {"role1": "A", "role2": "B"}}]}
        ),
        "facts (1)",
    ),
    "tasks.json": (
        json.dumps(
            [
                {
                    "data": {"text": "a b"},
                    "annotations": [{"result": [REGION, {"type": "relation", "from_id": "r", "to_id": "s"}]}],
                }
            ]
        ),
        "facts (1)",
    ),
    "types.jsonl": (
        record(facts=[{**FACT, "head": 1}, "treats", {**FACT, "evidence": "0"}, {**FACT, "score": 1}, FACT]),
        "facts (4)",
    ),
    "probability.jsonl": (
        record(facts=[{**FACT, "probability": 7, "threshold": 0.5}, {**FACT, "probability": 0.7}]),
        "facts (2)",
    ),
    "surrogate.jsonl": (record(facts=[{**FACT, "extra": ["\ud83d"]}, FACT]), "facts (1)"),
    "list.jsonl": (record(facts=FACT, ignored=7), "ignored pairs (1), facts (1)"),
    "null.jsonl": (record(facts=None), "facts (1)"),
    "twice.jsonl": (
        record(facts=[FACT]).replace('"relation": "treats"', '"relation": "a", "relation": "b"'),
        "facts (1)",
    ),
    "pairs.jsonl": (record(ignored=[["A"], ["A", 1], "A", ["A", "A"]]), "ignored pairs (3)"),
    "types.json": (
        json.dumps(
            [
                {
                    "title": "1",
                    "sents": [["a", "b"]],
                    "vertexSet": VERTICES,
                    "labels": [
                        {**LABEL, "h": "0"},
                        {**LABEL, "evidence": None},
                        {"h": 0, "t": 0},
                        [0],
                        LABEL,
                    ],
                }
            ]
        ),
        "facts (4)",
    ),
    "null.json": (
        json.dumps([{"title": "1", "sents": [["a", "b"]], "vertexSet": VERTICES, "labels": None}]),
        "facts (1)",
    ),
    "types.bioc.json": (
        json.dumps(
            {
                "id": "1",
                "passages": [{**PASSAGE, "relations": [[], {"infons": [], "nodes": []}]}],
                "relations": [{"infons": {"type": "treats"}, "nodes": [{"refid": 1.5}]}, 7],
            }
        ),
        "facts (4)",
    ),
    "list.bioc.json": (json.dumps({"id": "1", "passages": [PASSAGE], "relations": {}}), "facts (1)"),
    "types_of_tasks.json": (
        json.dumps(
            [
                {
                    "data": {"text": "a b"},
                    "annotations": [
                        {
                            "result": [
                                REGION,
                                {"type": "relation", "from_id": 1, "to_id": "r"},
                                {"type": "relation", "from_id": "r", "to_id": "r", "labels": "treats"},
                                {"type": "relation", "from_id": "r", "to_id": "r", "direction": "up"},
                            ]
                        }
                    ],
                }
            ]
        ),
        "facts (3)",
    ),
    "short.pubtator": ("1|t|a b\n1\t0\t1\ta\tDisease\tA\n1\ttreats\tA\n", "facts (1)"),
    "in.data": (
        "\t".join(["1", "a b", "1:treats:2", *PAIR, "1:treats:2", *PAIR, "1:NR:2", *PAIR]) + "\n",
        "facts (2)",
    ),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_facts_that_cannot_be_used_do_not_cost_their_document(run, here, capsys, name):
    content, counts = UNUSABLE[name]
    (here / name).write_text(content)
    assert extracted(run, f"input={name}", "output=out.jsonl", "strict=true") == 0
    assert len(list(read_documents(here / "out.jsonl"))) == 1
    printed = capsys.readouterr()
    assert (
        f"left out of the input, because they are malformed, or name entities or sentences that do not exist: {counts}\n"
        in printed.out
    )
    assert not printed.err
    extractor = RelationExtractor(run)
    assert len(extractor.from_file(name, reasons=False)) == 1
    assert extractor.left_out_facts
    with pytest.raises(InputError, match=f"^{name}"):
        list(read_documents(here / name))


def test_facts_that_cannot_be_used_do_not_cost_the_document_in_brat_and_spacy(run, here, capsys):
    (here / "in.txt").write_text("a b")
    (here / "in.ann").write_text("T1\tDisease 0 1\ta\nR1\ttreats Arg1:T1 Arg2:T2\n")
    (here / "in.jsonl").write_text(record(facts=[FACT]))
    doc = to_spacy(next(read_documents(here / "in.jsonl")), Vocab())
    doc._.relations[0]["tail"] = "B"
    DocBin(docs=[doc], store_user_data=True).to_disk(here / "in.spacy")
    doc._.relations = [{"head": "A", "relation": 7, "tail": "A"}]
    DocBin(docs=[doc], store_user_data=True).to_disk(here / "types.spacy")
    (here / "few.txt").write_text("a b")
    (here / "few.ann").write_text("T1\tDisease 0 1\ta\nA1\tNegated\nR1\ttreats Arg1:T1\n")
    for name in ("in.ann", "in.spacy", "types.spacy", "few.ann"):
        assert extracted(run, f"input={name}", "output=out.jsonl") == 0
        assert "facts (1)\n" in capsys.readouterr().out


def test_a_table_of_relations_cannot_cost_a_document(run, here, capsys):
    (here / "in.pubtator").write_text("1|t|a b\n1\t0\t1\ta\tDisease\tA\n")
    (here / "in.relations.tsv").write_bytes(b"1\ttreats\tA\t\xe9\n1\ttreats\n")
    assert extracted(run, "input=in.pubtator", "output=out.jsonl") == 0
    assert "that do not exist: facts (2)\n" in capsys.readouterr().out


def test_types_of_any_name_are_mapped_and_wrong_ones_are_one_line():
    config = settings("input=in.pubtator", "output=out.jsonl")
    config.mentions.types = "{Small Molecule (x): Disease}"  # as a text, where Hydra cannot parse it
    check_settings(config, Settings)
    assert config.mentions.types == {"Small Molecule (x)": "Disease"}
    for setting, value in (("types", "Disease"), ("types", ["Disease"]), ("unlinked", "names")):
        config = settings("input=in.pubtator", "output=out.jsonl")
        config.mentions[setting] = value
        with pytest.raises(InputError, match=rf"^mentions\.{setting}: '.*' is not "):
            check_settings(config, Settings)


def test_json_lines_need_no_identifiers(run, here):
    mentions = [{"start": number, "end": number + 1, "type": "Disease"} for number in (0, 2)]
    (here / "in.jsonl").write_text(json.dumps({"id": "1", "text": "a b", "mentions": mentions}))
    assert extracted(run, "input=in.jsonl", "output=out.jsonl") == 0
    assert [each.ids for each in next(read_documents(here / "out.jsonl")).mentions] == [(), ()]


def test_facts_of_unknown_types_are_counted(run, here, capsys):
    other = {"start": 2, "end": 3, "type": "Cell", "ids": ["B"]}
    value = json.loads(record(facts=[{**FACT, "tail": "B"}]))
    (here / "in.jsonl").write_text(json.dumps(value | {"mentions": [*value["mentions"], other]}))
    assert extracted(run, "input=in.jsonl", "output=out.jsonl") == 0
    assert "that do not exist: facts (1)\n" in capsys.readouterr().out


@pytest.mark.parametrize("ending", ["jsonl", "json", "pubtator", "csv", "html", "spacy", "xml"])
def test_mentions_may_cross(run, here, capsys, ending):
    mention = {"start": 0, "end": 14, "type": "Disease", "ids": ["A"]}
    crossing = {"start": 8, "end": 20, "type": "Disease", "ids": ["B"]}
    value = {"id": "1", "text": "cardiac arrest today", "mentions": [mention, crossing]}
    (here / "in.jsonl").write_text(json.dumps(value))
    assert extracted(run, "input=in.jsonl", f"output=out.{ending}", "threshold=0") == 0
    assert not capsys.readouterr().err
    if ending in ("jsonl", "pubtator", "spacy"):
        read = read_spacy if ending == "spacy" else read_documents
        assert [each.span for each in next(read(here / f"out.{ending}")).mentions] == [(0, 14), (8, 20)]


@pytest.mark.parametrize("name", ["nothere.txt", "nothere.spacy", "folder/nothere.json", "nothere.txt.gz"])
def test_a_file_that_is_not_there_is_named(run, here, capsys, name):
    assert extracted(run, f"input={name}", "output=out.jsonl") == 1
    assert capsys.readouterr().err == f"error: {name}: no such file\n"


def test_without_a_good_document_nothing_is_written(run, here):
    (here / "bad.txt").write_bytes(b"\xff")
    assert extracted(run, "input=bad.txt", "output=out.jsonl", *DICTIONARY) == 1
    assert sorted(path.name for path in here.iterdir()) == ["bad.txt", "names.tsv", "text.txt"]


def test_plain_text_without_a_way_to_find_mentions(run, here, capsys):
    assert extracted(run, "input=text.txt", "output=out.jsonl") == 1
    assert capsys.readouterr().err.startswith("error: text.txt: plain text has no marked mentions: ")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["output=out.txt", "input=x"], r"out\.txt: ends in none of \.html \.csv"),
        (["output=out", "input=x"], r"out: ends in none of \.html \.csv"),
        (["output=no/out.csv", "input=x"], r"no/out\.csv: cannot be written, its folder is missing"),
        (["output=out.csv"], "input: give input=FILE"),
        (["output=out.csv", "input=a", "text=b"], "input: give input=FILE"),
    ],
)
def test_settings_are_checked_before_the_run_is_loaded(here, overrides, message):
    with pytest.raises(InputError, match=message):
        predict(settings(*overrides))


# What else a user may do


def test_mentions_of_other_types_that_are_marked_are_left_out_too(run, here, capsys):
    (here / "in.pubtator").write_text(
        "1|t|velorin in mice with rash\n1\t0\t7\tvelorin\tChemical\tC\n1\t11\t15\tmice\tSpecies\t10090\n"
        "1\t21\t25\trash\tDisease\tD\n1\ttreats\tC\t10090\n1\ttreats\tC\tD\n"
    )
    assert extracted(run, "input=in.pubtator", "output=out.jsonl") == 0
    [found] = read_documents(here / "out.jsonl")
    assert [entity.id for entity in found.entities] == ["C", "D"]
    assert (
        capsys.readouterr()
        .out.strip()
        .endswith(
            "(Chemical, Disease, Gene) were left out: 1 Species; mentions.types={THEIRS: OURS} maps types"
        )
    )


def test_nothing_but_unknown_types_is_an_error(run, here, capsys):
    (here / "names.tsv").write_text("velorin\tC1\tchemical\n")
    assert extracted(run, "input=text.txt", "output=out.jsonl", *DICTIONARY) == 1
    assert "(Chemical, Disease, Gene) were left out: 1 chemical" in capsys.readouterr().err


@pytest.mark.parametrize(("source", "target"), [("in.jsonl", "in.jsonl"), (".", "out.jsonl")])
def test_the_input_is_not_written_over(run, here, source, target):
    write_documents(documents(), here / "in.jsonl")
    before = (here / "in.jsonl").read_bytes()
    with pytest.raises(InputError, match="is the input, or lies in its folder"):
        extracted(run, f"input={source}", f"output={target}")
    assert (here / "in.jsonl").read_bytes() == before


def test_of_two_commands_with_one_output_the_second_is_refused(run, here, monkeypatch):
    """Nothing of it is computed, and the first goes on."""
    write_documents(documents(), here / "in.jsonl")
    (here / "link.jsonl").symlink_to("out.jsonl")
    with exclusive(here / "out.jsonl"):
        for output in ("out.jsonl", "link.jsonl"):
            with pytest.raises(InputError, match=f"^{output}: is being written by process {os.getpid()} on "):
                predict(settings("input=in.jsonl", f"output={output}"))
    assert not (here / "out.jsonl").exists()
    monkeypatch.setattr("glre_pyg.extraction.scoring.load_run", lambda config: run)
    with pytest.raises(SystemExit) as end:
        predict(settings("input=in.jsonl", "output=link.jsonl"))
    assert end.value.code == 0
    assert len(list(read_documents(here / "out.jsonl"))) == 5
    assert sorted(path.name for path in here.glob("*.jsonl*")) == ["in.jsonl", "link.jsonl", "out.jsonl"]


@pytest.mark.parametrize("ending", ["jsonl", "csv", "nt", "data", "pubtator"])
@pytest.mark.parametrize("room", [0, 100, 3000])
def test_a_full_disk_is_one_line_that_names_the_output(run, here, ending, room, capsys):
    write_documents(documents(), here / "in.jsonl")
    options = ["input=in.jsonl", f"output=out.{ending}", "chunk=2"]
    with (
        small_files(room),
        pytest.raises(WriteError, match=rf"^out.{ending}: cannot be written: File too large$"),
    ):
        extracted(run, *options, "threshold=1" if ending == "data" else "threshold=0")
    assert not (here / f"out.{ending}").exists()
    extracted(run, *options, "threshold=1")
    assert not [path for path in here.iterdir() if path.suffix in (".part", ".progress")]


@pytest.mark.parametrize("name", ["in.jsonl", "in.txt", "in.data", "in.spacy", "/dev/stdin"])
def test_a_pipe_is_not_waited_for(run, here, name, capsys):
    if name != "/dev/stdin":
        os.mkfifo(here / name)
    options = [
        f"input={name}",
        *(DICTIONARY if name == "in.txt" else []),
        *(["format=jsonl"] if "dev" in name else []),
    ]
    stdin, (reading, writing) = os.dup(0), os.pipe()
    os.dup2(reading, 0)
    try:
        assert extracted(run, *options, "output=out.jsonl") == 1
    finally:
        os.dup2(stdin, 0)
        for descriptor in (stdin, reading, writing):
            os.close(descriptor)
    assert re.fullmatch(r"error: .*not a regular file \(.*\)\n", capsys.readouterr().err)


def test_what_is_no_file_in_a_folder_costs_a_line_alone(run, here, capsys):
    (here / "folder").mkdir()
    write_documents(documents(2), here / "folder/b.jsonl")
    os.mkfifo(here / "folder/a.jsonl")
    (here / "folder/c.jsonl").symlink_to("nowhere")
    assert extracted(run, "input=folder", "output=out.jsonl") == 2
    assert len(list(read_documents(here / "out.jsonl"))) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: folder/a.jsonl: ")
    assert "not a regular file" in first
    assert second.startswith("error: folder/c.jsonl: ")
    assert "no such file" in second


def test_predictions_that_are_read_again_are_not_gold(run, here):
    write_documents(documents(), here / "in.jsonl")
    extracted(run, "input=in.jsonl", "output=found.jsonl")
    extracted(run, "input=found.jsonl", "output=page.html", "reasons=false")
    assert '"gold":null' in (here / "page.html").read_text()
    extracted(run, "input=in.jsonl", "output=page.html", "reasons=false")
    assert '"gold":[[' in (here / "page.html").read_text()


def test_endings_may_be_in_capitals(run, here):
    (here / "text.txt").rename(here / "TEXT.TXT")
    assert extracted(run, "input=TEXT.TXT", "output=OUT.JSONL", *DICTIONARY) == 0
    [found] = read_documents(here / "OUT.JSONL")
    assert found.text == TEXT


def test_a_name_that_is_not_utf8_is_no_hindrance(run, here):
    folder = here / "folder"
    folder.mkdir()
    (Path(os.fsdecode(os.fsencode(folder) + b"/\xffname.txt"))).write_text(TEXT)
    (folder / "._hidden.txt").write_bytes(b"\x00\xff")
    (folder / "a.txt").mkdir()
    assert extracted(run, "input=folder", "output=out.jsonl", *DICTIONARY) == 0
    [found] = read_documents(here / "out.jsonl")
    assert found.id == "\ufffdname"


def test_a_document_in_two_files_of_a_folder_counts_once(run, here, capsys):
    folder = here / "folder"
    folder.mkdir()
    write_documents(documents(2), folder / "a.jsonl")
    write_documents(documents(3), folder / "b.jsonl")
    assert extracted(run, "input=folder", "output=out.jsonl") == 2
    assert len(list(read_documents(here / "out.jsonl"))) == 3
    assert capsys.readouterr().err.splitlines() == [
        f"error: b.jsonl: {each.id}: a.jsonl has a document with this identifier" for each in documents(2)
    ]


def test_what_the_form_cannot_hold_is_not_counted_as_written(run, here, capsys):
    write_documents(documents(3), here / "in.jsonl")
    assert extracted(run, "input=in.jsonl", "output=out.data") == 3  # two relations hold for every pair
    out = capsys.readouterr().out
    assert out == "out.data: not written, as there are no documents\n"
    assert not (here / "out.data").exists()


def test_control_characters_of_an_identifier_stay_out_of_the_terminal(run, here, capsys):
    (here / "in.jsonl").write_text(json.dumps({"id": "x\n\x1b[31my", "text": "w " * 60_000}) + "\n")
    assert extracted(run, "input=in.jsonl", "output=out.jsonl") == 1
    assert capsys.readouterr().err.splitlines() == [
        r"error: in.jsonl: x\n\x1b[31my: the text has 60000 words, and max_words is 50000"
    ]


# Stopping, and going on


GROWING = ["jsonl", "csv", "nt", "data", "pubtator"]


class Stopped(InputError):
    """What a command ends with."""


def stopped_after(monkeypatch, times):
    """Let what is written be brought to the disk so many times, and no more."""
    keep, calls = ResumableWriter.checkpoint, []

    def stopping(self, done):
        calls.append(done)
        if len(calls) > times:
            raise Stopped("stopped")
        keep(self, done)

    monkeypatch.setattr(ResumableWriter, "checkpoint", stopping)


def with_bad_lines(here, count, name="in.jsonl"):
    """A file of documents, where after the first and every third there is one that cannot be read."""
    write_documents(documents(count), here / name)
    lines = (here / name).read_text().splitlines(keepends=True)
    for number in range(count, 0, -3):
        lines.insert(number, f'{{"id": "bad {number}"}}\n')
    (here / name).write_text("".join(lines))
    return len(lines) - count


@pytest.mark.parametrize("ending", GROWING)
@pytest.mark.parametrize("times", [0, 1, 3])
def test_what_was_stopped_goes_on_and_ends_as_if_it_had_not_been(
    run, here, capsys, monkeypatch, ending, times
):
    """Nothing is lost, nothing comes twice, errors are counted once, and the summary is the same."""
    bad = with_bad_lines(here, 10)
    options = ["input=in.jsonl", "chunk=2", *(["threshold=1"] if ending == "data" else [])]
    assert extracted(run, *options, f"output=whole.{ending}") == bad
    whole, said = (here / f"whole.{ending}").read_bytes(), capsys.readouterr()
    with monkeypatch.context() as patch:
        stopped_after(patch, times)
        with pytest.raises(Stopped):
            extracted(run, *options, f"output=out.{ending}")
    out = capsys.readouterr().out
    assert (f"out.{ending}.part: {2 * times} documents; the same command resumes after them" in out) == (
        times > 0
    )
    assert not (here / f"out.{ending}").exists()
    assert (here / f"out.{ending}.part").exists() == (times > 0)

    assert extracted(run, *options, f"output=out.{ending}") == bad
    assert (here / f"out.{ending}").read_bytes() == whole
    again = capsys.readouterr()
    assert (f"resuming after {2 * times} documents" in again.out) == (times > 0)
    counts = [text.out.splitlines()[-1].split(":")[1].split(";")[0] for text in (said, again)]
    assert counts[0] == counts[1]
    assert (
        len(again.err.splitlines()) == bad - (2 * times + 1) // 3
    )  # those that were passed over are not said again
    assert {path.name for path in here.iterdir()} >= {f"out.{ending}", f"whole.{ending}"}
    assert not [path for path in here.iterdir() if path.suffix in (".part", ".progress")]


@pytest.mark.parametrize(
    "change",
    [["threshold=0.9"], ["resume=false"], ["reasons=true"]],
)
def test_with_another_setting_it_begins_anew(run, here, capsys, monkeypatch, change):
    write_documents(documents(6), here / "in.jsonl")
    with monkeypatch.context() as patch:
        stopped_after(patch, 1)
        with pytest.raises(Stopped):
            extracted(run, "input=in.jsonl", "chunk=2", "output=out.jsonl")
    capsys.readouterr()
    extracted(run, "input=in.jsonl", "chunk=2", "output=out.jsonl", *change)
    assert "resuming" not in capsys.readouterr().out
    assert [each.id for each in read_documents(here / "out.jsonl")] == [each.id for each in documents(6)]


def test_with_another_input_or_a_broken_part_it_begins_anew(run, here, capsys, monkeypatch):
    for damage in ("input", "part", "progress"):
        write_documents(documents(6), here / "in.jsonl")
        with monkeypatch.context() as patch:
            stopped_after(patch, 1)
            with pytest.raises(Stopped):
                extracted(run, "input=in.jsonl", "chunk=2", "output=out.jsonl")
        capsys.readouterr()
        if damage == "input":
            write_documents(documents(7)[1:], here / "in.jsonl")
        elif damage == "part":
            (here / "out.jsonl.part").write_text("")
        else:
            (here / "out.jsonl.progress").write_text("{}")
        extracted(run, "input=in.jsonl", "chunk=2", "output=out.jsonl")
        assert "resuming" not in capsys.readouterr().out
        ids = [each.id for each in read_documents(here / "in.jsonl")]
        assert [each.id for each in read_documents(here / "out.jsonl")] == ids


def test_results_stand_on_the_disk_as_they_come(run, here, monkeypatch):
    write_documents(documents(6), here / "in.jsonl")
    seen, keep = [], ResumableWriter.checkpoint

    def looking(self, done):
        keep(self, done)
        seen.append(len((here / "out.jsonl.part").read_text().splitlines()))

    monkeypatch.setattr(ResumableWriter, "checkpoint", looking)
    extracted(run, "input=in.jsonl", "chunk=2", "output=out.jsonl")
    assert seen == [2, 4, 6]


def test_strict_ends_at_the_first_error(run, here):
    with_bad_lines(here, 4)
    with pytest.raises(InputError, match=r"^in.jsonl:2: bad 1: text: missing$"):
        extracted(run, "input=in.jsonl", "output=out.jsonl", "strict=true")
    assert not [*here.glob("out*")]


# Several processes


TWO_PROCESSES = """
import sys
from pathlib import Path

import torch

sys.path.insert(0, {tests!r})
import test_pipeline as tests
from glre_pyg.runs.run import Run
from glre_pyg.utils.exceptions import InputError

graphs = Run.graphs


def failing(self, documents, **options):
    bad = [each.id for each in documents if each.id in {bad!r}]
    if bad:
        raise InputError(f"{{bad[0]}}: needs more memory")
    return graphs(self, documents, **options)


Run.graphs = failing
run = tests.run.__wrapped__()
sys.stdout.write(f'{{tests.extracted(run, "input=in.jsonl", "output=two.jsonl", "chunk=3")}}\\n')
torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_errors_in_one_of_two_processes_are_counted_and_the_others_are_written(run, here):
    """The shares of the processes differ in length, and so do their errors."""
    given = documents(5)
    write_documents(given, here / "in.jsonl")
    bad = [given[0].id, given[2].id]  # both in the share of the first process
    (here / "script.py").write_text(TWO_PROCESSES.format(tests=str(Path(__file__).parent), bad=bad))
    out, err = run_two(here / "script.py", cwd=here)
    assert re.findall(r"^\d+$", out, re.MULTILINE) == ["2", "2"]
    assert [line for line in err.splitlines() if line.startswith("error: ")] == [
        f"error: {name}: needs more memory" for name in bad
    ]
    extracted(run, "input=in.jsonl", "output=one.jsonl", "chunk=3")
    kept = [each for each in read_documents(here / "one.jsonl") if each.id not in bad]
    for one, two in zip(kept, read_documents(here / "two.jsonl"), strict=True):
        assert (one.id, [fact.relation for fact in one.facts]) == (two.id, [f.relation for f in two.facts])
