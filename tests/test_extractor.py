"""The extractor: what it finds is what the model says, and its reasons are measured as documented."""

import json
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import spacy
import torch
from omegaconf import OmegaConf

import glre_pyg
from documents import LABELS, document, glre, no_entity, no_pair, random_documents, subwords, two_sentences
from glre_pyg import Dictionary, RelationExtractor, document_of
from glre_pyg.data.document import Document, Fact, Sentence
from glre_pyg.extraction.explainer import explain
from glre_pyg.extraction.sentence_ablation import ablate_sentences, without_sentence
from glre_pyg.formats.detection import write_documents
from glre_pyg.formats.jsonl import read_jsonl, write_jsonl
from glre_pyg.runs.memory import document_bytes
from glre_pyg.runs.run import Run
from glre_pyg.utils.exceptions import InputError

DOCUMENTS = [two_sentences(), no_pair(), no_entity(), *random_documents(6)]


@pytest.fixture(scope="module")
def run() -> Run:
    torch.manual_seed(0)
    tokenizer = subwords(DOCUMENTS)
    model = glre(tokenizer).eval()
    dataset = {
        "_target_": "glre_pyg.datasets.Synthetic",
        "corpus": {"_target_": "glre_pyg.datasets.generator.SyntheticCorpus"},
        "sizes": {},
        "name": "x",
    }
    config = OmegaConf.create({"eval_batch_size": 4, "dataset": dataset})
    return Run(model, tokenizer, LABELS, 0.5, config, None)


@pytest.fixture(scope="module")
def extractor(run: Run) -> RelationExtractor:
    return RelationExtractor(run)


# Facts


def test_what_is_found_is_what_the_model_says(run, extractor):
    graphs = run.graphs(DOCUMENTS)
    found = extractor(DOCUMENTS, reasons=False)
    assert [each.id for each in found] == [each.id for each in DOCUMENTS]
    facts = 0
    for each, graph, table in zip(found, graphs, run.predict(graphs), strict=True):
        ids = graph["entity"].id
        pairs = [(ids[head], ids[tail]) for head, tail in graph.pair_index.t().tolist()]
        expected = {
            (*pairs[row], LABELS.relations[column]): table[row, column]
            for row, column in np.argwhere(table > 0.5).tolist()
        }
        assert {(fact.head, fact.tail, fact.relation): fact.probability for fact in each.facts} == (
            pytest.approx(expected, abs=1e-5)
        )
        entities = {entity.id: entity.mentions for entity in each.entities}
        for fact in each.facts:
            assert fact.extra == (f"{fact.probability:.6f}",)
            assert fact.is_predicted
            assert fact.threshold == 0.5
            assert (fact.head_mentions, fact.tail_mentions) == (entities[fact.head], entities[fact.tail])
            assert fact.reasons is fact.sentence_ablation is None
        probabilities = [fact.probability for fact in each.facts]
        assert probabilities == sorted(probabilities, reverse=True)
        facts += len(each.facts)
    assert facts


def test_thresholds_and_the_minimum_probability(run, extractor):
    highest = extractor(DOCUMENTS, threshold=1.0, reasons=False)
    assert all(each.facts == () for each in highest)
    limits = np.array([1.0, 0.0])
    for each in extractor(DOCUMENTS, threshold=limits, reasons=False):
        assert {fact.relation for fact in each.facts} <= {LABELS.relations[1]}
    predictions = extractor.predict(DOCUMENTS, threshold=0.6, min_probability=0.0)
    for given, facts in zip(DOCUMENTS, predictions, strict=True):
        assert len(facts) == len(given.entities) * (len(given.entities) - 1) * len(LABELS.relations)
        assert all(fact.is_predicted == (fact.probability > 0.6) for fact in facts)


def test_documents_may_come_in_any_chunks(extractor):
    whole = extractor(DOCUMENTS, reasons=False)
    for chunk in (1, 4):
        parts = list(extractor.stream(iter(DOCUMENTS), chunk=chunk))
        for one, other in zip(whole, parts, strict=True):
            assert [replace(fact, probability=0, extra=()) for fact in one.facts] == [
                replace(fact, probability=0, extra=()) for fact in other.facts
            ]


def test_facts_of_the_input_are_not_looked_at(extractor):
    blind = [replace(each, facts=()) for each in DOCUMENTS]
    assert extractor(DOCUMENTS) == extractor(blind)


def test_a_document_that_cannot_be_worked_on_is_told_of(run):
    sizes = document_bytes(run.model, run.graphs(DOCUMENTS), training=False)
    large = DOCUMENTS[sizes.index(max(sizes))]
    extractor = RelationExtractor(replace(run, memory=max(sizes) - 1))
    with pytest.raises(InputError, match=f"{large.id}: .* need about"):
        extractor([large])
    told: list[InputError] = []
    found = list(extractor.stream([DOCUMENTS[0], large, DOCUMENTS[1]], on_error=told.append))
    assert [each.id for each in found] == [DOCUMENTS[0].id, DOCUMENTS[1].id]
    predictions = list(extractor.predict([DOCUMENTS[0], large, DOCUMENTS[1]], on_error=told.append))
    assert [facts is None for facts in predictions] == [False, True, False]
    assert [str(error).split(":")[0] for error in told] == [large.id, large.id]


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8")],
)
def test_memory_that_is_not_enough_costs_a_document(run, monkeypatch, error):
    forward = type(run.model).forward

    def limited(model, batch):
        if DOCUMENTS[1].id in batch.id:
            raise error
        return forward(model, batch)

    monkeypatch.setattr(type(run.model), "forward", limited)
    told: list[InputError] = []
    found = list(RelationExtractor(run).stream(DOCUMENTS[:3], on_error=told.append))
    assert [each.id for each in found] == [DOCUMENTS[0].id, DOCUMENTS[2].id]
    assert [str(each) for each in told] == [
        f"{DOCUMENTS[1].id}: there is not enough memory to predict this document"
    ]


def test_errors_of_the_program_are_not_those_of_a_document(run, monkeypatch):
    def broken(model, batch):
        raise TypeError("a bug")

    monkeypatch.setattr(type(run.model), "forward", broken)
    with pytest.raises(TypeError, match="a bug"):
        list(RelationExtractor(run).stream(DOCUMENTS[:3], on_error=lambda _: None))


def test_mentions_of_unknown_types_are_left_out(run):
    spans = [(0, 1, "Planet", "P"), (1, 2, "Chemical", "V"), (3, 4, "Disease", "R")]
    given = document(["mars velorin caused rash ."], spans, [("P", "causes", "R"), ("V", "causes", "R")])
    known = replace(given, mentions=given.mentions[1:], facts=given.facts[1:])
    extractor = RelationExtractor(run)
    assert extractor([given]) == extractor([known])
    assert list(extractor.prepare([given])) == [known]
    assert extractor.left_out == {"Planet": 2}
    with pytest.warns(UserWarning, match=r"none of the types Planet is a type of the model \(.*\): map them"):
        extractor([replace(given, mentions=given.mentions[:1], facts=())])


def test_a_threshold_may_name_relations(extractor):
    by_name = extractor(DOCUMENTS, threshold={"treats": 0.0, "causes": 1.0}, reasons=False)
    assert by_name == extractor(DOCUMENTS, threshold=np.array([1.0, 0.0]), reasons=False)
    with pytest.raises(InputError, match="threshold: 'cures' is no relation: give one for causes, treats"):
        extractor(DOCUMENTS, threshold={"treats": 0.0, "causes": 1.0, "cures": 0.5})


def test_one_document_is_as_good_as_a_list(extractor):
    assert extractor(DOCUMENTS[0]) == extractor(DOCUMENTS[:1])


@pytest.mark.parametrize("wrong", ["a text", ["a text"], [None]])
def test_what_is_no_document_is_told(extractor, wrong):
    with pytest.raises(InputError, match=r"expected a document, not a \w+: glre_pyg.document_of"):
        extractor(wrong)


def test_no_documents_at_a_time_are_refused(extractor):
    with pytest.raises(InputError, match="chunk: 0 is not a number of documents"):
        list(extractor.stream(DOCUMENTS, chunk=0))


# Texts and files

TEXT = "Velorin (VLN) was given. VLN caused rash."
FINDER = Dictionary([("velorin", "V", "Chemical"), ("rash", "R", "Disease")])


def test_a_text_is_a_document_with_the_mentions_that_are_found(extractor):
    known = document_of("1", TEXT, FINDER.find(TEXT))
    [found] = extractor(TEXT, mentions=FINDER, threshold=0.0)
    assert [found] == extractor(known, threshold=0.0)
    assert len(found.facts) == 4
    texts = ["No mention.", TEXT, replace(known, mentions=(), id="d"), ("e", TEXT)]
    several = list(extractor.stream(texts, mentions=FINDER, threshold=0.0, reasons=True))
    assert [each.id for each in several] == ["1", "2", "d", "e"]
    assert [len(each.facts) for each in several] == [0, 4, 4, 4]
    assert replace(several[3], id="1").text == found.text


def test_a_text_that_is_empty_costs_itself_alone(extractor):
    told: list[InputError] = []
    given = ["  ", TEXT]
    assert [each.id for each in extractor.stream(given, mentions=FINDER, on_error=told.append)] == ["2"]
    assert list(map(str, told)) == ["1: there is no text"]
    with pytest.raises(InputError, match="1: there is no text"):
        extractor(given, mentions=FINDER)


@pytest.mark.parametrize("wrong", [("1", None), ("1", TEXT, "x"), 3, b"text"])
def test_what_is_no_text_is_told(extractor, wrong):
    with pytest.raises(InputError, match=f"not a {type(wrong).__name__}: "):
        extractor([wrong], mentions=FINDER)


def test_files_are_read_as_predict_reads_them(extractor, tmp_path):
    write_documents(DOCUMENTS, tmp_path / "all.jsonl")
    assert extractor.from_file(tmp_path / "all.jsonl", reasons=False) == extractor(DOCUMENTS, reasons=False)
    (tmp_path / "a.txt").write_text(TEXT)
    [found] = extractor.from_file(str(tmp_path / "a.txt"), FINDER, threshold=0.0)
    assert [found] == extractor([("a", TEXT)], mentions=FINDER, threshold=0.0)
    in_folder = extractor.from_file(tmp_path, FINDER, reasons=False)
    assert [each.id for each in in_folder] == ["a", *(each.id for each in DOCUMENTS)]
    with pytest.raises(InputError, match=r"a.txt: plain text has no marked mentions"):
        extractor.from_file(tmp_path / "a.txt")
    with pytest.raises(InputError, match=r"none.jsonl: no such file"):
        extractor.from_file(tmp_path / "none.jsonl")
    told: list[InputError] = []
    (tmp_path / "all.jsonl").write_text("{}\n")
    assert len(extractor.from_file(tmp_path, FINDER, on_error=told.append)) == 1
    assert [str(error).split(":")[0] for error in told] == ["all.jsonl"]


def test_types_of_others_are_mapped_without_a_warning(extractor, recwarn):
    finder = Dictionary([("velorin", "V", "DRUG"), ("rash", "R", "AE")])
    types = {"DRUG": "Chemical", "AE": "Disease"}
    [found] = extractor(TEXT, mentions=finder, types=types, threshold=0.0)
    assert len(found.facts) == 4
    assert not recwarn.list


# Sentence ablation


def test_without_a_sentence_the_text_closes_up():
    given = document(
        ["one velorin two .", "ostamide three rash .", "four velorin ."],
        [(1, 2, "Chemical", "V"), (4, 5, "Chemical", "O"), (6, 7, "Disease", "R"), (9, 10, "Chemical", "V")],
        [("V", "causes", "R")],
    )
    cut = {number: without_sentence(given, number) for number in range(3)}
    assert [cut[number].text for number in range(3)] == [
        "ostamide three rash . four velorin .",
        "one velorin two . four velorin .",
        "one velorin two . ostamide three rash .",
    ]
    for each in cut.values():
        assert len(each.sentences) == 2
        assert each.facts == ()
        for mention in each.mentions:
            names = {"V": "velorin", "O": "ostamide", "R": "rash"}
            assert each.text[mention.start : mention.end] == names[mention.ids[0]]
    assert [entity.id for entity in cut[1].entities] == ["V"]
    assert without_sentence(without_sentence(cut[0], 0), 0).text == ""


@pytest.mark.parametrize("number", range(3, 9))
def test_without_a_sentence_words_are_those_of_the_others(number):
    given = DOCUMENTS[number]
    words = given.word_texts()
    for left in range(len(given.sentences)):
        shorter = without_sentence(given, left)
        kept = [sentence for index, sentence in enumerate(given.sentences) if index != left]
        assert shorter.word_texts() == [word for of in kept for word in words[of.start : of.end]]
        assert len(shorter.mentions) == sum(given.sentence_of(mention) != left for mention in given.mentions)


def test_white_space_of_any_kind_goes_with_its_sentence():
    text = " \n A b.\t\tC d. \r\n E f.  "
    given = Document(
        "w",
        text,
        tuple((text.index(word), text.index(word) + len(word)) for word in ("A", "b.", "C", "d.", "E", "f.")),
        (Sentence(0, 2), Sentence(2, 4), Sentence(4, 6)),
        (),
    )
    assert [without_sentence(given, number).text for number in range(3)] == [
        " \n C d. \r\n E f.  ",
        " \n A b. \r\n E f.  ",
        " \n A b.\t\tC d.  ",
    ]


def test_sentence_ablation_is_what_the_model_says_without_a_sentence(run):
    given = next(each for each in DOCUMENTS if len(each.sentences) > 2 and len(each.entities) > 3)
    head, tail = LABELS.candidates(given)[0]
    [found] = ablate_sentences(run, given, [Fact(head, "treats", tail)])
    [whole] = run.graphs([given])
    before = run.predict([whole])[0][0, 1]
    for each in found:
        shorter = without_sentence(given, each.sentence)
        ids = [entity.id for entity in shorter.entities]
        if {head, tail} <= set(ids):
            [graph] = run.graphs([shorter])
            pairs = graph.pair_index.t().tolist()
            row = pairs.index([ids.index(head), ids.index(tail)])
            expected = run.predict([graph])[0][row, 1]
            assert each.probability == pytest.approx(expected, abs=1e-5)
            assert each.change == pytest.approx(expected - before, abs=1e-5)
        else:
            assert each.probability is each.change is None


def test_sentence_ablation_has_every_sentence_once_in_the_documented_order(extractor):
    seen = 0
    for each in extractor(DOCUMENTS):
        for fact in each.facts:
            assert sorted(one.sentence for one in fact.sentence_ablation) == list(range(len(each.sentences)))
            keys = [
                (one.change is not None, one.change or 0.0, one.sentence if one.change is None else 0)
                for one in fact.sentence_ablation
            ]
            assert keys == sorted(keys)
            seen += any(one.change is None for one in fact.sentence_ablation)
    assert seen


def test_a_sentence_with_all_mentions_of_one_side_leaves_no_pair(run):
    [found] = ablate_sentences(run, two_sentences(), [Fact("V", "causes", "R")])
    assert [(each.sentence, each.probability is None) for each in found] == [(0, True), (1, False)]


# Reasons


def test_reasons_are_those_of_explain_and_only_facts_are_measured(run, extractor):
    predictions = extractor.predict(DOCUMENTS, min_probability=0.2, threshold=0.55, reasons=True)
    for given, facts in zip(DOCUMENTS, predictions, strict=True):
        pairs = [(fact.head, fact.tail) for fact in facts]
        why = explain(run, given, pairs, top_k=10) if pairs else []
        expected = dict(zip(pairs, why, strict=True))
        for fact in facts:
            assert fact.reasons == expected[fact.head, fact.tail]
            assert (fact.sentence_ablation is not None) == fact.is_predicted


def test_of_long_documents_sentences_are_not_measured(extractor):
    longest = max(len(each.sentences) for each in DOCUMENTS)
    predictions = extractor.predict(DOCUMENTS, reasons=True, max_sentences=longest - 1, top_k=2)
    for given, facts in zip(DOCUMENTS, predictions, strict=True):
        for fact in facts:
            assert (fact.sentence_ablation is None) == (len(given.sentences) == longest)
            assert len(fact.reasons.context) <= 2


def test_a_document_without_memory_for_reasons_is_given_without(run, monkeypatch):
    def fail(*_, **__):
        raise InputError("too large")

    monkeypatch.setattr("glre_pyg.extraction.extractor.explain", fail)
    told: list[InputError] = []
    [facts] = RelationExtractor(run).predict(DOCUMENTS[:1], reasons=True, on_error=told.append)
    assert facts
    assert all(fact.reasons is None for fact in facts)
    assert list(map(str, told)) == ["two: no reasons: too large"]


# JSON lines


def test_json_lines_have_what_the_model_says_and_can_be_read_again(extractor, tmp_path):
    found = extractor(DOCUMENTS[:4])
    write_jsonl(found, tmp_path / "found.jsonl")
    records = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text().splitlines()]
    for record, each in zip(records, found, strict=True):
        for row, fact in zip(record["facts"], each.facts, strict=True):
            assert (row["probability"], row["threshold"]) == (fact.probability, 0.5)
            assert [one["sentence"] for one in row["sentence_ablation"]] == [
                one.sentence for one in fact.sentence_ablation
            ]
            assert row["reasons"]["path"][0]["name"] == fact.reasons.path[0].name
            weights = [one["weight"] for one in row["reasons"]["head_mentions"]]
            assert sum(weights) == pytest.approx(1)
    again = list(read_jsonl(tmp_path / "found.jsonl"))
    assert [each.facts for each in again] == [
        tuple(replace(fact, reasons=None, sentence_ablation=None) for fact in each.facts) for each in found
    ]


@pytest.mark.parametrize("finder", ["names.tsv", [], spacy.blank("en")])
def test_what_finds_no_mentions_is_named(run, finder):
    with pytest.raises(InputError, match=r"^mentions: a \w+ finds no mentions: give a Dictionary"):
        RelationExtractor(run)("velorin", mentions=finder)


def test_other_arguments_than_documents_and_probabilities_are_named(run):
    with pytest.raises(
        InputError, match="expected documents or texts, not a PosixPath; from_file reads a file"
    ):
        RelationExtractor(run)(Path("a.txt"))
    with pytest.raises(InputError, match="threshold: 2 is not a probability"):
        RelationExtractor(run)(DOCUMENTS, threshold=2)
    with pytest.raises(InputError, match=r"^1: mentions: expected FoundMention\(.*\), not tuple"):
        document_of("1", "velorin", [(0, 7, "Chemical")])
    assert glre_pyg.__version__ == version("glre_pyg")
