"""Inner products with per-example gradients: three forms against gradients taken one example at a time."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from recorded_trainings import transformer
from small_tasks import Points, Ragged
from torch import nn

from mechlab.core.model import StaticModel
from mechlab.core.task import Batch, TaskSpec
from mechlab.kernels.functional_model import FunctionalModel
from mechlab.kernels.ghost import Ghost
from mechlab.kernels.inner import InnerProducts
from mechlab.models.cnn import CNN
from mechlab.models.mlp import MLP
from mechlab.models.rnn import RNN
from mechlab.tasks.modular_addition import ModularAddition

IMAGES = TaskSpec(inputs=1, outputs=3, kind="static", loss="cross_entropy", shape=(1, 6, 5))


class Scaled(StaticModel):
    """A linear layer called twice, and a parameter of its own."""

    def __init__(self, spec):
        super().__init__(spec)
        self.inner, self.readout = nn.Linear(3, 3), nn.Linear(3, spec.outputs, bias=False)
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, inputs):
        return self.readout(self.scale * torch.tanh(self.inner(torch.tanh(self.inner(inputs)))))


class Reused(Scaled):
    """The same, with a layer's weight used outside of the layer too."""

    def forward(self, inputs):
        return super().forward(inputs) + self.readout(inputs @ self.inner.weight)


def images():
    rng = torch.Generator().manual_seed(0)
    return Batch(torch.randn(7, 1, 6, 5, generator=rng), torch.randint(3, (7,), generator=rng), None, torch.arange(7))


CASES = {  # task, model, examples
    "embeddings": (ModularAddition(5).spec, partial(MLP, hidden=4, embedding=3), ModularAddition(5).examples("train")),
    "transformer": (
        (expressions := ModularAddition(5, tokens="expression")).spec,
        transformer,
        expressions.examples("train"),
    ),
    "convolutions": (IMAGES, partial(CNN, channels=2, grid=2), images()),
    "sequences": (Ragged().spec, partial(RNN, hidden=3, bias=True), Ragged().examples("train")),
    "regression": (Points().spec, partial(MLP, hidden=4, activation="tanh"), Points().examples("train")),
    "called twice": (Points().spec, Scaled, Points().examples("train")),
}


def functional_model_of(spec, model, batch):
    torch.manual_seed(0)
    functional = FunctionalModel(model(spec).double(), spec, batch[:2].to("cpu", torch.float64), torch.float64)
    theta = functional.layout.join(dict(functional.model.named_parameters())).detach()
    return functional, theta, functional.placed(batch)


@pytest.mark.parametrize("directions", [1, 20])
@pytest.mark.parametrize("form", ["jvp", "gemm", "ghost", "auto"])
@pytest.mark.parametrize("name", CASES)
def test_all_forms_are_the_gradients_of_one_example_after_the_other(name, form, directions):
    functional, theta, batch = functional_model_of(*CASES[name])
    if name == "sequences" and form in ("gemm", "ghost"):
        pytest.skip("torch cannot vectorise recurrent layers over examples")
    rng = torch.Generator().manual_seed(1)
    U = torch.randn(directions, functional.layout.size, generator=rng, dtype=torch.float64)
    alone = torch.stack([functional.gradient(theta, batch[k : k + 1]) for k in range(len(batch))])
    for limit in (2**28, 3000):  # in one block, and in many
        inner = InnerProducts(functional, form, limit)
        products, total = inner(inner.choose(theta, batch, directions), theta, batch, U)
        torch.testing.assert_close(products, U @ alone.T, rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(total, alone.sum(0), rtol=1e-12, atol=1e-13)


def test_a_weight_that_is_used_elsewhere_is_found_out():
    """The factored form would miss a part of the gradient; it is then not chosen."""
    functional, theta, batch = functional_model_of(Points().spec, Reused, Points().examples("train"))
    assert not Ghost(functional).agrees(theta, batch)
    assert InnerProducts(functional).choose(theta, batch, 1) != "ghost"
    functional, theta, batch = functional_model_of(Points().spec, Scaled, Points().examples("train"))
    assert Ghost(functional).agrees(theta, batch)


def test_the_form_follows_from_the_sizes():
    """Where layers can be factored and nothing else has parameters, they are, but for few directions through
    convolutions; recurrent layers go along directions; elsewhere many directions go through a matrix product."""
    functional, theta, batch = functional_model_of(*CASES["convolutions"])
    assert InnerProducts(functional).choose(theta, batch, 1) == "jvp"
    assert InnerProducts(functional).choose(theta, batch, 100) == "ghost"
    functional, theta, batch = functional_model_of(*CASES["sequences"])
    assert InnerProducts(functional).choose(theta, batch, 10**5) == "jvp"
    functional, theta, batch = functional_model_of(*CASES["transformer"])
    assert InnerProducts(functional).choose(theta, batch, 10**5) in ("gemm", "ghost")


@pytest.mark.parametrize("name", ["embeddings", "transformer", "convolutions", "regression"])
def test_factors_multiplied_out_are_the_gradients_of_each_example(name):
    functional, theta, batch = functional_model_of(*CASES[name])
    ghost, out = Ghost(functional), torch.full((len(batch), functional.layout.size), torch.nan, dtype=torch.float64)
    assert ghost.covers(theta, batch, functional.losses)
    captured = [ghost.capture(at, batch, total=False) for at in (theta, 1.1 * theta)]
    ghost.gradients(captured, out)
    for k in range(len(batch)):
        alone = sum(functional.gradient(at, batch[k : k + 1]) for at in (theta, 1.1 * theta))
        torch.testing.assert_close(out[k], alone, rtol=1e-10, atol=1e-13)


def test_what_no_layer_holds_is_not_covered():
    functional, theta, batch = functional_model_of(*CASES["called twice"])
    assert not Ghost(functional).covers(theta, batch, functional.losses)
