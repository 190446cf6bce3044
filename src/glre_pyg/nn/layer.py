"""Base class of layers."""

from torch import nn


class Layer(nn.Module):
    """Module with a known output width, 0 if it adds no channels."""

    out_channels: int
