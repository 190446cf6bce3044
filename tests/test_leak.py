import os
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from documents import document
from glre_pyg.data.document import Document
from glre_pyg.evaluation.label_leak import MARGIN, index_only_f1, order_report
from glre_pyg.formats.eog_data import read_eog

PAIRS = [("Chemical", "Disease")]


def candidates(each: Document) -> list[tuple[str, str]]:
    ids = [entity.id for entity in each.entities]
    return [(ids[head], ids[tail]) for head, tail in each.pairs(PAIRS)]


def leaky(ignored=()):
    """Three chemicals, then three diseases; the last of each are related, and come first in the file."""
    words = ["c0", "c1", "c2", "d0", "d1", "d2"]
    order = [2, 5, 0, 1, 3, 4]
    kinds = {"c": "Chemical", "d": "Disease"}
    mentions = [(place, place + 1, kinds[words[place][0]], words[place]) for place in order]
    made = document([" ".join(words)], mentions, [("c2", "CID", "d2")])
    return Document(made.id, made.text, made.words, made.sentences, made.mentions, made.facts, ignored)


def test_by_hand():
    file = index_only_f1([leaky()], candidates, "file")  # c2 is 0, d2 is 1: nothing else is below 2
    assert (file.scores.f1, file.cutoff) == (1.0, 1)
    text = index_only_f1([leaky()], candidates, "text")  # 2 + 5 is the largest sum of all
    assert (text.scores.precision, text.scores.recall, text.cutoff) == (1 / 9, 1.0, 7)


def test_ignored_pairs_do_not_count():
    ignored = tuple(product(("c0", "c1"), ("d0", "d1", "d2")))
    text = index_only_f1([leaky(ignored)], candidates, "text")
    assert (text.scores.true_positives, text.scores.predicted) == (1, 3)


def test_nothing_to_predict():
    assert index_only_f1([], candidates, "file").scores.f1 == 0
    without = document(["c d"], [(0, 1, "Chemical", "C"), (1, 2, "Disease", "D")])
    assert index_only_f1([without], candidates, "text").scores.f1 == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=6), st.permutations(range(8)))
def test_is_the_best_of_all_cutoffs(facts, order):
    kinds = ["Chemical"] * 4 + ["Disease"] * 4
    mentions = [(place, place + 1, kinds[place], str(place)) for place in order]
    made = document(["a b c d e f g h"], mentions, [(str(h), "CID", str(4 + t)) for h, t in facts])
    gold = {(str(head), str(4 + tail)) for head, tail in facts}
    best = 0.0
    for cutoff in range(16):
        predicted = {
            (head, tail)
            for head, tail in candidates(made)
            if order.index(int(head)) + order.index(int(tail)) <= cutoff
        }
        if gold:
            best = max(best, 2 * len(predicted & gold) / (len(predicted) + len(gold)))
    assert index_only_f1([made], candidates, "file").scores.f1 == pytest.approx(best)


def test_pairs_without_direction():
    """A fact may name its two entities in either order."""
    mentions = [(0, 1, "Gene", "A"), (1, 2, "Gene", "B"), (2, 3, "Gene", "C")]
    made = document(["a b c"], mentions, [("B", "x", "A")])

    def both(each):
        ids = [entity.id for entity in each.entities]
        return [(ids[head], ids[tail]) for head, tail in each.pairs(directed=False)]

    assert index_only_f1([made], both, "text", directed=False).scores.f1 == 1.0
    assert index_only_f1([made], both, "text", directed=True).scores.f1 == 0.0


def test_report():
    lines = order_report("test", [leaky()], candidates)
    assert lines[0] == "test: entity order alone: F1 1.000 in file order, 0.200 in text order"
    assert lines[1].startswith(
        "WARNING: test: label leak: the order of entities in the file reveals its labels"
    )
    sober = document(["c d"], [(0, 1, "Chemical", "C"), (1, 2, "Disease", "D")], [("C", "CID", "D")])
    assert order_report("test", [sober], candidates) == [
        "test: entity order alone: F1 1.000 in file order, 1.000 in text order"
    ]


@pytest.mark.skipif("GLRE_DATA" not in os.environ, reason="GLRE_DATA names no folder with CDR/processed")
def test_published_file():
    path = Path(os.environ["GLRE_DATA"]) / "CDR/processed/test_filter.data"
    if not path.is_file():
        pytest.skip(f"no {path}")
    documents = list(read_eog(path))
    file = index_only_f1(documents, candidates, "file")
    assert file.cutoff == 2
    scores = file.scores
    assert (round(scores.f1, 3), round(scores.precision, 3), round(scores.recall, 3)) == (0.730, 0.865, 0.631)
    text = index_only_f1(documents, candidates, "text").scores.f1
    assert text <= 0.45
    assert file.scores.f1 - text > 2 * MARGIN
    assert len(order_report("test", documents, candidates)) == 2
