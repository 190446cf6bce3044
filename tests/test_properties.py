"""What holds of any document and of any bytes: formats give back what they took or refuse it, and readers never raise else."""

import csv
import json
import zipfile
from dataclasses import replace
from functools import partial
from io import StringIO
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from glre_pyg.data.document import Document, Fact, Mention, Sentence
from glre_pyg.data.explanation import PredictedFact
from glre_pyg.data.segmentation import segment
from glre_pyg.data.word_vectors import WordVectors
from glre_pyg.datasets.hypernyms import MeshTree
from glre_pyg.evaluation.known_facts import NamedFacts, read_named_facts, write_named_facts
from glre_pyg.evaluation.predictions import read_predictions
from glre_pyg.formats.conversion import convert
from glre_pyg.formats.csv_facts import COLUMNS, HEADER, format_csv
from glre_pyg.formats.detection import FORMATS, read_documents, write_documents
from glre_pyg.formats.docred_json import read_docred, write_docred
from glre_pyg.formats.eog_data import read_eog, write_eog
from glre_pyg.formats.jsonl import read_jsonl, write_jsonl
from glre_pyg.formats.pubtator import read_pubtator
from glre_pyg.formats.pubtator_writer import write_pubtator
from glre_pyg.formats.rdf import NTriples
from glre_pyg.formats.renet import read_gda
from glre_pyg.formats.spacy_docs import write_spacy
from glre_pyg.formats.submission import submission_rows, write_submission
from glre_pyg.formats.text import read_text
from glre_pyg.formats.writing import write_each
from glre_pyg.mentions.name_files import name_rows
from glre_pyg.mentions.spacy_documents import read_spacy
from glre_pyg.reporting.error_analysis import read_types
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.table import unquoted

settings.register_profile(
    "files", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
FILES = settings(settings.get_profile("files"), max_examples=60)

# Any document

ODD = "aB1. |,;\t\n\r\0\x0b\x1c\x85\xa0\xad\u0301\u200b\u2028\u202e\u3000\ufeff\uffff😀é'\"\\=+-@_*<>&%"
TEXT = st.text(st.sampled_from(ODD), max_size=25)
NAME = st.one_of(
    st.text(st.sampled_from(ODD), max_size=4),
    st.sampled_from(
        ["C1", "D1", "0", "1", "2", "-1", "-", "", "None", "CID", "NR", "not_include", "D1|D2", "1,2"]
    ),
    st.text(max_size=4),
)
IDS = st.sampled_from(["C1", "D1", "D1", "0", "1", "2"]) | NAME
KINDS = st.sampled_from(["Chemical", "Disease"]) | NAME


@st.composite
def words_of(draw, text):
    """Words of a text: the segmenter's, or any parts of it."""
    if draw(st.booleans()):
        return segment(text)[0]
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=10)))
    return tuple(pair for pair in pairwise(cuts) if draw(st.booleans()))


@st.composite
def sentences_of(draw, count):
    """Sentences that hold every one of some words."""
    cuts = draw(st.sets(st.integers(1, max(1, count - 1)), max_size=3)) if count > 1 else set()
    bounds = [0, *sorted(cuts), count] if count else []
    return tuple(Sentence(*bound) for bound in pairwise(bounds))


@st.composite
def mentions_of(draw, text, words, sentences):
    """A mention of some words of a sentence, perhaps with what is around them; composite, or without identifier."""
    sentence = draw(st.sampled_from(sentences))
    first = draw(st.integers(sentence.start, sentence.end - 1))
    last = draw(st.integers(first, sentence.end - 1))
    before = words[first - 1][1] if first else 0
    after = words[last + 1][0] if last + 1 < len(words) else len(text)
    start = draw(st.just(words[first][0]) | st.integers(before, words[first][0]))
    end = draw(st.just(words[last][1]) | st.integers(words[last][1], after))
    ids = tuple(draw(st.lists(IDS, max_size=3)))
    least = max(len(ids), 1)
    names = draw(st.just([]) | st.lists(NAME, min_size=least, max_size=least + 1))
    return Mention(start, end, draw(KINDS), ids, tuple(names))


@st.composite
def documents(draw, *, strange=True):
    """Any document; `strange` ones may have facts and evidence of what they do not have."""
    text = draw(TEXT)
    words = draw(words_of(text))
    sentences = draw(sentences_of(len(words)))
    mentions = draw(st.lists(mentions_of(text, words, sentences), max_size=4)) if words else []
    known = [identifier for mention in mentions for identifier in mention.ids]
    ids = st.sampled_from(known or [""])
    if strange and draw(st.integers(0, 9)) == 0:
        ids = IDS
    elif not known:
        return Document(draw(NAME), text, words, sentences, tuple(mentions))
    numbers = st.integers(0, max(0, len(sentences) - 1 + strange * draw(st.booleans())))
    evidence = st.lists(numbers, max_size=2).map(tuple)
    facts = st.builds(Fact, ids, NAME, ids, st.lists(NAME, max_size=2).map(tuple), evidence)
    sections = st.lists(
        st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).map(sorted), max_size=2
    )
    document = Document(
        draw(NAME),
        text,
        words,
        sentences,
        tuple(mentions),
        tuple(draw(st.lists(facts, max_size=3))),
        tuple(draw(st.lists(st.tuples(ids, ids), max_size=2))),
        tuple(map(tuple, draw(sections))),
    )
    return predicted(document) if known and draw(st.integers(0, 4)) == 0 else document


def predicted(document):
    """A document with its facts as a model finds them, as far as its entities are known."""
    entities = {entity.id: entity for entity in document.entities}
    facts = tuple(
        PredictedFact.between(
            entities[fact.head],
            fact.relation,
            entities[fact.tail],
            probability=0.75,
            threshold=0.5,
            evidence=fact.evidence,
        )
        for fact in document.facts
        if {fact.head, fact.tail} <= entities.keys()
    )
    return replace(document, facts=facts)


MANY = st.lists(documents(), min_size=1, max_size=3)


@st.composite
def like_pubtator(draw):
    """A document as PubTator gives it, but for what its lines cannot hold."""
    title, abstract = draw(TEXT), draw(st.none() | TEXT)
    found = draw(documents(strange=False))
    text = title if abstract is None else f"{title} {abstract}"
    sections = ((0, len(title)), *(() if abstract is None else ((len(title) + 1, len(text)),)))
    spans = draw(
        st.lists(st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).map(sorted), max_size=3)
    )
    mentions = tuple(
        replace(mention, start=start, end=end)
        for mention, (start, end) in zip(found.mentions, spans, strict=False)
        if text[start:end].strip()
    )
    words, sentences = segment(text, [mention.span for mention in mentions], sections)
    known = {identifier for mention in mentions for identifier in mention.ids}
    facts = tuple(replace(fact, evidence=()) for fact in found.facts if {fact.head, fact.tail} <= known)
    facts = tuple(fact for fact in facts if not isinstance(fact, PredictedFact))
    return Document(found.id, text, words, sentences, mentions, facts, sections=sections)


def refusal(function, *arguments):
    """What is said where something is refused, one printable line; None if it is not. Nothing else is raised."""
    try:
        function(*arguments)
    except InputError as error:
        line = str(error)
    else:
        return None
    assert line.isprintable()
    return line


def made(write, documents, path):
    """Whether a format has taken documents; else there is no file."""
    is_made = refusal(write, documents, path) is None
    assert path.exists() == is_made
    return is_made


def fresh(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@pytest.mark.parametrize("field", ["id", "text", "mentions[0]", "facts[0]", "ignored[0]"])
def test_no_document_has_half_of_a_surrogate_pair(field):
    """Nothing could write it."""
    parts = {"id": "d", "text": "ab", "mentions[0]": "C", "facts[0]": "r", "ignored[0]": "C"}
    parts[field] += "\ud83d"
    words = ((0, len(parts["text"])),)
    mention = Mention(0, len(parts["text"]), "T", ("C", parts["mentions[0]"]))
    fact, pair = Fact("C", parts["facts[0]"], "C"), ("C", parts["ignored[0]"])
    line = refusal(
        Document, parts["id"], parts["text"], words, (Sentence(0, 1),), (mention,), (fact,), (pair,)
    )
    assert line.endswith(f": {field}: half of a surrogate pair is in it")


@pytest.mark.parametrize(
    ("words", "ids", "names", "message"),
    [
        (((0, 1), (2, 3)), ("1", "2"), ("a",), "mention 'a' at 0 has 2 identifiers and 1 name"),
        (((0, 1), (2, 4)), ("1",), (), "words overlap, are empty, out of order or outside the text"),
        (((-1, 1), (2, 3)), ("1",), (), "words overlap, are empty, out of order or outside the text"),
        (((0, 2), (1, 3)), ("1",), (), "words overlap, are empty, out of order or outside the text"),
        (((0, 1), (2, 2)), ("1",), (), "words overlap, are empty, out of order or outside the text"),
    ],
)
def test_what_is_no_document(words, ids, names, message):
    with pytest.raises(InputError, match=f"^d: {message}$"):
        Document("d", "a b", words, (Sentence(0, 2),), (Mention(0, 1, "T", ids, names),))


@pytest.mark.parametrize("section", [(-1, 2), (2, 1), (0, 4)])
def test_a_section_is_inside_the_text(section):
    with pytest.raises(InputError, match=r"^d: sections: -?\d to \d is not inside the text$"):
        Document("d", "a b", (), (), (), sections=(section,))


# Each format gives back what it took


@FILES
@given(MANY)
def test_json_lines_hold_every_document(tmp_path_factory, written):
    path = fresh(tmp_path_factory) / "a.jsonl"
    unique = len({document.id for document in written}) == len(written)
    if made(write_jsonl, written, path):
        if not unique:
            with pytest.raises(InputError, match="was in the file before"):
                list(read_jsonl(path))
            return
        assert list(read_jsonl(path)) == written
        write_jsonl(read_jsonl(path), path)  # onto itself
        assert list(read_jsonl(path)) == written
    else:
        known = [{name for each in document.mentions for name in each.ids} for document in written]
        assert any(
            fact.head not in names
            or fact.tail not in names
            or max(fact.evidence, default=-1) >= len(each.sentences)
            for each, names in zip(written, known, strict=True)
            for fact in each.facts
        ) or any(
            not names.issuperset(pair)
            for each, names in zip(written, known, strict=True)
            for pair in each.ignored
        )


@pytest.mark.parametrize(
    ("format", "options"), [("pubtator", {}), ("biored", {"id_separators": ",", "unlinked": "-"})]
)
@FILES
@given(like_pubtator() | documents())
def test_pubtator_gives_back_all_that_it_has_a_place_for(tmp_path_factory, format, options, document):
    path = fresh(tmp_path_factory) / "a.pubtator"
    if not made(FORMATS[format].write, [document], path):
        return

    def as_it_was(*_):
        return document.words, document.sentences

    (held,) = read_pubtator(path, segmenter=as_it_was, **options)
    assert (held.id, held.text, held.mentions) == (document.id, document.text, document.mentions)
    assert [(fact.head, fact.relation, fact.tail, fact.extra) for fact in document.facts] == [
        (fact.head, fact.relation, fact.tail, fact.extra) for fact in held.facts
    ]


@FILES
@given(like_pubtator())
def test_pubtator_holds_plain_documents_whole(tmp_path_factory, document):
    path = fresh(tmp_path_factory) / "a.pubtator"
    if made(write_pubtator, [document], path):
        assert list(read_pubtator(path)) == [document]


@FILES
@given(MANY)
def test_docred_holds_a_document_whole_or_refuses_it(tmp_path_factory, written):
    path = fresh(tmp_path_factory) / "a.json"
    if made(write_docred, written, path):
        assert list(read_docred(path)) == written


@FILES
@given(MANY)
def test_eog_gives_back_words_sentences_and_relations(tmp_path_factory, written):
    path = fresh(tmp_path_factory) / "a.data"
    if not made(write_eog, written, path):
        return
    assume(len({document.id for document in written}) == len(written))
    for document, held in zip(written, read_eog(path), strict=True):
        assert (held.id, held.word_texts(), held.sentences) == (
            document.id,
            document.word_texts(),
            document.sentences,
        )
        assert {(fact.head, fact.relation, fact.tail) for fact in held.facts} == {
            (fact.head, fact.relation, fact.tail) for fact in document.facts
        }
        places = {(*held.word_span(mention), mention.ids) for mention in held.mentions}
        every = {
            (*document.word_span(mention), (name,)) for mention in document.mentions for name in mention.ids
        }
        assert places <= every


ENDINGS = {
    "parquet": "parquet",
    **{"pubtator": "pubtator", "biored": "txt", "docred_json": "json", "jsonl": "jsonl", "eog": "data"},
    **{"bioc_xml": "xml", "bioc_json": "bioc.json", "label_studio": "label_studio.json"},
}
WRITTEN = list(ENDINGS)  # all but brat, which writes a folder


def test_every_format_of_one_file_is_tried():
    assert {*WRITTEN, "brat"} == {name for name, format in FORMATS.items() if format.write}


@pytest.mark.parametrize("format", WRITTEN)
@FILES
@given(like_pubtator() | documents())
def test_what_a_format_has_held_it_holds_whole(tmp_path_factory, format, document):
    """Lossy writing loses once, and what is left is read."""
    path = fresh(tmp_path_factory) / f"a.{ENDINGS[format]}"
    if not made(partial(write_documents, format=format, lossy=True), [document], path):
        return
    once = list(read_documents(path, format))
    assert [held.id for held in once] == [document.id]
    again = path.with_name(f"b.{ENDINGS[format]}")
    write_documents(once, again, format)
    assert list(read_documents(again, format)) == once


@pytest.mark.parametrize("source", WRITTEN)
@FILES
@given(st.sampled_from(WRITTEN), st.lists(like_pubtator() | documents(), min_size=1, max_size=2))
def test_converting_loses_nothing_or_refuses(tmp_path_factory, source, target, written):
    folder = fresh(tmp_path_factory)
    path, converted = folder / f"a.{ENDINGS[source]}", folder / f"b.{ENDINGS[target]}"
    assume(made(partial(write_documents, format=source, lossy=True), written, path))
    once = refusal(lambda: list(read_documents(path, source))) is None  # not two documents of one identifier
    before = list(read_documents(path, source)) if once else None
    found = []
    line = refusal(lambda: found.append(convert(path, converted, source_format=source, target_format=target)))
    if line is not None:
        assert line.startswith(f"{path.name}:")
        assert [each.name for each in folder.iterdir()] == [path.name]
        return
    assert list(read_documents(converted, target)) == before
    assert found[0].documents == len(before)
    convert(converted, path, source_format=target, target_format=source)
    assert list(read_documents(path, source)) == before


# What is only written


@FILES
@given(MANY)
def test_csv_has_a_row_for_each_fact(tmp_path_factory, written):
    path = fresh(tmp_path_factory) / "a.csv"
    if not made(partial(write_each, convert=format_csv, on_error=None, header=HEADER), written, path):
        return
    rows = list(csv.reader(StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))
    facts = [(document, fact) for document in written for fact in document.facts]
    assert len(rows) == 1 + len(facts)
    assert tuple(rows[0]) == COLUMNS
    for row, (document, fact) in zip(rows[1:], facts, strict=True):
        assert len(row) == len(COLUMNS)
        said = dict(zip(COLUMNS, map(unquoted, row), strict=True))
        assert (said["document"], said["head"], said["relation"], said["tail"]) == (
            document.id,
            fact.head,
            fact.relation,
            fact.tail,
        )


@FILES
@given(MANY)
def test_rdf_says_every_fact(tmp_path_factory, written):
    rdflib = pytest.importorskip("rdflib")
    path = fresh(tmp_path_factory) / "a.nt"
    if not made(partial(write_each, convert=NTriples(), on_error=None), written, path):
        return
    graph = rdflib.Graph().parse(path, format="nt")
    names = {str(each) for each in graph.objects(None, rdflib.DCTERMS.identifier)}
    labels = {str(each) for each in graph.objects(None, rdflib.RDFS.label)}
    facts = {(document.id, fact) for document in written for fact in document.facts}
    assert names == {name for _, fact in facts for name in (fact.head, fact.tail)}
    assert labels >= {name for document, fact in facts for name in (document, fact.relation)}
    triples = {(document, fact.head, fact.relation, fact.tail) for document, fact in facts}
    assert len(set(graph.subjects(rdflib.RDF.type, rdflib.RDF.Statement))) == len(triples)


@FILES
@given(MANY)
def test_spacy_gives_back_every_document(tmp_path_factory, written):
    pytest.importorskip("spacy")
    path = fresh(tmp_path_factory) / "a.spacy"
    assume(len({document.id for document in written}) == len(written) and all(each.id for each in written))
    if made(write_spacy, written, path):
        assert list(read_spacy(path)) == written


@FILES
@given(MANY)
def test_a_submission_has_a_row_for_each_fact(tmp_path_factory, written):
    path = fresh(tmp_path_factory) / "result.zip"
    if made(lambda documents, path: write_submission(submission_rows(documents), path), written, path):
        with zipfile.ZipFile(path) as file:
            rows = json.loads(file.read("result.json"))
        assert len(rows) == sum(len(document.facts) for document in written)


@FILES
@given(st.sets(st.tuples(NAME, NAME, NAME), max_size=4))
def test_named_facts_come_back(tmp_path_factory, facts):
    path = fresh(tmp_path_factory) / "train.fact"
    write_named_facts(NamedFacts(frozenset(facts), Path("train")), path)
    assert read_named_facts(path).facts == facts


# Any bytes

TOKENIZER = st.sampled_from(
    [
        *(
            b"1|t|",
            b"1|a|",
            b"1\t0\t1\ta\tT\tC1\n",
            b"1\tCID\tC1\tD1\n",
            b"\n",
            b"\r\n",
            b"\n\n",
            b"\t",
            b"|",
            b",",
        ),
        *(
            b'{"id": "1", "text": "a b"}',
            b"{",
            b"}",
            b"[",
            b"]",
            b'"',
            b":",
            b"null",
            b"NaN",
            b"1e400",
            b"-1",
            b"0",
        ),
        *(
            b'[{"title": "a", "sents": [["a"]], "vertexSet": []}]',
            b"\\ud83d",
            b"\xff",
            b"\0",
            b"\xef\xbb\xbf",
            b"a b",
        ),
        *(
            b"3 2\n",
            b"a 1 2\n",
            b"1:CID:2",
            b"9" * 5000,
            b"PK\x03\x04",
            b"x\x9c",
            b"document,head,type\n",
            "é😀".encode(),
        ),
    ]
)
BYTES = st.binary(max_size=60) | st.lists(TOKENIZER | st.binary(max_size=3), max_size=12).map(b"".join)
READERS = {
    "a.pubtator": read_pubtator,
    "a.json": read_docred,
    "a.jsonl": read_jsonl,
    "a.data": read_eog,
    "a.txt": read_text,
    "a.spacy": read_spacy,
    "b.json": partial(read_docred, resplit="pysbd"),
    "b.pubtator": partial(read_pubtator, id_separators=",", unlinked="-"),
}


@pytest.mark.parametrize("name", READERS)
@FILES
@given(BYTES)
def test_any_bytes_are_documents_or_refused(tmp_path_factory, name, raw):
    path = fresh(tmp_path_factory) / name
    path.write_bytes(raw)
    told, found = [], []
    line = refusal(lambda: found.extend(READERS[name](path)))
    last = refusal(lambda: found.extend(READERS[name](path, on_error=told.append)))
    assert all(isinstance(document, Document) for document in found)
    assert all(str(error).isprintable() for error in told)
    assert all(str(error).startswith(name) for error in filter(None, [line, last, *told]))


@FILES
@given(BYTES, BYTES, BYTES)
def test_any_three_files_are_gda_or_refused(tmp_path_factory, abstracts, annotations, labels):
    folder = fresh(tmp_path_factory)
    for name, raw in (("abstracts.txt", abstracts), ("anns.txt", annotations), ("labels.csv", labels)):
        (folder / name).write_bytes(raw)
    for on_error in (None, [].append):
        refusal(lambda on_error=on_error: list(read_gda(folder, on_error=on_error)))


SMALL = {
    "names.tsv": lambda path: list(name_rows(path)),
    "names.csv": lambda path: list(name_rows(path)),
    "predictions_test.jsonl": lambda path: read_predictions(path, ("CID",)),
    "train.fact": read_named_facts,
    "tree.txt": MeshTree.read,
    "errors.csv": read_types,
    "vectors.txt": WordVectors.read,
}


@pytest.mark.parametrize("name", SMALL)
@FILES
@given(BYTES)
def test_any_bytes_are_read_or_refused(tmp_path_factory, name, raw):
    path = fresh(tmp_path_factory) / name
    path.write_bytes(raw)
    line = refusal(SMALL[name], path)
    assert line is None or name in line
