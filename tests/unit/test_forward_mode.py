"""Recurrent networks in forward mode, where torch's fused kernels have none: by steps, with the same derivatives."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from small_tasks import Echo, small_recipe

from mechlab.core.model import SequenceModel
from mechlab.kernels.functional_model import FunctionalModel
from mechlab.kernels.inner import InnerProducts
from mechlab.kernels.metagradients import second_order
from mechlab.models.gru import GRU
from mechlab.models.lstm import LSTM
from mechlab.models.rnn import RNN


class WithoutForwardMode(torch.autograd.Function):
    """The identity with a backward pass alone, as torch's fused kernels on a GPU have it."""

    @staticmethod
    def forward(ctx, values):
        return values.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


def fused(make):
    """A network whose `resume` cannot be differentiated in forward mode."""

    class Fused(make):
        def resume(self, x, state, last=None):
            trace = super().resume(x, state, last)
            return type(trace)(WithoutForwardMode.apply(trace.outputs), trace.initial, trace.parts)

    return Fused


def functional_of(make, dtype=torch.float64):
    recipe = small_recipe(Echo(), dtype=dtype)
    with recipe.streams.globally("init"):
        model = make(recipe.task.spec).to(dtype)
    batch = recipe.source().batch(0)
    return FunctionalModel(model, recipe.task.spec, batch, dtype), batch


@pytest.mark.parametrize("make", [RNN, GRU, LSTM])
def test_a_fused_kernel_without_forward_mode_is_replaced_by_steps(make):
    make = partial(make, hidden=4, layers=2)
    plain, batch = functional_of(make)
    stepped, _ = functional_of(partial(fused(make.func), **make.keywords))
    assert plain.model.resume.__func__ is not SequenceModel.resume
    assert stepped.model.resume.__func__ is SequenceModel.resume
    theta = plain.layout.join(dict(plain.model.named_parameters()))
    assert torch.equal(theta, stepped.layout.join(dict(stepped.model.named_parameters())))
    torch.testing.assert_close(stepped.gradient(theta, batch), plain.gradient(theta, batch))
    directions = torch.randn(2, len(theta), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for one, other in zip(
        second_order(stepped, theta, batch, directions), second_order(plain, theta, batch, directions), strict=True
    ):
        torch.testing.assert_close(one, other)
    expected = torch.stack([stepped.gradient(theta, batch[i : i + 1]) for i in range(len(batch))])
    for form in ("jvp", "gemm"):  # a fused kernel cannot be vectorised over examples either
        torch.testing.assert_close(InnerProducts(stepped)(form, theta, batch, directions)[0], directions @ expected.T)


def test_an_lstm_in_32_bits_has_second_derivatives():
    functional, batch = functional_of(partial(LSTM, hidden=4), torch.float32)
    exact, _ = functional_of(partial(LSTM, hidden=4))
    theta = functional.layout.join(dict(functional.model.named_parameters()))
    direction = torch.randn(1, len(theta), generator=torch.Generator().manual_seed(0))
    found = second_order(functional, theta, batch, direction)
    expected = second_order(exact, theta.double(), exact.placed(batch), direction.double())
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-3, atol=1e-5)
