"""What every layer of a model says of itself, so that no width is written twice."""

from torch import nn


class Layer(nn.Module):
    """A module that knows the width of its output: 0 if it adds nothing."""

    out_channels: int
