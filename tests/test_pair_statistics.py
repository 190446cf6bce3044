"""Statistics of pairs, against plain loops."""

from itertools import chain, product

import pytest
import torch

from documents import LABELS, batch_of, empty, no_entity, no_pair, odd_documents, random_documents
from glre_pyg.nn.pair_statistics import PairStatistics, _bins, _bins_of_entities, _bins_of_pairs

DOCUMENTS = [*odd_documents(), *random_documents(6), empty(), no_entity(), no_pair()]


def as_bin(number):
    return sum(number >= edge for edge in (1, 2, 3, 4, 6, 9, 13))


def numbers_of(graph):
    """Bins of the entities and of the pairs of a document."""
    mentions = [[] for _ in range(graph["entity"].num_nodes)]
    for mention, entity in graph["mention", "refers_to", "entity"].edge_index.t().tolist():
        mentions[entity].append(mention)
    sentence = dict(graph["mention", "in", "sentence"].edge_index.t().tolist())
    span, kind = graph["mention"].span.tolist(), graph["entity"].type.tolist()

    def place(mention):
        return 0 if sentence[mention] == 0 else 1 + 7 * span[mention][0] // len(graph.words)

    entities = []
    for own, each in enumerate(mentions):
        same = [other for other, theirs in zip(mentions, kind, strict=True) if theirs == kind[own]]
        share = 7 * len(each) // max(map(len, same))
        places = sorted(map(place, each))
        entities.append([as_bin(len(each)), share, places[0], places[-1], as_bin(len(same))])
    pairs = []
    for head, tail in graph.pair_index.t().tolist():
        every = [*product(mentions[head], mentions[tail])]
        apart = [abs(sentence[a] - sentence[b]) for a, b in every]
        words = [max(span[a][0] - span[b][1], span[b][0] - span[a][1], 0) for a, b in every]
        powers = sum(min(words) >= 2**power for power in range(1, 8))
        pairs.append([as_bin(apart.count(0)), as_bin(min(apart)), powers])
    return entities, pairs


def test_numbers_of_a_batch_are_those_of_its_documents():
    batch = batch_of(DOCUMENTS)
    entities, pairs = zip(*(numbers_of(LABELS.graph(each)) for each in DOCUMENTS), strict=True)
    assert _bins_of_entities(batch).tolist() == [*chain(*entities)]
    assert _bins_of_pairs(batch).tolist() == [*chain(*pairs)]


def test_embeddings_are_sums_of_rows():
    batch, layer = batch_of(random_documents(2)), PairStatistics(channels=3, max_types=2)
    out = layer(batch)
    entities, pairs = _bins_of_entities(batch), _bins_of_pairs(batch)
    for number, (head, tail) in enumerate(batch.pair_index.t().tolist()):
        bins = [*entities[head], *entities[tail], *pairs[number]]
        expected = sum(layer.table.weight[8 * place + each] for place, each in enumerate(bins))
        head_type, tail_type = batch["entity"].type[[head, tail]].clamp(max=1)
        expected = expected + layer.head_types.weight[head_type] + layer.tail_types.weight[tail_type]
        torch.testing.assert_close(out[number], expected)


@pytest.mark.parametrize("each", [empty(), no_entity(), no_pair()])
def test_documents_without_pairs(each):
    assert PairStatistics(channels=3, max_types=2)(batch_of([each])).shape == (0, 3)


def test_the_last_bin_is_open():
    assert _bins(torch.tensor([12, 13, 10**6])).tolist() == [6, 7, 7]
