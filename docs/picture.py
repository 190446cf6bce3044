"""Draws ``docs/document_graph.png``, the picture in the README: ``python docs/picture.py``."""

from io import BytesIO
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot
from PIL import Image

from glre_pyg import build_graph
from glre_pyg.formats.pubtator import read_pubtator
from glre_pyg.reporting.drawing import draw

HERE = Path(__file__).parent

if __name__ == "__main__":
    document = next(read_pubtator(HERE / "example.pubtator"))
    figure = pyplot.figure(figsize=(11.2, 6.3))
    draw(build_graph(document), figure.add_axes((0, 0, 1, 1)))
    figure.savefig(image := BytesIO(), dpi=1600 / 11.2)
    Image.open(image).convert("RGB").quantize(64).save(HERE / "document_graph.png", optimize=True)
