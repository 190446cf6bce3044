"""DocRED's official scores: each rule by hand, and a scorer of plain loops over sets of facts."""

import json
import os
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from documents import LABELS, ONE_WAY, document, empty, random_document
from glre_pyg.data.document import Fact
from glre_pyg.data.labels import Labels
from glre_pyg.datasets.docred import ReDocRED
from glre_pyg.evaluation.known_facts import named_facts
from glre_pyg.evaluation.scores import Scores
from glre_pyg.formats.docred_json import read_docred
from glre_pyg.runs.prediction import score_pairs
from scored import scored_pairs

SOURCE = Path("train")


def train(*facts):
    """A training document whose entities are named by one word each: (head name, relation, tail name)."""
    words = list(dict.fromkeys(name for head, _, tail in facts for name in (head, tail)))
    mentions = [(index, index + 1, "Gene", word) for index, word in enumerate(words)]
    return document([" ".join(words)], mentions, facts, name="train")


def predicted(documents, facts, *, labels=LABELS, known=None):
    """Pairs of which (document, head, relation, tail) are predicted at 0.5, those of no candidate pair left out."""
    graphs, tables = [labels.blind_graph(each) for each in documents], []
    for each in documents:
        rows = labels.candidates(each)
        table = np.full((len(rows), len(labels.relations)), 0.25, dtype=np.float32)
        for name, head, relation, tail in facts:
            if name == each.id and (head, tail) in rows:
                table[rows.index((head, tail)), labels.relations.index(relation)] = 0.75
        tables.append(table)
    return score_pairs(documents, graphs, tables, labels, known)


DEV = document(
    ["velorin caused rash in mice .", "Velorin eased tremor .", "ostamide caused rash ."],
    [
        *[(0, 1, "Chemical", "V"), (6, 7, "Chemical", "V"), (10, 11, "Chemical", "O")],
        *[(2, 3, "Disease", "R"), (12, 13, "Disease", "R"), (8, 9, "Disease", "T"), (4, 5, "Gene", "M")],
    ],
    [("V", "causes", "R"), ("V", "treats", "T"), ("O", "causes", "R"), ("O", "treats", "T")],
    name="dev",
)
"""Four facts, one of them never said; the names of V are "velorin" and "Velorin"."""


def ign(known, *facts, ranked=False, each=DEV):
    pairs = predicted([each], [("dev", *fact) for fact in facts], known=named_facts([known], source=SOURCE))
    return pairs.ign_score(0.5, filtered=True, ranked=ranked)


# Rule by rule


def test_a_prediction_counts_once_however_often_it_is_made():
    again = [("dev", "V", "causes", "R")] * 3
    assert predicted([DEV], again).score(0.5, filtered=True) == Scores.of(1, 1, 4)


def test_a_fact_counts_once_however_often_it_is_annotated():
    twice = replace(DEV, facts=(*DEV.facts, *DEV.facts, Fact("V", "causes", "R", evidence=(2,))))
    found = predicted([twice], [("dev", "V", "causes", "R")])
    assert found.score(0.5, filtered=True) == Scores.of(1, 1, 4)


def test_precision_is_over_all_predictions():
    facts = [("V", "causes", "R"), ("M", "causes", "R"), ("R", "treats", "M"), ("V", "treats", "R")]
    found = predicted([DEV], [("dev", *fact) for fact in facts]).score(0.5, filtered=True)
    assert (found.precision, found.true_positives, found.predicted) == (1 / 4, 1, 4)


def test_direction_relation_and_document_have_to_be_right():
    other = replace(DEV, id="other", facts=())
    wrong = [("dev", "R", "causes", "V"), ("dev", "V", "treats", "R"), ("other", "V", "causes", "R")]
    found = predicted([DEV, other], wrong).score(0.5, filtered=True)
    assert found == Scores.of(0, 3, 4)


def test_recall_is_over_all_facts_those_of_no_candidate_pair_too():
    labels = replace(ONE_WAY, types=LABELS.types)
    more = replace(DEV, facts=(*DEV.facts, Fact("M", "causes", "R"), Fact("V", "causes", "nowhere")))
    found = predicted([more, empty()], [("dev", "V", "causes", "R")], labels=labels)
    assert found.score(0.5, filtered=True) == Scores.of(1, 1, 6)


def test_facts_of_a_relation_that_the_model_does_not_know_count_in_recall():
    more = replace(DEV, facts=(*DEV.facts, Fact("V", "inhibits", "M"), Fact("V", "inhibits", "R")))
    found = predicted([more], [("dev", "V", "causes", "R")])
    assert found.score(0.5, filtered=True) == Scores.of(1, 1, 6)
    known = named_facts([train(("velorin", "inhibits", "mice"))], source=SOURCE)
    assert predicted([more], [], known=known).ign_score(0.0, filtered=True).gold == 6


def test_no_relation_never_counts():
    """Neither as a prediction, however sure the model is of none, nor as a fact."""
    found = predicted([DEV], [])
    assert found.score(0.5, filtered=True) == Scores.of(0, 0, 4)
    assert found.ign_score(0.5, filtered=True) == Scores.of(0, 0, 4)
    without = predicted([replace(DEV, facts=())], [])
    assert without.score(0.5, filtered=True) == Scores.of(0, 0, 0)


FOUND = [("V", "causes", "R"), ("O", "causes", "R"), ("M", "treats", "R")]
"""Two right, one wrong."""


def test_ign_takes_known_facts_from_right_and_from_predicted():
    found = ign(train(("velorin", "causes", "rash")), *FOUND)
    assert (found.true_positives, found.predicted, found.gold) == (1, 2, 4)
    assert found.precision == 1 / 2


def test_ign_leaves_recall_unchanged():
    found = ign(train(("velorin", "causes", "rash")), *FOUND)
    assert found.recall == 2 / 4
    assert found.f1 == 2 * (1 / 2) * (2 / 4) / (1 / 2 + 2 / 4)


def test_ign_keeps_known_facts_that_were_not_found_in_recall():
    found = ign(train(("velorin", "treats", "tremor")), *FOUND)
    assert (found.true_positives, found.predicted, found.precision, found.recall) == (2, 3, 2 / 3, 2 / 4)


def test_ign_keeps_wrong_predictions_that_are_known():
    found = ign(train(("mice", "treats", "rash"), ("velorin", "causes", "rash")), *FOUND)
    assert (found.true_positives, found.predicted) == (1, 2)


def test_only_facts_are_taken_out():
    wrong = scored_pairs([0.9, 0.9], [1, 0], known=[1, 1])
    assert wrong.ign_score(0.5, filtered=True).predicted == 1


def test_ign_of_what_is_all_known():
    found = ign(train(("velorin", "causes", "rash"), ("ostamide", "causes", "rash")), *FOUND[:2])
    assert (found.true_positives, found.predicted, found.precision, found.f1) == (0, 0, 0.0, 0.0)
    assert found.recall == 2 / 4


def test_ign_without_known_facts_is_the_score():
    assert ign(train(("velorin", "treats", "blood")), *FOUND) == Scores.of(2, 3, 4)


@pytest.mark.parametrize(
    ("fact", "known"),
    [
        (("Velorin", "causes", "rash"), True),  # the other name of V
        (("velorin", "causes", "rash"), True),
        (("VELORIN", "causes", "rash"), False),  # names are compared as they are written
        (("velorin", "treats", "rash"), False),
        (("rash", "causes", "velorin"), False),
        (("velorin", "causes", "tremor"), False),
        (("V", "causes", "R"), False),  # identifiers are no names
    ],
)
def test_known_is_any_name_of_the_head_with_any_of_the_tail_and_the_relation(fact, known):
    assert ign(train(fact), ("V", "causes", "R")).true_positives == 1 - known


def test_every_pair_of_names_of_a_training_fact_is_known():
    both = document(
        ["Velorin and velor", "rashes and rash"],
        [(0, 1, "Chemical", "A"), (2, 3, "Chemical", "A"), (3, 4, "Disease", "B"), (5, 6, "Disease", "B")],
        [("A", "causes", "B")],
        name="train",
    )
    names = {("Velorin", "rashes"), ("Velorin", "rash"), ("velor", "rashes"), ("velor", "rash")}
    assert named_facts([both], source=SOURCE).facts == {(*pair, "causes") for pair in names}
    assert ign(both, ("V", "causes", "R")).true_positives == 0


def test_a_name_that_the_corpus_gives_goes_before_the_text():
    each = replace(DEV, mentions=tuple(replace(m, names=(m.ids[0].lower(),)) for m in DEV.mentions))
    assert ign(train(("velorin", "causes", "rash")), ("V", "causes", "R"), each=each).true_positives == 1
    assert ign(train(("v", "causes", "r")), ("V", "causes", "R"), each=each).true_positives == 0


def test_training_facts_of_an_entity_without_mention_have_no_name():
    nowhere = replace(train(("velorin", "causes", "rash")), mentions=())
    assert named_facts([nowhere], source=SOURCE).facts == frozenset()


def test_the_other_definition_takes_known_facts_from_recall_too():
    found = ign(train(("velorin", "causes", "rash")), *FOUND, ranked=True)
    assert (found.true_positives, found.predicted, found.gold) == (1, 2, 4)
    assert (found.precision, found.recall) == (1 / 2, 1 / 4)
    assert found.f1 == pytest.approx(2 * (1 / 2) * (1 / 4) / (1 / 2 + 1 / 4))
    assert found.f1 < ign(train(("velorin", "causes", "rash")), *FOUND).f1


def test_known_facts_of_undirected_pairs_are_known_in_either_order():
    labels = Labels(LABELS.relations, LABELS.types, None, directed=False)
    for fact in (("velorin", "causes", "rash"), ("rash", "causes", "velorin")):
        known = named_facts([train(fact)], source=SOURCE)
        pairs = predicted([DEV], [("dev", "V", "causes", "R")], labels=labels, known=known)
        assert pairs.known.sum() == 1


# The same by plain loops


def loops(documents, training, facts, *, ranked):
    """Precision, recall, F1, and those that ignore known facts, of predictions (document, head, relation, tail)."""
    gold, names = set(), {}
    for each in documents:
        for fact in each.facts:
            gold.add((each.id, fact.head, fact.relation, fact.tail))
        for mention in each.mentions:
            for identifier in mention.ids:
                names.setdefault((each.id, identifier), []).append(each.text[mention.start : mention.end])
    in_train = set()
    for each in training:
        for fact in each.facts:
            for head in each.mentions:
                for tail in each.mentions:
                    if fact.head in head.ids and fact.tail in tail.ids:
                        spans = (each.text[m.start : m.end] for m in (head, tail))
                        in_train.add((*spans, fact.relation))
    answers, right, known = set(facts), 0, 0
    for name, head, relation, tail in answers:
        if (name, head, relation, tail) in gold:
            right += 1
            known += any(
                (one, other, relation) in in_train
                for one in names.get((name, head), [])
                for other in names.get((name, tail), [])
            )

    def f1(precision, recall):
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0

    def ratio(part, whole):
        return part / whole if whole else 0.0

    precision, recall = ratio(right, len(answers)), ratio(right, len(gold))
    rest = ratio(right - known, len(answers) - known)
    other = ratio(right - known, len(gold)) if ranked else recall
    return (precision, recall, f1(precision, recall)), (rest, other, f1(rest, other)), known


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), share=st.sampled_from([0.0, 0.1, 0.5, 1.0]), ranked=st.booleans())
def test_scores_are_those_of_plain_loops(seed, share, ranked):
    random = Random(seed)
    documents = [random_document(f"{seed} dev {number}", name=f"dev {number}") for number in range(3)]
    training = [random_document(f"{seed} train {number}", entities=(8, 12), facts=0.8) for number in range(4)]
    labels = random.choice([LABELS, ONE_WAY, replace(LABELS, relations=("treats",))])
    facts = [
        (each.id, head, relation, tail)
        for each in documents
        for head, tail in labels.candidates(each)
        for relation in labels.relations
        if random.random() < share
    ]
    pairs = predicted(documents, facts, labels=labels, known=named_facts(training, source=SOURCE))
    plain, ignoring, _ = loops(documents, training, facts, ranked=ranked)
    found = pairs.score(0.5, filtered=True)
    assert (found.precision, found.recall, found.f1) == pytest.approx(plain)
    found = pairs.ign_score(0.5, filtered=True, ranked=ranked)
    assert (found.precision, found.recall, found.f1) == pytest.approx(ignoring)


def test_the_loops_meet_known_facts():
    """Without this the test above might compare nothing."""
    documents = [random_document(f"dev {number}", name=f"dev {number}") for number in range(20)]
    training = [random_document(f"train {number}", entities=(8, 12), facts=0.8) for number in range(20)]
    facts = [(each.id, fact.head, fact.relation, fact.tail) for each in documents for fact in each.facts]
    _, ignoring, known = loops(documents, training, facts, ranked=False)
    pairs = predicted(documents, facts, known=named_facts(training, source=SOURCE))
    candidates = sum((fact.head, fact.tail) in LABELS.candidates(e) for e in documents for fact in e.facts)
    assert candidates == len(facts)
    assert 10 < known == pairs.known.sum() < len(facts)
    assert ignoring == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("ranked", [False, True])
def test_scores_on_the_real_corpus_are_those_of_its_json(ranked):
    """Every second document is taken for training; nothing of the library reads what the loops read."""
    path = Path(os.environ.get("GLRE_DATA", ""), "Re-DocRED", "dev_revised.json")
    if "GLRE_DATA" not in os.environ or not path.is_file():
        pytest.skip("GLRE_DATA is not set, or has no Re-DocRED/dev_revised.json")
    records = json.loads(path.read_text(encoding="utf-8"))
    gold = {(each["title"], x["h"], x["r"], x["t"]) for each in records[1::2] for x in each["labels"]}
    in_train = set()
    for each in records[::2]:
        entities = each["vertexSet"]
        for x in each["labels"]:
            for head, tail in product(entities[x["h"]], entities[x["t"]]):
                in_train.add((head["name"], x["r"], tail["name"]))

    documents = list(read_docred(path))
    random = np.random.default_rng(0)
    graphs = [ReDocRED.labels.blind_graph(each) for each in documents[1::2]]
    tables = []
    for graph, each in zip(graphs, documents[1::2], strict=True):
        table = 0.503 * random.random((graph.pair_index.size(1), len(ReDocRED.labels.relations)))
        ids = graph["entity"].id
        row = {(ids[h], ids[t]): index for index, (h, t) in enumerate(graph.pair_index.t().tolist())}
        for fact in each.facts:  # two thirds of the facts are found
            place = row[fact.head, fact.tail], ReDocRED.labels.relations.index(fact.relation)
            table[place] = 0.9 if random.random() < 2 / 3 else 0.1
        tables.append(table)
    known = named_facts(documents[::2], source=path)
    pairs = score_pairs(documents[1::2], graphs, tables, ReDocRED.labels, known)

    rows, columns = np.nonzero(pairs.predicted(0.5))
    answers = {
        (pairs.documents[row], int(pairs.heads[row]), pairs.relations[column], int(pairs.tails[row]))
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
    }
    entities = {each["title"]: each["vertexSet"] for each in records}
    right = answers & gold
    seen = [
        (title, h, r, t)
        for title, h, r, t in right
        if any(
            (head["name"], r, tail["name"]) in in_train
            for head, tail in product(entities[title][h], entities[title][t])
        )
    ]
    assert 0 < len(seen) < len(right) < len(answers)
    found = pairs.score(0.5, filtered=True)
    assert found == Scores.of(len(right), len(answers), len(gold))
    ignoring = pairs.ign_score(0.5, filtered=True, ranked=ranked)
    precision = (len(right) - len(seen)) / (len(answers) - len(seen))
    recall = (len(right) - len(seen) if ranked else len(right)) / len(gold)
    assert (ignoring.precision, ignoring.recall) == pytest.approx((precision, recall))
    assert ignoring.f1 == pytest.approx(2 * precision * recall / (precision + recall))
