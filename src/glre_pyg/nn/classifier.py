"""Section 3.4, Eq. 8: from a pair's representations to one logit a relation."""

from __future__ import annotations

from torch import Tensor, nn

from glre_pyg.nn.pairs import PairVectors


class Classifier(nn.Module):
    r"""A feed-forward network over target and context relation (Eq. 8); the sigmoid is left to the loss.

    .. math:: y_r = \mathrm{sigmoid}(\mathrm{FFNN}([o_r; o_c]))

    Its first layer is linear in both, :math:`W [o_r; o_c] = W_1 o_r + W_2 o_c`, and :math:`o_c` is a weighted
    sum of target relations, so :math:`W_2` is applied to those before they are summed (Eq. 7).

    Args:
        in_channels: Width of :math:`[o_r; o_c]`.
        out_channels: R.
        hidden_channels: Width of hidden layers.
        num_hidden: Hidden layers; the released code has none for CDR and one for DocRED.
        dropout: Dropout before the last layer. Without hidden layers it falls on what pairs share.

    Shape:
        :meth:`first` and the context layer's sum [P, ·] to logits [P, out_channels].
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, hidden_channels: int, num_hidden: int, dropout: float
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(num_hidden):
            layers += [nn.Linear(in_channels, hidden_channels), nn.ReLU()]
            in_channels = hidden_channels
        self.layers = nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(in_channels, out_channels))
        self.num_before = 0 if num_hidden else 1
        self.dropout = dropout

    @property
    def first_layer(self) -> nn.Linear:
        """The layer that :meth:`first` applies."""
        layer = self.layers[self.num_before]
        assert isinstance(layer, nn.Linear)
        return layer

    def first(self, relation: PairVectors) -> tuple[Tensor, Tensor]:
        """What target relations give the first layer: for their own pair, and for the contexts they are in.

        Returns:
            :math:`W_1 o_r` with the bias, and :math:`W_2 o_r`, each [P, ·]; the second [P, 0] if there is
            no context.
        """
        layer = self.first_layer
        if self.num_before:
            relation = relation.dropout(self.dropout, training=self.training)
        width = sum(part.rows.size(1) for part in relation.parts)
        if width == layer.in_features:
            own = relation.linear(layer.weight, layer.bias)
            return own, own[:, :0]
        both = relation.linear(layer.weight.view(-1, width))  # W_1 and W_2 by turns
        own, value = both.unflatten(-1, (-1, 2)).unbind(-1)
        return own + layer.bias, value.contiguous()

    def forward(self, first: Tensor) -> Tensor:
        """Logits [P, R] from the first layer's result :math:`W_1 o_r + W_2 o_c` [P, ·]."""
        return self.layers[self.num_before + 1 :](first)
