"""One format to another: what both can hold comes back equal, and what one cannot hold is an error."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from commands import run, small_files
from documents import random_document, random_documents
from glre_pyg.data.document import Document, Fact, Mention, Sentence
from glre_pyg.data.segmentation import segment
from glre_pyg.formats.conversion import Converted, convert
from glre_pyg.formats.detection import FORMATS, detect_format, read_documents, write_documents
from glre_pyg.formats.docred_json import read_docred, write_docred
from glre_pyg.formats.jsonl import read_jsonl, write_jsonl
from glre_pyg.formats.lossless import difference
from glre_pyg.formats.pubtator import read_pubtator
from glre_pyg.formats.pubtator_writer import write_pubtator
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.files import WriteError

BIORED = """\
5|t|Velmorine and ostamide.
5|a|They eased rash (p<.05), a daily dose.
5\t0\t9\tVelmorine\tChemicalEntity\tC1,C2
5\t14\t22\tostamide\tChemicalEntity\t-
5\t35\t39\trash\tDiseaseOrPhenotypicFeature\tD|1
5\tNegative_Correlation\tC1\tD|1\tNovel

"""


def segmented(found: Document) -> Document:
    """A document as PubTator gives it: two sections, the segmenter's words, none of the mentions across a section."""
    cut = found.text.index(" ", len(found.text) // 3)
    sections = ((0, cut), (cut + 1, len(found.text)))
    words, sentences = segment(found.text, [mention.span for mention in found.mentions], sections)
    return replace(found, words=words, sentences=sentences, sections=sections)


def numbered(found: Document) -> Document:
    """A document as DocRED gives it: entities are numbered, mentions ordered by entity, facts have evidence."""
    place = {entity.id: str(number) for number, entity in enumerate(reversed(found.entities))}
    mentions = sorted(
        (
            replace(mention, ids=(place[identifier],))
            for mention in found.mentions
            for identifier in mention.ids
        ),
        key=lambda mention: int(mention.ids[0]),
    )
    facts = (
        replace(fact, head=place[fact.head], tail=place[fact.tail], evidence=(0, 1)) for fact in found.facts
    )
    return replace(found, mentions=tuple(mentions), facts=tuple(facts))


def test_jsonl_to_docred_and_back(tmp_path):
    documents = [numbered(found) for found in random_documents(30, entities=(2, 12))]
    write_jsonl(documents, tmp_path / "a.jsonl")
    counts = convert(tmp_path / "a.jsonl", tmp_path / "b.json")
    assert counts == Converted(
        30, sum(len(each.mentions) for each in documents), sum(len(each.facts) for each in documents)
    )
    assert list(read_docred(tmp_path / "b.json")) == documents
    convert(tmp_path / "b.json", tmp_path / "c.jsonl")
    assert (tmp_path / "c.jsonl").read_bytes() == (tmp_path / "a.jsonl").read_bytes()


def test_pubtator_to_jsonl_and_back_byte_for_byte(tmp_path):
    documents = [segmented(found) for found in random_documents(30)]
    facts = [replace(fact, extra=("Novel",)) for fact in documents[0].facts]
    write_pubtator([replace(documents[0], facts=tuple(facts)), *documents[1:]], tmp_path / "a.pubtator")
    convert(tmp_path / "a.pubtator", tmp_path / "b.jsonl")
    assert list(read_jsonl(tmp_path / "b.jsonl")) == list(read_pubtator(tmp_path / "a.pubtator"))
    convert(tmp_path / "b.jsonl", tmp_path / "c.pubtator")
    assert (tmp_path / "c.pubtator").read_bytes() == (tmp_path / "a.pubtator").read_bytes()


def test_biored_and_back_byte_for_byte(tmp_path):
    (tmp_path / "a.txt").write_text(BIORED)
    convert(tmp_path / "a.txt", tmp_path / "b.jsonl", source_format="biored")
    (found,) = read_jsonl(tmp_path / "b.jsonl")
    assert [mention.ids for mention in found.mentions] == [("C1", "C2"), (), ("D|1",)]
    convert(tmp_path / "b.jsonl", tmp_path / "c.txt", target_format="biored")
    assert (tmp_path / "c.txt").read_text() == BIORED
    with pytest.raises(
        InputError, match=r"^b\.jsonl: 5: mention 'rash' has an identifier that holds one of '\|;'"
    ):
        convert(tmp_path / "b.jsonl", tmp_path / "c.pubtator")


def pairs_only(seed: int) -> Document:
    """A document as EoG's format gives it: chemicals and diseases, each in a pair, mentions in the order of the text."""
    found = random_document(seed, entities=(2, 2), composites=0, facts=0)
    kinds = dict(zip((entity.id for entity in found.entities), ("Chemical", "Disease"), strict=True))
    spans = sorted({mention.span: mention for mention in found.mentions}.values(), key=lambda each: each.span)
    mentions = [replace(mention, type=kinds[mention.ids[0]]) for mention in spans]
    mentions.sort(key=lambda mention: mention.type)
    chemical, disease = kinds
    facts = (Fact(chemical, "CID", disease),) if seed % 2 else ()
    whole = {mention.ids[0] for mention in mentions} == set(kinds)
    return replace(found, mentions=tuple(mentions), facts=facts) if whole else pairs_only(seed + 1_000)


def test_jsonl_to_eog_and_back(tmp_path):
    documents = [replace(pairs_only(seed), id=str(seed)) for seed in range(20)]
    write_jsonl(documents, tmp_path / "a.jsonl")
    convert(tmp_path / "a.jsonl", tmp_path / "b.data")
    convert(tmp_path / "b.data", tmp_path / "c.jsonl")
    assert (tmp_path / "c.jsonl").read_bytes() == (tmp_path / "a.jsonl").read_bytes()


def error_of(function, *arguments) -> str | None:
    try:
        function(*arguments)
    except InputError as error:
        return str(error)
    return None


@pytest.mark.parametrize("suffix", ["pubtator", "json", "data"])
def test_jsonl_to_another_form_is_lossless_or_an_error(tmp_path, suffix):
    """Whatever the document, no conversion loses anything in silence."""
    held = 0
    for seed in range(40):
        changes = (numbered, segmented, lambda found: found, lambda found: pairs_only(int(found.id[7:])))
        found = changes[seed % 4](random_document(seed, composites=0.2 * (seed % 3)))
        write_jsonl([found], tmp_path / "a.jsonl")
        target = tmp_path / f"b{seed}.{suffix}"
        error = error_of(convert, tmp_path / "a.jsonl", target)
        if error is None:
            assert list(read_documents(target)) == [found]
            held += 1
        else:
            assert error.startswith(f"a.jsonl: {found.id}: ")
            assert "\n" not in error
            assert not target.exists()
    assert 5 <= held < 40
    assert len(list(tmp_path.iterdir())) == 1 + held


def test_what_would_be_lost_is_named_and_can_be_left_out(tmp_path):
    (tmp_path / "a.txt").write_text(BIORED)
    expected = (
        r"^a\.txt: 5: docred_json cannot hold text: 'd ostamide\. They eased rash \(p<\.05\), a d' would be "
        r"read back as 'd ostamide \. They eased rash \( p < \.05 \)'; lossy=true leaves out what it cannot hold$"
    )
    with pytest.raises(InputError, match=expected):
        convert(tmp_path / "a.txt", tmp_path / "b.json", source_format="biored")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    convert(tmp_path / "a.txt", tmp_path / "b.json", source_format="biored", lossy=True)
    (held,) = read_docred(tmp_path / "b.json")
    assert [(mention.ids, mention.type) for mention in held.mentions] == [
        (("0",), "ChemicalEntity"),
        (("1",), "ChemicalEntity"),
        (("2",), "DiseaseOrPhenotypicFeature"),
    ]
    assert held.facts == (Fact("0", "Negative_Correlation", "2", ("Novel",)),)


def test_evidence_is_not_lost_to_pubtator_in_silence(tmp_path):
    found = segmented(random_document(3, facts=1))
    evident = replace(found, facts=(replace(found.facts[0], evidence=(1,)),))
    write_jsonl([evident], tmp_path / "a.jsonl")
    with pytest.raises(
        InputError, match=r"cannot hold facts\[0\]\.evidence: \(1,\) would be read back as \(\);"
    ):
        convert(tmp_path / "a.jsonl", tmp_path / "b.pubtator")
    ignored = replace(found, ignored=((found.entities[0].id, found.entities[1].id),))
    write_jsonl([ignored], tmp_path / "a.jsonl")
    with pytest.raises(InputError, match="pubtator cannot hold ignored: "):
        convert(tmp_path / "a.jsonl", tmp_path / "b.pubtator")


def test_titles_of_two_documents_are_no_identifiers(tmp_path):
    found = numbered(random_document(1))
    write_docred([found, found], tmp_path / "a.json")
    expected = r"^a\.json: jsonl cannot hold it: b\.jsonl:2: random 1: a document of this identifier was"
    with pytest.raises(InputError, match=expected):
        convert(tmp_path / "a.json", tmp_path / "b.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_file_onto_itself_and_errors_leave_the_old_file(tmp_path):
    path = tmp_path / "a.jsonl"
    write_jsonl(random_documents(3), path)
    before = path.read_bytes()
    assert convert(path, path).documents == 3
    assert path.read_bytes() == before
    with path.open("a") as file:
        file.write("{}\n")
    broken = path.read_bytes()
    with pytest.raises(InputError, match=r"^a\.jsonl:4: \?: id: missing$"):
        convert(path, path)
    assert path.read_bytes() == broken


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(InputError, match=r"missing\.jsonl: no such file$"):
        convert(tmp_path / "missing.jsonl", tmp_path / "b.json")
    write_jsonl(random_documents(1), tmp_path / "a.jsonl")
    for target in (tmp_path / "nowhere" / "b.json", tmp_path):
        with pytest.raises(InputError, match="cannot be written"):
            convert(tmp_path / "a.jsonl", target, target_format="jsonl")


@pytest.mark.parametrize("ending", ["jsonl", "json", "pubtator"])
def test_a_full_disk_is_one_line_that_names_the_target(ending, tmp_path):
    write_jsonl(random_documents(5), tmp_path / "a.jsonl")
    target = tmp_path / f"b.{ending}"
    with small_files(100), pytest.raises(WriteError, match=f"^{target}: cannot be written: File too large$"):
        convert(tmp_path / "a.jsonl", target, lossy=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.jsonl", "jsonl"),
        ("a.json", "docred_json"),
        ("a.data", "eog"),
        ("a.pubtator", "pubtator"),
        ("CDR.PubTator.txt", "pubtator"),
        ("a", "pubtator"),
    ],
)
def test_the_name_tells_the_format(name, format):
    assert detect_format(Path(name)) == format
    assert detect_format(Path(name), "biored") == "biored"


def test_unknown_forms_are_errors():
    with pytest.raises(InputError) as caught:
        detect_format(Path("x/a.json"), "docred")
    assert str(caught.value) == f"a.json: format 'docred' is not one of {', '.join(FORMATS)}"


def test_documents_are_written_in_the_form_of_the_name(tmp_path):
    found = numbered(random_document(5))
    write_documents([found], tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text())[0]["title"] == found.id
    lossy = random_document(5)
    with pytest.raises(InputError, match=r"^random 5: DocRED's format cannot hold "):
        write_documents([lossy], tmp_path / "a.json")
    write_documents([lossy], tmp_path / "a.json", lossy=True)
    assert len(next(read_docred(tmp_path / "a.json")).facts) == len(lossy.facts)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (Fact("a", "r", "b"), Fact("a", "r", "b"), None),
        (Fact("a", "r", "b"), Fact("a", "s", "b"), "relation: 'r' would be read back as 's'"),
        (("a", "b"), ("b", "a"), "the order of ids"),
        (("a", "b"), ("a", "c"), "ids[1]: 'b' would be read back as 'c'"),
        (tuple("abcd"), tuple("abc"), "ids: 4 would be read back as 3"),
        (("a",), ("a", "b"), "ids: ('a',) would be read back as ('a', 'b')"),
        ("x" * 50 + "a" + "y" * 50, "x" * 50 + "b" + "y" * 50, f"'{'x' * 10}a{'y' * 29}' would be"),
        ("abc", "abcd", "'abc' would be read back as 'abcd'"),
        (
            (Mention(0, 1, "A", ("1",)), Mention(2, 3, "A", ())),
            (Mention(0, 1, "A", ("1",)), Mention(2, 4, "A", ())),
            "[1].end: 3 would be read back as 4",
        ),
        (Sentence(0, 1), Sentence(0, 2), "end: 1 would be read back as 2"),
    ],
)
def test_differences_are_named(one, other, expected):
    path = "" if isinstance(one, Fact | Sentence) else "ids"
    found = difference(one, other, path)
    assert found == expected or expected in found


@pytest.mark.parametrize(
    "name",
    [pytest.param("CDR/CDR_DevelopmentSet.PubTator.txt", marks=pytest.mark.slow), "BioRED/Dev.PubTator"],
)
def test_real_files_come_back_byte_for_byte(tmp_path, name):
    path = Path(os.environ.get("GLRE_DATA", ""), name)
    if "GLRE_DATA" not in os.environ or not path.is_file():
        pytest.skip(f"GLRE_DATA is not set, or has no {name}")
    format = "biored" if name.startswith("BioRED") else "pubtator"
    convert(path, tmp_path / "a.jsonl", source_format=format)
    convert(tmp_path / "a.jsonl", tmp_path / "b", target_format=format)
    assert (tmp_path / "b").read_bytes() == path.read_bytes()


def test_the_command(tmp_path):
    (tmp_path / "a.txt").write_text(BIORED)
    out, _ = run("convert", "input=a.txt", "input_format=biored", "output=b.jsonl", cwd=tmp_path)
    assert out == "b.jsonl: 1 document, 3 mentions, 1 fact\n"
    out, err = run("convert", "input=b.jsonl", "output=c.json", cwd=tmp_path, code=2)
    assert out == ""
    assert err.startswith("error: b.jsonl: 5: docred_json cannot hold text: ")
    assert err.count("\n") == 1
    out, _ = run("convert", "input=b.jsonl", "output=c.json", "lossy=true", cwd=tmp_path)
    assert out == "c.json: 1 document, 3 mentions, 1 fact\n"
    assert {path.name for path in tmp_path.iterdir()} == {"a.txt", "b.jsonl", "c.json"}


def test_a_file_of_bad_documents_alone_is_named(tmp_path):
    (tmp_path / "a.pubtator").write_text("1|t|a b\n\n1\t0\t1\ta\tDisease\tA\n")
    _, err = run("convert", "input=a.pubtator", "output=b.jsonl", "strict=false", cwd=tmp_path, code=2)
    assert err.splitlines()[-1] == "error: a.pubtator: no document of this file can be written"
