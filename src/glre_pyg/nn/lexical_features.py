"""Lexical features of instances, for linear classifiers."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from glre_pyg.data.batch import sizes_of
from glre_pyg.data.graph import DocumentGraph
from glre_pyg.nn.dependency_paths import DocumentTree
from glre_pyg.nn.hashed_features import Features, combined, hashes
from glre_pyg.nn.instance_words import InstanceWords, parts_of_instances, words_of_instances
from glre_pyg.nn.local import mentions_of_pairs, target_of_mentions
from glre_pyg.nn.mention_pairs import MentionPairs, sentences_of_words
from glre_pyg.nn.nodes import words_of_spans
from glre_pyg.utils.ranges import NonNegativeInt, PositiveInt

_TEXT, _TYPE = range(2)
_WORD, _TWO_WORDS, _NAME, _PAIR = range(4)
_MOST = 5
"""Largest number of mentions and of sentences between that is told from others."""


class LexicalFeatures:
    """Features of the words around two mentions, of the names of their entities, and of where they are.

    The features of an instance, each with the value 1, are

    - each word, and each two words in a row, between the two mentions or a few words before or after them,
      with where it is, and which entity comes first; a word of a mention is its type;
    - each word of the mentions of its head entity, and of its tail entity;
    - with which entity comes first: the types of the entities, the numbers of their mentions, of sentences
      between them, and of words between them on a logarithmic scale, and whether either is in the first
      sentence.

    Args:
        window: Number of words before and after the mentions.
        max_words: Number of words beyond which an instance has only those around its mentions; see
            :func:`glre_pyg.nn.instance_words.spans_of_instances`.
    """

    def __init__(self, *, window: NonNegativeInt, max_words: PositiveInt) -> None:
        self.window, self.max_words = window, max_words

    def __call__(
        self, batch: DocumentGraph, tree: DocumentTree, instances: MentionPairs
    ) -> Iterator[Features]:
        """Yield the features of instances of a batch, some instances at a time."""
        texts, names = texts_of_words(batch), hashes(batch.words).to(batch.pair_index.device)
        for some, span in parts_of_instances(batch, instances, self.max_words):
            words = words_of_instances(tree, some, span)
            parts = [
                *self._context(texts, some, words),
                *_names(batch, names, some),
                *_places(batch, tree, some),
            ]
            yield Features.with_ones(some.pair, parts)

    def _context(
        self, texts: Tensor, instances: MentionPairs, words: InstanceWords
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield instance and hash of the features of words and of two words in a row."""
        head, tail = instances.head[words.row], instances.tail[words.row]
        first, last = torch.minimum(head, tail), torch.maximum(head, tail)
        distance = torch.maximum(first - words.word, words.word - last)
        near = (distance <= self.window).nonzero().squeeze(1)
        row, word, side = words.row[near], words.word[near], words.side[near]
        place = 2 * side + (head < tail)[near]
        yield row, combined(texts[word], place, _WORD)
        follows = ((row[1:] == row[:-1]) & (word[1:] == word[:-1] + 1)).nonzero().squeeze(1)
        two = combined(texts[word[follows]], texts[word[follows + 1]], place[follows], _TWO_WORDS)
        yield row[follows], two


def _names(batch: DocumentGraph, names: Tensor, instances: MentionPairs) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield instance and hash of the words of the mentions of head and tail entities."""
    word, mention = words_of_spans(batch["mention"].span, sizes_of(batch).mention_words)
    entity = target_of_mentions(batch["mention", "refers_to", "entity"].edge_index)[mention]
    of_entity, count = torch.stack([word, entity]), batch["entity"].num_nodes
    for side, entities in enumerate(batch.pair_index):
        row, index = mentions_of_pairs(entities[instances.pair], of_entity, count)
        yield row, combined(names[index], side, _NAME)


def _places(
    batch: DocumentGraph, tree: DocumentTree, instances: MentionPairs
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield instance and hash of the features of types, numbers and places of the entities."""
    head, tail = instances.head, instances.tail
    entities = batch.pair_index[:, instances.pair]  # [2, I]
    entity = batch["mention", "refers_to", "entity"].edge_index[1]
    count = torch.bincount(entity, minlength=batch["entity"].num_nodes).clamp(max=_MOST)
    sentence = sentences_of_words(batch, torch.stack([head, tail, tree.first[head]]))
    between = (sentence[0] - sentence[1]).abs().clamp(max=_MOST)
    distance = torch.bucketize((head - tail).abs(), 2 ** torch.arange(16, device=head.device))
    types = batch["entity"].type[entities]
    is_first = sentence[:2] == sentence[2]
    places = (combined(*types), *count[entities], between, distance, *is_first.long())
    for number, place in enumerate(places):
        yield torch.arange(len(head), device=head.device), combined(place, head < tail, number, _PAIR)


def texts_of_words(batch: DocumentGraph) -> Tensor:
    """Return a hash of the lower-case text of each word [W], or of its type if it is in a mention."""
    word, mention = words_of_spans(batch["mention"].span, sizes_of(batch).mention_words)
    texts = hashes(batch.words).to(word.device)
    types = torch.full_like(texts, -1).scatter_reduce(0, word, batch["mention"].type[mention], "amax")
    return torch.where(types < 0, combined(texts, _TEXT), combined(types, _TYPE))
