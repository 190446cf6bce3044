"""A CNN for pairs within sentences and maximum entropy for others (Gu et al., Database 2017)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.convolution import RaggedConvolution
from glre_pyg.nn.dependency_paths import DocumentTree
from glre_pyg.nn.distance import DistanceEmbedding
from glre_pyg.nn.hashed_features import Features
from glre_pyg.nn.instance_words import spans_of_instances, words_of_instances
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.lexical_features import LexicalFeatures
from glre_pyg.nn.linear_fitting import HashedLinear
from glre_pyg.nn.loss import RelationLoss
from glre_pyg.nn.mention_pairs import MentionPairs, instance_numbers, mention_pairs, per_batch
from glre_pyg.nn.nodes import distance_to_span
from glre_pyg.nn.path_embedding import PathEmbedding
from glre_pyg.nn.pooling import logsumexp_of_mentions
from glre_pyg.utils.ranges import PositiveInt, Rate


class CNNAndMaximumEntropy(RelationModel):
    r"""A CNN over sentence and dependency path, and logistic regression for pairs that share no sentence.

    .. math::
        h_i = [\mathrm{CNN}(w_j; d_{j,1}; d_{j,2}); \mathrm{CNN}(w_k; l_k)], \quad
        y = \mathrm{sigmoid}\Big(\log \sum_i \exp(W \, \mathrm{ReLU}(V h_i + b) + c)\Big)

    Instances *i* are the mentions of a pair that share a sentence: :math:`w_j` are the words of the sentence,
    :math:`d` their distances to the two mentions, :math:`w_k` the words on the dependency path from head to
    tail, and :math:`l_k` embeds the label of the dependency of each, and whether the path goes up or down.
    Other pairs have the score of a maximum entropy model over the lexical features of the closest mentions.

    Paper: every instance is an example in training, and a pair has a relation if one of its instances has.
    Here: the loss is that of pairs, whose score is LogSumExp, a smooth maximum, over its instances. The
    features of the second model are those of :class:`LexicalFeatures`. Filters by a thesaurus and rules for
    documents in which nothing is found belong to the corpus, and are left out.

    Args:
        tokenizer: Tokenizer of the graphs.
        num_relations: Number of relations R.
        encoder: Encoder from a batch to words; called with the tokenizer.
        parse: Pipeline that graphs are parsed with; see :mod:`glre_pyg.data.annotations`.
        max_words: Number of words beyond which only those of a sentence around the mentions are read; see
            :func:`glre_pyg.nn.instance_words.spans_of_instances`.
        position: Embedding of distances; called without arguments.
        path_embedding: Words on a path; called with the width of words.
        sequence: Convolution over the words of a sentence; called with its input width.
        path: Convolution over the words of a path; likewise.
        channels: Width of the classifier.
        dropout: Dropout rate of its input.
        features: Lexical features; called without arguments.
        classifier: The maximum entropy model; called with R.
        loss: Loss, which defines the number of logits; called with R.
    """

    citation = (
        "Jinghang Gu, Fuqing Sun, Longhua Qian and Guodong Zhou: Chemical-induced disease relation "
        "extraction via convolutional neural network. Database 2017. "
        "https://doi.org/10.1093/database/bax024"
    )

    def __init__(
        self,
        tokenizer: Tokenizer,
        num_relations: int,
        *,
        encoder: Callable[[Tokenizer], Layer],
        parse: str,
        max_words: PositiveInt,
        position: Callable[[], DistanceEmbedding],
        path_embedding: Callable[[int], PathEmbedding],
        sequence: Callable[[int], RaggedConvolution],
        path: Callable[[int], RaggedConvolution],
        channels: PositiveInt,
        dropout: Rate,
        features: Callable[[], LexicalFeatures],
        classifier: Callable[[int], HashedLinear],
        loss: Callable[[int], RelationLoss],
    ) -> None:
        super().__init__(loss(num_relations))
        self.encoder, self.features = encoder(tokenizer), features()
        self.to_head, self.to_tail = position(), position()
        self.sequence = sequence(self.encoder.out_channels + 2 * self.to_head.out_channels)
        self.path_embedding = path_embedding(self.encoder.out_channels)
        self.path = path(self.path_embedding.out_channels)
        self.layers = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(self.sequence.out_channels + self.path.out_channels, channels),
            nn.ReLU(),
            nn.Linear(channels, self.loss.num_logits),
        )
        self.classifier, self.max_words = classifier(num_relations), max_words

    def document_numbers(self, graph: DocumentGraph) -> int:
        """Return about how many numbers a document needs beside its encoder."""
        instances, numbers = instance_numbers(graph)
        start, end = graph["sentence"].span.t()
        words = min(int((end - start).amax()) if len(start) else 0, 2 * self.max_words)
        width = self.sequence.linear.in_features + self.path.linear.in_features
        return numbers + 2 * instances * words * width

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the logits of all candidate pairs [P, loss.num_logits]."""
        tree = DocumentTree(batch)
        instances = mention_pairs(batch, tree)
        together = instances.select(instances.together.nonzero().squeeze(1))
        logits = self.layers(self._instances(batch, tree, together))  # [I, ·]
        number = torch.bincount(together.pair, minlength=batch.pair_index.size(1))  # of instances [P]
        others = (number == 0).nonzero().squeeze(1)
        scores = self.classifier(batch, self._others(batch, tree, instances))[others]
        index = torch.arange(len(logits) + len(scores), device=logits.device)
        of_pair = torch.stack([index, torch.cat([together.pair, others])])
        return logsumexp_of_mentions(torch.cat([logits, self.loss.logits_of(scores)]), of_pair, len(number))

    def _instances(self, batch: DocumentGraph, tree: DocumentTree, instances: MentionPairs) -> Tensor:
        """Return instances [I, ·] as sentence and path."""
        words = words_of_instances(tree, instances, spans_of_instances(batch, instances, self.max_words))
        x = self.encoder(batch)  # [W, ·]
        start, end = batch["mention"].span[instances.mentions[:, words.row]].unbind(-1)  # [2, N]
        distance = distance_to_span(words.word, start, end)
        inside = torch.cat([x[words.word], self.to_head(distance[0]), self.to_tail(distance[1])], dim=-1)
        along, row = self.path_embedding(x, batch, words)
        count = len(instances.pair)
        return torch.cat([self.sequence(inside, words.row, count), self.path(along, row, count)], dim=-1)

    def _others(
        self, batch: DocumentGraph, tree: DocumentTree, instances: MentionPairs
    ) -> Iterable[Features]:
        """Return the lexical features of the instances that share no sentence."""
        return self.features(batch, tree, instances.select((~instances.together).nonzero().squeeze(1)))

    def prefit(self, graphs: Sequence[DocumentGraph]) -> None:
        """Fit the maximum entropy model."""
        self.classifier.fit(graphs, per_batch(self._others))
