"""The convolutional network against sums over pixels."""

import math

import pytest
import torch

from mechlab.core.seeding import Streams
from mechlab.core.step import update
from mechlab.core.task import TaskSpec
from mechlab.models.cnn import CNN
from mechlab.tasks.digits import Digits

ACTIVATIONS = {"relu": torch.nn.ReLU(), "tanh": torch.nn.Tanh(), "gelu": torch.nn.GELU()}


def spec_of(*shape):
    return TaskSpec(inputs=math.prod(shape), outputs=3, kind="static", loss="cross_entropy", shape=shape)


def convolved(image, layer):
    """One 3 by 3 convolution of an image (c, h, w) with zeros around it, pixel by pixel."""
    c, h, w = image.shape
    padded = torch.zeros(c, h + 2, w + 2, dtype=image.dtype)
    padded[:, 1:-1, 1:-1] = image
    rows = [[(layer.weight * padded[:, y : y + 3, x : x + 3]).sum((1, 2, 3)) for x in range(w)] for y in range(h)]
    return torch.stack([torch.stack(row, 1) for row in rows], 1) + layer.bias[:, None, None]


def pooled(image, grid):
    """Averages over grid by grid cells, from the floor of each cell's beginning to the ceiling of its end."""
    _, h, w = image.shape

    def cell(i, n):
        return slice(i * n // grid, -(-(i + 1) * n // grid))

    return torch.stack(
        [torch.stack([image[:, cell(y, h), cell(x, w)].mean((1, 2)) for x in range(grid)], 1) for y in range(grid)], 1
    )


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("shape", "grid"), [((1, 8, 8), 4), ((3, 5, 7), 2), ((2, 1, 3), 1), ((1, 3, 2), 4)])
def test_the_outputs_are_those_of_the_equations(activation, shape, grid):
    model = CNN(spec_of(*shape), channels=3, grid=grid, activation=activation).double()
    images = torch.randn(2, *shape, generator=Streams(0).torch("x"), dtype=torch.float64)
    f = ACTIVATIONS[activation]
    for image, output in zip(images, model(images), strict=True):
        hidden = pooled(f(convolved(f(convolved(image, model.conv1)), model.conv2)), grid)
        torch.testing.assert_close(output, model.readout.weight @ hidden.flatten() + model.readout.bias)


def test_the_parameters_are_counted_by_hand():
    model = CNN(spec_of(2, 8, 8), channels=5, grid=3)
    assert sum(p.numel() for p in model.parameters()) == 5 * 2 * 9 + 5 + 10 * 5 * 9 + 10 + 3 * 10 * 9 + 3


def test_an_output_depends_on_its_own_image_only():
    model, images = CNN(spec_of(1, 8, 8)).double(), torch.randn(4, 1, 8, 8, dtype=torch.float64)
    model.train()
    torch.testing.assert_close(model(images)[1:2], model(images[1:2]))


def test_it_tells_threes_from_eights():
    task = Digits((3, 8))
    with Streams(0).globally("init"):
        model = CNN(task.spec)
    optimizer, batch = torch.optim.Adam(model.parameters(), 0.01, fused=True), task.examples("train")
    for _ in range(60):
        update(model, optimizer, batch, task.spec)
    val = task.examples("val")
    assert (model(val.inputs).argmax(1) == val.targets).float().mean() > 0.9
