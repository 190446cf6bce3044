"""Section 3.1, Eq. 1: a cache of the word vectors of frozen encoders.

Each encoder has a folder of safetensors files with the word vectors [W, d] of many documents, whose keys are
hashes of the encoder's input. Files are memory-mapped, and only the documents of a run are loaded.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm

from glre_pyg.data.batch import batches_by_length, collate
from glre_pyg.data.graph import DocumentGraph, word_counts
from glre_pyg.nn.encoder import TransformerEncoder
from glre_pyg.utils.cache import Cache, key_of
from glre_pyg.utils.console import echo, plural
from glre_pyg.utils.files import check_regular

_FILE_BYTES = 1 << 28  # approximate size of a file, which is in memory until it is written
_NAME = "features"


@torch.no_grad()
def encoded(
    encoder: TransformerEncoder,
    graphs: Sequence[DocumentGraph],
    *,
    batch_size: int,
    device: torch.device | str,
) -> Iterator[tuple[int, Tensor]]:
    """Yield the index and the word vectors [W, d] of each graph on the CPU, batched by length."""
    encoder.eval()
    batches = list(batches_by_length(graphs, batch_size, max_tokens=encoder.max_tokens or math.inf))
    for indices in tqdm(batches, desc="encoding", leave=False, disable=None):
        batch = collate([graphs[index] for index in indices], device)
        words = encoder(batch).cpu().split(word_counts(batch))
        yield from zip(indices, (features.clone() for features in words), strict=True)


class FeatureStore:
    """Cache of the ``features`` [W, d] of graphs, which frozen encoders compute once.

    The key of an encoder covers its weights, its configuration without dropout, its pooling and its special
    tokens; the key of a document covers its tokens, their words and their windows. Features are cached in
    fp32, bit for bit as computed. Their last bits depend on the padding of the batch, on the device and on
    the kernels of torch: with the cache a document keeps its first features, without it each run computes
    its own.

    Args:
        cache: The cache.
    """

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self._indices: dict[Path, frozenset[str]] = {}
        self._verified: set[Path] = set()
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
        """Set the ``features`` [W, d] of every graph, encoding documents that are not in the cache.

        Args:
            encoder: A frozen encoder.
            graphs: Tokenized graphs.
            batch_size: Maximum number of documents in a batch.
            device: Device of the encoder.
            add: Whether to add new features to the cache.
        """
        encode = partial(encoded, encoder, batch_size=batch_size, device=device)
        place = f"{_NAME}/{self._key(encoder)}"
        attach = partial(self._attach_cached, place, channels=encoder.out_channels)
        missing = attach(graphs)
        if missing and add:
            with self.cache.lock(place, _NAME):
                missing = attach(missing)  # another process may have added them
                unique = {document_key(graph): graph for graph in missing}
                keys = [*unique]
                self._save(place, ((keys[index], features) for index, features in encode([*unique.values()])))
                missing = attach(missing)
        for index, features in encode(missing):
            missing[index].features = features

    def _attach_cached(
        self, place: str, graphs: Sequence[DocumentGraph], channels: int
    ) -> list[DocumentGraph]:
        """Set the features that are in the cache, and return the graphs of the other documents."""
        missing: dict[str, list[DocumentGraph]] = defaultdict(list)
        for graph in graphs:
            missing[document_key(graph)].append(graph)
        for path in self.cache.files(place, _NAME) if missing else ():
            keys = missing.keys() & self._document_keys(path)
            if keys and self._verify(path):
                with safe_open(path, framework="pt") as file:
                    for key in keys:
                        features = file.get_tensor(key)
                        words = len(missing[key][0].words)
                        if features.shape != (words, channels) or features.dtype != torch.float32:
                            self.cache.remove(path)  # another program has written it
                            break
                        for graph in missing.pop(key):
                            graph.features = features
        return [graph for graphs in missing.values() for graph in graphs]

    def _document_keys(self, path: Path) -> frozenset[str]:
        """Return the keys of the documents in a file; if it is damaged, it is removed and has none."""
        if path not in self._indices:
            try:
                check_regular(path)
                with safe_open(path, framework="pt") as file:
                    self._indices[path] = frozenset(file.keys())
            except (SafetensorError, OSError):
                self.cache.verify(path)
                return frozenset()
        return self._indices[path]

    def _verify(self, path: Path) -> bool:
        """Verify the checksum of a file once, before it is used."""
        if path not in self._verified and self.cache.verify(path):
            self._verified.add(path)
        return path in self._verified

    def _save(self, place: str, documents: Iterable[tuple[str, Tensor]]) -> None:
        """Save the features of documents in files of limited size; stop if one cannot be written."""
        count = 0
        for part in _parts(documents):
            if self.cache.save(place, _NAME, ".safetensors", partial(save_file, part)) is None:
                return
            count += len(part)
            part.clear()  # frees the memory before the next documents are encoded
        if count:
            echo(f"encoded {count:,} {plural(count, 'document')}, kept in {self.cache.folder / place}")

    def _key(self, encoder: TransformerEncoder) -> str:
        """Return the key of an encoder, which is computed again only if the weights have changed."""
        state = encoder.transformer.state_dict().values()
        weights = [(tensor.data_ptr(), tensor._version) for tensor in state]
        known, key = self._keys.get(encoder, (None, ""))
        if known != weights:
            key = encoder_key(encoder)
            self._keys[encoder] = weights, key
        return key


def _parts(documents: Iterable[tuple[str, Tensor]]) -> Iterator[dict[str, Tensor]]:
    """Split the features of documents by size."""
    part: dict[str, Tensor] = {}
    size = 0
    for key, features in documents:
        part[key] = features
        size += features.nbytes
        if size >= _FILE_BYTES:
            yield part
            part, size = {}, 0
    if part:
        yield part


def document_key(graph: DocumentGraph) -> str:
    """Hash the input of an encoder: the tokens of a graph, their words and their windows."""
    tokens = torch.stack([graph.input_ids, graph.word_index, graph.window_index])  # [3, T]
    return hashlib.sha256(len(graph.words).to_bytes(8) + tokens.numpy().tobytes()).hexdigest()


def encoder_key(encoder: TransformerEncoder) -> str:
    """Hash everything that the word vectors of a frozen encoder depend on, besides the document."""
    settings = encoder.transformer.config.to_dict()
    return key_of(
        version("transformers"),
        weights_key(encoder.transformer),
        type(encoder.transformer).__name__,
        {
            name: str(value)
            for name, value in settings.items()
            if name not in _IRRELEVANT and "drop" not in name
        },
        [encoder.pooling, encoder.prefix, encoder.suffix, encoder.suffix_types, encoder.pad_id],
    )


def weights_key(module: nn.Module) -> str:
    """Hash the weights of a module."""
    digest = hashlib.sha256()
    for name, weights in sorted(module.state_dict().items()):
        values = weights.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {[*values.shape]}\n".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


_IRRELEVANT = {
    *("_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version"),
    "gradient_checkpointing",
}
"""Settings that differ between a model and the same model loaded from a run."""
