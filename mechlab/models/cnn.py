"""A small convolutional network."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from mechlab.core.constraints import Size
from mechlab.core.model import StaticModel
from mechlab.core.task import TaskSpec

_ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh, "gelu": nn.functional.gelu}


class CNN(StaticModel):
    """Two convolutions with an activation after each, average pooling and a linear read-out.

    Convolutions are 3 by 3 and keep the size of the image; pooling averages it down to `grid` by `grid`. There is
    neither batch norm nor dropout: outputs are a function of parameters and one image. With tanh or gelu they are a
    smooth one.

    Args:
        spec: of a static task on images (channels, height, width).
        channels: of the first convolution; the second has twice as many.
        grid: size of the pooled image.
        activation: after each convolution.

    Attributes:
        conv1, conv2: the convolutions.
        readout: the linear map from the pooled channels.
    """

    reads: ClassVar = "images"

    def __init__(
        self,
        spec: TaskSpec,
        channels: Size = 8,
        grid: Size = 4,
        activation: Literal["relu", "tanh", "gelu"] = "relu",
    ):
        super().__init__(spec)
        self.conv1 = nn.Conv2d(spec.shape[0], channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, 2 * channels, 3, padding=1)
        self.readout = nn.Linear(2 * channels * grid**2, spec.outputs)
        self.grid, self.activation = grid, activation

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images (B, channels, height, width) to outputs (B, outputs)."""
        activation = _ACTIVATIONS[self.activation]
        hidden = activation(self.conv2(activation(self.conv1(inputs))))
        pooled = nn.functional.adaptive_avg_pool2d(hidden, self.grid)
        return self.readout(pooled.flatten(1))
