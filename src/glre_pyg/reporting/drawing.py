"""Draw the graph of a document, as in Figure 2 (b)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from glre_pyg.data.graph import DocumentGraph

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Points = NDArray[np.float64]


class _Node(NamedTuple):
    """Style of a node type, and the height of its row."""

    y: float
    marker: str
    size: float
    color: str


class _Edge(NamedTuple):
    """Style of an edge type."""

    color: str
    style: str | tuple[int, tuple[float, ...]]
    width: float


_NODES = {
    "sentence": _Node(3.3, "s", 620, "#3b6ea5"),
    "mention": _Node(1.75, "o", 190, "#e6891a"),
    "entity": _Node(0.0, "D", 300, "#1b9e77"),
}
_EDGES = {
    ("mention", "co_occurs", "mention"): _Edge("#b85c00", (0, (1, 1.2)), 2.4),
    ("mention", "refers_to", "entity"): _Edge("#1b9e77", "solid", 2.2),
    ("mention", "in", "sentence"): _Edge("#3b6ea5", (0, (4, 1.5)), 1.5),
    ("entity", "in", "sentence"): _Edge("#aa4499", (0, (7, 1.5, 1, 1.5)), 1.3),
    ("sentence", "with", "sentence"): _Edge("#8d949b", "solid", 1.1),
}
_BANDS = (1.05, 5.3)  # bottom and top of the background of sentences
_MARGIN = 0.8  # inches for the row labels
_GAP = 0.45  # inches between sentences, for the edges from entities to sentences
_LEGEND = 6.5, 10.3  # width in inches of the legend in two rows, and in one
_LABEL, _SMALL = 0.082, 0.0725  # width in inches of a character of a label, and of the text of a sentence
_TEXT_LINES = 5
_BERNSTEIN = np.array([[1, 0, 0, 0], [-3, 3, 0, 0], [3, -6, 3, 0], [-1, 3, -3, 1]])
_CUBIC = np.linspace(0, 1, 30)[:, None] ** np.arange(4) @ _BERNSTEIN


@dataclass(frozen=True)
class _Layout:
    """Positions in inches from the left, and labels.

    Args:
        x: Position of each node, by type.
        columns: Left and right edge of each sentence.
        texts: Texts of the sentences.
        names: Labels of the mentions.
        entities: Labels of the entities: the first name in the text, and the identifier.
        width: Width of the figure.
    """

    x: dict[str, list[float]]
    columns: list[tuple[float, float]]
    texts: list[str]
    names: list[str]
    entities: list[str]
    width: float

    @property
    def bottom(self) -> float:
        """Lower limit of the axes, which leaves room for the labels of entities and the legend."""
        return -0.9 - 0.18 * max((label.count("\n") + 1 for label in self.entities), default=1)

    @property
    def height(self) -> float:
        """Inches of the figure."""
        return _BANDS[1] + 0.05 - self.bottom


def draw(graph: DocumentGraph, ax: Axes | None = None) -> Axes:
    """Draw the graph of a document, sentences in the order of the text, mentions and entities below.

    Node types differ by row, shape and colour, edge types by line style and colour.

    Args:
        graph: Graph of one document, from :func:`~glre_pyg.data.graph.build_graph`.
        ax: Axes to draw on; by default those of a new figure, as wide as the document needs.

    Returns:
        The axes; ``draw(graph).figure.savefig("graph.png")`` saves the picture.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If the graph is a batch.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError("draw needs matplotlib, which is not installed: pip install matplotlib") from error
    if "ptr" in graph["mention"]:
        raise ValueError("draw takes the graph of one document; for a batch, pass batch.get_example(0)")
    if ax is None:
        layout = _layout(graph, 0.0)
        ax = pyplot.figure(figsize=(layout.width, layout.height)).add_axes((0, 0, 1, 1))
    else:
        layout = _layout(graph, ax.get_window_extent().width / ax.figure.dpi)
    ax.set(xlim=(0, layout.width), ylim=(layout.bottom, _BANDS[1] + 0.05))
    ax.axis("off")
    _draw_sentences(ax, layout)
    _draw_edges(ax, graph, layout)
    _draw_nodes(ax, graph, layout)
    columns = len(_EDGES) if layout.width > _LEGEND[1] else 3
    ax.legend(
        loc="lower center", ncols=columns, frameon=False, fontsize=9.5, handlelength=2.4, columnspacing=1.3
    )
    return ax


def _draw_sentences(ax: Axes, layout: _Layout) -> None:
    """Draw the background of each sentence, and its text."""
    bottom, top = _BANDS
    for (left, right), text in zip(layout.columns, layout.texts, strict=True):
        ax.fill_between([left, right], bottom, top, color="#f1f3f5", linewidth=0, zorder=0)
        characters = max(int((right - left - 0.16) / _SMALL), 8)
        lines = "\n".join(wrap(text, characters, max_lines=_TEXT_LINES, placeholder=" …"))
        ax.text(left + 0.08, top - 0.1, lines, va="top", size=9.5, color="#444444", parse_math=False)


def _draw_nodes(ax: Axes, graph: DocumentGraph, layout: _Layout) -> None:
    """Draw a marker for each node, and its label."""
    for name, (y, marker, size, color) in _NODES.items():
        xs = layout.x[name]
        ax.text(0.1, y, f"{name}\nnodes", va="center", size=11, weight="bold", color=color)
        ax.scatter(xs, [y] * len(xs), size, color, marker=marker, edgecolors="white", gid=name, zorder=3)
    box = {"boxstyle": "round,pad=0.15", "facecolor": "#f1f3f5", "edgecolor": "none"}
    y = _NODES["mention"].y - 0.2
    for x, label in zip(layout.x["mention"], layout.names, strict=True):
        ax.text(x, y, label, ha="center", va="top", size=10.5, bbox=box, zorder=2.5, parse_math=False)
    y = _NODES["entity"].y - 0.27
    for x, label in zip(layout.x["entity"], layout.entities, strict=True):
        ax.text(x, y, label, ha="center", va="top", size=10.5, weight="bold", parse_math=False)
    y = _NODES["sentence"].y
    for number, x in enumerate(layout.x["sentence"], start=1):
        ax.text(x, y, str(number), ha="center", va="center", size=12, weight="bold", color="white", zorder=4)


def _draw_edges(ax: Axes, graph: DocumentGraph, layout: _Layout) -> None:
    """Draw a line collection for each edge type; edges stored in both directions are drawn once."""
    from matplotlib.collections import LineCollection

    for key, (color, style, width) in _EDGES.items():
        source, _, target = key
        pairs = [(i, j) for i, j in _pairs(graph[key].edge_index) if source != target or i < j]
        ends = [(layout.x[source][i], layout.x[target][j]) for i, j in pairs]
        if key == ("sentence", "with", "sentence"):
            curves = [_arc(*end, _NODES["sentence"].y, 0.95, layout.width) for end in ends]
        elif key == ("mention", "co_occurs", "mention"):
            curves = [_arc(*end, _NODES["mention"].y, 0.65, 3.0) for end in ends]
        elif key == ("entity", "in", "sentence"):
            curves = _through_gaps(layout, pairs)
        else:
            under = 0.4 if target == "entity" else 0.0  # the mention's label
            curves = [_upright(x, _NODES[source].y - under, to, _NODES[target].y) for x, to in ends]
        label = " ".join(key)
        look = {"colors": color, "linestyles": [style], "linewidths": width}
        ax.add_collection(LineCollection(curves, label=label, zorder=1, **look))


def _layout(graph: DocumentGraph, width: float) -> _Layout:
    """Lay out columns as wide as their labels need, stretched to a minimum width."""
    spans = graph["mention"].span.tolist()
    names = ["\n".join(wrap(" ".join(graph.words[a:b]), 14, break_long_words=False)) for a, b in spans]
    slots = [0.2 + _LABEL * max(map(len, name.split("\n"))) for name in names]
    inside: list[list[int]] = [[] for _ in graph["sentence"].span]
    for mention, sentence in _pairs(graph["mention", "in", "sentence"].edge_index):
        inside[sentence].append(mention)
    texts = [_text(graph.words[start:end]) for start, end in graph["sentence"].span.tolist()]
    needs = [
        max(1.2, sum(slots[mention] for mention in mentions), min(0.3 + len(text) * _SMALL / 4, 2.5))
        for mentions, text in zip(inside, texts, strict=True)
    ]
    entities = _entity_labels(graph, names)
    longest = max((len(line) for label in entities for line in label.split("\n")), default=0)
    least = max(width, _LEGEND[0], _MARGIN + len(entities) * max(0.6, 0.3 + 0.1 * longest))
    room = max(0.0, least - _MARGIN - sum(needs) - _GAP * (len(needs) + 1)) / max(len(needs), 1)

    x: dict[str, list[float]] = {"sentence": [], "mention": [0.0] * len(names)}
    columns, left = [], _MARGIN + _GAP
    for mentions, need in zip(inside, needs, strict=True):
        columns.append((left, left + need + room))
        x["sentence"].append(left + (need + room) / 2)
        spare = (need + room - sum(slots[mention] for mention in mentions)) / max(len(mentions), 1)
        for mention in sorted(mentions, key=lambda mention: spans[mention]):
            x["mention"][mention] = left + (slots[mention] + spare) / 2
            left += slots[mention] + spare
        left = columns[-1][1] + _GAP
    width = max(left, least)
    x["entity"] = _entities(graph, x["mention"], width)
    return _Layout(x, columns, texts, names, entities, width)


def _entity_labels(graph: DocumentGraph, names: list[str]) -> list[str]:
    """Return the first name of each entity in the text, and its identifier in a line of its own."""
    first: dict[int, str] = {}
    for mention, entity in _pairs(graph["mention", "refers_to", "entity"].edge_index):
        first.setdefault(entity, names[mention])
    return [f"{first[number]}\n{identifier}" for number, identifier in enumerate(graph["entity"].id)]


def _text(words: list[str]) -> str:
    return re.sub(r" (?=[.,;:?!)\]])|(?<=[(\[]) ", "", " ".join(words))


def _entities(graph: DocumentGraph, mentions: list[float], width: float) -> list[float]:
    """Space entities evenly, in the order of the mean position of their mentions."""
    places: list[list[float]] = [[] for _ in graph["entity"].id]
    for mention, entity in _pairs(graph["mention", "refers_to", "entity"].edge_index):
        places[entity].append(mentions[mention])
    count = len(places)
    order = sorted(range(count), key=lambda entity: float(np.mean(places[entity] or 0)))
    return [_MARGIN + (order.index(entity) + 0.5) / count * (width - _MARGIN) for entity in range(count)]


def _pairs(edge_index: Tensor) -> list[tuple[int, int]]:
    return [(source, target) for source, target in edge_index.t().tolist()]


def _upright(x: float, y: float, to: float, end: float) -> Points:
    """Curve between two rows, vertical at both ends."""
    return _bezier((x, y), (x, y + 0.6 * (end - y)), (to, end - 0.4 * (end - y)), (to, end))


def _arc(x: float, to: float, y: float, height: float, width: float) -> Points:
    """Arc above a row, higher for longer distances: about ``height`` for ``width``."""
    top = y + height * (0.3 + min(abs(to - x) / width, 1.0))
    return _bezier((x, y), (x + 0.15 * (to - x), top), (to - 0.15 * (to - x), top), (to, y))


def _through_gaps(layout: _Layout, pairs: list[tuple[int, int]]) -> list[Points]:
    """Curves from entities, in parallel lanes between columns, to the sides of their sentences."""
    entity, mention, sentence = (_NODES[name].y for name in ("entity", "mention", "sentence"))
    gaps: list[list[tuple[float, float]]] = [[] for _ in range(len(layout.columns) + 1)]
    for source, target in pairs:
        x, to = layout.x["entity"][source], layout.x["sentence"][target]
        gaps[target + (x > to)].append((x, to))
    curves = []
    for number, ends in enumerate(gaps):
        middle = (layout.columns[number][0] if number < len(layout.columns) else layout.width) - _GAP / 2
        for place, (x, to) in enumerate(sorted(ends), start=1):
            lane = middle + _GAP * 0.9 * (place / (len(ends) + 1) - 0.5)
            start, end = ((x + lane) / 2, entity + 0.45), (lane, entity + 0.5 * (mention - entity))
            up = _bezier((x, entity), start, end, (lane, mention))
            bend = mention + 0.75 * (sentence - mention)
            into = _bezier((lane, mention), (lane, bend), ((lane + to) / 2, sentence - 0.1), (to, sentence))
            curves.append(np.concatenate([up, into]))
    return curves


def _bezier(*points: tuple[float, float]) -> Points:
    """Points [30, 2] on the cubic Bézier curve of four control points."""
    return _CUBIC @ np.array(points)
