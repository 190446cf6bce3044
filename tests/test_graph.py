"""The document graph: what is in it, how it is batched, and that PyG's own machinery takes it."""

import pickle
from dataclasses import replace
from itertools import permutations

import pytest
import torch
from torch_geometric.data import Batch, HeteroData, InMemoryDataset
from torch_geometric.loader import DataLoader
from torch_geometric.nn import HeteroConv, SAGEConv, to_hetero
from torch_geometric.transforms import ToUndirected

from documents import (
    LABELS,
    apart,
    document,
    empty,
    no_entity,
    no_pair,
    odd_documents,
    one_sentence,
    random_documents,
    random_nodes,
    two_sentences,
)
from glre_pyg import EDGE_TYPES, NODE_TYPES, Fact, Mention, build_graph
from glre_pyg.data.graph import documents_of_pairs, word_counts
from glre_pyg.utils.exceptions import InputError

SHAPES = {"mention": {"span", "type"}, "entity": {"type", "id"}, "sentence": {"span"}}
GRAPH_LEVEL = {"id", "words", "pair_index", "pair_label", "pair_distance", "pair_evidence"}


def edges(graph, *key):
    return sorted(map(tuple, graph[key].edge_index.t().tolist()))


def with_words(graph):
    """The graph with the tensors that pieces add: two pieces a word, four words a window."""
    count = len(graph.words)
    graph.word_index = torch.arange(count).repeat_interleave(2)
    graph.window_index = graph.word_index // 4
    graph.input_ids = torch.randint(100, (2 * count,))
    return graph


def same(one, other):
    """Whether two graphs hold the same, attribute by attribute."""
    one, other = one.to_dict(), other.to_dict()

    def equal(left, right):
        if isinstance(left, torch.Tensor):
            return left.dtype == right.dtype and torch.equal(left, right)
        if isinstance(left, dict):
            return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
        return left == right

    return equal(one, other)


# The contract, on documents by hand


def test_two_sentences_by_hand():
    graph = LABELS.graph(two_sentences())
    assert " ".join(graph.words) == "velorin and ostamide caused severe rash . ostamide eased it ."
    assert graph["entity"].id == ["V", "O", "R"]
    assert graph["entity"].type.tolist() == [0, 0, 1]
    assert graph["mention"].span.tolist() == [[0, 1], [2, 3], [7, 8], [4, 6]]  # by entity, then by offset
    assert graph["mention"].type.tolist() == [0, 0, 0, 1]
    assert graph["sentence"].span.tolist() == [[0, 7], [7, 11]]
    assert edges(graph, "mention", "co_occurs", "mention") == [(0, 1), (0, 3), (1, 0), (1, 3), (3, 0), (3, 1)]
    assert edges(graph, "mention", "refers_to", "entity") == [(0, 0), (1, 1), (2, 1), (3, 2)]
    assert edges(graph, "mention", "in", "sentence") == [(0, 0), (1, 0), (2, 1), (3, 0)]
    assert edges(graph, "entity", "in", "sentence") == [(0, 0), (1, 0), (1, 1), (2, 0)]
    assert edges(graph, "sentence", "with", "sentence") == [(0, 1), (1, 0)]
    assert graph.pair_index.t().tolist() == [[0, 1], [0, 2], [1, 0], [1, 2], [2, 0], [2, 1]]
    assert graph.pair_distance.tolist() == [-2, -4, 2, -2, 4, 2]
    assert graph.pair_label.tolist() == [[0, 0], [1, 0], [0, 0], [0, 1], [0, 0], [0, 0]]
    assert (graph.pair_label.dtype, graph.pair_index.dtype) == (torch.float, torch.long)


def test_one_sentence_by_hand():
    graph = LABELS.graph(one_sentence())
    assert edges(graph, "mention", "co_occurs", "mention") == [(0, 1), (1, 0)]
    assert edges(graph, "sentence", "with", "sentence") == []
    assert edges(graph, "entity", "in", "sentence") == [(0, 0), (1, 0)]


def test_mentions_apart_by_hand():
    graph = LABELS.graph(apart())
    assert edges(graph, "mention", "co_occurs", "mention") == []
    assert edges(graph, "entity", "in", "sentence") == [(0, 0), (1, 1)]
    assert graph.pair_index.tolist() == [[0, 1], [1, 0]]
    assert graph.pair_distance.tolist() == [-4, 4]


def test_three_sentences_are_joined_all_with_all():
    graph = build_graph(document(["a a", "b", "c c c"]))
    assert edges(graph, "sentence", "with", "sentence") == sorted(permutations(range(3), 2))


def test_two_mentions_of_one_entity_in_one_sentence():
    graph = build_graph(document(["rash and rash"], [(0, 1, "D", "R"), (2, 3, "D", "R")]))
    assert edges(graph, "mention", "co_occurs", "mention") == [(0, 1), (1, 0)]
    assert edges(graph, "mention", "refers_to", "entity") == [(0, 0), (1, 0)]
    assert edges(graph, "entity", "in", "sentence") == [(0, 0)]  # once, not once a mention
    assert graph.pair_index.shape == (2, 0)


@pytest.mark.parametrize("make", [two_sentences, no_pair, no_entity, one_sentence, apart, empty])
@pytest.mark.parametrize("labels", [LABELS, None])
def test_every_graph_has_the_same_stores_and_is_valid(make, labels):
    graph = labels.graph(make()) if labels else build_graph(make())
    assert isinstance(graph, HeteroData)
    assert graph.node_types == list(NODE_TYPES)
    assert graph.edge_types == list(EDGE_TYPES)
    assert (len(graph.node_types), len(graph.edge_types)) == (3, 5)
    assert graph.validate(raise_on_error=True)
    for name, attributes in SHAPES.items():
        assert set(graph[name].keys()) == {"num_nodes", *attributes}
        assert all(len(graph[name][attribute]) == graph[name].num_nodes for attribute in attributes)
    for key in EDGE_TYPES:
        assert set(graph[key].keys()) == {"edge_index"}
        assert (graph[key].edge_index.dtype, graph[key].edge_index.size(0)) == (torch.long, 2)
    assert set(graph._global_store.keys()) == GRAPH_LEVEL
    pairs, relations = graph.pair_index.size(1), len(labels.relations) if labels else len({*make().facts})
    assert graph.pair_label.shape == (pairs, relations)
    assert graph.pair_distance.shape == (pairs,)


def test_graph_of_no_text():
    graph = LABELS.graph(empty())
    assert [graph[name].num_nodes for name in NODE_TYPES] == [0, 0, 0]
    assert graph.words == []
    assert graph.pair_label.shape == (0, 2)
    assert graph["mention"].span.shape == graph["sentence"].span.shape == (0, 2)


def test_composite_mention_is_a_node_for_each_of_its_entities():
    graph = LABELS.graph(
        document(["tremor and nausea followed"], [(0, 3, "Disease", "N", "T"), (2, 3, "Disease", "T")])
    )
    assert graph["entity"].id == ["N", "T"]
    assert graph["mention"].span.tolist() == [[0, 3], [0, 3], [2, 3]]
    assert edges(graph, "mention", "refers_to", "entity") == [(0, 0), (1, 1), (2, 1)]
    assert edges(graph, "mention", "co_occurs", "mention") == sorted(permutations(range(3), 2))
    assert graph.pair_distance.tolist() == [0, 0]


def test_the_order_of_the_identifiers_of_a_composite_mention_says_nothing():
    """A corpus may have written it knowing the facts."""
    one, other = (
        LABELS.graph(
            document(["tremor and nausea followed"], [(0, 3, "Disease", *ids), (2, 3, "Disease", "N")])
        )
        for ids in ("TN", "NT")
    )
    assert one["entity"].id == ["N", "T"]
    assert same(one, other)


def test_nested_and_repeated_mentions():
    mentions = [(0, 3, "Disease", "L"), (0, 1, "Gene", "G"), (1, 3, "Disease", "C"), (0, 3, "Disease", "L")]
    graph = LABELS.graph(document(["liver kinase failure"], mentions))
    assert graph["entity"].id == ["G", "L", "C"]
    assert graph["mention"].span.tolist() == [[0, 1], [0, 3], [1, 3]]  # the repeated one counts once


def test_entity_under_two_types_has_that_of_its_first_mention():
    mentions = [
        (2, 3, "Disease", "X"),
        (0, 1, "Chemical", "X"),
    ]  # in the order of the corpus, not of the text
    graph = LABELS.graph(document(["velorin and rash"], mentions))
    assert graph["entity"].id == ["X"]
    assert graph["entity"].type.tolist() == [0]
    assert graph["mention"].type.tolist() == [0, 1]


def test_mentions_without_identifier_are_not_in_the_graph():
    bare = [(0, 1, "Chemical", "V"), (4, 6, "Disease", "R")]
    text = ["velorin and ostamide caused severe rash ."]
    without = LABELS.graph(document(text, bare))
    between = LABELS.graph(document(text, [bare[0], (2, 3, "Chemical"), bare[1]]))
    assert same(without, between)


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_entities_are_numbered_by_first_offset_and_never_by_facts(order):
    base = two_sentences()
    shuffled = replace(
        base, mentions=tuple(base.mentions[index] for index in order), facts=tuple(reversed(base.facts))
    )
    assert same(LABELS.graph(base), LABELS.graph(shuffled))
    blind = LABELS.graph(replace(base, facts=()))
    assert blind["entity"].id == ["V", "O", "R"]


def test_only_labels_know_the_facts():
    for each in random_documents(10, facts=0.5):
        graph, blind = LABELS.graph(each), LABELS.blind_graph(each)
        assert graph.pair_label.any() == bool(each.facts)
        assert not blind.pair_label.any()
        blind.pair_label = graph.pair_label
        assert same(graph, blind)


def test_random_documents_against_the_definition():
    for each in random_documents(30):
        graph = LABELS.graph(each)
        number = {identifier: index for index, identifier in enumerate(graph["entity"].id)}
        nodes = sorted(
            {(number[i], each.word_span(m), each.sentence_of(m)) for m in each.mentions for i in m.ids}
        )
        assert [list(span) for _, span, _ in nodes] == graph["mention"].span.tolist()
        count = range(len(nodes))
        together = {(a, b) for a in count for b in count if a != b and nodes[a][2] == nodes[b][2]}
        assert edges(graph, "mention", "co_occurs", "mention") == sorted(together)
        assert edges(graph, "mention", "refers_to", "entity") == [(a, nodes[a][0]) for a in count]
        assert edges(graph, "mention", "in", "sentence") == [(a, nodes[a][2]) for a in count]
        assert edges(graph, "entity", "in", "sentence") == sorted({(e, s) for e, _, s in nodes})
        first = {e: min(span[0] for other, span, _ in nodes if other == e) for e in number.values()}
        assert list(first) == sorted(first)
        assert [first[e] for e in sorted(first)] == sorted(first.values())
        for (head, tail), distance, label in zip(
            graph.pair_index.t().tolist(),
            graph.pair_distance.tolist(),
            graph.pair_label.tolist(),
            strict=True,
        ):
            assert distance == first[head] - first[tail]
            names = graph["entity"].id[head], graph["entity"].id[tail]
            assert label == [float(Fact(names[0], r, names[1]) in each.facts) for r in LABELS.relations]


# Candidate pairs and labels


@pytest.mark.parametrize("pairs", [[("Chemical", "Disease")], (["Chemical", "Disease"],)])
def test_pair_types(pairs):
    graph = build_graph(two_sentences(), pair_types=pairs)
    assert graph.pair_index.t().tolist() == [[0, 2], [1, 2]]
    assert graph.pair_label.tolist() == [[1, 0], [0, 1]]


def test_pair_types_of_one_type_pair_no_entity_with_itself():
    graph = build_graph(two_sentences(), pair_types=[("Chemical", "Chemical")])
    assert graph.pair_index.t().tolist() == [[0, 1], [1, 0]]
    assert build_graph(two_sentences(), pair_types=[]).pair_index.shape == (2, 0)


def test_ignored_pairs_are_candidates_whose_labels_are_minus_one():
    each = replace(two_sentences(), ignored=(("R", "V"), ("O", "V")))
    graph = LABELS.graph(each)
    assert graph.pair_index.shape == (2, 6)
    assert graph.pair_label.tolist() == [[0, 0], [1, 0], [-1, -1], [0, 1], [-1, -1], [0, 0]]


def test_several_relations_of_one_pair():
    each = replace(two_sentences(), facts=(Fact("V", "causes", "R"), Fact("V", "treats", "R")))
    assert LABELS.graph(each).pair_label.sum(0).tolist() == [1, 1]
    assert LABELS.graph(each).pair_label[1].tolist() == [1, 1]


def test_facts_of_no_candidate_pair_are_left_out():
    facts = (Fact("nowhere", "causes", "R"), Fact("R", "causes", "R"), Fact("V", "causes", "R"))
    graph = LABELS.graph(replace(two_sentences(), facts=facts))
    assert graph.pair_label.sum() == 1
    assert graph.pair_label[1, 0] == 1


def test_columns_and_types_are_by_default_those_of_the_document():
    graph = build_graph(two_sentences())
    assert graph.pair_label.shape == (6, 2)
    other = build_graph(
        two_sentences(), relations=["treats", "causes", "spare"], types=["Disease", "Chemical"]
    )
    assert torch.equal(other.pair_label[:, :2], graph.pair_label.flip(1))
    assert not other.pair_label[:, 2].any()
    assert torch.equal(other["entity"].type, 1 - graph["entity"].type)


@pytest.mark.parametrize("options", [{"relations": ["causes"]}, {"types": ["Chemical"]}])
def test_unknown_names_are_input_errors(options):
    with pytest.raises(InputError, match=r"^two: (relation 'treats'|entity type 'Disease') is not one of"):
        build_graph(two_sentences(), **options)


def test_mentions_without_identifier_may_have_any_type():
    each = two_sentences()
    each = replace(each, mentions=(*each.mentions, Mention(0, 7, "Unheard", ())))
    assert same(LABELS.graph(each), LABELS.graph(two_sentences()))


# Batching


def orders():
    """Each odd document as first, in the middle, and as last, and all of them in a row."""
    odd = odd_documents()
    yield odd
    for each in odd[1:]:
        yield [each, odd[0], odd[0]]
        yield [odd[0], each, odd[0]]
        yield [odd[0], odd[0], each]
        yield [each]
        yield [each, each]


@pytest.mark.parametrize(
    "documents", list(orders()), ids=lambda documents: "-".join(each.id for each in documents)
)
def test_batching_loses_nothing(documents):
    graphs = [with_words(LABELS.graph(each)) for each in documents]
    batch = Batch.from_data_list(graphs)
    assert batch.validate(raise_on_error=True)
    assert (batch.node_types, batch.edge_types) == (list(NODE_TYPES), list(EDGE_TYPES))
    for key in EDGE_TYPES:
        assert batch[key].edge_index.size(1) == sum(graph[key].edge_index.size(1) for graph in graphs)
    for name in NODE_TYPES:
        assert batch[name].num_nodes == sum(graph[name].num_nodes for graph in graphs)
    assert batch.pair_index.size(1) == sum(graph.pair_index.size(1) for graph in graphs)
    back = batch.to_data_list()
    assert len(back) == len(graphs)
    assert all(same(one, other) for one, other in zip(graphs, back, strict=True))
    assert [type(one) for one in back] == [type(one) for one in graphs]


def test_batched_indices_point_where_they_did():
    graphs = [with_words(LABELS.graph(each)) for each in [*odd_documents(), *random_documents(4)]]
    batch = Batch.from_data_list(graphs)
    words = [word for words in batch.words for word in words]
    names = [name for names in batch["entity"].id for name in names]
    spans = [words[start:end] for start, end in batch["mention"].span.tolist()]
    assert spans == [g.words[start:end] for g in graphs for start, end in g["mention"].span.tolist()]
    spans = [words[start:end] for start, end in batch["sentence"].span.tolist()]
    assert spans == [g.words[start:end] for g in graphs for start, end in g["sentence"].span.tolist()]
    tokenizer = [words[index] for index in batch.word_index.tolist()]
    assert tokenizer == [g.words[index] for g in graphs for index in g.word_index.tolist()]
    pairs = [(names[head], names[tail]) for head, tail in batch.pair_index.t().tolist()]
    ids = [
        (g["entity"].id[head], g["entity"].id[tail])
        for g in graphs
        for head, tail in g.pair_index.t().tolist()
    ]
    assert pairs == ids
    windows = [(number, index) for number, g in enumerate(graphs) for index in g.window_index.tolist()]
    ranks = {window: rank for rank, window in enumerate(sorted(set(windows)))}
    assert batch.window_index.tolist() == [ranks[window] for window in windows]


def test_documents_of_pairs_and_word_counts():
    graphs = [LABELS.graph(each) for each in odd_documents()]
    batch = Batch.from_data_list(graphs)
    pairs = [number for number, graph in enumerate(graphs) for _ in range(graph.pair_index.size(1))]
    assert documents_of_pairs(batch).tolist() == pairs
    assert len(set(pairs)) < len(graphs)
    assert word_counts(batch) == [len(each.words) for each in odd_documents()]
    assert documents_of_pairs(graphs[0]).tolist() == [0] * 6
    assert word_counts(graphs[0]) == [11]
    assert word_counts(graphs[-1]) == [0]
    assert word_counts(Batch.from_data_list([graphs[-1], graphs[0]])) == [0, 11]


def test_data_loader():
    graphs = [with_words(LABELS.graph(each)) for each in random_documents(7)]
    back = [graph for batch in DataLoader(graphs, batch_size=3) for graph in batch.to_data_list()]
    assert all(same(one, other) for one, other in zip(graphs, back, strict=True))


def test_repr_is_one_line_and_print_shows_every_attribute():
    graph = LABELS.graph(two_sentences())
    sizes = "4 mention nodes, 3 entity nodes, 2 sentence nodes, 6 pairs"
    assert repr([graph]) == f"[DocumentGraph('two', {sizes})]"
    assert "pair_index=[2, 6]" in str(graph)
    batch = Batch.from_data_list([graph, LABELS.graph(empty())])
    assert repr(batch) == f"DocumentGraphBatch(2 documents, {sizes})"
    assert repr(two_sentences()) == "Document('two', 2 sentences, 4 mentions, 3 entities, 2 facts)"


# PyG's own machinery


class Stored(InMemoryDataset):
    """Graphs in memory, saved and loaded as PyG does it."""

    def __init__(self, root, graphs):
        self.graphs = graphs
        super().__init__(str(root))
        self.load(self.processed_paths[0], data_cls=type(graphs[0]))

    processed_file_names = ("graphs.pt",)

    def process(self):
        self.save(self.graphs, self.processed_paths[0])


@pytest.mark.filterwarnings("ignore:Weights only load failed")
@pytest.mark.parametrize("first", range(6))
def test_in_memory_dataset(tmp_path, first):
    documents = odd_documents()
    documents.insert(0, documents.pop(first))
    graphs = [with_words(LABELS.graph(each)) for each in documents]
    for dataset in (Stored(tmp_path, graphs), Stored(tmp_path, graphs)):  # processed, then read
        assert len(dataset) == len(graphs)
        assert all(same(one, other) for one, other in zip(graphs, dataset, strict=True))
    assert same(Batch.from_data_list(graphs), Batch.from_data_list(list(dataset)))


@pytest.mark.parametrize("batched", [False, True])
def test_pickle(batched):
    graph = with_words(LABELS.graph(two_sentences()))
    graph = Batch.from_data_list([graph, with_words(LABELS.graph(empty()))]) if batched else graph
    back = pickle.loads(pickle.dumps(graph))
    assert same(graph, back)
    assert type(back) is type(graph)


def test_to_undirected_adds_the_reverse_of_edges_across_types():
    graph = LABELS.graph(two_sentences())
    both = ToUndirected()(graph.clone())
    assert len(both.edge_types) == 8
    for source, name, target in EDGE_TYPES:
        if source == target:
            assert edges(both, source, name, target) == edges(graph, source, name, target)
        else:
            flipped = both[target, f"rev_{name}", source].edge_index.flip(0)
            assert torch.equal(flipped, graph[source, name, target].edge_index)
    single = LABELS.graph(no_entity())
    assert len(ToUndirected()(single).edge_types) == 8


@pytest.mark.parametrize("make", [two_sentences, no_entity, empty])
def test_to_homogeneous(make):
    graph = LABELS.graph(make())
    flat = graph.to_homogeneous()
    assert flat.num_nodes == sum(graph[name].num_nodes for name in NODE_TYPES)
    assert flat.edge_index.size(1) == sum(graph[key].edge_index.size(1) for key in EDGE_TYPES)
    assert flat.node_type.tolist() == [
        i for i, name in enumerate(NODE_TYPES) for _ in range(graph[name].num_nodes)
    ]
    for number, (source, name, target) in enumerate(EDGE_TYPES):
        starts = {
            key: sum(graph[other].num_nodes for other in NODE_TYPES[:i]) for i, key in enumerate(NODE_TYPES)
        }
        shift = torch.tensor([[starts[source]], [starts[target]]])
        assert torch.equal(
            flat.edge_index[:, flat.edge_type == number], graph[source, name, target].edge_index + shift
        )


class Convolution(torch.nn.Module):
    """A homogeneous network."""

    def __init__(self):
        super().__init__()
        self.layer = SAGEConv((-1, -1), 4)

    def forward(self, x, edge_index):
        return self.layer(x, edge_index).relu()


def test_hetero_conv_and_to_hetero_run():
    graphs = [ToUndirected()(LABELS.graph(each)) for each in odd_documents()]
    batch = Batch.from_data_list(graphs)
    x = random_nodes(batch, 8, dtype=torch.float32)
    conv = HeteroConv({key: SAGEConv(8, 4) for key in batch.edge_types})
    out = conv(x, batch.edge_index_dict)
    assert {name: tuple(nodes.shape) for name, nodes in out.items()} == {
        name: (batch[name].num_nodes, 4) for name in NODE_TYPES
    }
    model = to_hetero(Convolution(), batch.metadata())
    out = model(x, batch.edge_index_dict)
    assert all(out[name].shape == (batch[name].num_nodes, 4) for name in NODE_TYPES)


# Sizes


def spread(num_sentences, mentions_each, num_entities):
    """A document of one-word mentions, each sentence with so many."""
    words = num_sentences * mentions_each
    mentions = [(index, index + 1, "Gene", str(index % num_entities)) for index in range(words)]
    return document(["a " * mentions_each] * num_sentences, mentions)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((5, 1, 1), "d: 25 edges between 5 sentences are too many for a graph"),
        ((1, 5, 1), "d: 25 edges between mentions in a sentence are too many for a graph"),
        ((2, 2, 4), "d: 16 candidate pairs of 4 entities are too many for a graph"),
    ],
)
def test_documents_with_too_many_edges_or_pairs_are_refused(monkeypatch, sizes, message):
    each = spread(*sizes)
    build_graph(each)
    monkeypatch.setattr("glre_pyg.data.graph.MAX_EDGES", 16)
    monkeypatch.setattr("glre_pyg.data.graph.MAX_PAIRS", 9)
    with pytest.raises(InputError, match=message):
        build_graph(each)
    assert build_graph(spread(2, 2, 3)).pair_index.shape == (2, 6)


def test_pairs_that_are_no_candidates_do_not_count(monkeypatch):
    monkeypatch.setattr("glre_pyg.data.graph.MAX_PAIRS", 2)
    assert build_graph(two_sentences(), pair_types=[("Chemical", "Disease")]).pair_index.shape == (2, 2)
