"""Facts as a table and as RDF: what is written is what a spreadsheet and a triple store read."""

import csv
import sys
from dataclasses import replace
from itertools import pairwise

import pytest

from documents import apart, document, odd_documents, random_documents, two_sentences
from glre_pyg.data.document import Document, Fact, Mention, Sentence
from glre_pyg.data.explanation import PredictedFact
from glre_pyg.data.paths import sentences_for
from glre_pyg.formats.csv_facts import COLUMNS, HEADER, format_csv
from glre_pyg.formats.rdf import NTriples
from glre_pyg.formats.writing import write_each
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.table import Table

BASE = "https://example.org/glre/"
ODD = [
    "a b",
    'say "x"',
    "two\nlines\r",
    "Käfer ✓",
    "a|b",
    "<x>",
    "50%",
    "a/b?c#d",
    "\\",
    "a\u2028b\x85c\x0bd",
    "'",
]


def predicted(each: Document, probability: float, threshold: float = 0.5) -> Document:
    """A document whose facts are what a model finds."""
    mentions = {entity.id: entity.mentions for entity in each.entities}
    facts = [
        PredictedFact(
            fact.head,
            fact.relation,
            fact.tail,
            (f"{probability:.6f}",),
            probability=probability,
            threshold=threshold,
            head_mentions=mentions[fact.head],
            tail_mentions=mentions[fact.tail],
        )
        for fact in each.facts
    ]
    return replace(each, facts=tuple(facts))


def odd(*ids: str, relation: str = "causes") -> Document:
    """A document of entities with odd identifiers, and a fact from each to the next."""
    return document(
        [" ".join("velorin" for _ in ids)],
        [(number, number + 1, "Chemical", name) for number, name in enumerate(ids)],
        [(head, relation, tail) for head, tail in pairwise(ids)],
    )


def write_csv(documents, path, on_error=None):
    write_each(documents, path, format_csv, on_error, header=HEADER)


def write_ntriples(documents, path, on_error=None, **options):
    write_each(documents, path, NTriples(**options), on_error)


def rows(documents, folder, **options):
    write_csv(documents, folder / "facts.csv", **options)
    with (folder / "facts.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, strict=True))


# CSV


def test_a_row_has_what_the_text_says_of_a_fact(tmp_path):
    gold, found = rows([two_sentences(), predicted(apart(), 0.123456789, 0.05)], tmp_path)[1:]
    assert gold == {
        "document": "two",
        "head": "O",
        "head_name": "ostamide",
        "head_type": "Chemical",
        "relation": "treats",
        "tail": "R",
        "tail_name": "severe rash",
        "tail_type": "Disease",
        "probability": "",
        "threshold": "",
        "sentences": "S1",
        "text": "velorin and ostamide caused severe rash .",
    }
    assert {name: found[name] for name in ("probability", "threshold", "sentences", "text")} == {
        "probability": "0.123457",
        "threshold": "0.050000",
        "sentences": "S1 S2",
        "text": "velorin was given . rash followed .",
    }


def test_every_fact_has_a_row(tmp_path):
    documents = [*odd_documents(), *random_documents(8)]
    found = [
        (row["document"], row["head"], row["relation"], row["tail"]) for row in rows(documents, tmp_path)
    ]
    assert found == [(d.id, fact.head, fact.relation, fact.tail) for d in documents for fact in d.facts]
    assert rows([], tmp_path) == []


def test_sentences_are_those_that_name_both_else_those_on_the_path(tmp_path):
    each = document(
        ["velorin .", "a .", "ostamide and velorin .", "rash .", "rash and ostamide .", "velorin ostamide ."],
        [
            (0, 1, "Chemical", "V"),
            (4, 5, "Chemical", "O"),
            (6, 7, "Chemical", "V"),
            (8, 9, "Disease", "R"),
            (10, 11, "Disease", "R"),
            (12, 13, "Chemical", "O"),
            (14, 15, "Chemical", "V"),
            (15, 16, "Chemical", "O"),
        ],
        [("V", "causes", "O"), ("V", "causes", "R")],
    )
    assert sentences_for(each, "V", "O") == sentences_for(each, "O", "V") == (2, 5)
    assert sentences_for(each, "V", "R") == (4, 5)
    first, second = rows([each], tmp_path)
    assert (first["sentences"], first["text"]) == ("S3 S6", "ostamide and velorin . [...] velorin ostamide .")
    assert (second["sentences"], second["text"]) == ("S5 S6", "rash and ostamide . velorin ostamide .")
    for other in random_documents(30):
        sentences = {e.id: {other.sentence_of(mention) for mention in e.mentions} for e in other.entities}
        for head in sentences:
            for tail in sentences:
                if sentences[head] & sentences[tail]:
                    assert {*sentences_for(other, head, tail)} == sentences[head] & sentences[tail]


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n", " =", "\t=", "＝", "＋", "－", "＠"])
def test_no_cell_of_a_document_is_a_formula(first, tmp_path):
    name = f"{first}1+1"
    each = replace(odd(name, f"x;{name}", relation=name), id=name)
    mentions = [replace(mention, type=name, names=(name,)) for mention in each.mentions]
    [row] = rows([predicted(replace(each, mentions=tuple(mentions)), 0.25)], tmp_path)
    safe = {"\t=": "'\t'=1+1"}.get(first, f"'{name}")
    assert (row["document"], row["head"], row["head_type"], row["relation"]) == (safe,) * 4
    assert row["tail"] == f"x;{safe}"
    on_one_line = " ".join(name.split())
    assert row["head_name"] == (on_one_line if on_one_line == "1+1" else f"'{on_one_line}")
    assert (row["probability"], row["threshold"]) == ("0.250000", "0.500000")
    for column in (*COLUMNS[:8], *COLUMNS[10:]):
        for part in (row[column], *row[column].split(";"), *row[column].split("\t")):
            assert part.lstrip()[:1] not in {*"=+-@＝＋－＠"}


@pytest.mark.parametrize("text", ["", "a-b", "x = 1", "'", "a; b", "N-acetyl", "10-20", "e@x.org", "“-”"])
def test_other_cells_are_as_they_are(text):
    assert next(csv.reader([Table((), [[text]]).to_csv()])) == [text]


def test_cells_are_as_long_as_spreadsheets_hold(tmp_path):
    words = 9_000
    each = document(
        [" ".join(["ostamide"] * words)],
        [(0, 1, "Chemical", "O"), (words - 1, words, "Chemical", "V")],
        [("O", "causes", "V")],
    )
    [row] = rows([each], tmp_path)
    assert len(row["text"]) == 32_767
    assert row["text"].endswith("…")
    assert each.text.startswith(row["text"][:-1])


def test_odd_characters_come_back_and_spreadsheets_know_the_encoding(tmp_path):
    found = rows([odd(*ODD)], tmp_path)
    assert [row["head"] for row in found] == ODD[:-1]
    assert [row["tail"] for row in found] == ODD[1:]
    assert (tmp_path / "facts.csv").read_bytes().startswith(b"\xef\xbb\xbfdocument,head,")
    assert (tmp_path / "facts.csv").read_bytes().count(b"\xef\xbb\xbf") == 1


@pytest.mark.parametrize("write", [write_csv, write_ntriples])
def test_a_document_that_cannot_be_written_is_told_of(write, tmp_path):
    bad = replace(apart(), id="bad", facts=(Fact("V", "causes", "nobody"),))
    with pytest.raises(InputError, match=r"^bad: there is no entity 'nobody'$"):
        write([two_sentences(), bad], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    told = []
    write([two_sentences(), bad, apart()], tmp_path / "out", on_error=told.append)
    assert [str(error) for error in told] == ["bad: there is no entity 'nobody'"]
    write([two_sentences(), apart()], tmp_path / "expected")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "expected").read_bytes()


@pytest.mark.parametrize("write", [write_csv, write_ntriples])
def test_documents_are_written_one_at_a_time_and_the_file_appears_last(write, tmp_path):
    def stream():
        for number in range(200):
            assert not (tmp_path / "out").exists()
            yield replace(predicted(two_sentences(), 0.7), id=str(number))
            if number == 150:
                [part] = tmp_path.glob(".*.part/*")
                assert part.stat().st_size > 0

    write(stream(), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


# RDF


@pytest.fixture(scope="module")
def rdflib():
    return pytest.importorskip("rdflib")


def parsed(rdflib, documents, folder, **options):
    write_ntriples(documents, folder / "facts.nt", **options)
    return rdflib.Graph().parse(folder / "facts.nt", format="nt")


def by_query(rdflib, graph):
    """(document, head, relation, tail, probability, threshold) of every statement, by the names it has."""
    found = graph.query(
        """
        PREFIX rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#>
        PREFIX rdfs: <http://www.w3.org/2000/01/rdf-schema#>
        PREFIX prov: <http://www.w3.org/ns/prov#>
        PREFIX dcterms: <http://purl.org/dc/terms/>
        PREFIX term: <https://example.org/glre/term/>
        SELECT ?document ?head ?relation ?tail ?probability ?threshold WHERE {
            ?s a rdf:Statement ; rdf:subject/dcterms:identifier ?head ; rdf:predicate/rdfs:label ?relation ;
               rdf:object/dcterms:identifier ?tail ; prov:wasDerivedFrom/rdfs:label ?document .
            OPTIONAL { ?s term:probability ?probability ; term:threshold ?threshold }
        }"""
    )
    return sorted(tuple(value and value.toPython() for value in row) for row in found)


def test_what_is_written_is_found_by_a_query(rdflib, tmp_path):
    documents = [
        replace(odd(*ODD, relation='"is"\n<a>'), id="d 1|<\n>"),
        predicted(two_sentences(), 1 / 3, 0.1),
    ]
    graph = parsed(rdflib, documents, tmp_path)
    expected = [
        (d.id, f.head, f.relation, f.tail, getattr(f, "probability", None), getattr(f, "threshold", None))
        for d in documents
        for f in d.facts
    ]
    assert by_query(rdflib, graph) == sorted(expected)


def test_entities_have_type_identifier_and_names(rdflib, tmp_path):
    each = document(
        ["velorin and velorin daily caused rash ."],
        [(0, 1, "Chemical", "V 1"), (2, 4, "Chemical", "V 1"), (5, 6, "Disease", "R")],
        [("V 1", "causes", "R")],
    )
    graph = parsed(rdflib, [each], tmp_path)
    entity = rdflib.URIRef(f"{BASE}entity/V%201")
    assert {*map(str, graph.objects(entity, rdflib.RDFS.label))} == {"velorin", "velorin daily"}
    assert [*map(str, graph.objects(entity, rdflib.RDF.type))] == [f"{BASE}type/Chemical"]
    assert [*map(str, graph.objects(entity, rdflib.DCTERMS.identifier))] == ["V 1"]
    assert (entity, rdflib.URIRef(f"{BASE}relation/causes"), rdflib.URIRef(f"{BASE}entity/R")) in graph


def test_what_is_not_above_the_threshold_is_described_but_not_asserted(rdflib, tmp_path):
    graph = parsed(rdflib, [predicted(apart(), 0.5, 0.5)], tmp_path)
    assert by_query(rdflib, graph) == [("apart", "V", "causes", "R", 0.5, 0.5)]
    assert not list(graph.triples((None, rdflib.URIRef(f"{BASE}relation/causes"), None)))
    [value] = graph.objects(None, rdflib.URIRef(f"{BASE}term/probability"))
    assert value.datatype == rdflib.XSD.double


def test_one_fact_of_two_documents_is_one_triple_with_two_statements(rdflib, tmp_path):
    documents = [predicted(apart(), 0.9), replace(predicted(apart(), 0.8), id="other")]
    graph = parsed(rdflib, documents, tmp_path)
    assert len(list(graph.triples((None, rdflib.URIRef(f"{BASE}relation/causes"), None)))) == 1
    assert [row[0] for row in by_query(rdflib, graph)] == ["apart", "other"]


def test_identifiers_of_known_vocabularies_have_their_iris(rdflib, tmp_path):
    each = document(
        ["velorin rash ostamide"],
        [(0, 1, "Chemical", "D001241"), (1, 2, "Disease", "OMIM:1"), (2, 3, "Gene", "672")],
        [("D001241", "causes", "OMIM:1"), ("672", "causes", "OMIM:1")],
    )
    namespaces = {
        "(Chemical|Disease)/[CD][0-9]+": "http://id.nlm.nih.gov/mesh/",
        "Gene/[0-9]+": "https://www.ncbi.nlm.nih.gov/gene/",
    }
    graph = parsed(rdflib, [each], tmp_path, base="urn:mine:", namespaces=namespaces)
    found = {str(node) for node in graph.subjects(rdflib.DCTERMS.identifier)}
    assert found == {
        "http://id.nlm.nih.gov/mesh/D001241",
        "urn:mine:entity/OMIM%3A1",
        "https://www.ncbi.nlm.nih.gov/gene/672",
    }


def test_every_iri_is_of_allowed_characters_and_ascii(rdflib, tmp_path):
    graph = parsed(rdflib, [replace(odd(*ODD, relation="r s"), id="d\n1")], tmp_path)
    for node in {*graph.all_nodes(), *graph.predicates()}:
        if isinstance(node, rdflib.URIRef):
            assert str(node).isascii()
            assert not {*str(node)} & {*' "<>\\^`{|}\n\r\t'}


def test_writing_twice_gives_one_file(rdflib, tmp_path):
    documents = [predicted(each, 0.6) for each in random_documents(4)]
    write_ntriples(documents, tmp_path / "one.nt")
    write_ntriples(documents, tmp_path / "two.nt")
    text = (tmp_path / "one.nt").read_text()
    assert text == (tmp_path / "two.nt").read_text()
    assert all(line.endswith(" .") for line in text.splitlines())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base": "glre"}, "RDF: 'glre' does not begin an IRI, as 'https://example.org/' does"),
        ({"base": "http://a b/"}, "RDF: 'http://a b/' does not begin"),
        ({"namespaces": {"Gene": "ncbi"}}, "RDF: 'ncbi' does not begin"),
        ({"namespaces": {"(": "http://a/"}}, "RDF: '\\(' is not a regular expression"),
    ],
)
def test_what_makes_no_iri_is_refused(rdflib, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        write_ntriples([two_sentences()], tmp_path / "out.nt", **options)
    assert list(tmp_path.iterdir()) == []


def test_without_rdflib_one_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "rdflib", None)
    with pytest.raises(InputError, match=r"^RDF needs rdflib.*: pip install 'glre_pyg\[rdf\]'$"):
        write_ntriples([two_sentences()], tmp_path / "out.nt")


def test_the_names_of_a_composite_mention_are_those_of_its_parts(rdflib, tmp_path):
    each = Document(
        id="1",
        text="liver and kidney damage by velorin",
        words=((0, 5), (6, 9), (10, 16), (17, 23), (24, 26), (27, 34)),
        sentences=(Sentence(0, 6),),
        mentions=(
            Mention(0, 23, "Disease", ("L", "K"), ("liver damage", "kidney damage")),
            Mention(27, 34, "Chemical", ("V",)),
        ),
        facts=(Fact("V", "CID", "L"), Fact("V", "CID", "K")),
    )
    assert [row["tail_name"] for row in rows([each], tmp_path)] == ["liver damage", "kidney damage"]
    graph = parsed(rdflib, [each], tmp_path)
    labels = graph.objects(rdflib.URIRef(f"{BASE}entity/K"), rdflib.RDFS.label)
    assert [*map(str, labels)] == ["kidney damage"]
