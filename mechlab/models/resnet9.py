"""A residual network of nine layers for small photographs."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from mechlab.core.constraints import Size
from mechlab.core.model import StaticModel
from mechlab.core.task import TaskSpec


class ResNet9(StaticModel):
    """Eight convolutions without bias, two pairs of them residual, global max pooling and a linear read-out.

    With width w: `stem` to w channels; `down` to 2 w, 5 by 5 with stride 2; `inner`, a residual pair; `widen` to 4 w
    and 2 by 2 max pooling; `outer`, a residual pair; `head` to 2 w, without padding; global max pooling; `readout`
    without bias. Each convolution is followed by a ReLU; a residual pair adds its input after its second one. There is
    no batch norm: outputs are a function of parameters and one image. Pooling is by maxima over axes, whose derivatives
    are deterministic on a GPU; equal maxima share them.

    Args:
        spec: of a static task on images (channels, height, width) of at least 11 by 11 pixels.
        width: channels after the first convolution; the published network has 64, 2,271,168 parameters at two classes.

    Source: "ExPLAIND", arXiv 2505.20076: the ResNet-9 of TRAK's quick start (arXiv 2303.14186) without batch norm and
    final scaling.
    """

    reads: ClassVar = "images"
    smallest = 11

    def __init__(self, spec: TaskSpec, width: Size = 64):
        super().__init__(spec)
        self.stem = _convolution(spec.shape[0], width)
        self.down = _convolution(width, 2 * width, size=5, stride=2, padding=2)
        self.inner = ResidualPair(2 * width)
        self.widen = _convolution(2 * width, 4 * width)
        self.outer = ResidualPair(4 * width)
        self.head = _convolution(4 * width, 2 * width, padding=0)
        self.readout = nn.Linear(2 * width, spec.outputs, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map images (B, channels, height, width) to outputs (B, outputs)."""
        hidden = self.inner(self.down(self.stem(inputs).relu()).relu())
        hidden = self.outer(halved(self.widen(hidden).relu()))
        return self.readout(self.head(hidden).relu().amax((2, 3)))


class ResidualPair(nn.Module):
    """x + relu(second(relu(first(x)))), with two 3 by 3 convolutions that keep the shape."""

    def __init__(self, channels: int):
        super().__init__()
        self.first, self.second = _convolution(channels, channels), _convolution(channels, channels)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (B, channels, height, width) to the same shape."""
        return inputs + self.second(self.first(inputs).relu()).relu()


def halved(images: Tensor) -> Tensor:
    """Return maxima (B, channels, height // 2, width // 2) over cells of 2 by 2 pixels; an odd last row or column is
    left out, as `torch.nn.MaxPool2d(2)` leaves it out."""
    height, width = (size // 2 * 2 for size in images.shape[2:])
    cells = images[:, :, :height, :width].unflatten(3, (-1, 2)).unflatten(2, (-1, 2))  # (B, C, H/2, 2, W/2, 2)
    return cells.amax((3, 5))


def _convolution(given: int, made: int, size: int = 3, stride: int = 1, padding: int = 1) -> nn.Conv2d:
    return nn.Conv2d(given, made, size, stride, padding, bias=False)
