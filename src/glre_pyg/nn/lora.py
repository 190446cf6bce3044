"""Low-rank adaptation of a pretrained transformer (LoRA; Hu et al., ICLR 2022)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from glre_pyg.utils.exceptions import InputError
from glre_pyg.utils.ranges import PositiveInt


class LoRALinear(nn.Linear):
    r"""Linear layer whose weight is fixed, beside a trained product of two narrow matrices.

    .. math:: y = W x + b + L R x

    At the beginning, L is 0. Paper: the product is multiplied by a constant, to which the learning rate is
    adapted. Here: the constant is 1.

    Args:
        base: The pretrained layer, whose tensors are used.
        rank: Number of columns of L, and of rows of R.
    """

    def __init__(self, base: nn.Linear, rank: PositiveInt) -> None:
        super().__init__(base.in_features, base.out_features, bias=base.bias is not None, device="meta")
        self.weight, self.bias = base.weight, base.bias
        self.requires_grad_(False)
        self.left = nn.Parameter(torch.zeros(base.out_features, rank))
        self.right = nn.Parameter(torch.empty(rank, base.in_features))
        nn.init.kaiming_uniform_(self.right, a=math.sqrt(5))  # as a linear layer

    def forward(self, input: Tensor) -> Tensor:
        """Return the outputs [*, out_features] of inputs [*, in_features]."""
        return super().forward(input) + linear(linear(input, self.right), self.left)

    def merged(self) -> nn.Linear:
        """Return a plain layer with the same outputs."""
        layer = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None, device="meta")
        layer.weight, layer.bias = nn.Parameter(self.weight + self.left @ self.right), self.bias
        return layer


def add_lora(model: nn.Module, rank: PositiveInt) -> None:
    """Give each trainable linear layer of a model a low-rank part, and train nothing else of it.

    Raises:
        InputError: If no linear layer is trained.
    """
    layers = [each for each in _linear_layers(model) if each[2].weight.requires_grad]
    if not layers:
        raise InputError("encoder: lora_rank: the model has no linear layer that is trained")
    model.requires_grad_(False)
    for parent, name, layer in layers:
        setattr(parent, name, LoRALinear(layer, rank))


def merge_lora(model: nn.Module) -> None:
    """Add the low-rank parts of a model to its weights."""
    for parent, name, layer in _linear_layers(model):
        if isinstance(layer, LoRALinear):
            setattr(parent, name, layer.merged())


def _linear_layers(model: nn.Module) -> list[tuple[nn.Module, str, nn.Linear]]:
    """Return the linear layers of a model, each with the module that has it and its name there."""
    return [
        (parent, name, layer)
        for parent in model.modules()
        for name, layer in parent.named_children()
        if isinstance(layer, nn.Linear)
    ]
