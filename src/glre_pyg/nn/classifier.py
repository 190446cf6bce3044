"""Section 3.4, Eq. 8: from a pair's representations to one logit for each relation."""

from __future__ import annotations

from torch import Tensor, nn

from glre_pyg.nn.pairs import PairFeatures


class Classifier(nn.Module):
    r"""A feed-forward network over target and context relation (Eq. 8); the sigmoid is left to the loss.

    .. math:: y_r = \mathrm{sigmoid}(\mathrm{FFNN}([o_r; o_c]))

    Args:
        in_channels: Width of :math:`[o_r; o_c]`.
        out_channels: R.
        hidden_channels: Width of hidden layers.
        num_hidden: Hidden layers; the released code has none for CDR and one for DocRED.
        dropout: Dropout rate before the last layer.
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

    def forward(self, pair: Tensor | PairFeatures) -> Tensor:
        """Logits [P, R] of pairs :math:`[o_r; o_c]`, in_channels wide."""
        if isinstance(pair, Tensor):
            return self.layers(pair)
        first = self.layers[0]
        if not isinstance(first, nn.Linear):  # dropout, which is for each pair
            return self.layers(pair.dense())
        return self.layers[1:](pair.linear(first.weight) + first.bias)
