import os
from itertools import pairwise
from pathlib import Path

import pytest

from glre_pyg.data.document import Document, Fact, Mention, Sentence
from glre_pyg.datasets.hypernyms import MeshTree, hypernym_negatives, pool_unlinked
from glre_pyg.formats.pubtator import read_pubtator
from glre_pyg.utils.exceptions import InputError

TREE = """Tree Number\tDesc Ui\tTerm
C01\tD1\tPain
C01.5\tD2\tHead pain
C01.5.2\tD3\tLeft head pain
C01.50\tD4\tTail pain
C07.1\tD3\tLeft head pain
D01\tC1\tMorines
D01.2\tC2\tVelmorine
"""


def split_at_mentions(text, spans, sections):
    cuts = sorted({0, len(text), *(position for span in spans for position in span)})
    words = tuple(pairwise(cuts))
    return words, (Sentence(0, len(words)),)


def document(
    ids: dict[str, tuple[str, ...]], *facts: tuple[str, str], names: tuple[str, ...] = ()
) -> Document:
    """A word a mention; the keys are entity types and numbers that tell them apart."""
    words = tuple((2 * index, 2 * index + 1) for index in range(len(ids)))
    mentions = tuple(
        Mention(*span, key.rstrip("0123456789"), of, names)
        for span, (key, of) in zip(words, ids.items(), strict=True)
    )
    text = "x " * len(ids)
    return Document(
        "1", text, words, (Sentence(0, len(ids)),), mentions, tuple(Fact(h, "CID", t) for h, t in facts)
    )


@pytest.fixture
def tree(tmp_path):
    path = tmp_path / "tree.txt"
    path.write_text(TREE)
    return MeshTree.read(path)


@pytest.mark.parametrize(
    ("general", "specific", "expected"),
    [
        ("D1", "D2", True),
        ("D1", "D3", True),
        ("D2", "D3", True),
        ("D2", "D2", True),
        ("D2", "D1", False),
        ("D2", "D4", False),  # C01.5 is no parent of C01.50
        ("D3", "D2", False),
        ("D1", "X", False),
        ("X", "X", False),
    ],
)
def test_is_hypernym(tree, general, specific, expected):
    assert tree.is_hypernym(general, specific) is expected


def test_hypernym_negatives(tree):
    chemicals = {"Chemical1": ("C1",), "Chemical2": ("C2",)}
    diseases = {f"Disease{index}": (f"D{index}",) for index in (1, 2, 3, 4)}
    example = document(chemicals | diseases, ("C2", "D2"))
    assert hypernym_negatives(example, tree) == (("C2", "D1"),)
    both = document(chemicals | diseases, ("C2", "D2"), ("C2", "D1"))
    assert hypernym_negatives(both, tree) == ()


def test_candidate_pairs_are_ordered_and_have_two_entities():
    example = document({"Gene1": ("1",), "Gene2": ("2",), "Other": ("3",)})
    assert example.pairs([("Gene", "Gene")]) == [(0, 1), (1, 0)]
    assert example.pairs([("Gene", "Gene")], directed=False) == [(0, 1)]
    assert example.pairs([("Other", "Gene")]) == [(2, 0), (2, 1)]
    assert example.pairs([("Other", "Gene")], directed=False) == [(0, 2), (1, 2)]
    assert example.pairs() == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]


def candidate_pairs(each: Document) -> set[tuple[str, str]]:
    ids = [entity.id for entity in each.entities]
    return {(ids[head], ids[tail]) for head, tail in each.pairs([("Chemical", "Disease")])}


def test_pool_unlinked():
    pooled = pool_unlinked(document({"Disease1": (), "Disease2": ("D1",), "Chemical": ()}))
    assert [(e.id, e.type, len(e.mentions)) for e in pooled.entities] == [
        ("-1", "Disease", 2),
        ("D1", "Disease", 1),
    ]
    composite = pool_unlinked(document({"Disease": ("D1",)}, names=("one", "two")))
    assert [entity.id for entity in composite.entities] == ["-1", "D1"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"Tree Number\tDesc Ui\tTerm\n", "tree.txt: there are no tree numbers in this file"),
        (b"", "tree.txt: there are no tree numbers in this file"),
        (b"head\nC01 D1\n", "tree.txt:2: no Tab between tree number and descriptor in 'C01 D1'"),
        (b"head\nC01\tD\xff\n", "tree.txt:2: byte 6 of the line is not UTF-8"),
        (b"head\n\tD1\n", "tree.txt:2: '' and 'D1' are not a tree number and a descriptor"),
        (b"head\nC01\t\tx\n", "tree.txt:2: 'C01' and '' are not a tree number and a descriptor"),
        (b"head\nC01.\tD1\n", "tree.txt:2: 'C01.' and 'D1' are not a tree number and a descriptor"),
    ],
)
def test_errors(tmp_path, content, message):
    path = tmp_path / "tree.txt"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        MeshTree.read(path)
    assert str(caught.value) == message


def negatives(documents, tree=None):
    total = 0
    for each in documents:
        facts = {(fact.head, fact.tail) for fact in each.facts}
        pairs = candidate_pairs(each) - facts
        total += len(pairs.difference(hypernym_negatives(each, tree)) if tree else pairs)
    return total


@pytest.mark.skipif("GLRE_DATA" not in os.environ, reason="GLRE_DATA names no folder with CDR and MeSH")
@pytest.mark.parametrize(
    ("split", "facts", "unfiltered", "filtered", "pooled"),
    [
        ("Training", 1_038, 4_394, 4_202, 4_280),
        ("Development", 1_012, 4_249, 4_075, 4_136),
        ("Test", 1_066, 4_339, 4_138, 4_270),
    ],
)
def test_counts_of_cdr(split, facts, unfiltered, filtered, pooled):
    data = Path(os.environ["GLRE_DATA"])
    tree = MeshTree.read(data / "MeSH/2017MeshTree.txt")
    path = data / f"CDR/CDR_{split}Set.PubTator.txt"
    documents = list(read_pubtator(path, segmenter=split_at_mentions))
    together = [pool_unlinked(each) for each in documents]
    for each in (documents, together):
        pairs = [candidate_pairs(one) & {(fact.head, fact.tail) for fact in one.facts} for one in each]
        assert sum(map(len, pairs)) == facts
    assert (negatives(documents), negatives(documents, tree), negatives(together, tree)) == (
        unfiltered,
        filtered,
        pooled,
    )
