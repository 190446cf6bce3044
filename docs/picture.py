"""Draws ``docs/document_graph.png``, the picture in the README: ``python docs/picture.py``."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot

from glre_pyg import build_graph
from glre_pyg.corpora.pubtator import read_pubtator
from glre_pyg.draw import draw

HERE = Path(__file__).parent

if __name__ == "__main__":
    [document] = read_pubtator(HERE / "example.pubtator")
    _, ax = pyplot.subplots(figsize=(32 / 3, 6), layout="constrained")
    draw(build_graph(document), ax)
    ax.figure.savefig(HERE / "document_graph.png", dpi=150)
