import json
from pathlib import Path

import pytest

from glre_pyg.data.document import Fact, Mention
from glre_pyg.datasets import GDA
from glre_pyg.formats.eog_data import read_eog, write_eog
from glre_pyg.formats.renet import read_gda
from glre_pyg.utils.exceptions import InputError

ABSTRACTS = """\
10000001
GEN1 and tumors.
We found GEN1 in Tumors and in fever. GEN2 was absent.

10000002
A title without an abstract on GEN2.

10000003
An abstract.
No mention here.

"""
ANNOTATIONS = """\
10000001\t0\t4\tGEN1\tGene\t672
10000001\t9\t15\ttumors\tDisease\tD009369|D000001
10000001\t26\t30\tGEN1\tGene\t672
10000001\t34\t40\ttumors\tDisease\tD009369
10000001\t48\t53\tfever\tDisease\t-1
10000001\t55\t59\tGEN2\tGene\t675

10000002\t31\t35\tGEN2\tGene\t675

"""
LABELS = """\
pmid,geneId,diseaseId,label
10000001,672,D009369,1
10000001,675,D009369,0
10000001,672,D009369,1
"""


def save(folder: Path, abstracts=ABSTRACTS, annotations=ANNOTATIONS, labels=LABELS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("abstracts.txt", abstracts), ("anns.txt", annotations), ("labels.csv", labels)):
        if content is not None:
            (folder / name).write_text(content)
    return folder


@pytest.fixture
def published(tmp_path):
    for name in ("training_data", "testing_data"):
        save(tmp_path / name)
    return tmp_path


def corpus(root, **given):
    fields = {"train": None, "dev": None, "test": None, "train_ids": None, "dev_from_train": 0} | given
    return GDA(root=str(root), **fields)


def test_miniature(tmp_path):
    first, second, third = read_gda(save(tmp_path))
    assert first.text == "GEN1 and tumors. We found GEN1 in Tumors and in fever. GEN2 was absent."
    assert first.sections == ((0, 16), (17, 71))
    assert first.mentions[1] == Mention(9, 15, "Disease", ("D009369", "D000001"))
    assert first.mentions[3] == Mention(34, 40, "Disease", ("D009369",), ("tumors",))  # in small letters
    assert first.mentions[4] == Mention(48, 53, "Disease", ())
    assert [(entity.id, len(entity.mentions)) for entity in first.entities] == [
        ("672", 2),
        ("D000001", 1),
        ("D009369", 2),
        ("675", 1),
    ]
    assert len(first.sentences) == 3
    assert first.facts == (Fact("672", "GDA", "D009369"),)
    assert (second.text, second.facts) == ("A title without an abstract on GEN2.", ())
    assert (third.text, third.mentions) == ("An abstract. No mention here.", ())


@pytest.mark.parametrize(
    "labels",
    [
        "pmid,diseaseId,geneId,label\n10000001,D009369,672,1\n",
        "pmid,geneId,diseaseId,label\r\n10000001,672,D009369,1.0\r\n",
        "a,b,c,d\n10000001,672,D009369,1\n",
        "10000001,672,D009369,1\n",
    ],
)
def test_columns_of_labels(tmp_path, labels):
    first = next(read_gda(save(tmp_path, labels=labels)))
    assert first.facts == (Fact("672", "GDA", "D009369"),)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"abstracts": ""}, "abstracts.txt: there are no documents in this file"),
        (
            {"abstracts": "A title\n"},
            "abstracts.txt:1: A title: id: the first line is not an identifier in digits",
        ),
        (
            {"abstracts": "7\na\nb\nc\n"},
            "abstracts.txt:1: 7: text: 3 lines, not a title and an abstract",
        ),
        ({"abstracts": "7\n8\nb\n"}, "abstracts.txt:1: 7: text: 0 lines, not a title and an abstract"),
        (
            {"abstracts": ABSTRACTS + ABSTRACTS},
            "abstracts.txt:12: 10000001: a document of this identifier was in the file before",
        ),
        (
            {"annotations": "10000001\t0\t4\tGEN1\tGene\n"},
            "anns.txt:1: 10000001: a mention has 6 or 7 columns, this line 5",
        ),
        (
            {"annotations": "10000001\t0\t4.5\tGEN1\tGene\t1\n"},
            "anns.txt:1: 10000001: end '4.5' of mention 'GEN1' is not an integer",
        ),
        (
            {"annotations": "10000001\t0\t400\tGEN1\tGene\t1\n"},
            "anns.txt:1: 10000001: mention 'GEN1' ends after the text",
        ),
        (
            {"annotations": "10000001\t1\t5\tGEN1\tGene\t1\n"},
            "anns.txt:1: 10000001: mention 'GEN1' is not at 1 to 5, there is 'EN1 '",
        ),
        (
            {"labels": "h,h,h,h\n10000001,672,D7,1\n"},
            "labels.csv:2: 10000001: diseaseId: no mention of a disease has 'D7'",
        ),
        (
            {"labels": "10000001,D009369,672,1\n"},
            "labels.csv:1: 10000001: geneId: no mention of a gene has 'D009369'",
        ),
        (
            {"labels": "10000001,672,D009369,yes\n"},
            "labels.csv:1: 10000001: label: 'yes' is neither 0 nor 1",
        ),
        ({"labels": "10000001,672\n"}, "labels.csv:1: 10000001: label: a row has 4 columns, this one 2"),
        (
            {"annotations": ANNOTATIONS + "7\t0\t4\tGEN1\tGene\t1\n"},
            "anns.txt:10: 7: no document of this identifier is in abstracts.txt",
        ),
    ],
)
def test_errors(tmp_path, files, message):
    with pytest.raises(InputError) as caught:
        list(read_gda(save(tmp_path, **files)))
    assert str(caught.value) == message


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"labels\.csv: no such file$"):
        list(read_gda(save(tmp_path, labels=None)))


def test_what_is_refused_is_told_and_left_out(tmp_path):
    annotations = "10000001\t1\t5\tGEN1\tGene\t1\n"
    told: list[InputError] = []
    documents = read_gda(save(tmp_path, annotations=annotations), on_error=told.append)
    assert [document.id for document in documents] == ["10000002", "10000003"]
    assert [str(error)[:44] for error in told] == ["anns.txt:1: 10000001: mention 'GEN1' is not "]


@pytest.mark.parametrize("name", ["abstracts.txt", "anns.txt", "labels.csv"])
def test_a_line_that_is_not_utf_8_costs_its_document_alone(tmp_path, name):
    save(tmp_path)
    raw = (tmp_path / name).read_bytes()
    place = raw.index(b"10000001") + 9
    (tmp_path / name).write_bytes(raw[:place] + b"\xff" + raw[place:])
    told: list[InputError] = []
    documents = read_gda(tmp_path, on_error=told.append)
    assert [document.id for document in documents] == ["10000002", "10000003"]
    [error] = told
    assert str(error).split(": ", 1)[1].startswith("10000001: line: byte ")


def test_dev_is_what_the_list_leaves(published, tmp_path):
    (tmp_path / "ids").write_text("10000003\n10000001\n99\n")
    split = corpus(published, train_ids=str(tmp_path / "ids"))
    assert [document.id for document in split.documents("train")] == ["10000001", "10000003"]
    assert [document.id for document in split.documents("dev")] == ["10000002"]
    assert len(split.documents("test")) == 3
    files = split.files()
    assert all(path.is_file() for path in files.values())
    assert files["train_ids"] == tmp_path / "ids"
    assert json.dumps(sorted(files))  # names, as they are kept with a run


def test_dev_drawn_from_train(published):
    drawn = corpus(published, dev_from_train=1)
    parts = [{document.id for document in drawn.documents(split)} for split in ("train", "dev")]
    assert [len(part) for part in parts] == [2, 1]
    assert not parts[0] & parts[1]


def test_candidates_are_genes_and_diseases(published):
    gda = corpus(published, dev_from_train=1)
    first = gda.documents("test")[0]
    assert gda.labels.candidates(first) == [
        ("672", "D000001"),
        ("672", "D009369"),
        ("675", "D000001"),
        ("675", "D009369"),
    ]


def test_files_of_another_format(published, tmp_path):
    path = tmp_path / "test.data"
    write_eog(read_gda(published / "testing_data"), path, pair_types=[("Gene", "Disease")])
    other = corpus(published, test=str(path), dev_from_train=1)
    assert other.documents("test") == list(read_eog(path))
    assert other.documents("test")[0].facts == (Fact("672", "GDA", "D009369"),)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dev": "x", "dev_from_train": 1}, "dataset.dev: give one of dev, train_ids and dev_from_train"),
        ({"train_ids": "nowhere"}, "dataset.train_ids: nowhere: "),
        ({}, "dataset.dev: GDA has none of its own; give dev, train_ids or dev_from_train"),
    ],
)
def test_what_dev_is_has_to_be_said(published, given, message):
    with pytest.raises(InputError, match=f"^{message}"):
        corpus(published, **given).documents("dev")
