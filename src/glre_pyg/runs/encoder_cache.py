"""Section 3.1, Eq. 1, once: the word vectors of a frozen encoder, kept on disk.

A folder holds what one encoder made, in files of safetensors: ``features`` [rows, d] of many documents, one
below another; ``documents`` [n, 32], the key of each; ``ptr`` [n + 1], where its rows begin and end. The
files are mapped into memory, which holds what a run reads of them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Self
from weakref import WeakKeyDictionary

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch_geometric.data import Batch
from tqdm import tqdm

from glre_pyg.utils.cache import Cache, contents_of, key_of
from glre_pyg.utils.exceptions import InputError
from glre_pyg.data.graph import DocumentGraph, word_counts
from glre_pyg.nn.encoder import TransformerEncoder

FORMAT = 1  # to be raised with each change of what is in a file
_BYTES = 1 << 28  # of a file, about: what is in memory before it is written
_NAME = "features"


def by_length(
    graphs: Sequence[DocumentGraph],
    batch_size: int,
    *,
    fits: Callable[[list[int]], bool] = lambda batch: True,
) -> Iterator[list[int]]:
    """Indices of graphs in batches of like length, longest first, so that little is padding.

    Args:
        graphs: Graphs with pieces.
        batch_size: Graphs a batch, at most.
        fits: Whether graphs may be one batch; a graph by itself always may.
    """
    batch: list[int] = []
    for index in longest_first(graphs):
        if batch and (len(batch) == batch_size or not fits([*batch, index])):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def longest_first(graphs: Sequence[DocumentGraph]) -> list[int]:
    """Indices of graphs by their pieces, the most first."""
    return sorted(range(len(graphs)), key=lambda index: -len(graphs[index].input_ids))


@torch.no_grad()
def encoded(
    encoder: TransformerEncoder,
    graphs: Sequence[DocumentGraph],
    *,
    batch_size: int,
    device: torch.device | str,
) -> Iterator[tuple[int, Tensor]]:
    """Index and word vectors [W, d] of each graph, on the CPU, from batches of like length."""
    encoder.eval()
    most = encoder.max_tokens or math.inf

    def fits(batch: list[int]) -> bool:
        return sum(len(graphs[index].input_ids) for index in batch) <= most

    batches = list(by_length(graphs, batch_size, fits=fits))
    for indices in tqdm(batches, desc="encoding", leave=False, disable=None):
        batch = Batch.from_data_list([graphs[index] for index in indices]).to(device)
        words = encoder(batch).cpu().split(word_counts(batch))
        yield from zip(indices, (each.clone() for each in words), strict=True)


class FeatureStore:
    """The ``features`` [W, d] of graphs by frozen encoders, each computed once.

    An encoder is known by its weights, its configuration without dropout, its pooling, its special tokens
    and its code; a document by its pieces, their words and their windows. Vectors are in fp32, bit for bit
    what the encoder gave. Their last bits depend on the batch that a document was encoded in, by its padding,
    on the device and on torch's kernels: a document keeps the vectors that it got first, where without a
    store each run computes its own.

    Args:
        cache: Where the vectors are kept.
    """

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self._files: dict[Path, _File] = {}
        self._keys: WeakKeyDictionary[TransformerEncoder, tuple[object, str]] = WeakKeyDictionary()

    def attach(
        self,
        encoder: TransformerEncoder,
        graphs: Sequence[DocumentGraph],
        *,
        batch_size: int,
        device: torch.device | str,
        add: bool = True,
    ) -> None:
        """Give every graph its ``features`` [W, d], encoding those that are not kept yet.

        Args:
            encoder: A frozen encoder.
            graphs: Graphs with pieces.
            batch_size: Documents a batch.
            device: Where the encoder is.
            add: Whether what had to be encoded is kept.
        """
        place = f"{_NAME}/{self._key(encoder)}"
        missing = self._attach_kept(place, graphs)
        if missing and add:
            with self.cache.lock(place, _NAME):
                missing = self._attach_kept(place, missing)  # another process may have been faster
                once = {document_key(graph): graph for graph in missing}
                found = encoded(encoder, [*once.values()], batch_size=batch_size, device=device)
                keys = [*once]
                self._add(place, ((keys[index], features) for index, features in found))
                missing = self._attach_kept(place, missing)
        for index, features in encoded(encoder, missing, batch_size=batch_size, device=device):
            missing[index].features = features

    def _attach_kept(self, place: str, graphs: Sequence[DocumentGraph]) -> list[DocumentGraph]:
        """Attach what is kept; give the graphs for which there is nothing."""
        holding: dict[bytes, _File] = {}
        for path in self.cache.files(place, _NAME):
            file = self._files.get(path) or _File.read(path, self.cache)
            if file is not None:
                self._files[path] = file
                holding |= dict.fromkeys(file.rows, file)
        missing = []
        for graph in graphs:
            key = document_key(graph)
            file = holding.get(key)
            if file is not None and file.is_whole(self.cache):
                graph.features = file.features[slice(*file.rows[key])]
            else:
                missing.append(graph)
        self._files = {path: file for path, file in self._files.items() if file.whole is not False}
        return missing

    def _add(self, place: str, documents: Iterable[tuple[bytes, Tensor]]) -> None:
        """Keep the vectors of documents, as many in a file as fit; stop where nothing can be kept."""
        rest, count = iter(documents), 0
        while part := _part(rest):
            if self.cache.keep(place, _NAME, ".safetensors", partial(_write, part)) is None:
                return
            count += len(part)
        if count:
            print(f"encoded {count:,} documents, kept in {self.cache.folder / place}", flush=True)

    def _key(self, encoder: TransformerEncoder) -> str:
        """The encoder's key, worked out again only if its weights have changed."""
        weights = [(each.data_ptr(), each._version) for each in encoder.transformer.state_dict().values()]
        known, key = self._keys.get(encoder, (None, ""))
        if known != weights:
            key = encoder_key(encoder)
            self._keys[encoder] = weights, key
        return key


class _File:
    """A file of word vectors.

    Args:
        path: Where it is.
        rows: First row of each document, and one past its last, by its key.
        features: Vectors [rows, d], mapped into memory.

    Attributes:
        whole: Whether its checksum is right; None before it was looked at.
    """

    def __init__(self, path: Path, rows: dict[bytes, tuple[int, int]], features: Tensor) -> None:
        self.path, self.rows, self.features = path, rows, features
        self.whole: bool | None = None

    @classmethod
    def read(cls, path: Path, cache: Cache) -> Self | None:
        """Map a file; None, and the file is gone, if it is broken."""
        try:
            with safe_open(path, framework="pt") as file:
                documents, ptr, features = map(file.get_tensor, ("documents", "ptr", "features"))
        except (SafetensorError, OSError) as error:
            if cache.is_whole(path):
                raise InputError(f"cache: {path}: cannot be read: {error}") from error
            return None
        keys = map(bytes, documents.numpy())
        return cls(path, dict(zip(keys, pairwise(ptr.tolist()), strict=True)), features)

    def is_whole(self, cache: Cache) -> bool:
        """Whether its checksum is right; looked at once, before the first vector is used."""
        if self.whole is None:
            self.whole = cache.is_whole(self.path)
        return self.whole


def _part(documents: Iterator[tuple[bytes, Tensor]]) -> dict[bytes, Tensor]:
    """The next documents, as many as a file holds."""
    part: dict[bytes, Tensor] = {}
    size = 0
    while size < _BYTES and (found := next(documents, None)):
        part[found[0]] = found[1]
        size += found[1].nbytes
    return part


def _write(documents: Mapping[bytes, Tensor], path: Path) -> None:
    keys = np.frombuffer(b"".join(documents), dtype=np.uint8).reshape(len(documents), -1)
    ptr = torch.tensor([0, *accumulate(map(len, documents.values()))])
    tensors = {
        "documents": torch.from_numpy(keys.copy()),
        "ptr": ptr,
        _NAME: torch.cat([*documents.values()]),
    }
    save_file(tensors, path)


def document_key(graph: DocumentGraph) -> bytes:
    """Checksum of all that an encoder sees of a graph: its pieces, their words, their windows."""
    parts = torch.stack([graph.input_ids, graph.word_index, graph.window_index])  # [3, T]
    return hashlib.sha256(len(graph.words).to_bytes(8) + parts.numpy().tobytes()).digest()


def encoder_key(encoder: TransformerEncoder) -> str:
    """Checksum of all that the word vectors of a frozen encoder follow from, besides the document."""
    settings = encoder.transformer.config.to_dict()
    return key_of(
        FORMAT,
        weights_key(encoder.transformer),
        type(encoder.transformer).__name__,
        {
            name: str(value)
            for name, value in settings.items()
            if name not in _MEANINGLESS and "drop" not in name
        },
        [encoder.pooling, encoder.prefix, encoder.suffix, encoder.suffix_types, encoder.pad_id],
        [version("transformers")],
    )


def weights_key(module: nn.Module) -> str:
    """Checksum of the weights of a module."""
    digest = hashlib.sha256()
    weights = module.state_dict()
    for name in sorted(weights):
        values = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {[*values.shape]}\n".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


_MEANINGLESS = {
    *("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version"),
    "gradient_checkpointing",
}
"""Settings that differ between a model and the same one, loaded from a run."""
