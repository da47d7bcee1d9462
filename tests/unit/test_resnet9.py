"""The residual network against torch's own layers, put together as published."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from mechlab.config.recipe import check_fit
from mechlab.core.errors import ConfigError
from mechlab.core.seeding import Streams
from mechlab.core.task import TaskSpec
from mechlab.models.resnet9 import ResNet9, halved
from mechlab.tasks.digits import Digits


def spec_of(*shape: int) -> TaskSpec:
    return TaskSpec(inputs=math.prod(shape), outputs=2, kind="static", loss="cross_entropy", shape=shape)


class Residual(nn.Module):
    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x)


def published(width: int, channels: int = 3) -> nn.Sequential:
    """TRAK's network without batch norm and final factor."""

    def layer(given: int, made: int, size: int = 3, stride: int = 1, padding: int = 1) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(given, made, size, stride, padding, bias=False), nn.ReLU())

    w = width
    return nn.Sequential(
        layer(channels, w),
        layer(w, 2 * w, 5, 2, 2),
        Residual(layer(2 * w, 2 * w), layer(2 * w, 2 * w)),
        layer(2 * w, 4 * w),
        nn.MaxPool2d(2),
        Residual(layer(4 * w, 4 * w), layer(4 * w, 4 * w)),
        layer(4 * w, 2 * w, padding=0),
        nn.AdaptiveMaxPool2d((1, 1)),
        nn.Flatten(),
        nn.Linear(2 * w, 2, bias=False),
    )


@pytest.mark.parametrize("shape", [(3, 32, 32), (3, 11, 11), (3, 13, 18)])
def test_outputs_and_gradients_are_those_of_the_published_network(shape):
    with Streams(0).globally("init"):
        model, other = ResNet9(spec_of(*shape), 4).double(), published(4).double()
    for one, two in zip(model.parameters(), other.parameters(), strict=True):  # in the order of the layers
        two.data.copy_(one.data)
    images = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    outputs, expected = model(images), other(images)
    torch.testing.assert_close(outputs, expected)
    outputs.square().sum().backward()
    expected.square().sum().backward()
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad, two.grad)


def test_the_published_network_has_2271168_parameters():
    with torch.device("meta"):
        model = ResNet9(spec_of(3, 32, 32))
    assert sum(parameter.numel() for parameter in model.parameters()) == 2_271_168
    assert {name.rpartition(".")[2] for name, _ in model.named_parameters()} == {"weight"}  # no bias anywhere


@pytest.mark.parametrize("size", [(2, 2), (7, 9), (6, 5)])
def test_pooling_takes_the_maximum_of_each_cell(size):
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    assert torch.equal(halved(images), nn.functional.max_pool2d(images, 2))


def test_images_that_are_too_small_are_refused_before_training():
    with pytest.raises(ConfigError, match="at least 11 by 11"):
        check_fit(ResNet9, Digits((3, 8)), "digits-resnet9")
    with torch.device("meta"), pytest.raises(RuntimeError):  # a smaller image would not survive the last convolution
        ResNet9(spec_of(3, 10, 10), 2)(torch.zeros(1, 3, 10, 10))
