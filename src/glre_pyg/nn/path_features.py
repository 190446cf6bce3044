"""Features of the dependency paths of instances, for linear layers."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.nn.dependency_paths import DocumentTree
from glre_pyg.nn.hashed_features import Features, combined, hashes
from glre_pyg.nn.instance_words import InstanceWords, parts_of_instances, words_of_instances
from glre_pyg.nn.lexical_features import texts_of_words
from glre_pyg.nn.mention_pairs import MentionPairs
from glre_pyg.utils.ranges import PositiveInt

_LONGEST = 12
"""Length of a path that is not told from longer ones."""


class PathFeatures:
    """Features of the dependency path from the head to the tail of an instance.

    A path goes up from the head to the lowest word above both mentions, and down to the tail. Its features,
    each with the value 1, are

    - each word; each dependency, with its direction; and both together;
    - each two words in a row, and each two dependencies, with their directions;
    - each three words in a row, and each word with the dependencies before and after it;
    - its length.

    A word of a mention is its type.

    Args:
        max_words: Number of words beyond which an instance has only those around its mentions; see
            :func:`glre_pyg.nn.instance_words.spans_of_instances`.
    """

    def __init__(self, *, max_words: PositiveInt) -> None:
        self.max_words = max_words

    def __call__(
        self, batch: DocumentGraph, tree: DocumentTree, instances: MentionPairs
    ) -> Iterator[Features]:
        """Yield the features of instances of a batch, some instances at a time."""
        texts = texts_of_words(batch)
        dependencies = hashes(batch.dependency).to(texts.device)
        for some, span in parts_of_instances(batch, instances, self.max_words):
            words = words_of_instances(tree, some, span)
            parts = _features(words, texts, dependencies, len(some.pair))
            yield Features.with_ones(some.pair, parts)


def _features(
    words: InstanceWords, texts: Tensor, dependencies: Tensor, count: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield instance and hash of the features of paths, each kind with a number of its own."""
    index = words.path()
    row, word = words.row[index], words.word[index]
    text, edge = texts[word], combined(dependencies[word], words.direction[index])
    yield row, combined(text, 0)
    yield row, combined(edge, 1)
    yield row, combined(text, edge, 2)
    two = (row[1:] == row[:-1]).nonzero().squeeze(1)
    yield row[two], combined(text[two], text[two + 1], edge[two], edge[two + 1], 3)
    yield row[two], combined(edge[two], edge[two + 1], 4)
    three = (row[2:] == row[:-2]).nonzero().squeeze(1)
    yield row[three], combined(text[three], text[three + 1], text[three + 2], 5)
    yield row[three], combined(edge[three], text[three + 1], edge[three + 2], 6)
    length = torch.bincount(row, minlength=count).clamp(max=_LONGEST)
    yield torch.arange(count, device=row.device), combined(length, 7)
