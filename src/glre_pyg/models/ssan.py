"""SSAN: structured self-attention network (Xu et al., AAAI 2021)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from glre_pyg.data.batch import sizes_of
from glre_pyg.data.graph import DocumentGraph
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.bilinear import Bilinear
from glre_pyg.nn.distance import DistanceEmbedding
from glre_pyg.nn.encoder import TransformerEncoder
from glre_pyg.nn.layer import Layer
from glre_pyg.nn.loss import RelationLoss
from glre_pyg.nn.mention_features import NoFeatures
from glre_pyg.nn.pooling import mean_of_mentions
from glre_pyg.nn.structured_attention import StructureBias
from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.ranges import PositiveInt


class SSAN(RelationModel):
    r"""Transformer whose attention is biased by the structure of mentions, with a bilinear classifier.

    .. math:: y_r = \mathrm{sigmoid}([e_s; E(d_{so})]^\top W_r [e_o; E(d_{os})] + b_r)

    An entity is the mean of its mentions, which are means of their words, after a projection with a ReLU. The
    bias is :class:`~glre_pyg.nn.structured_attention.StructureBias`, the biaffine one of the paper's two.

    The released code adds embeddings of entity types and numbers to the input of the transformer. Here: they
    are appended to its output.

    Args:
        tokenizer: Tokenizer of the graphs.
        num_relations: Number of relations R.
        encoder: Transformer; called with the tokenizer.
        channels: Width of entities.
        distance: Embedding of signed distances between first mentions; called without arguments.
        loss: Loss, which defines the number of logits; called with R.
        features: Layer that appends features to words; called with their width.

    Raises:
        InputError: If the encoder is not a transformer.
    """

    citation = (
        "Benfeng Xu, Quan Wang, Yajuan Lyu, Yong Zhu and Zhendong Mao: Entity Structure Within and "
        "Throughout: Modeling Mention Dependencies for Document-Level Relation Extraction. AAAI 2021. "
        "https://arxiv.org/abs/2102.10249"
    )
    reads_features = False  # the encoder's attention is needed as well

    def __init__(
        self,
        tokenizer: Tokenizer,
        num_relations: int,
        *,
        encoder: Callable[[Tokenizer], TransformerEncoder],
        channels: PositiveInt,
        distance: Callable[[], DistanceEmbedding],
        loss: Callable[[int], RelationLoss],
        features: Callable[[int], Layer] = NoFeatures,
    ) -> None:
        super().__init__(loss(num_relations))
        self.encoder, self.distance = encoder(tokenizer), distance()
        if not isinstance(self.encoder, TransformerEncoder):
            raise InputError("encoder: SSAN changes the attention of a transformer, such as encoder=minilm")
        config = self.encoder.transformer.config
        heads, width = config.num_attention_heads, self.encoder.out_channels
        head_width = getattr(config, "head_dim", None) or width // heads
        self.structure = StructureBias(config.num_hidden_layers, heads, head_width)
        self.features = features(width)
        self.project = nn.Linear(self.features.out_channels, channels)
        side, outputs = channels + self.distance.out_channels, self.loss.num_logits
        self.classifier = Bilinear(side, outputs)
        self.pair_channels = 2 * outputs

    def document_numbers(self, graph: DocumentGraph) -> int:
        """Return about how many numbers a document needs beside its words and hidden states."""
        windows = torch.bincount(graph.window_index) + 2
        layers, _, heads = self.structure.bias.shape
        rows = graph["entity"].num_nodes + self.distance.table.num_embeddings
        numbers = super().document_numbers(graph) + self.classifier.num_values(rows)
        return numbers + 2 * layers * heads * int((windows**2).sum())

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the logits of all candidate pairs [P, loss.num_logits]."""
        words = self.features(self.encoder(batch, self.structure), batch)
        words = torch.relu(self.project(words))  # [W, ·]
        _, entity = mean_of_mentions(words, batch)  # [E, ·]
        head, tail = self.distance.append(entity, batch)
        return self.classifier(head, tail, sizes_of(batch).pairs)
