"""Section 3.4, Eq. 8: a classifier from the representation of a pair to one logit per relation."""

from __future__ import annotations

from torch import Tensor, nn

from glre_pyg.nn.pairs import PairFeatures
from glre_pyg.utils.ranges import NonNegativeInt, PositiveInt, Rate


class Classifier(nn.Module):
    r"""Feed-forward network over target and context relation representations (Eq. 8), without the sigmoid.

    .. math:: y_r = \mathrm{sigmoid}(\mathrm{FFNN}([o_r; o_c]))

    Args:
        in_channels: Width of the input :math:`[o_r; o_c]`.
        out_channels: Number of logits of a pair.
        hidden_channels: Width of the hidden layers.
        num_hidden: Number of hidden layers; the released code has none for CDR and one for DocRED.
        dropout: Dropout rate before the last layer.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        hidden_channels: PositiveInt,
        num_hidden: NonNegativeInt,
        dropout: Rate,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(num_hidden):
            layers += [nn.Linear(in_channels, hidden_channels), nn.ReLU()]
            in_channels = hidden_channels
        self.layers = nn.Sequential(*layers, nn.Dropout(dropout), nn.Linear(in_channels, out_channels))

    def forward(self, pair: Tensor | PairFeatures) -> Tensor:
        """Return logits [P, out_channels] of pairs :math:`[o_r; o_c]` [P, in_channels]."""
        if isinstance(pair, Tensor):
            return self.layers(pair)
        first = self.layers[0]
        if not isinstance(first, nn.Linear):  # dropout comes first, and is drawn for each pair
            return self.layers(pair.dense())
        return self.layers[1:](pair.linear(first.weight) + first.bias)
