import json
import os
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from commands import run
from documents import document
from glre_pyg.datasets import CDR, DWIE, BioRED, DocRED, EoG, Files, ReDocRED
from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.datasets.user_files import collect_labels
from glre_pyg.evaluation.corpus_statistics import count, differences, format_table
from glre_pyg.formats.eog_data import write_eog
from glre_pyg.formats.jsonl import write_jsonl
from glre_pyg.stats import stats
from glre_pyg.utils.exceptions import InputError

GIVEN = {"root": None, "train": None, "dev": None, "test": None, "dev_from_train": 0}


def written(folder, name, *documents):
    path = folder / name
    write_eog(documents, path)
    return str(path)


def small(name, fact=True):
    mentions = [(0, 1, "Chemical", "C"), (2, 3, "Disease", "D"), (4, 5, "Disease", "E")]
    return document(["a causes b", ". c"], mentions, [("C", "CID", "D")] * fact, name=name)


def run_stats(dataset, output=None):
    return stats(OmegaConf.create({"dataset": dataset, "output": output, "cache": False, "strict": True}))


# Counts -----------------------------------------------------------------------------------------------------


def test_count_by_hand():
    rows = count([small("1"), small("2", fact=False)], lambda each: [("C", "D"), ("C", "E")])
    assert rows == {
        "documents": 2,
        "sentences": 4,
        "words": 10,
        "mentions": 6,
        "entities": 6,
        "positive": 1,
        "negative": 3,
        "left out": 0,
    }


def test_facts_of_pairs_without_direction():
    """A fact that names its entities the other way round is no negative."""
    made = document(["a b"], [(0, 1, "Gene", "A"), (1, 2, "Gene", "B")], [("B", "x", "A")])

    def first(each):
        return [("A", "B")]

    assert count([made], first, directed=False)["negative"] == 0
    assert count([made], first, directed=True)["negative"] == 1


def test_unknown_facts_are_not_counted():
    row = count([small("1", fact=False)], lambda each: [("C", "D")], labelled=False)
    assert (row["positive"], row["negative"], row["left out"], row["entities"]) == (None, None, None, 3)
    assert format_table({"test": row}).splitlines()[1].split()[-3:] == ["-", "-", "-"]


def test_differences():
    rows = {"dev": {"documents": 998, "positive": 12_275, "negative": None}}
    published = {
        "train": {"documents": 3_053},
        "dev": {"documents": 998, "positive": 12_332, "negative": 7},
    }
    assert differences(rows, published, "a") == ["dev: 12,275 facts, published 12,332 (a)"]
    rows["dev"]["positive"] = 12_332
    assert differences(rows, published) == ["all published counts agree: 2"]
    assert differences(rows, {}) == []


# The command ------------------------------------------------------------------------------------------------


def eog(folder, **files):
    return {"_target_": "glre_pyg.datasets.EoG", **GIVEN, "root": str(folder), **files}


def test_stats_count_facts_of_no_candidate_pair(tmp_path, capsys):
    mentions = [(0, 1, "Chemical", "C"), (2, 3, "Disease", "D")]
    given = document(["a causes b"], mentions, [("C", "CID", "D"), ("D", "CID", "C"), ("C", "CID", "C")])
    write_jsonl([given], tmp_path / "train.jsonl")
    files = {"_target_": "glre_pyg.datasets.Files", "name": "mine", "root": None, "dev": None, "test": None}
    files |= {"dev_from_train": 0, "relations": ["CID"], "types": ["Chemical", "Disease"], "directed": True}
    run_stats({**files, "train": str(tmp_path / "train.jsonl"), "pair_types": [["Chemical", "Disease"]]})
    assert "train: 2 of 3 facts are of no candidate pair\n" in capsys.readouterr().out


def test_stats_of_what_is_there(tmp_path, capsys):
    test = written(tmp_path, "test.data", small("1"), small("2", fact=False))
    rows = run_stats(eog(tmp_path, test=test), str(tmp_path / "rows.json"))
    assert list(rows) == ["test"]
    assert json.loads((tmp_path / "rows.json").read_text()) == rows
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "eog, protocol eog"
    assert out[2].split() == ["test", "2", "4", "10", "6", "6", "1", "3", "0"]
    assert out[3] == f"train: not read: {tmp_path}/processed/train_filter.data: no such file"
    assert out[4] == f"dev: not read: {tmp_path}/processed/dev_filter.data: no such file"
    assert out[5:8] == [
        "test: 2 documents, published 500 (EoG)",
        "test: 1 fact, published 1,066 (EoG)",
        "test: 3 negative pairs, published 4,138 (EoG)",
    ]
    assert out[8] == "test: entity order alone: F1 0.667 in file order, 0.667 in text order"
    assert len(out) == 9


def test_stats_without_any_file(tmp_path):
    with pytest.raises(InputError, match=r"train_filter\.data: no such file"):
        run_stats(eog(tmp_path))


def docred(folder, name, labels=True, kinds="LOC"):
    vertices = [
        [{"name": "a", "pos": [0, 1], "sent_id": 0, "type": kinds}],
        [{"name": "b", "pos": [3, 4], "sent_id": 0, "type": "ORG"}],
    ]
    record = {"title": name, "sents": [["a", "is", ".", "b", "goes", "."]], "vertexSet": vertices}
    if labels:
        record["labels"] = [{"h": 0, "t": 1, "r": "P17", "evidence": [0]}] * 2
    path = folder / name
    path.write_text(json.dumps([record]))
    return str(path)


def test_stats_of_an_unlabelled_split(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        DocRED, "official", lambda self, split: Path(docred(tmp_path, f"{split}.json", split != "test"))
    )
    rows = run_stats({"_target_": "glre_pyg.datasets.DocRED", **GIVEN, "ignore": "train"})
    assert (rows["test"]["positive"], rows["dev"]["positive"], rows["dev"]["negative"]) == (None, 1, 1)
    out = capsys.readouterr().out
    assert "dev: 1 fact, published 12,332 (paper, Table 1)" in out
    assert "test: 1 document, published 1,000 (paper, Table 1)" in out
    assert "test: order" not in out
    assert out.splitlines()[4].split()[-3:] == ["-", "-", "-"]


# Corpora ----------------------------------------------------------------------------------------------------


def test_labels_are_those_of_the_training_file(tmp_path):
    train = docred(tmp_path, "train.json", kinds="gpe")
    dwie = DWIE(**GIVEN | {"train": train}, ignore="train")
    assert (dwie.labels.relations, dwie.labels.types) == (("P17",), ("ORG", "gpe"))
    assert dwie.labels.pair_types is None
    only = Files(
        **GIVEN | {"train": train},
        name="f",
        relations=None,
        types=["gpe", "ORG"],
        pair_types=None,
        directed=False,
    )
    assert (only.labels.relations, only.labels.types, only.labels.directed) == (
        ("P17",),
        ("gpe", "ORG"),
        False,
    )


def test_candidate_pairs_have_types_of_the_corpus(tmp_path):
    files = Files(
        **GIVEN | {"train": docred(tmp_path, "train.json", kinds="gpe")},
        name="f",
        relations=None,
        types=None,
        pair_types=[["ORG", "GPE"]],
        directed=True,
    )
    with pytest.raises(
        InputError, match=r"dataset.pair_types: 'GPE' is not one of the entity types: ORG, gpe"
    ):
        _ = files.labels


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ("dataset.pair_types=[[Chemical]]", "dataset.pair_types: '[['Chemical']]' is not a list of "),
        ("dataset.pair_types=[[A,B,C]]", "dataset.pair_types: '[['A', 'B', 'C']]' is not a list of "),
        ("dataset.pair_types=[]", "dataset.pair_types: the list is empty; null takes those of the files\n"),
        ("dataset.relations=[]", "dataset.relations: the list is empty; null takes those of the files\n"),
        ("dataset.pair_types=[[A (x),B]]", "dataset.pair_types: 'A (x)' is not one of the entity types: "),
    ],
)
def test_pair_types_and_relations_are_checked(tmp_path, settings, line):
    write_jsonl(SyntheticCorpus().generate("train", 2), tmp_path / "a.jsonl")
    files = [f"dataset.{split}=a.jsonl" for split in ("train", "dev", "test")]
    _, err = run("stats", "dataset=files", *files, settings, cwd=tmp_path, code=2)
    assert err.startswith(f"error: {line}")


def test_mentions_without_identifier_of_your_own_files_may_be_joined_by_name(tmp_path):
    path = tmp_path / "train.pubtator"
    path.write_text("1|t|Rash or rash\n1\t0\t4\tRash\tDisease\n1\t8\t12\trash\tDisease\n\n")
    given = GIVEN | {"train": str(path), "name": "f", "relations": None, "types": None, "pair_types": None}
    for unlinked, ids in (("drop", ()), ("name", ("rash",))):
        [found] = Files(**given, directed=True, unlinked=unlinked).documents("train")
        assert [mention.ids for mention in found.mentions] == [ids, ids]


def test_collect_labels_documents_held_out_for_dev_count(tmp_path):
    """A relation that only those have is no error when they are scored."""
    documents = [
        small("1"),
        document(["a b"], [(0, 1, "Chemical", "C"), (1, 2, "Disease", "D")], [("C", "X", "D")]),
    ]
    for kept in (1, 2):
        path = written(tmp_path, f"{kept}.data", *documents[:kept])
        assert collect_labels(documents[:kept]).relations == ("CID", "X")[:kept]
        files = Files(
            **GIVEN | {"train": path}, name="f", relations=None, types=None, pair_types=None, directed=True
        )
        files.dev_from_train = kept - 1
        assert files.labels.relations == ("CID", "X")[:kept]


def test_dwie_is_cut_into_sentences(tmp_path):
    dwie = DWIE(**GIVEN | {"test": docred(tmp_path, "test.json")}, ignore="train")
    (made,) = dwie.documents("test")
    assert len(made.sentences) == 2
    assert all(not fact.evidence for fact in made.facts)


def test_eog_looks_into_root_and_processed(tmp_path):
    corpus = EoG(**GIVEN | {"root": str(tmp_path)})
    plain = written(tmp_path, "dev_filter.data", small("1"))
    assert corpus.official("dev") == Path(plain)
    (tmp_path / "processed").mkdir()
    inside = written(tmp_path / "processed", "dev_filter.data", small("1"))
    assert corpus.official("dev") == Path(inside)


def test_eog_needs_a_place(monkeypatch):
    monkeypatch.delenv("GLRE_DATA", raising=False)
    with pytest.raises(InputError, match=r"^dataset.dev: no file is given, and neither dataset.root nor"):
        EoG(**GIVEN).documents("dev")


DATA = os.environ.get("GLRE_DATA", "")
REAL = [
    (EoG, {}, "CDR/processed/train_filter.data", ["train", "dev", "test"]),
    (CDR, {"protocol": "bran"}, "CDR/CDR_TestSet.PubTator.txt", ["test"]),
    (ReDocRED, {"ignore": "train"}, "Re-DocRED/dev_revised.json", ["dev"]),
    (BioRED, {}, "BioRED/Dev.PubTator", ["dev"]),
]


@pytest.mark.slow
@pytest.mark.skipif("GLRE_DATA" not in os.environ, reason="GLRE_DATA names no folder with the corpora")
@pytest.mark.parametrize(
    ("corpus", "fields", "file", "splits"), REAL, ids=lambda value: getattr(value, "name", "")
)
def test_published_counts(corpus, fields, file, splits):
    if not (Path(DATA) / file).is_file():
        pytest.skip(f"GLRE_DATA has no {file}")
    made = corpus(**GIVEN, **fields)
    labels = made.labels
    rows = {
        split: count(made.documents(split), labels.candidates, directed=labels.directed) for split in splits
    }
    lines = differences(rows, made.published, made.source)
    assert len(lines) == 1
    assert lines[0].startswith("all ")


@pytest.mark.slow
@pytest.mark.skipif("GLRE_DATA" not in os.environ, reason="GLRE_DATA names no folder with CDR/processed")
def test_stats_warns_of_published_files(tmp_path):
    if not (Path(DATA) / "CDR/processed/test_filter.data").is_file():
        pytest.skip("GLRE_DATA has no CDR/processed")
    out, _ = run("stats", "dataset=eog", cwd=tmp_path)
    assert "test: entity order alone: F1 0.730 in file order, 0.435 in text order" in out
    assert out.count("WARNING") == 3
    assert "all published counts agree: 9 (EoG)" in out
