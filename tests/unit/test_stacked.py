"""Stacked layers are one matrix product, and own nothing."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.func import functional_call

from mechlab.core.stacked import Stacked


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 2, bias=False), nn.Linear(3, 2, bias=False)
        self.both = Stacked([self.first, self.second], 0)

    def forward(self, inputs):
        return self.both(inputs)


def test_outputs_lie_side_by_side_or_are_added():
    a, b = nn.Linear(3, 2, bias=False), nn.Linear(3, 2, bias=False)
    x, y = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Stacked([a, b], 0)(x), torch.cat([a(x), b(x)], -1))
    torch.testing.assert_close(Stacked([a, b], 1)(torch.cat([x, y], -1)), a(x) + b(y))


def test_its_weights_are_those_of_the_model():
    """Also after a copy, and where other tensors stand for the parameters."""
    model, inputs = Model(), torch.ones(1, 3)
    assert list(model.state_dict()) == ["first.weight", "second.weight"]
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.first.weight.zero_()
    assert (other(inputs)[0, :2] == 0).all() and (model(inputs)[0, :2] != 0).any()
    zeros = {name: torch.zeros_like(value) for name, value in model.named_parameters()}
    assert (functional_call(model, zeros, inputs) == 0).all()
