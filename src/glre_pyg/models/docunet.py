"""DocuNet: relation extraction as semantic segmentation (Zhang et al., IJCAI 2021)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch_geometric.utils import scatter

from glre_pyg.data.batch import sizes_of
from glre_pyg.data.graph import DocumentGraph
from glre_pyg.data.tokenizer import Tokenizer
from glre_pyg.models.base import RelationModel
from glre_pyg.nn.bilinear import GroupedBilinear
from glre_pyg.nn.encoder import TransformerEncoder, check_markers
from glre_pyg.nn.localized_context import localized_context
from glre_pyg.nn.loss import RelationLoss
from glre_pyg.nn.mention_features import entity_numbers
from glre_pyg.nn.pooling import logsumexp_of_mentions
from glre_pyg.nn.unet import UNet
from glre_pyg.utils.ranges import PositiveInt


class DocuNet(RelationModel):
    r"""U-shaped network over the matrix of a document's entity pairs.

    .. math::
        F_{so} = W_F c^{(s,o)}, \quad Y = U(F), \quad
        z_s = \tanh(W_s h_{e_s} + W_Y Y_{so}), \quad z_o = \tanh(W_o h_{e_o} + W_Y Y_{so}), \quad
        l_r = \sum_{i=1}^{k} z_s^{i\top} W_r^i z_o^i + b_r

    Entities *h* and localized contexts *c* are those of :class:`~glre_pyg.models.atlop.ATLOP`, *U* is
    :class:`~glre_pyg.nn.unet.UNet`, and the loss is :class:`~glre_pyg.nn.loss.BalancedSoftmax`.

    The network sees the order of entities. Paper: that of their first mention; in the released code, that of
    the file, and files of CDR have true pairs first. Here: in training, they are permuted; otherwise they are
    in the order of their first mention, and entities that begin with the same word share a row and a column,
    the mean of their cells.

    Paper: all matrices have one size, and every pair of entities has a cell; attention is normalized by a
    softmax; *Y* is added without :math:`W_Y`. Here: a document has its own size, and cells of pairs that are
    no candidates are 0; attention is normalized as in ATLOP; :math:`W_Y` lets *Y* have another width than
    :math:`z`.

    Args:
        tokenizer: Tokenizer of the graphs, with the same marker.
        num_relations: Number of relations R.
        encoder: Transformer; called with the tokenizer.
        matrix_channels: Width of the cells of *F*.
        unet: U-shaped network; called with that width.
        channels: Width of :math:`z_s` and :math:`z_o`.
        block_size: See :class:`~glre_pyg.nn.bilinear.GroupedBilinear`.
        marker: Text before and after each mention; ``encoder.tokenizer.marker`` follows it.
        loss: Loss, which defines the number of logits; called with R.

    Raises:
        InputError: If the encoder is not a transformer, or the tokenizer has no markers.
    """

    citation = (
        "Ningyu Zhang, Xiang Chen, Xin Xie, Shumin Deng, Chuanqi Tan, Mosha Chen, Fei Huang, Luo Si and "
        "Huajun Chen: Document-level Relation Extraction as Semantic Segmentation. IJCAI 2021. "
        "https://arxiv.org/abs/2106.03618"
    )
    reads_features = False  # the encoder's attention is needed as well

    def __init__(
        self,
        tokenizer: Tokenizer,
        num_relations: int,
        *,
        encoder: Callable[[Tokenizer], TransformerEncoder],
        matrix_channels: PositiveInt,
        unet: Callable[[int], UNet],
        channels: PositiveInt,
        block_size: PositiveInt,
        marker: str,
        loss: Callable[[int], RelationLoss],
    ) -> None:
        super().__init__(loss(num_relations))
        self.encoder = encoder(tokenizer)
        check_markers(type(self).__name__, self.encoder, tokenizer, marker)
        width = self.encoder.out_channels
        self.cell, self.unet = nn.Linear(width, matrix_channels), unet(matrix_channels)
        self.head, self.tail = nn.Linear(width, channels), nn.Linear(width, channels)
        self.segment = nn.Linear(self.unet.out_channels, channels, bias=False)
        self.classifier = GroupedBilinear(channels, self.loss.num_logits, block_size=block_size)
        self.pair_channels = 4 * width + channels * (5 + min(block_size, self.loss.num_logits))
        self.matrix_channels = matrix_channels

    def document_numbers(self, graph: DocumentGraph) -> int:
        """Return about how many numbers a document needs beside its encoder: those of pairs and matrices."""
        cell = 2 * self.matrix_channels + 12 * self.unet.out_channels
        return super().document_numbers(graph) + cell * graph["entity"].num_nodes ** 2

    def forward(self, batch: DocumentGraph) -> Tensor:
        """Return the logits of all candidate pairs [P, loss.num_logits]."""
        mention, windows = self.encoder.attend(batch)  # [M, ·]
        refers_to = batch["mention", "refers_to", "entity"].edge_index
        entity = logsumexp_of_mentions(mention, refers_to, batch["entity"].num_nodes)  # [E, ·]
        context = self.cell(localized_context(windows, batch, self.encoder.out_channels))  # [P, ·]
        segment = self.segment(torch.cat([*self._segments(context, batch)]))  # [P, ·]
        head, tail = batch.pair_index
        z_head = torch.tanh(self.head(entity).index_select(0, head) + segment)
        z_tail = torch.tanh(self.tail(entity).index_select(0, tail) + segment)
        return self.classifier(z_head, z_tail)

    def _segments(self, context: Tensor, batch: DocumentGraph) -> Iterator[Tensor]:
        """Yield the cells of the pairs of each document after the U-shaped network."""
        sizes = sizes_of(batch)
        row, column = entity_numbers(batch, permuted=self.training)[batch.pair_index]
        yield context.new_zeros(0, self.unet.out_channels)
        for size, cells, rows, columns in zip(
            sizes.entities,
            context.split(sizes.pairs),
            row.split(sizes.pairs),
            column.split(sizes.pairs),
            strict=True,
        ):
            if len(cells):
                place = rows * size + columns
                matrix = scatter(cells, place, dim_size=size * size, reduce="mean").view(size, size, -1)
                yield self.unet(matrix).flatten(0, 1).index_select(0, place)
