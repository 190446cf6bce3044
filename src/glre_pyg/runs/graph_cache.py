"""Graphs with their pieces, kept on disk, so that a corpus is built and tokenized once.

A file of safetensors holds every tensor of all graphs in a row, its shapes [n, rank], and the rest (words,
names) as JSON. ``pair_label`` is nearly all zeros: what is not is kept, with its place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from glre_pyg.utils.cache import Cache, contents_of, key_of
from glre_pyg.data.graph import DocumentGraph

FORMAT = 1  # to be raised with each change of what is in a file
_SPARSE = ".pair_label"


def kept_graphs(cache: Cache, key: str, build: Callable[[], list[DocumentGraph]]) -> list[DocumentGraph]:
    """Graphs from the cache, or built and kept there; of several processes, one builds.

    Args:
        cache: The cache.
        key: What the graphs are made from.
        build: Builds them.
    """
    return cache.get("graphs", key, ".safetensors", make=build, write=write_graphs, read=read_graphs)


def graphs_key(
    source: str, names: Sequence[str], labels: Mapping[str, object], pieces: str, blind: bool
) -> str:
    """Key of graphs.

    Args:
        source: Key of the documents' source.
        names: Which documents of it, in their order.
        labels: What the graphs mean.
        pieces: Key of what makes their pieces.
        blind: Whether they know no facts.
    """
    package = Path(__file__).parent
    code = contents_of(*(package / f"{name}.py" for name in ("document", "graph", "graph_store", "pieces")))
    versions = [version(name) for name in ("transformers", "tokenizers")]
    return key_of(FORMAT, source, names, labels, pieces, blind, code, versions)


def write_graphs(graphs: Sequence[DocumentGraph], path: Path) -> None:
    """Write graphs that have all the same attributes."""
    columns: dict[str, list[Tensor]] = {}
    rest: list[dict[str, dict[str, object]]] = []
    for graph in graphs:
        row: dict[str, dict[str, object]] = {}
        for store, values in _stores(graph).items():
            for name, value in values.items():
                if isinstance(value, Tensor):
                    columns.setdefault(f"{store}.{name}", []).append(value)
                else:
                    row.setdefault(store, {})[name] = value
        rest.append(row)
    tensors: dict[str, Tensor] = {}
    for name, parts in columns.items():
        tensors[f"{name}:shape"] = torch.tensor([part.shape for part in parts])
        flat = torch.cat([part.reshape(-1) for part in parts])
        if name == _SPARSE:
            tensors[f"{name}:at"] = flat.nonzero()[:, 0]
            flat = flat[flat != 0]
        tensors[name] = flat
    text = json.dumps({"tensors": [*columns], "rest": rest}).encode()
    tensors["rest"] = torch.from_numpy(np.frombuffer(text, dtype=np.uint8).copy())
    save_file(tensors, path)


def read_graphs(path: Path) -> list[DocumentGraph]:
    """Read what :func:`write_graphs` wrote; tensors are mapped into memory."""
    tensors = load_file(path)
    saved = json.loads(tensors["rest"].numpy().tobytes())
    columns = {tuple(name.split(".")): _column(name, tensors) for name in saved["tensors"]}
    graphs = []
    for index, row in enumerate(saved["rest"]):
        for (store, name), parts in columns.items():
            row.setdefault(store, {})[name] = parts[index]
        graphs.append(DocumentGraph(row.pop("") | row))
    return graphs


def _stores(graph: DocumentGraph) -> dict[str, Mapping[str, Any]]:
    """Attributes by node or edge type; those of the graph itself by the empty name."""
    own = graph.to_dict()
    named = {"__".join([key] if isinstance(key, str) else key): values for key, values in own.items()}
    return {"": named.pop("_global_store"), **named}


def _column(name: str, tensors: Mapping[str, Tensor]) -> list[Tensor]:
    shape, flat = tensors[f"{name}:shape"], tensors[name]
    counts = shape.prod(1).tolist()
    if name == _SPARSE:
        dense = flat.new_zeros(sum(counts))
        dense[tensors[f"{name}:at"]] = flat
        flat = dense
    return [part.view(of) for part, of in zip(flat.split(counts), shape.tolist(), strict=True)]
