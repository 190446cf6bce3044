"""U-shaped convolutional network over matrices of entity pairs (DocuNet; Zhang et al., IJCAI 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, pad

from glre_pyg.utils.ranges import PositiveInt


class UNet(nn.Module):
    r"""Two halvings of a matrix with twice the channels each, and two doublings with skip connections.

    .. math::
        x_0 = f_0(x), \quad x_1 = f_1(\mathrm{pool}(x_0)), \quad x_2 = f_2(\mathrm{pool}(x_1)), \quad
        y_1 = g_1([x_1; \mathrm{up}_1(x_2)]), \quad y = g_0([x_0; \mathrm{up}_0(y_1)])

    *f* and *g* are two convolutions over 3 x 3 cells with ReLU, *pool* is the maximum of 2 x 2 cells, and
    *up* a transposed convolution.

    Args:
        in_channels: Width of a cell.
        out_channels: Width of :math:`x_0` and of the output.

    Shape:
        Matrix [E, E, in_channels] to [E, E, out_channels], for any E from 1.
    """

    def __init__(self, in_channels: int, *, out_channels: PositiveInt) -> None:
        super().__init__()
        width = out_channels
        self.down = nn.ModuleList(
            [
                _convolutions(in_channels, width),
                _convolutions(width, 2 * width),
                _convolutions(2 * width, 4 * width),
            ]
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * channels, channels, 2, stride=2) for channels in (width, 2 * width)
        )
        self.merge = nn.ModuleList(_convolutions(2 * channels, channels) for channels in (width, 2 * width))
        self.out_channels: int = width

    def forward(self, matrix: Tensor) -> Tensor:
        """Return the cells after the network; the matrix is padded with zeros to a multiple of 4."""
        size = len(matrix)
        x = pad(matrix.permute(2, 0, 1), (0, -size % 4, 0, -size % 4))[None]
        levels = [self.down[0](x)]
        for convolutions in self.down[1:]:
            levels.append(convolutions(max_pool2d(levels[-1], 2)))
        x = levels[2]
        for level in (1, 0):
            x = self.merge[level](torch.cat([levels[level], self.up[level](x)], dim=1))
        return x[0, :, :size, :size].permute(1, 2, 0)


def _convolutions(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, 3, padding=1),
        nn.ReLU(),
    )
