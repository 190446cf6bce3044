"""brat's standoff form: what its lines are read as, what is left out and refused, round trips."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from documents import random_documents
from glre_pyg.data.document import Document, Fact
from glre_pyg.data.segmentation import segment
from glre_pyg.extraction.inputs import Inputs
from glre_pyg.formats.brat import read_brat, write_brat
from glre_pyg.formats.conversion import convert
from glre_pyg.formats.detection import detect_format, read_documents, sources_of
from glre_pyg.formats.jsonl import read_jsonl, write_jsonl
from glre_pyg.utils.exceptions import InputError, WithoutFacts, note

TEXT = "Velorin 😀 raised\nhead and neck rash. Velorin helped.\n"
ANN = """\
T1\tChemical 0 7\tVelorin
T2\tDisease 17 21;31 35\thead rash
T3\tChemical 37 44\tVelorin
T4\tTrigger 10 16\traised
E1\tTrigger:T4 Cause:T1 Theme:T2
A1\tNegated E1
*\tEquiv T1 T3
N1\tReference T2 MESH:D1\trash
R1\tCID Arg1:T3 Arg2:T2
R2\tCID Arg1:T1 Arg2:T2
R3\tLater Arg1:E1 Arg2:T2
#1\tAnnotatorNotes R1\t0.9\tsure
#2\tAnnotatorNotes T1\tnote
"""


def pair(folder: Path, ann: str = ANN, text: str = TEXT, name: str = "7") -> Path:
    (folder / f"{name}.txt").write_bytes(text.encode())
    (folder / f"{name}.ann").write_bytes(ann.encode())
    return folder / f"{name}.ann"


def error_of(folder: Path, ann: str, text: str = TEXT) -> str:
    with pytest.raises(InputError) as caught:
        list(read_brat(pair(folder, ann, text)))
    return str(caught.value)


@pytest.mark.parametrize("given", ["7.ann", "7.txt", "."])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_of_each_kind(given, end, tmp_path, capsys):
    note.cache_clear()
    pair(tmp_path, ANN.replace("\n", end))
    (found,) = read_documents(tmp_path / given)
    assert (found.id, found.text) == ("7", TEXT)
    assert [found.text[mention.start : mention.end] for mention in found.mentions] == [
        "Velorin",
        "head and neck rash",
        "Velorin",
    ]
    assert [mention.ids for mention in found.mentions] == [("T1",), ("MESH:D1",), ("T1",)]
    assert found.facts == (Fact("T1", "CID", "MESH:D1", ("0.9", "sure")),)
    name = tmp_path.name if given == "." else given
    assert sorted(capsys.readouterr().err.splitlines()) == [
        f"note: {name}: attributes and relations without arguments, which are left out: 1",
        f"note: {name}: events, which are left out: 1",
        f"note: {name}: mentions in several pieces, which are read from the first to the last: 1",
        f"note: {name}: relations of events, which are left out: 1",
    ]


def test_line_ends_that_offsets_do_not_count(tmp_path):
    left_out = WithoutFacts(None, Counter())
    file = pair(tmp_path, ANN + "R9\tCID\n", TEXT.replace("\n", "\r\n"))
    (found,) = read_brat(file, on_error=left_out)
    assert found.text == TEXT
    assert left_out.left_out == {"facts": 1}


def test_entities_without_identifier_with_several_and_of_others(tmp_path):
    text = "a b c d"
    lines = ["T1\tX 0 1\ta", "T2\tX 2 3\tb", "T3\tX 4 5\tc", "T4\tX 6 7\td", "N1\tReference T2 id:Q\tb"]
    lines += ["N2\tReference T2 M:1\tb", "A1\tUnlinked T3", "*\tEquiv T1 T4", "*\tEquiv T4 T2"]
    (found,) = read_brat(pair(tmp_path, "\n".join(lines), text))
    assert [mention.ids for mention in found.mentions] == [("Q",), ("Q",), (), ("Q",)]
    (found,) = read_brat(pair(tmp_path, "\n".join(lines[:-2]), text))
    assert [mention.ids for mention in found.mentions] == [("T1",), ("Q", "M:1"), (), ("T4",)]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("T1\tX 0 7\tvelorin", "mention 'velorin' is not at 0 to 7, there is 'Velorin'"),
        ("T1\tX 0 99\tVelorin", "mention 'Velorin' at 0 to 99 is empty or ends after the text"),
        ("T1\tX 0-7\tVelorin", "not a line of brat's form, or the wrong number of fields"),
        ("hello", "not a line of brat's form, or the wrong number of fields"),
        ("T9\tChemical 0 7\tVelorin\nT9\tChemical 0 7\tVelorin", "mention 'T9' is there twice"),
        ("R1\tCID Arg1:T8 Arg2:T8", "there is no mention 'T8'"),
    ],
)
def test_wrong_lines(line, what, tmp_path):
    assert error_of(tmp_path, line) == f"7.ann:{line.count(chr(10)) + 1}: 7: {what}"


def test_wrong_references_and_files(tmp_path):
    assert (
        error_of(tmp_path, "N1\tReference T1 A:1\tx")
        == "7.ann: 7: there is no mention 'T1', which another line names"
    )
    (tmp_path / "7.txt").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"^7\.ann: 7: byte 1 of 7\.txt is not UTF-8$"):
        list(read_brat(tmp_path / "7.ann"))
    (tmp_path / "7.txt").unlink()
    with pytest.raises(InputError, match=r"^7\.ann: 7: its text, 7\.txt, is not beside it$"):
        list(read_brat(tmp_path / "7.ann"))


def test_a_folder_is_a_corpus_and_an_input(tmp_path):
    for name in ("1", "2"):
        pair(tmp_path, name=name)
    assert detect_format(tmp_path) == "brat"
    assert sources_of(tmp_path / "1.ann") == [tmp_path / "1.txt", tmp_path / "1.ann"]
    inputs = Inputs(
        read_corpus=lambda path, on_error: read_documents(path, on_error=on_error),
        format=None, passages=None, segmenter=segment, finder=None, max_words=100, recursive=False, on_error=pytest.fail,
    )  # fmt: skip
    assert [document.id for document in inputs.documents(str(tmp_path))] == ["1", "2"]
    assert [document.id for document in inputs.documents(str(tmp_path / "2.txt"))] == ["2"]


def bare(found: Document) -> Document:
    """A document as brat's form gives it: one fact of a kind between two entities that have a mention alone."""
    alone = {mention.ids[0] for mention in found.mentions if len(mention.ids) == 1}
    facts = {(fact.head, fact.relation, fact.tail): fact for fact in found.facts}
    kept = tuple(fact for fact in facts.values() if {fact.head, fact.tail} <= alone)
    return replace(found, facts=kept, sections=())


def test_to_brat_and_back(tmp_path):
    from test_convert import segmented

    documents = [bare(segmented(replace(each, sections=()))) for each in random_documents(20)]

    documents = [
        replace(each, words=words, sentences=sentences)
        for each in documents
        for words, sentences in [segment(each.text, [mention.span for mention in each.mentions])]
    ]
    some = documents[0]
    documents[0] = replace(
        some,
        mentions=(
            *some.mentions,
            replace(some.mentions[0], ids=()),
            replace(some.mentions[0], ids=("A:1", "id:2")),
        ),
        facts=tuple(replace(fact, extra=("0.5", "x")) for fact in some.facts),
    )
    write_jsonl(documents, tmp_path / "a.jsonl")
    convert(tmp_path / "a.jsonl", tmp_path / "b.brat")
    convert(tmp_path / "b.brat", tmp_path / "c.jsonl")
    back = list(read_jsonl(tmp_path / "c.jsonl"))
    assert back == sorted(documents, key=lambda each: each.id)
    with pytest.raises(InputError, match="Is a directory"):
        convert(tmp_path / "a.jsonl", tmp_path / "b.brat")


def test_what_brat_cannot_hold(tmp_path):
    (found,) = read_brat(pair(tmp_path, "T1\tX 0 7\tVelorin"))
    with pytest.raises(
        InputError, match=r"^a/b: brat cannot hold this identifier, which would be the name of a "
    ):
        write_brat([replace(found, id="a/b")], tmp_path / "o")
    write_brat([replace(found, id="../a/b"), replace(found, id=".x")], tmp_path / "o", lossy=True)
    assert sorted(file.name for file in (tmp_path / "o").iterdir()) == [
        "%2E.%2Fa%2Fb.ann", "%2E.%2Fa%2Fb.txt", "%2Ex.ann", "%2Ex.txt",
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"another document has this identifier"):
        write_brat([found, found], tmp_path / "p")
    spaced = replace(found, mentions=(replace(found.mentions[0], type="a b"),))
    with pytest.raises(InputError, match=r"^7: brat cannot hold type or relation 'a b'$"):
        write_brat([spaced], tmp_path / "p")
    assert not (tmp_path / "p").exists()
