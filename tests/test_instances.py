"""Instances, the words of each, and hashed features, against plain loops."""

import networkx as nx
import pytest
import torch

from documents import LABELS, batch_of
from glre_pyg.nn.dependency_paths import DocumentTree
from glre_pyg.nn.hashed_features import Features, combined
from glre_pyg.nn.instance_words import DOWN, TOP, UP, spans_of_instances, words_of_instances
from glre_pyg.nn.mention_pairs import instance_numbers, mention_pairs
from instances import DOCUMENTS, every_instance, parents_of, parsed, sentence_of, words_of


def test_the_instances_of_a_batch():
    batch = batch_of(DOCUMENTS, parsed)
    found = mention_pairs(batch, DocumentTree(batch))
    expected = [
        (pairs + pair, words + head, words + tail, sentence_of(graph, head) == sentence_of(graph, tail))
        for graph, pair, head, tail, pairs, words in every_instance()
    ]
    rows = torch.stack([found.pair, found.head, found.tail, found.together.long()]).t().tolist()
    assert [tuple(row) for row in rows] == expected
    assert {row[3] for row in rows} == {0, 1}
    spans, entities = batch["mention"].span, batch["mention", "refers_to", "entity"].edge_index[1]
    assert torch.equal(entities[found.mentions], batch.pair_index[:, found.pair])
    for word, mention in zip((found.head, found.tail), found.mentions, strict=True):
        assert ((spans[mention, 0] <= word) & (word < spans[mention, 1])).all()
    assert {row[0] for row in rows} == set(range(batch.pair_index.size(1)))
    assert (
        len(rows)
        <= sum(instance_numbers(parsed(LABELS.graph(each)))[0] for each in DOCUMENTS)
        < 3 * len(rows)
    )


@pytest.mark.parametrize("max_words", [6, 15, 200])
def test_words_and_path_of_an_instance(max_words):
    batch = batch_of(DOCUMENTS, parsed)
    tree = DocumentTree(batch)
    instances = mention_pairs(batch, tree)
    found = words_of_instances(tree, instances, spans_of_instances(batch, instances, max_words))
    path = found.path()
    for row, (graph, _, head, tail, _, before) in enumerate(every_instance()):
        mine, first = found.row == row, min(head, tail)
        words = words_of(graph, first, max(head, tail), max_words)
        assert (found.word[mine] - before).tolist() == words
        sides = [0 if word < first else 1 if word <= max(head, tail) else 2 for word in words]
        assert found.side[mine].tolist() == sides
        parents = parents_of(graph)
        tree_of = nx.Graph((word, above) for word, above in enumerate(parents) if above is not None)
        tree_of.add_nodes_from([head, tail])
        whole = nx.shortest_path(tree_of, head, tail)
        index = path[found.row[path] == row]
        assert (found.word[index] - before).tolist() == [word for word in whole if word in words]
        top = next(word for word in whole if parents[word] not in whole)
        turns = {word: UP if whole.index(word) < whole.index(top) else DOWN for word in whole} | {top: TOP}
        assert found.direction[index].tolist() == [turns[word] for word in whole if word in words]


def test_hashes_are_those_of_plain_numbers():
    def mixed(x):
        def signed(x):
            return (x + 2**63) % 2**64 - 2**63

        x = signed((x ^ (x >> 31)) * -7046029254386353131)
        x = signed((x ^ (x >> 29)) * -4658895280553007687)
        return x ^ (x >> 32)

    numbers = [0, 1, 2**32 - 1, 12345, 2**62]
    expected = [mixed(mixed(mixed(number) + 7) + 3) for number in numbers]
    assert combined(torch.tensor(numbers), 7, torch.tensor(3)).tolist() == expected


def test_features_in_a_column_add_up_with_their_signs():
    pair, row = torch.tensor([4, 5, 5]), torch.tensor([2, 0, 0, 0, 2])
    feature = torch.tensor([5, 1, -15, 2, 5])  # -15 is 1 in four bits, with the other sign
    rows = Features(pair, row, feature, torch.tensor([3.0, 5.0, 1.0, 3.0, 1.0])).rows(4)
    assert (rows.row.tolist(), rows.column.tolist(), rows.num_rows) == ([0, 0, 2], [1, 2, 5], 3)
    torch.testing.assert_close(rows.value, torch.tensor([0.8, 0.6, 1.0]))
