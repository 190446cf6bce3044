"""Ontologies: tables, ancestors, and what they add to graphs."""

from dataclasses import replace

import pytest
import torch

from documents import LABELS, batch_of, empty, no_entity, random_documents
from glre_pyg.data.ontology import IS_A, Ontology
from glre_pyg.datasets.hypernyms import MeshTree
from glre_pyg.nn.ontology_features import OntologyFeatures
from glre_pyg.utils.exceptions import InputError

DIAMOND = Ontology({"a": ["b", "c"], "b": ["d"], "c": ["d", "e"], "e": ["d"]})


def test_ancestors_and_depth():
    assert {name: sorted(DIAMOND.ancestors(name)) for name in "abde"} == {
        "a": ["b", "c", "d", "e"],
        "b": ["d"],
        "d": [],
        "e": ["d"],
    }
    assert DIAMOND.depth == {"d": 1, "b": 2, "e": 2, "c": 3, "a": 4}
    assert DIAMOND.ancestors("unknown") == frozenset()


def test_a_table_is_read_as_it_was_written(tmp_path):
    DIAMOND.write(tmp_path / "own.tsv")
    again = Ontology.read(tmp_path / "own.tsv")
    assert again.parents == DIAMOND.parents
    assert again.depth == DIAMOND.depth


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "own.tsv:1: the first line of an ontology is 'id', a tab and 'parent'"),
        ("a\tb\n", "own.tsv:1: the first line"),
        ("id\tparent\na\n", "own.tsv:2: not an identifier, a tab and its parent: 'a'"),
        ("id\tparent\n\na\tb\tc\n", "own.tsv:3: not an identifier"),
        ("id\tparent\n\ta\n", "own.tsv:2: not an identifier"),
        ("id\tparent\na\tb\nb\ta\n", "is its own ancestor"),
        ("id\tparent\na\ta\n", "'a' is its own ancestor"),
    ],
)
def test_tables_with_errors(tmp_path, text, line):
    (tmp_path / "own.tsv").write_text(text)
    with pytest.raises(InputError, match=line):
        Ontology.read(tmp_path / "own.tsv")


def test_tables_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        Ontology.read(tmp_path / "none.tsv")
    (tmp_path / "own.tsv").write_bytes(b"id\tparent\n\xff\t\n")
    with pytest.raises(InputError, match="byte 11 is not UTF-8"):
        Ontology.read(tmp_path / "own.tsv")


def test_a_long_chain_needs_no_recursion():
    ontology = Ontology({str(number): [str(number + 1)] for number in range(20_000)})
    assert ontology.depth["0"] == 20_001
    assert len(ontology.ancestors("0")) == 20_000


def test_tree_numbers(tmp_path):
    (tmp_path / "tree.txt").write_text(
        "Tree Number\tDesc Ui\tTerm\nC10\tD1\tNerves\nC10.5\tD2\tPain\nC23\tD3\tSigns\nC23.7\tD2\tPain\nC9.1\tD4\t-\n"
    )
    tree = MeshTree.read(tmp_path / "tree.txt")
    ontology = Ontology.of_tree_numbers(tree.numbers)
    assert ontology.parents == {"D1": (), "D3": (), "D2": ("D1", "D3"), "D4": ()}
    for general in tree.numbers:
        for special in tree.numbers:
            known = general == special or general in ontology.ancestors(special)
            assert known == tree.is_hypernym(general, special)


def ontology_of(documents):
    """An ontology of the first document: its entities are below each other, the last one is unknown."""
    ids = [entity.id for entity in documents[0].entities]
    return Ontology(
        {name: [ids[number - 1], "top"] if number else [] for number, name in enumerate(ids[:-1])}
    ), ids


def test_graphs_get_edges_between_their_entities():
    documents = random_documents(3)
    ontology, ids = ontology_of(documents)
    graph = LABELS.graph(documents[0])
    assert IS_A not in graph.edge_types
    ontology.add([graph])
    expected = [[a, b] for a in range(len(ids) - 1) for b in range(a)]
    assert graph[IS_A].edge_index.t().tolist() == expected
    assert graph["entity"].depth.tolist() == [ontology.depth.get(name, 0) for name in ids]
    assert torch.bincount(graph.ancestor_index[0], minlength=len(ids)).tolist() == [
        len(ontology.ancestors(name)) for name in ids
    ]


def test_a_batch_has_the_features_of_its_documents():
    documents = [*random_documents(3), empty(), no_entity()]
    ontology, _ = ontology_of(documents)

    def add(graph):
        ontology.add([graph])
        return graph

    layer = OntologyFeatures(channels=4, num_buckets=64, dropout=0.0)
    alone = torch.cat([layer(add(LABELS.graph(each))) for each in documents])
    torch.testing.assert_close(layer(batch_of(documents, add)), alone)
    assert not layer(add(LABELS.graph(documents[0])))[-1, :4].any()  # unknown


def test_features_do_not_depend_on_facts():
    [document] = random_documents(1)
    ontology, _ = ontology_of([document])
    layer = OntologyFeatures(channels=4, num_buckets=64, dropout=0.0)
    graphs = [LABELS.graph(document), LABELS.graph(replace(document, facts=())), LABELS.blind_graph(document)]
    ontology.add(graphs)
    first, *others = map(layer, graphs)
    for other in others:
        torch.testing.assert_close(other, first, rtol=0, atol=0)
