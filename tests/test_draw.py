"""The picture of a document graph: a marker a node, a line an edge, no two labels on top of each other."""

import sys
from itertools import combinations, pairwise

import matplotlib
import pytest
from matplotlib import pyplot
from matplotlib.collections import LineCollection
from torch_geometric.data import Batch

from documents import document, empty, odd_documents, random_documents, two_sentences
from glre_pyg import EDGE_TYPES, NODE_TYPES, build_graph
from glre_pyg.reporting.drawing import draw

LONG = document(
    ["hydroxychloroquine sulfate tablets and rash"] * 3,
    [
        (0, 3, "Chemical", "MESH:D000006886"),
        (4, 5, "Disease", "MESH:D000005076"),
        (10, 11, "Gene", "NCBI:102"),
    ],
    name="long names",
)
DOCUMENTS = [*odd_documents(), LONG, *random_documents(4, sentences=(3, 5), entities=(3, 5))]


@pytest.fixture(autouse=True)
def _agg():
    backend = matplotlib.get_backend()
    pyplot.switch_backend("Agg")
    yield
    pyplot.close("all")
    pyplot.switch_backend(backend)


def markers(ax):
    return {each.get_gid(): each for each in ax.collections if each.get_gid() in NODE_TYPES}


def lines(ax):
    return {each.get_label(): each for each in ax.collections if isinstance(each, LineCollection)}


@pytest.mark.parametrize("each", DOCUMENTS, ids=lambda each: each.id)
def test_one_marker_a_node_and_one_line_an_edge(each):
    graph = build_graph(each)
    ax = draw(graph)
    shown = {name: len(marks.get_offsets()) for name, marks in markers(ax).items()}
    assert shown == {name: graph[name].num_nodes for name in NODE_TYPES}
    for key in EDGE_TYPES:
        both_ways = key[0] == key[2]
        assert len(lines(ax)[" ".join(key)].get_segments()) == graph[key].num_edges / (1 + both_ways)


@pytest.mark.parametrize("each", [two_sentences(), empty()], ids=lambda each: each.id)
def test_one_legend_entry_an_edge_type(each):
    legend = draw(build_graph(each)).get_legend()
    assert [text.get_text() for text in legend.get_texts()] == [" ".join(key) for key in EDGE_TYPES]


def test_types_differ_without_colour():
    ax = draw(build_graph(two_sentences()))
    shapes = {str(each.get_paths()[0].vertices.tolist()) for each in markers(ax).values()}
    styles = {(str(each.get_linestyle()), each.get_linewidth()[0]) for each in lines(ax).values()}
    assert len(shapes) == len(NODE_TYPES)
    assert len(styles) == len(EDGE_TYPES)


def test_labels_are_those_of_the_graph():
    graph = build_graph(two_sentences())
    texts = [text.get_text() for text in draw(graph).texts]
    entities = ["velorin\nV", "ostamide\nO", "severe rash\nR"]
    for label in ["1", "2", "velorin", "severe rash", *entities, "ostamide eased\nit."]:
        assert label in texts
    assert texts.count("ostamide") == 2


@pytest.mark.parametrize("each", DOCUMENTS, ids=lambda each: each.id)
def test_nothing_overlaps_or_leaves_the_picture(each):
    ax = draw(build_graph(each))
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in [*ax.texts, *ax.get_legend().get_texts()]]
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other)
    for box in [*boxes, ax.get_legend().get_window_extent()]:
        assert ax.figure.bbox.x0 <= box.x0
        assert box.x1 <= ax.figure.bbox.x1
        assert ax.figure.bbox.y0 <= box.y0
    for marks in markers(ax).values():
        x = sorted(marks.get_offsets()[:, 0])
        assert all(right - left > 0.3 for left, right in pairwise(x))


def test_draws_where_it_is_told():
    _, axes = pyplot.subplots(1, 2, figsize=(20, 6))
    assert draw(build_graph(two_sentences()), axes[1]) is axes[1]
    assert not axes[0].collections


def test_text_is_no_formula():
    ax = draw(build_graph(document(["it cost 3 $ and 4 $_ ."], [(2, 4, "Price", "$P$")])))
    ax.figure.canvas.draw()
    assert "3 $" in [text.get_text() for text in ax.texts]


def test_a_batch_is_refused():
    graph = build_graph(two_sentences())
    batch = Batch.from_data_list([graph, graph])
    with pytest.raises(ValueError, match="get_example"):
        draw(batch)
    assert draw(batch.get_example(1))


def test_says_that_matplotlib_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        draw(build_graph(two_sentences()))
