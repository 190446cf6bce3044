"""Lexical features, a tree kernel and a network over dependency paths (Zhou et al., Database 2016)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from glre_pyg.data.graph import DocumentGraph
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.convolution import RaggedConvolution
from glre_pyg.nn.dependency_paths import DocumentTree
from glre_pyg.nn.instance_words import WORDS, spans_of_instances, words_of_instances
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.lexical_features import LexicalFeatures
from glre_pyg.nn.linear_fitting import HashedLinear
from glre_pyg.nn.loss import RelationLoss
from glre_pyg.nn.mention_pairs import MentionPairs, instance_numbers, mention_pairs, per_batch
from glre_pyg.nn.path_embedding import PathEmbedding
from glre_pyg.nn.pooling import logsumexp_of_mentions
from glre_pyg.nn.recurrent import LSTM
from glre_pyg.nn.tree_kernel import TreeFragments
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.ranges import PositiveInt, Rate, Share


class HybridModel(RelationModel):
    r"""Two support vector machines and a network, of which the probabilities are combined linearly.

    .. math::
        p_r = \alpha \, \mathrm{sigmoid}(s^{lex}_r) + \beta \, \mathrm{sigmoid}(s^{tree}_r)
            + (1 - \alpha - \beta) \, \mathrm{sigmoid}(s^{path}_r), \quad
        s^{path} = \log \sum_i \exp(W \, \mathrm{CNN}(\mathrm{LSTM}(w_k; l_k)) + b)

    Instances *i* are the pairs of mentions of the two entities that share a sentence, or else the closest
    ones. Of each, the first machine has lexical features, the second those of a tree kernel, and the network
    reads the words :math:`w_k` on the dependency path from head to tail with their dependencies :math:`l_k`;
    CNN is a convolution, and its maximum over the path. The machines score a pair by its best instance.

    Here: the parts differ from the paper's in detail, as is said where they are defined. In training, the
    model has the logits of the network alone.

    Args:
        tokenizer: Tokenizer of the graphs.
        num_relations: Number of relations R.
        encoder: Encoder from a batch to words; called with the tokenizer.
        parse: Pipeline that graphs are parsed with; see :mod:`glre_pyg.data.annotations`.
        tags: Whether it adds parts of speech, which the kernel reads.
        features: Lexical features; called without arguments.
        kernel: Features of the tree kernel; called without arguments.
        features_classifier: Support vector machine of the former; called with R.
        kernel_classifier: Support vector machine of the latter; called with R.
        features_weight: Weight :math:`\alpha` of the former.
        kernel_weight: Weight :math:`\beta` of the latter.
        max_words: Number of words beyond which the network reads only those around the mentions; see
            :func:`glre_pyg.nn.instance_words.spans_of_instances`.
        path_embedding: Words on a path; called with the width of words.
        sequence: LSTM over a path; called with its input width.
        convolution: Convolution over the outputs of the LSTM; likewise.
        dropout: Dropout rate of the LSTM's input and the classifier's.
        loss: Loss with R logits, called with R.

    Raises:
        InputError: If the weights are more than 1 together, or the loss has other than R logits.
    """

    citation = (
        "Huiwei Zhou, Huijie Deng, Long Chen, Yunlong Yang, Chen Jia and Degen Huang: Exploiting syntactic "
        "and semantics information for chemical-disease relation extraction. Database 2016. "
        "https://doi.org/10.1093/database/baw048"
    )

    def __init__(
        self,
        tokenizer: Tokenizer,
        num_relations: int,
        *,
        encoder: Callable[[Tokenizer], Layer],
        parse: str,
        tags: Literal[True],
        features: Callable[[], LexicalFeatures],
        kernel: Callable[[], TreeFragments],
        features_classifier: Callable[[int], HashedLinear],
        kernel_classifier: Callable[[int], HashedLinear],
        features_weight: Share,
        kernel_weight: Share,
        max_words: PositiveInt,
        path_embedding: Callable[[int], PathEmbedding],
        sequence: Callable[[int], LSTM],
        convolution: Callable[[int], RaggedConvolution],
        dropout: Rate,
        loss: Callable[[int], RelationLoss],
    ) -> None:
        super().__init__(loss(num_relations))
        if features_weight + kernel_weight > 1:
            raise InputError("model: features_weight and kernel_weight are more than 1 together")
        if self.loss.num_logits != num_relations:
            raise InputError("model.loss: has to have one logit for each relation")
        self.weights = (features_weight, kernel_weight, 1 - features_weight - kernel_weight)
        self.features, self.kernel = features(), kernel()
        self.features_classifier = features_classifier(num_relations)
        self.kernel_classifier = kernel_classifier(num_relations)
        self.encoder, self.max_words = encoder(tokenizer), max_words
        self.path_embedding = path_embedding(self.encoder.out_channels)
        self.sequence = sequence(self.path_embedding.out_channels)
        self.convolution = convolution(self.sequence.out_channels)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(self.convolution.out_channels, num_relations)

    def document_numbers(self, graph: DocumentGraph) -> int:
        """Return about how many numbers a document needs beside its encoder."""
        instances, numbers = instance_numbers(graph)
        words = min(instances * len(graph.words), instances * 2 * self.max_words)
        width = self.path_embedding.out_channels + 5 * self.sequence.out_channels
        return numbers + 300 * min(words, WORDS) + words * (16 + width // 8)  # an eighth is on paths

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the logits of all candidate pairs [P, R]; in training, those of the network."""
        tree = DocumentTree(batch)
        instances = mention_pairs(batch, tree)
        network = self._network(batch, tree, instances)
        if self.training:
            return network
        lexical = self.features_classifier(batch, self.features(batch, tree, instances))
        syntactic = self.kernel_classifier(batch, self.kernel(batch, tree, instances))
        scores = torch.stack([lexical, syntactic, network.float()])  # [3, P, R]
        probabilities = torch.einsum("k,kpr->pr", scores.new_tensor(self.weights), scores.sigmoid())
        return probabilities.logit(eps=1e-6)

    def _network(self, batch: DocumentGraph, tree: DocumentTree, instances: MentionPairs) -> Tensor:
        """Return the logits of the network [P, R]."""
        words = words_of_instances(tree, instances, spans_of_instances(batch, instances, self.max_words))
        path, row = self.path_embedding(self.encoder(batch), batch, words)
        count = len(instances.pair)
        hidden = self.sequence(self.dropout(path), torch.bincount(row, minlength=count).tolist())
        logits = self.output(self.dropout(self.convolution(hidden, row, count)))  # [I, R]
        of_pair = torch.stack([torch.arange(count, device=row.device), instances.pair])
        return logsumexp_of_mentions(logits, of_pair, batch.pair_index.size(1))

    def prefit(self, graphs: Sequence[DocumentGraph]) -> None:
        """Fit the support vector machines."""
        self.features_classifier.fit(graphs, per_batch(self.features))
        self.kernel_classifier.fit(graphs, per_batch(self.kernel))
