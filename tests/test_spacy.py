"""spaCy: documents come back from it as they went, and its pipelines find what the extractor finds."""

import multiprocessing
import pickle
import shutil
import sys
import warnings
import zlib
from dataclasses import replace
from importlib.metadata import entry_points

import pytest
from hydra import compose, initialize_config_dir

from commands import run
from documents import odd_documents, random_documents, two_sentences
from glre_pyg.data.document import Document, Fact, Mention, Sentence
from glre_pyg.data.explanation import PredictedFact
from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.extraction.extractor import RelationExtractor
from glre_pyg.formats.detection import read_documents
from glre_pyg.formats.spacy_docs import to_spacy, write_spacy
from glre_pyg.mentions.spacy_documents import from_spacy, read_spacy
from glre_pyg.training.experiment import train
from glre_pyg.utils.cli import config_dir
from glre_pyg.utils.exceptions import InputError
from test_output import predicted

spacy = pytest.importorskip("spacy")

SMALL = [
    "encoder=tiny",
    "dataset.sizes.train=6",
    "dataset.sizes.dev=3",
    "dataset.sizes.test=3",
    "training.epochs=1",
    "model.nodes.hidden_channels=16",
]
TEXTS = [
    "Velorin and ostamide caused severe rash in mice. Ostamide eased the tremor.",
    "The patients had fevers.",
    "Tremor followed velorin.\n\nRash and tremor did not follow ostamide (OST).  OST was safe.",
    "",
]
PATTERNS = [
    {"label": "Chemical", "pattern": [{"LOWER": "velorin"}], "id": "C1"},
    {"label": "Chemical", "pattern": [{"LOWER": "ostamide"}]},
    {"label": "Disease", "pattern": [{"LOWER": "severe", "OP": "?"}, {"LOWER": "rash"}]},
    {"label": "Disease", "pattern": [{"LOWER": "tremor"}]},
    {"label": "ANIMAL", "pattern": [{"LOWER": "mice"}]},
]


def spaced(text: str, *names: str) -> Document:
    """A document of the words of a text, with mentions of those that are named."""
    words, start = [], 0
    for word in text.split():
        start = text.index(word, start)
        words.append((start, start := start + len(word)))
    spans = {text[first:last]: (first, last) for first, last in words}
    mentions = tuple(Mention(*spans[name], "Chemical", (name,)) for name in names)
    sentences = (Sentence(0, len(words)),) if words else ()
    return Document(f"«{text}»", text, tuple(words), sentences, mentions)


def composite() -> Document:
    """Nested, composite, unlinked and doubled mentions, sections, ignored pairs, evidence and further columns."""
    return Document(
        id="composite",
        text="Liver and kidney damage.\n By velorin\u00a0(x)!",
        words=(
            (0, 5),
            (6, 9),
            (10, 16),
            (17, 23),
            (23, 24),
            (26, 28),
            (29, 36),
            (37, 38),
            (38, 39),
            (39, 41),
        ),
        sentences=(Sentence(0, 5), Sentence(5, 10)),
        mentions=(
            Mention(0, 23, "Disease", ("L", "K|2"), ("liver damage", "kidney damage")),
            Mention(10, 23, "Disease", ("K|2",)),
            Mention(0, 5, "Organ", ()),
            Mention(29, 36, "Chemical", ("V",)),
            Mention(29, 36, "Chemical", ("NIL",)),
            Mention(29, 36, "Chemical", ("V",)),
        ),
        facts=(Fact("V", "CID", "L", ("Novel",), (0, 1)), Fact("NIL", "CID", "K|2")),
        ignored=(("V", "K|2"),),
        sections=((0, 24), (26, 41)),
    )


DOCUMENTS = [
    *odd_documents(),
    composite(),
    *random_documents(6),
    *(predicted(each, 0.1 + 1e-9, 0.05) for each in random_documents(3, sentences=(1, 2))),
    spaced("  velorin   eased\n\n\trash ", "velorin", "rash"),
    spaced(" a", "a"),
    spaced("\u2028x\u00a0y \u3000z\x85", "y"),
    spaced(" \n "),
    spaced("Käfer 😀 e\u0301 ✓.", "Käfer", "✓."),
]
DOCUMENTS = [replace(each, id=f"{number} {each.id}") for number, each in enumerate(DOCUMENTS)]


# Documents


@pytest.mark.parametrize("each", DOCUMENTS, ids=lambda each: each.id[:20])
def test_a_document_comes_back(each):
    doc = to_spacy(each, spacy.blank("en").vocab)
    assert doc.text == each.text
    assert from_spacy(doc) == each
    again = spacy.tokens.Doc(spacy.blank("xx").vocab).from_bytes(doc.to_bytes())
    assert from_spacy(again) == each


def test_documents_of_a_file_come_back(tmp_path):
    write_spacy(iter(DOCUMENTS), tmp_path / "all.spacy")
    assert list(read_spacy(tmp_path / "all.spacy")) == DOCUMENTS
    assert [path.name for path in tmp_path.iterdir()] == ["all.spacy"]


def test_documents_of_a_file_are_not_packed_again_for_each_of_them(tmp_path, monkeypatch):
    write_spacy(random_documents(3), tmp_path / "d.spacy")
    monkeypatch.delattr(spacy.tokens.DocBin, "to_bytes")
    assert len(list(read_spacy(tmp_path / "d.spacy"))) == 3


def test_spacy_sees_words_sentences_entities_and_relations():
    doc = to_spacy(composite(), spacy.blank("en").vocab)
    assert [token.text for token in doc] == [
        *("Liver", "and", "kidney", "damage", ".", "\n ", "By", "velorin", "\u00a0", "(", "x", ")!")
    ]
    assert [span.text.strip() for span in doc.sents] == ["Liver and kidney damage.", "By velorin\u00a0(x)!"]
    assert [(ent.text, ent.label_, ent.kb_id_) for ent in doc.ents] == [
        ("Liver and kidney damage", "Disease", "L|K|2"),
        ("velorin", "Chemical", "V"),
    ]
    assert [(span.text, span.label_, span.kb_id_) for span in doc.spans["mentions"]] == [
        ("Liver and kidney damage", "Disease", "L"),
        ("Liver and kidney damage", "Disease", "K|2"),
        ("kidney damage", "Disease", "K|2"),
        ("Liver", "Organ", ""),
        *[("velorin", "Chemical", name) for name in ("V", "NIL", "V")],
    ]
    first, second = doc._.relations
    assert first == {
        "head": "V",
        "relation": "CID",
        "tail": "L",
        "head_name": "velorin",
        "tail_name": "liver damage",
        "probability": None,
        "threshold": None,
        "head_mentions": [[7, 8]],
        "tail_mentions": [[0, 4]],
        "sentences": [[0, 5], [6, 12]],
        "extra": ["Novel"],
        "evidence": [0, 1],
    }
    assert (second["tail"], second["tail_mentions"]) == ("K|2", [[0, 4], [2, 4]])


def test_what_is_changed_in_spacy_is_what_comes_back():
    doc = to_spacy(two_sentences(), spacy.blank("en").vocab)
    doc.spans["mentions"] = [
        spacy.tokens.Span(doc, 0, 1, "Gene", kb_id="G"),
        spacy.tokens.Span(doc, 1, 2, "Gene"),
    ]
    doc._.relations = []
    each = from_spacy(doc)
    assert each.mentions == (Mention(0, 7, "Gene", ("G",)), Mention(8, 11, "Gene", ()))
    assert (each.words, each.sentences, each.facts) == (two_sentences().words, two_sentences().sentences, ())


@pytest.mark.parametrize("ours", [True, False])
def test_labels_become_types_and_others_are_left_out(ours):
    doc = to_spacy(two_sentences(), spacy.blank("en").vocab)
    if not ours:
        del doc.user_data["glre_pyg"]
    each = from_spacy(doc, types={"Chemical": "Drug"}, id="x")
    assert (each.id, {mention.type for mention in each.mentions}) == ("x", {"Drug"})
    assert [entity.id for entity in each.entities] == ["V", "O"]
    assert each.facts == ()  # a disease is the tail of all


def pipeline(*, linked: bool = True):
    """A pipeline that finds entities by rules."""
    nlp = spacy.blank("en")
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([pattern if linked else {**pattern, "id": None} for pattern in PATTERNS])
    return nlp


def test_a_doc_of_any_pipeline_becomes_a_document(tmp_path):
    docs = list(pipeline().pipe(TEXTS))
    docs[2].user_data["id"] = "third"
    spacy.tokens.DocBin(docs=docs, store_user_data=True).to_disk(tmp_path / "in.spacy")
    first, second, third, fourth = read_spacy(tmp_path / "in.spacy")
    assert [each.id for each in (first, second, third, fourth)] == ["1", "2", "third", "4"]
    assert [each.text for each in (first, second, third, fourth)] == TEXTS
    entities = {entity.id: [first.text[slice(*m.span)] for m in entity.mentions] for entity in first.entities}
    assert entities == {
        "C1": ["Velorin"],
        "ostamide": ["ostamide", "Ostamide"],
        "severe rash": ["severe rash"],
        "mice": ["mice"],
        "tremor": ["tremor"],
    }
    assert [len(each.sentences) for each in (first, second, third, fourth)] == [2, 1, 3, 0]
    [ostamide] = [entity for entity in third.entities if entity.id == "ostamide"]
    assert [third.text[slice(*mention.span)] for mention in ostamide.mentions] == ["ostamide", "OST", "OST"]


def test_identifiers_are_those_of_a_linker_then_those_of_a_ruler():
    doc = spacy.blank("en").make_doc(" ostamide eased  rash and tremor")
    doc.ents = [
        spacy.tokens.Span(doc, 1, 2, "Chemical", kb_id="Q1", span_id="C2"),
        spacy.tokens.Span(doc, 3, 5, "Disease", kb_id="NIL", span_id="D1"),  # with white space before it
        spacy.tokens.Span(doc, 6, 7, "Disease", kb_id="NIL"),
        spacy.tokens.Span(doc, 0, 1, "Space"),
    ]
    each = from_spacy(doc)
    assert [(m.type, m.ids, each.text[slice(*m.span)]) for m in each.mentions] == [
        ("Chemical", ("Q1",), "ostamide"),
        ("Disease", ("D1",), "rash"),
        ("Disease", ("tremor",), "tremor"),
    ]


@pytest.mark.parametrize("content", [b"", b"{}", b"x\x9c\x03\x00\x00\x00\x00\x01", None])
def test_what_is_no_docbin_is_one_line(tmp_path, content):
    if content is not None:
        (tmp_path / "in.spacy").write_bytes(content)
    with pytest.raises(InputError) as error:
        list(read_spacy(tmp_path / "in.spacy"))
    assert "in.spacy: " in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_predicted_facts_are_read_as_those_of_json_lines(tmp_path):
    doc = to_spacy(two_sentences(), spacy.blank("en").vocab)
    relation, *_ = doc._.relations
    predicted = {**relation, "probability": 0.7, "threshold": 0.5, "extra": ["x"]}
    for each in ({"probability": 0.7}, {"threshold": 0.5}):
        half = doc.copy()
        half._.relations = [{**relation, **each}]
        spacy.tokens.DocBin(docs=[half], store_user_data=True).to_disk(tmp_path / "half.spacy")
        with pytest.raises(InputError, match=r"probability and threshold are given together or not at all$"):
            list(read_spacy(tmp_path / "half.spacy"))
    doc._.relations = [predicted]
    spacy.tokens.DocBin(docs=[doc], store_user_data=True).to_disk(tmp_path / "in.spacy")
    [document] = read_spacy(tmp_path / "in.spacy")
    assert document.facts[0].probability == 0.7
    assert document.facts[0].extra == ("x",)


def test_a_bad_document_is_told_of_and_the_others_are_read_and_written(tmp_path):
    doc = to_spacy(two_sentences(), spacy.blank("en").vocab)
    bad = doc.copy()
    bad.user_data["glre_pyg"] = {**doc.user_data["glre_pyg"], "id": "bad"}
    bad._.relations = [{**doc._.relations[0], "head": "nobody"}]
    odd = doc.copy()
    odd.user_data["glre_pyg"] = {**doc.user_data["glre_pyg"], "id": "odd"}
    odd._.relations = ["treats"]
    foreign = doc.copy()
    foreign.user_data["glre_pyg"] = {"id": "foreign"}
    docs = [bad, doc, odd, doc, foreign]
    spacy.tokens.DocBin(docs=docs, store_user_data=True).to_disk(tmp_path / "in.spacy")
    told = []
    assert list(read_spacy(tmp_path / "in.spacy", on_error=told.append)) == [two_sentences()]
    assert [str(error) for error in told] == [
        "in.spacy: document 1: bad: relations[0].head: no mention has 'nobody'",
        "in.spacy: document 3: odd: relations[0]: expected `object`, got `str`",
        "in.spacy: document 4: two: a document of this identifier was in the file before",
        "in.spacy: document 5: foreign: glre_pyg.gaps: missing",
    ]
    wrong = replace(two_sentences(), id="wrong", facts=(Fact("nobody", "causes", "V"),))
    write_spacy([wrong, two_sentences()], tmp_path / "out.spacy", on_error=told.append)
    assert str(told[-1]) == "wrong: there is no entity 'nobody'"
    assert list(read_spacy(tmp_path / "out.spacy")) == [two_sentences()]


def test_without_spacy_one_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(InputError, match=r"^spaCy is not installed: pip install 'glre_pyg\[spacy\]'$"):
        write_spacy([two_sentences()], tmp_path / "out.spacy")


# The component


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Folder of a run that has hardly been trained."""
    folder = tmp_path_factory.mktemp("spacy") / "run"
    with initialize_config_dir(config_dir(), version_base="1.3"):
        config = compose("train", overrides=SMALL)
    train(config, folder)
    return folder


def with_relations(model, **config):
    import glre_pyg.extraction.spacy_component  # noqa: F401, as spaCy imports it by its entry point

    nlp = pipeline()
    nlp.add_pipe("glre", config={"model": str(model), "threshold": 0.0, **config})
    return nlp


@pytest.fixture(scope="module")
def nlp(model):
    return with_relations(model)


def relations(docs):
    return [doc._.relations for doc in docs]


def close(found, expected):
    """Relations that differ in the last digits of probabilities alone."""
    assert [len(each) for each in found] == [len(each) for each in expected]
    for one, other in zip(
        [r for each in found for r in each], [r for each in expected for r in each], strict=True
    ):
        assert one["probability"] == pytest.approx(other["probability"], abs=1e-5)
        assert {**one, "probability": 0} == {**other, "probability": 0}


def test_relations_are_those_of_the_extractor(nlp, model):
    doc = nlp(TEXTS[0])
    plain = pipeline()(TEXTS[0])
    [expected] = RelationExtractor.from_pretrained(model)(
        [from_spacy(plain, types={"Chemical": "Chemical", "Disease": "Disease"})],
        threshold=0.0,
        reasons=False,
    )
    assert len(expected.facts) == 4  # two chemicals, two diseases
    for fact, relation in zip(expected.facts, doc._.relations, strict=True):
        assert isinstance(fact, PredictedFact)
        assert (relation["head"], relation["relation"], relation["tail"]) == (
            fact.head,
            fact.relation,
            fact.tail,
        )
        assert relation["probability"] == pytest.approx(fact.probability, abs=1e-6)
        assert relation["threshold"] == 0.0
        for side, mentions in (("head", fact.head_mentions), ("tail", fact.tail_mentions)):
            texts = [doc[start:end].text for start, end in relation[f"{side}_mentions"]]
            assert texts == [TEXTS[0][slice(*mention.span)] for mention in mentions]
            assert relation[f"{side}_name"] == texts[0]
    named = {(each["head_name"], each["tail_name"]): each for each in doc._.relations}
    sentences = named["ostamide", "tremor"]["sentences"]
    assert [doc[start:end].text for start, end in sentences] == ["Ostamide eased the tremor."]
    assert "reasons" not in doc._.relations[0]


def test_batches_give_what_single_texts_give(nlp):
    single = relations(map(nlp, TEXTS))
    assert [len(each) for each in single] == [4, 0, 4, 0]
    for size in (1, 2, 100):
        close(relations(nlp.pipe(TEXTS, batch_size=size)), single)
    assert [context for _, context in nlp.pipe(zip(TEXTS, "abcd", strict=True), as_tuples=True)] == [*"abcd"]


def test_the_batch_size_of_the_component_goes_before(model, monkeypatch):
    nlp = with_relations(model, batch_size=2)
    sizes = []
    stream = RelationExtractor.stream

    def counted(self, documents, **options):
        sizes.append(len(documents))
        return stream(self, documents, **options)

    monkeypatch.setattr(RelationExtractor, "stream", counted)
    assert len(list(nlp.pipe(TEXTS[:3], batch_size=100))) == 3
    assert sizes == [2, 1]


def test_relations_are_plain_data(nlp):
    doc = nlp(TEXTS[0])
    again = spacy.tokens.Doc(nlp.vocab).from_bytes(doc.to_bytes())
    assert again._.relations == doc._.relations
    stored = spacy.tokens.DocBin(docs=[doc], store_user_data=True).to_bytes()
    [again] = spacy.tokens.DocBin().from_bytes(stored).get_docs(nlp.vocab)
    assert [each["probability"] for each in again._.relations] == [
        each["probability"] for each in doc._.relations
    ]
    assert pickle.loads(pickle.dumps(doc))._.relations == doc._.relations


def test_what_the_component_finds_can_be_read_as_facts(nlp, tmp_path):
    docs = list(nlp.pipe(TEXTS))
    spacy.tokens.DocBin(docs=docs, store_user_data=True).to_disk(tmp_path / "out.spacy")
    for doc, each in zip(docs, read_spacy(tmp_path / "out.spacy"), strict=True):
        assert [(f.head, f.relation, f.tail, f.probability, f.threshold) for f in each.facts] == [
            tuple(found[key] for key in ("head", "relation", "tail", "probability", "threshold"))
            for found in doc._.relations
        ]
        assert all(fact.head_mentions for fact in each.facts)


def test_processes_give_what_one_gives(nlp):
    single = relations(map(nlp, TEXTS))  # the model has been loaded and has run before the processes start
    texts = TEXTS * 3
    before = {*multiprocessing.active_children()}  # joblib keeps its own from other tests
    close(relations(nlp.pipe(texts, n_process=2, batch_size=2)), single * 3)
    assert before.issuperset(multiprocessing.active_children())


def test_documents_are_predicted_in_the_chunks_of_the_command(nlp, monkeypatch):
    chunks = []
    monkeypatch.setattr(nlp.get_pipe("glre"), "_annotate", lambda docs: chunks.append(len(docs)))
    assert len(list(nlp.pipe(["Rash."] * 300))) == 300
    assert chunks == [256, 44]
    assert len(list(nlp.pipe(["Rash."] * 30, batch_size=20))) == 30
    assert chunks[2:] == [20, 10]


def test_a_document_with_mentions_of_ours_keeps_them(model):
    import glre_pyg.extraction.spacy_component  # noqa: F401

    nlp = spacy.blank("en")
    nlp.add_pipe("glre", config={"model": str(model), "threshold": 0.0})
    [each] = SyntheticCorpus().generate("test", 1)
    doc = nlp(to_spacy(each, nlp.vocab))
    [expected] = RelationExtractor.from_pretrained(model)([each], threshold=0.0, reasons=False)
    found = from_spacy(doc)
    assert replace(found, facts=()) == replace(each, facts=())
    assert [(f.head, f.tail) for f in found.facts] == [(f.head, f.tail) for f in expected.facts]
    assert [f.probability for f in found.facts] == pytest.approx(
        [f.probability for f in expected.facts], abs=1e-6
    )


def test_the_command_the_class_and_the_component_find_the_same(model, tmp_path):
    """With mentions of a type that the model does not know, too, and facts of theirs."""
    documents = list(SyntheticCorpus().generate("test", 6))
    for number in (1, 3):
        first, *others = documents[number].mentions
        documents[number] = replace(
            documents[number], mentions=(replace(first, type="Planet"), *others), facts=()
        )
    write_spacy(documents, tmp_path / "in.spacy")
    options = (f"run={model}", "input=in.spacy", "output=out.jsonl", "threshold=0.3", "device=cpu")
    out, _ = run("predict", *options, cwd=tmp_path)
    assert out.splitlines()[-1].endswith("were left out: 2 Planet; mentions.types={THEIRS: OURS} maps types")
    expected = list(read_documents(tmp_path / "out.jsonl"))
    found = RelationExtractor.from_pretrained(model)(documents, threshold=0.3, reasons=False)
    assert [replace(each, facts=()) for each in found] == [replace(each, facts=()) for each in expected]

    nlp = spacy.blank("en")
    nlp.add_pipe("glre", config={"model": str(model), "threshold": 0.3})
    docs = nlp.pipe(to_spacy(replace(each, facts=()), nlp.vocab) for each in documents)
    for command, by_class, doc in zip(expected, found, docs, strict=True):
        facts = {(fact.head, fact.relation, fact.tail): fact.probability for fact in command.facts}
        assert {(fact.head, fact.relation, fact.tail): fact.probability for fact in by_class.facts} == (
            pytest.approx(facts, abs=1e-6)
        )
        relations = doc._.relations
        assert {(one["head"], one["relation"], one["tail"]): one["probability"] for one in relations} == (
            pytest.approx(facts, abs=1e-6)
        )
    assert any(each.facts for each in expected)


def test_labels_are_mapped_and_unknown_ones_warned_of_where_none_is_known(model):
    patterns = [{"label": "CHEM", "pattern": "velorin"}, {"label": "DIS", "pattern": "rash"}]
    texts = "velorin caused rash."
    counts = []
    for types in ({"CHEM": "Chemical", "DIS": "Disease"}, None):
        nlp = spacy.blank("en")
        nlp.add_pipe("entity_ruler").add_patterns(patterns)
        nlp.add_pipe("glre", config={"model": str(model), "threshold": 0.0, "types": types})
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            counts.append((len(nlp(texts)._.relations), [str(each.message) for each in told]))
    assert counts[0] == (1, [])
    assert counts[1] == (
        0,
        ["none of the types CHEM, DIS is a type of the model (Chemical, Disease, Gene): map them to these"],
    )
    with pytest.raises(
        InputError, match=r"^glre: types: 'Drug' for 'CHEM' is not one of Chemical, Disease, Gene$"
    ):
        with_relations(model, types={"CHEM": "Drug"})


def test_reasons_are_plain_data_with_tokens(model):
    nlp = with_relations(model, reasons=True)
    doc = nlp(TEXTS[0])
    assert spacy.tokens.Doc(nlp.vocab).from_bytes(doc.to_bytes())._.relations == doc._.relations
    for relation in doc._.relations:
        why = relation["reasons"]
        assert set(why) == {
            "head_mentions",
            "tail_mentions",
            "context",
            "context_itself",
            "path",
            "sentence_ablation",
        }
        for side in ("head_mentions", "tail_mentions"):
            assert [each["tokens"] for each in why[side]] == relation[side]
            assert sum(each["weight"] for each in why[side]) == pytest.approx(1)
        assert why["context_itself"] + sum(each["weight"] for each in why["context"]) == pytest.approx(1)
        assert (why["path"][0]["id"], why["path"][-1]["id"]) == (relation["head"], relation["tail"])
        spans = [each["tokens"] for each in why["path"] if each["kind"] == "sentence"]
        assert all(doc[start:end].text.endswith(".") for start, end in spans)
        assert sorted(each["tokens"] for each in why["sentence_ablation"]) == [[0, 9], [9, 14]]
        assert all(each["change"] is None or -1 < each["change"] < 1 for each in why["sentence_ablation"])


# Errors


@pytest.fixture
def failing(nlp, monkeypatch):
    """A pipeline whose model has no memory for texts with "fevers" in them."""
    stream = RelationExtractor.stream

    def scarce(self, documents, **options):
        for document in documents:
            if "fevers" in document.text:
                raise InputError(f"{document.id}: needs more memory")
        return stream(self, documents, **options)

    monkeypatch.setattr(RelationExtractor, "stream", scarce)
    yield nlp
    nlp.set_error_handler(spacy.util.raise_error)


def test_errors_are_raised_by_default(failing):
    with pytest.raises(InputError, match=r"^The patients had fevers\.: needs more memory$"):
        failing(TEXTS[1])
    with pytest.raises(InputError, match="needs more memory"):
        list(failing.pipe(TEXTS))


def test_an_error_handler_is_told_of_each_document_and_the_others_go_on(failing):
    expected = relations(map(failing, [TEXTS[0], TEXTS[2]]))
    told = []
    failing.set_error_handler(
        lambda name, proc, docs, error: told.append((name, [d.text for d in docs], str(error)))
    )
    docs = list(failing.pipe(TEXTS[:3]))
    assert [doc.text for doc in docs] == [TEXTS[0], TEXTS[2]]
    close(relations(docs), expected)
    assert told == [("glre", [TEXTS[1]], "The patients had fevers.: needs more memory")]
    assert failing(TEXTS[1])._.relations == []
    assert len(told) == 2


@pytest.mark.parametrize(
    ("config", "message"), [({"model": "nowhere"}, "nowhere: "), ({"batch_size": 0}, "glre: batch_size: 0 ")]
)
def test_wrong_settings_are_one_line(model, config, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        with_relations(**{"model": model, **config})
    assert str(error.value).startswith(message)
    assert len(str(error.value).splitlines()) == 1


# Saved pipelines


def test_a_saved_pipeline_works_without_the_model_that_it_was_made_with(model, nlp, tmp_path):
    expected = relations(map(nlp, TEXTS))
    shutil.copytree(model, tmp_path / "run")
    made = with_relations(tmp_path / "run")
    made.to_disk(tmp_path / "saved")
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(InputError, match="run: no such folder"):
        with_relations(tmp_path / "run")
    (tmp_path / "saved").rename(tmp_path / "moved")
    again = spacy.load(tmp_path / "moved")
    close(relations(again.pipe(TEXTS)), expected)
    again.to_disk(tmp_path / "again")
    shutil.rmtree(tmp_path / "moved")
    close(relations(again.pipe(TEXTS)), expected)
    close(relations(spacy.load(tmp_path / "again").pipe(TEXTS)), expected)
    [each] = RelationExtractor.from_pretrained(tmp_path / "again/glre")([two_sentences()], threshold=0.0)
    assert each.facts


def test_a_pipeline_as_bytes(nlp):
    expected = relations(map(nlp, TEXTS))
    config = nlp.config.copy()
    config["components"]["glre"]["model"] = "gone"
    empty = spacy.util.load_model_from_config(config, auto_fill=True)
    again = empty.from_bytes(nlp.to_bytes())
    close(relations(again.pipe(TEXTS)), expected)


def test_bytes_write_nothing_outside_their_folder(model, tmp_path):
    import srsly

    component = with_relations(model).get_pipe("glre")
    with pytest.raises(InputError, match="is not a file of a model"):
        component.from_bytes(srsly.msgpack_dumps({f"..{tmp_path}/evil": b"x"}))
    assert list(tmp_path.iterdir()) == []


def test_spacy_finds_the_component_by_itself():
    """By an entry point of the group in which spaCy looks for components."""
    from glre_pyg.extraction import spacy_component

    points = entry_points(group="spacy_factories", name="glre")
    if not points:
        pytest.skip("glre_pyg is installed without its entry points: install it again")
    assert {point.load() for point in points} == {spacy_component.make}


def test_a_file_that_unpacks_without_end_is_refused(tmp_path):
    """A zip bomb: 200 MB of zeros in 200 kB."""
    (tmp_path / "a.spacy").write_bytes(zlib.compress(bytes(200_000_000), 9))
    assert (tmp_path / "a.spacy").stat().st_size < 400_000
    with pytest.raises(InputError, match=r"^a.spacy: not a DocBin of spaCy: .*more than 100 times its size$"):
        list(read_spacy(tmp_path / "a.spacy"))
