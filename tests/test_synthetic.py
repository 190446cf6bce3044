"""The generator of invented abstracts: its documents, its knobs, and that nothing but reading solves them."""

import hashlib
import itertools
import re
import subprocess
import sys
from collections import Counter, defaultdict
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from glre_pyg.data.segmentation import segment
from glre_pyg.datasets.generator import SyntheticCorpus
from glre_pyg.datasets.generator_text import FILLERS, NAMES, TEMPLATES, name, number_of_names
from glre_pyg.formats.pubtator import read_pubtator
from glre_pyg.formats.pubtator_writer import write_pubtator

CONF = Path(__file__).parents[1] / "conf" / "dataset"
KINDS = ("synthetic", "synthetic_bridge", "synthetic_pairing", "synthetic_topic")
PLAIN = SyntheticCorpus(
    drugs=(2, 2),
    diseases=(2, 2),
    mentions=(1, 1),
    unstated=0,
    bridged=0,
    abbreviated=0,
    distractors=(0, 0),
)


def kind(name):
    """What Hydra makes of a configuration: the default one, and what the kind changes."""
    corpus = OmegaConf.load(CONF / "synthetic.yaml").corpus
    corpus = OmegaConf.merge(corpus, OmegaConf.load(CONF / f"{name}.yaml").corpus)
    assert corpus.pop("_target_") == f"{SyntheticCorpus.__module__}.{SyntheticCorpus.__name__}"
    return SyntheticCorpus(**corpus)


def documents(size=60, **knobs):
    return list(replace(PLAIN, **knobs).generate("train", size))


def entities(document, kind):
    return [entity for entity in document.entities if entity.type == kind]


def pairs(document):
    """Candidates with their truth, in the order of first mentions."""
    facts = {(fact.head, fact.tail) for fact in document.facts}
    ids = ([entity.id for entity in entities(document, kind)] for kind in ("Chemical", "Disease"))
    return {pair: pair in facts for pair in itertools.product(*ids)}


def rate(corpus):
    return sum(map(sum, (pairs(document).values() for document in corpus))) / sum(
        map(len, map(pairs, corpus))
    )


@cache
def _patterns():
    return {
        meaning: re.compile("|".join(_slotted(template) for template in templates))
        for meaning, templates in TEMPLATES.items()
    }


@cache
def read(document):
    """The oracle: what every sentence means and whom it names, recovered from the text alone."""
    result = []
    slots = {"Chemical": "x", "Disease": "y", "Gene": "g"}
    for number, sentence in enumerate(document.sentences):
        at, end = document.words[sentence.start][0], document.words[sentence.end - 1][1]
        text, cast = "", {}
        for mention in document.mentions:
            if document.sentence_of(mention) != number:
                continue
            between = document.text[at : mention.start]
            at = mention.end
            if between == " (":  # an abbreviation after the name
                at += 1
                continue
            text += f"{between}<{slots[mention.type]}>"
            cast[slots[mention.type]] = mention.ids
        text += document.text[at:end]
        text = text[0].lower() + text[1:]
        (meaning,) = (meaning for meaning, pattern in _patterns().items() if pattern.fullmatch(text))
        result.append((meaning, {slot: ids[0] if len(ids) == 1 else ids for slot, ids in cast.items()}))
    return result


def _slotted(template):
    parts = re.split(r"\{(\w+)\}", template[0].lower() + template[1:])
    text = re.escape(parts[0])
    for slot, literal in zip(parts[1::2], parts[2::2], strict=True):
        known = map(re.escape, FILLERS[slot]) if slot in FILLERS else [f"<{slot}>"]
        text += f"(?:{'|'.join(known)})" + re.escape(literal)
    return text


def infer(document):
    """The facts that follow from what the sentences mean."""
    said = defaultdict(list)
    for meaning, cast in read(document):
        said[meaning].append(cast)
    facts = {(cast["x"], cast["y"]) for cast in said["affirm"]}
    blocked = {cast["g"]: cast["x"] for cast in said["block"]}
    facts |= {(blocked[cast["g"]], cast["y"]) for cast in said["gene affirm"]}
    references = {cast["x"] for cast in said["reference"]}
    references |= {blocked[cast["g"]] for cast in said["reference target"]}
    if any(drug in references for drug, _ in facts):
        facts |= {(cast["x"], cast["y"]) for cast in said["suggest"]}
    return facts


def meanings(corpus):
    return Counter(meaning for document in corpus for meaning, _ in read(document))


# The documents


@pytest.mark.parametrize("name", KINDS)
def test_facts_follow_from_the_sentences(name):
    for document in kind(name).generate("train", 60):
        assert {(fact.head, fact.tail) for fact in document.facts} == infer(document)


@pytest.mark.parametrize("name", KINDS)
def test_words_and_sentences_are_those_of_the_segmenter(name):
    for document in kind(name).generate("train", 30):
        spans = [mention.span for mention in document.mentions]
        assert (document.words, document.sentences) == segment(document.text, spans, document.sections)


def test_survives_pubtator(tmp_path):
    corpus = documents(20, composites=1, unlinked=1, abbreviated=0.5, bridged=0.5)
    write_pubtator(corpus, tmp_path / "train.pubtator")
    assert list(read_pubtator(tmp_path / "train.pubtator")) == corpus


@pytest.mark.parametrize("name", KINDS)
def test_looks_like_an_abstract(name):
    for document in kind(name).generate("train", 60):
        assert 25 <= len(document.words) <= 200
        for sentence in document.sentences:
            text = document.text[document.words[sentence.start][0] : document.words[sentence.end - 1][1]]
            assert text.endswith(".")
            assert text[0].isupper() or text[0].isdigit()
        assert [document.text[slice(*section)][-1] for section in document.sections] == [".", "."]


def test_mentions_cover_their_names():
    for document in documents(60, abbreviated=0.5, aliases=0.5, bridged=0.5, composites=1):
        for mention in document.mentions:
            known = set()
            for identifier in mention.ids:
                number = int(identifier[1:])
                known |= {name(mention.type, 2 * number), name(mention.type, 2 * number + 1)}
            text = document.text[mention.start : mention.end]
            assert set(text.lower().split(" and ")) <= known or (len(text) == 3 and text.isupper())


def test_templates_mean_one_thing():
    every = [template for templates in TEMPLATES.values() for template in templates]
    assert len(set(every)) == len(every)


@pytest.mark.parametrize("kind", NAMES)
def test_names_differ(kind):
    size = number_of_names(kind)
    assert len({name(kind, number) for number in range(size)}) == size
    assert size // 2 <= 10_000  # identifiers have four digits


# The same in every process, never the same in two splits


def _digest(corpus):
    return hashlib.sha256(repr([vars(each) for each in corpus]).encode()).hexdigest()


def test_is_the_same_in_every_process():
    """Strings have another hash in each, this one included."""
    code = (
        "import hashlib; from glre_pyg.datasets.generator import SyntheticCorpus;"
        "documents = list(SyntheticCorpus(aliases=0.5).generate('dev', 20));"
        "print(hashlib.sha256(repr([vars(each) for each in documents]).encode()).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "random", "PYTHONPATH": str(Path(__file__).parents[1] / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == _digest(SyntheticCorpus(aliases=0.5).generate("dev", 20))


def test_a_larger_split_begins_with_the_smaller():
    assert list(PLAIN.generate("train", 5)) == list(PLAIN.generate("train", 9))[:5]


def test_does_not_write_ahead():
    assert next(PLAIN.generate("train", 10**9)).id == "train-0"


def test_seed():
    assert _digest(documents(5, seed=1)) != _digest(documents(5))


def test_splits_share_no_document_and_few_names():
    train, test = (list(SyntheticCorpus().generate(split, 200)) for split in ("train", "test"))
    assert not {document.text for document in train} & {document.text for document in test}
    assert not {document.id for document in train} & {document.id for document in test}
    known = {entity.id for document in train for entity in document.entities}
    new = [entity.id not in known for document in test for entity in document.entities]
    assert sum(new) / len(new) > 0.75


# Each knob


def test_drugs():
    assert {len(entities(document, "Chemical")) for document in documents(drugs=(3, 4))} == {3, 4}


def test_diseases():
    assert {len(entities(document, "Disease")) for document in documents(diseases=(1, 3))} == {1, 2, 3}


def test_mentions():
    for document in documents(20, mentions=(4, 5)):
        assert all(len(entity.mentions) >= 4 for entity in document.entities)
    assert any(len(entity.mentions) < 4 for document in documents(20) for entity in document.entities)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.6, 1.0])
def test_affirmed(share):
    assert rate(documents(200, affirmed=share)) == pytest.approx(share, abs=0.04)


def test_unstated():
    counts = meanings(documents(200, unstated=0.4, treated=1))
    assert counts["treat"] / (4 * 200) == pytest.approx(0.4, abs=0.04)
    assert rate(documents(60, unstated=1)) == 0


def test_treated():
    counts = meanings(documents(60, unstated=1, treated=1))
    assert counts["treat"] == 4 * 60
    assert not counts["drug"]
    counts = meanings(documents(60, unstated=1, treated=0))
    assert not counts["treat"]
    assert counts["drug"] == counts["disease"] == 4 * 60


def test_balanced():
    corpus = documents(60, drugs=(4, 4), diseases=(4, 4), balanced=1, unstated=0.25, treated=1)
    for document in corpus:
        told = defaultdict(Counter)
        for meaning, cast in read(document)[1:]:
            for identifier in cast.values():
                told[identifier][meaning] += 1
        assert len({frozenset(counts.items()) for counts in told.values()}) == 1
    assert len({tuple(pairs(document).values()) for document in corpus}) > 30


def test_bridged():
    counts = meanings(documents(200, bridged=0.5))
    assert counts["block"] == counts["gene affirm"] + counts["gene deny"]
    assert counts["block"] / (4 * 200) == pytest.approx(0.5, abs=0.01)
    assert not meanings(documents())["block"]


@pytest.mark.parametrize("gap", [(0, 0), (2, 2), (1, 4), (9, 9)])
def test_gap(gap):
    seen = set()
    for document in documents(40, drugs=(3, 3), diseases=(1, 1), bridged=1, gap=gap):
        places = defaultdict(list)
        for place, (_, cast) in enumerate(read(document)):
            if "g" in cast:
                places[cast["g"]].append(place)
        seen |= {last - first - 1 for first, last in places.values()}
    assert seen == set(range(gap[0], gap[1] + 1))


def test_suggested():
    corpus = documents(200, suggested=0.5)
    counts = meanings(corpus)
    assert counts["suggest"] / (4 * 200) == pytest.approx(0.5, abs=0.01)
    assert counts["reference"] == counts["comparator"] == 200
    assert {len(entities(document, "Chemical")) for document in corpus} == {4}
    assert not meanings(documents())["reference"]


def test_remote():
    counts = meanings(documents(suggested=1, remote=True))
    assert counts["reference target"] == counts["comparator target"] == 60
    assert not counts["reference"]


def test_abbreviated():
    for share in (0, 1):
        texts = [document.text for document in documents(20, abbreviated=share, mentions=(3, 3))]
        assert all(bool(re.search(r"[a-z] \([A-Z]{3}\)", text)) == share for text in texts)
    for document in documents(20, abbreviated=0.7):
        short = {
            (document.text[mention.start : mention.end], mention.ids)
            for mention in document.mentions
            if document.text[mention.start : mention.end].isupper()
        }
        assert len({text for text, _ in short}) == len(short)


def test_aliases():
    for share, names in ((0, 1), (1, 2)):
        for document in documents(20, aliases=share, bridged=0.5, gap=(0, 9)):
            for entity in document.entities:
                called = [document.text[mention.start : mention.end].lower() for mention in entity.mentions]
                assert len(set(called)) == min(names, len(called))
                assert all(first != second for first, second in itertools.pairwise(called)) or names == 1


def test_distractors():
    counts = [meanings([document])["plain"] for document in documents(60, distractors=(2, 4))]
    assert set(counts) == {2, 3, 4}


def test_composites():
    for document in documents(20, composites=1):
        (mention,) = (mention for mention in document.mentions if mention.names)
        assert len(mention.ids) == len(mention.names) == 2
        assert document.text[mention.start : mention.end].lower() == " and ".join(mention.names)
    assert not any(mention.names for document in documents(20) for mention in document.mentions)


def test_unlinked():
    assert all(
        sum(not mention.ids for mention in document.mentions) == 1 for document in documents(unlinked=1)
    )
    assert all(mention.ids for document in documents() for mention in document.mentions)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"drugs": (3, 2)}, "drugs: .3, 2. is not a range"),
        ({"diseases": (0, 2)}, "diseases: .0, 2. is not a range"),
        ({"drugs": (100_000, 100_000)}, "drugs: there are names for"),
        ({"affirmed": 1.2}, r"affirmed: 1\.2 is not a share"),
        ({"drugs": (3, 3), "balanced": 0.5}, "diseases: .* as balanced requires"),
    ],
)
def test_impossible_parameters(knobs, message):
    with pytest.raises(ValueError, match=message):
        replace(PLAIN, **knobs)


# The configurations


def test_the_default_configuration_is_the_default_of_the_class():
    assert kind("synthetic") == SyntheticCorpus()
    assert set(OmegaConf.load(CONF / "synthetic.yaml").corpus) == {
        "_target_",
        *(knob.name for knob in fields(SyntheticCorpus)),
    }


def test_a_tenth_to_four_tenths_of_the_default_facts_are_between_sentences():
    """What ``case_study`` and scores across sentences are about."""
    across = []
    for document in kind("synthetic").generate("test", 100):
        sentences = {
            entity.id: set(map(document.sentence_of, entity.mentions)) for entity in document.entities
        }
        across += [sentences[fact.head].isdisjoint(sentences[fact.tail]) for fact in document.facts]
    assert 0.1 < sum(across) / len(across) < 0.4


@pytest.mark.parametrize("name", KINDS)
def test_configurations_bear_their_names(name):
    config = OmegaConf.load(CONF / f"{name}.yaml")
    assert config.name == name
    assert name == "synthetic" or config.defaults == ["synthetic", "_self_"]


# No short cuts


@pytest.mark.parametrize("name", KINDS)
def test_a_quarter_to_less_than_half_of_the_pairs_are_facts(name):
    assert 0.25 <= rate(list(kind(name).generate("train", 300))) <= 0.46


def _feature_gain(corpus, feature):
    """How much the F1 of the best rule on a feature of a pair exceeds that of calling every pair a fact."""
    counts = defaultdict(Counter)
    for document in corpus:
        for pair, truth in pairs(document).items():
            counts[feature(document, *pair)][truth] += 1
    facts = sum(count[True] for count in counts.values())
    best, true, called = 0.0, 0, 0
    for count in sorted(counts.values(), key=lambda count: -count[True] / count.total()):
        true, called = true + count[True], called + count.total()
        best = max(best, 2 * true / (called + facts))
    return best - 2 * facts / (sum(count.total() for count in counts.values()) + facts)


def _place(document, head, tail):
    order = [entity.id for entity in document.entities]
    return order.index(head), order.index(tail)


def _first(document, head, tail):
    order = [entity.id for entity in document.entities]
    return order.index(head) < order.index(tail)


def _mentions(document, head, tail):
    count = {entity.id: len(entity.mentions) for entity in document.entities}
    return count[head], count[tail]


def _identifier(document, head, tail):
    return int(head[1:]) % 4, int(tail[1:]) % 4


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("feature", [_place, _first, _mentions, _identifier])
def test_places_and_identifiers_tell_nothing(name, feature):
    assert _feature_gain(kind(name).generate("train", 400), feature) < 0.03


def _apart(document, head, tail):
    """How often each meaning is said of the head, and of the tail."""
    return frozenset(
        ((meaning, identifier == head), count)
        for identifier in (head, tail)
        for meaning, count in Counter(
            meaning for meaning, cast in read(document)[1:] if identifier in cast.values()
        ).items()
    )


def _together(document, head, tail):
    """What the sentences with both say."""
    return frozenset(meaning for meaning, cast in read(document) if {head, tail} <= set(cast.values()))


def test_pairing_is_solved_by_sentences_with_both_and_by_no_entity_alone():
    corpus = kind("synthetic_pairing")
    assert _feature_gain(replace(corpus, balanced=1).generate("train", 60), _apart) == 0
    some = list(corpus.generate("train", 60))
    assert _feature_gain(some, _together) == pytest.approx(0.5)
    assert _feature_gain(some, _apart) < 0.15


def test_bridge_is_not_solved_by_the_sentences_of_a_pair():
    corpus = list(kind("synthetic_bridge").generate("train", 100))
    assert _feature_gain(corpus, _apart) == 0
    for document in corpus:
        for gene in entities(document, "Gene"):
            first, second = (document.text[mention.start : mention.end] for mention in gene.mentions)
            assert first.lower() != second.lower()  # only the annotation says that they are one


def test_topic_depends_on_other_pairs():
    corpus = list(kind("synthetic_topic").generate("train", 200))
    both = defaultdict(set)
    for document in corpus:
        said = Counter(meaning for meaning, _ in read(document)[1:])
        assert said["affirm"] == said["deny"]  # counting sentences tells nothing
        for meaning, cast in read(document):
            if meaning == "suggest":
                both[meaning].add(pairs(document)[cast["x"], cast["y"]])
    assert both["suggest"] == {True, False}
