"""BRAN: bi-affine relation attention network (Verga et al., NAACL 2018)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

import torch
from torch import Tensor, nn

from glre_pyg.data.batch import sizes_of
from glre_pyg.data.graph import DocumentGraph, word_counts
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.convolutional_transformer import ConvolutionalTransformer
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.local import target_of_mentions
from glre_pyg.nn.loss import RelationLoss
from glre_pyg.nn.nodes import mean_of_spans
from glre_pyg.nn.pooling import logsumexp_of_mentions
from glre_pyg.utils.ranges import PositiveInt


class BRAN(RelationModel):
    r"""Bi-affine scores of all pairs of mentions, pooled over the mentions of both entities.

    .. math::
        e^{head}_i = W_2 ReLU(W_1 x_i), \quad A_{ijr} = (e^{head}_i)^\top L_r e^{tail}_j, \quad
        scores(p, r) = \log \sum_{i \in p_{head}, j \in p_{tail}} \exp A_{ijr}

    Paper: softmax over relations and "no relation", and scores of the tokens of mentions; the entities are
    recognized as a second task. Here: the loss and thresholds of all models, scores of mentions, which are
    the means of their words, a bias for each relation, and given entities.

    Args:
        tokenizer: Tokenizer of the graphs.
        num_relations: Number of relations R.
        encoder: Encoder from a batch to words; called with the tokenizer.
        blocks: Layer over the words of a document; called with its input width.
        channels: Width of the head and tail vectors.
        loss: Loss, which defines the number of logits; called with R.
    """

    citation = (
        "Patrick Verga, Emma Strubell and Andrew McCallum: Simultaneously Self-Attending to All Mentions "
        "for Full-Abstract Biological Relation Extraction. NAACL 2018. https://arxiv.org/abs/1802.10569"
    )

    def __init__(
        self,
        tokenizer: Tokenizer,
        num_relations: int,
        *,
        encoder: Callable[[Tokenizer], Layer],
        blocks: Callable[[int], ConvolutionalTransformer],
        channels: PositiveInt,
        loss: Callable[[int], RelationLoss],
    ) -> None:
        super().__init__(loss(num_relations))
        self.encoder = encoder(tokenizer)
        self.blocks = blocks(self.encoder.out_channels)
        width = self.blocks.out_channels
        self.head, self.tail = (
            nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, channels)) for _ in range(2)
        )
        self.weight = nn.Parameter(torch.empty(self.loss.num_logits, channels, channels))
        self.bias = nn.Parameter(torch.zeros(self.loss.num_logits))
        nn.init.xavier_uniform_(self.weight)

    def document_numbers(self, graph: DocumentGraph) -> int:
        """Return about how many numbers a document needs beside its encoder: scores of pairs of mentions."""
        return 4 * self.loss.num_logits * graph["mention"].num_nodes ** 2

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the logits of all candidate pairs [P, loss.num_logits]."""
        sizes = sizes_of(batch)
        words = self.blocks(self.encoder(batch), word_counts(batch))  # [W, ·]
        mention = mean_of_spans(words, batch["mention"].span, sizes.mention_words)  # [M, ·]
        entity = target_of_mentions(batch["mention", "refers_to", "entity"].edge_index)  # [M]
        counts = sizes_of(batch).mentions
        first_entity = accumulate(sizes.entities, initial=0)
        documents = zip(
            self.head(mention).split(counts),
            self.tail(mention).split(counts),
            entity.split(counts),
            batch.pair_index.split(sizes.pairs, dim=1),
            first_entity,
            sizes.entities,
            strict=False,
        )
        out = []
        for head, tail, of, pairs, first, count in documents:
            refers_to = torch.stack([torch.arange(len(of), device=of.device), of - first])
            scores = head @ self.weight @ tail.t()  # [R, M, M]
            of_heads = _pooled(scores.transpose(0, 1), refers_to, count)  # [E, R, M]
            of_both = _pooled(of_heads.permute(2, 0, 1), refers_to, count)  # [E, E, R], tails first
            out.append(of_both[pairs[1] - first, pairs[0] - first])
        return torch.cat(out) + self.bias


def _pooled(scores: Tensor, refers_to: Tensor, num_entities: int) -> Tensor:
    """Return scores [E, ·, ·] of entities from those of their mentions [M, ·, ·]."""
    pooled = logsumexp_of_mentions(scores.flatten(1), refers_to, num_entities)
    return pooled.unflatten(1, scores.shape[1:])
