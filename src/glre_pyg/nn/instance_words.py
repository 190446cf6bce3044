"""The words of instances, and those on the dependency path between their two mentions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.nn.dependency_paths import DocumentTree
from glre_pyg.nn.mention_pairs import MentionPairs, sentences_of_words
from glre_pyg.nn.nodes import words_of_spans

WORDS = 2**15
"""About how many words of instances are computed together, which bounds the memory."""
UP, TOP, DOWN = range(3)
BEFORE, BETWEEN, AFTER = range(3)


@dataclass(frozen=True)
class InstanceWords:
    """The words of some instances, N in all.

    Args:
        row: Instance of each word [N], ascending.
        word: The word in its batch [N], ascending in each instance.
        on_path: Whether it is on the dependency path between the two mentions [N].
        step: Number of dependencies from the first mention to it, if it is on the path [N].
        direction: Whether the path goes up from it, turns at it, or comes down to it [N].
        side: Whether it is before, between or after the mentions [N], which are between.
    """

    row: Tensor
    word: Tensor
    on_path: Tensor
    step: Tensor
    direction: Tensor
    side: Tensor

    def path(self) -> Tensor:
        """Return the indices of the words on paths, from the head to the tail of each instance."""
        index = self.on_path.nonzero().squeeze(1)
        longest = len(self.step) + 1
        return index[(self.row[index] * longest + self.step[index]).argsort()]


def words_of_instances(tree: DocumentTree, instances: MentionPairs, span: Tensor) -> InstanceWords:
    """Return the words in the two ranges of each instance [I, 2, 2]; see :func:`spans_of_instances`."""
    word, part = words_of_spans(span.flatten(0, 1))
    row, position = part // 2, word - tree.first[word]
    head, tail = instances.head, instances.tail
    lowest = (tree.ancestors[head] & tree.ancestors[tail]).sum(1)[row]  # depth of the lowest word above both
    below, depth = tree.depth[head][row], tree.depth[word]
    above_head, above_tail = (tree.ancestors[each[row], position] for each in (head, tail))
    top = above_head & above_tail & (depth == lowest)
    first, last = torch.minimum(head, tail)[row], torch.maximum(head, tail)[row]
    return InstanceWords(
        row=row,
        word=word,
        on_path=(above_head ^ above_tail) | top,
        step=torch.where(above_head, below - depth, below + depth - 2 * lowest),
        direction=torch.where(top, TOP, torch.where(above_head, UP, DOWN)),
        side=torch.where(word < first, BEFORE, torch.where(word > last, AFTER, BETWEEN)),
    )


def parts_of_instances(
    batch: DocumentGraph, instances: MentionPairs, max_words: int
) -> Iterator[tuple[MentionPairs, Tensor]]:
    """Yield instances, of about :data:`WORDS` words at a time, with their spans [·, 2, 2]."""
    span = spans_of_instances(batch, instances, max_words)
    part = (span[..., 1] - span[..., 0]).sum(-1).cumsum(0) // WORDS
    sizes = part.unique_consecutive(return_counts=True)[1].tolist()
    for index in torch.arange(len(part), device=span.device).split(sizes):
        yield instances.select(index), span[index]


def spans_of_instances(batch: DocumentGraph, instances: MentionPairs, max_words: int) -> Tensor:
    """Return two ranges of words of each instance [I, 2, 2], of which the second may be empty.

    An instance has all sentences from one mention to the other. If these have more than ``max_words`` words,
    it has the two sentences alone, and of these no words further than half as many from the mention.
    """
    first, last = torch.minimum(instances.head, instances.tail), torch.maximum(instances.head, instances.tail)
    span = batch["sentence"].span
    (start, middle), (resume, end) = (span[sentences_of_words(batch, word)].t() for word in (first, last))
    far = end - start > max_words
    start = torch.where(far, torch.maximum(start, first - max_words // 2), start)
    middle = torch.where(far, torch.minimum(middle, first + max_words // 2), end)
    end = torch.where(far, torch.minimum(end, last + max_words // 2), end)
    resume = torch.where(far, torch.maximum(torch.maximum(resume, last - max_words // 2), middle), end)
    return torch.stack([start, middle, resume, torch.maximum(resume, end)], dim=-1).view(-1, 2, 2)
