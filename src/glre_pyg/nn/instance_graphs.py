"""Dependency graphs of instances, whose words have hashes as labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.nn.dependency_paths import DocumentTree, words_of_entities
from glre_pyg.nn.hashed_features import Features, combined, hashes
from glre_pyg.nn.instance_words import InstanceWords, parts_of_instances, words_of_instances
from glre_pyg.nn.lexical_features import texts_of_words
from glre_pyg.nn.mention_pairs import MentionPairs

Part = tuple[Tensor, Tensor, Tensor]
"""Instance, hash and value of each feature [N]."""
_ENTITY, _POS, _DEPENDENCY = range(2, 5)  # after the numbers of texts and types


@dataclass(frozen=True)
class WordHashes:
    """Hashes of the words of a batch.

    Args:
        tree: The tree of each document.
        text: Hash of the text of each word [W], or of its type if it is in a mention.
        pos: Hash of its part of speech [W].
        dependency: Hash of the label of its dependency [W].
        of_entity: Whether the word at each position of a document is in a mention of each entity [E, L].
    """

    tree: DocumentTree
    text: Tensor
    pos: Tensor
    dependency: Tensor
    of_entity: Tensor

    @classmethod
    def of_batch(cls, batch: DocumentGraph, tree: DocumentTree) -> Self:
        """Return those of a batch with a parse."""
        dependency = hashes(batch.dependency).to(batch.pos.device)
        return cls(
            tree,
            texts_of_words(batch),
            combined(batch.pos, _POS),
            combined(dependency, _DEPENDENCY),
            words_of_entities(batch, tree),
        )


@dataclass(frozen=True)
class InstanceGraphs:
    """Dependency graphs of some instances, with N words in all.

    Args:
        words: The words.
        parent: Word that each depends on, as one of these [N]; -1 if that is not one of the instance.
        text: Hash of the text of each word [N]; or of its type if it is in a mention; or of the types of the
            pair and whose word it is, if it is in a mention of the pair.
        pos: Hash of its part of speech [N].
        dependency: Hash of the label of its dependency [N].
    """

    words: InstanceWords
    parent: Tensor
    text: Tensor
    pos: Tensor
    dependency: Tensor

    @classmethod
    def of_instances(
        cls, batch: DocumentGraph, hashed: WordHashes, instances: MentionPairs, span: Tensor
    ) -> Self:
        """Return those of instances with their spans [I, 2, 2]."""
        tree, words = hashed.tree, words_of_instances(hashed.tree, instances, span)
        row, word = words.row, words.word
        above = tree.parent[word]
        parent = (torch.arange(len(word), device=word.device) + above - word).clamp(0, len(word) - 1)
        linked = (above >= 0) & (row[parent] == row) & (word[parent] == above)
        entities = batch.pair_index[:, instances.pair[row]]  # [2, N]
        of_head, of_tail = hashed.of_entity[entities, word - tree.first[word]].long()
        whose, types = of_head + 2 * of_tail, batch["entity"].type[entities]
        entity = combined(whose, types[0], types[1], _ENTITY)
        return cls(
            words,
            torch.where(linked, parent, -1),
            torch.where(whose > 0, entity, hashed.text[word]),
            hashed.pos[word],
            hashed.dependency[word],
        )


class GraphFeatures:
    """Base class of the features of instances that depend on their graphs.

    Args:
        max_words: Number of words beyond which an instance has only those around its mentions; see
            :func:`glre_pyg.nn.instance_words.spans_of_instances`.
    """

    def __init__(self, max_words: int) -> None:
        self.max_words = max_words

    def __call__(
        self, batch: DocumentGraph, tree: DocumentTree, instances: MentionPairs
    ) -> Iterator[Features]:
        """Yield the features of instances of a batch, some instances at a time."""
        hashed = WordHashes.of_batch(batch, tree)
        for some, span in parts_of_instances(batch, instances, self.max_words):
            parts = self.parts(InstanceGraphs.of_instances(batch, hashed, some, span))
            row, feature, value = (torch.cat(column) for column in zip(*parts, strict=True))
            yield Features(some.pair, row, feature, value)

    def parts(self, graphs: InstanceGraphs) -> Iterator[Part]:
        """Yield the features of graphs, some features at a time."""
        raise NotImplementedError
