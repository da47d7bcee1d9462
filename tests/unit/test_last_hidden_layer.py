"""Outputs are linear maps of the last hidden layer's units and of what passes them by."""

from __future__ import annotations

import pytest
import torch

from mechlab.core.task import TaskSpec
from mechlab.models.enn import ENN
from mechlab.models.mlp import MLP
from mechlab.models.threshold_network import ThresholdNetwork
from mechlab.models.transformer1 import Transformer1
from mechlab.tasks.group import GroupProduct

MODELS = {
    ENN: {},
    MLP: {"hidden": 8, "embedding": 4},
    ThresholdNetwork: {"widths": (8, 4)},
    Transformer1: {"width": 8, "heads": 2, "hidden": 8},
}


@pytest.mark.parametrize("model", MODELS)
def test_outputs_are_linear_maps_of_hidden_units_and_of_what_passes_them_by(model):
    task = GroupProduct("S3")
    torch.manual_seed(0)
    network = model(task.blueprint(), **MODELS[model])
    inputs = torch.cartesian_prod(torch.arange(6), torch.arange(6))
    logits = network.hidden(inputs) @ network.unembedding() + network.skip(inputs) @ network.skip_unembedding()
    outputs = network(inputs)
    assert torch.allclose(outputs.log_softmax(-1), logits.log_softmax(-1), atol=1e-6)
    read = network.preactivations(inputs)
    units = read.sign() if model in (ENN, ThresholdNetwork) else read.relu()
    assert torch.allclose(network.hidden(inputs), units, atol=1e-6)


def test_every_layer_of_a_threshold_network_has_a_gradient_where_its_parameters_are_replaced():
    """Attribution calls a model with parameters of its own choice."""
    spec = TaskSpec(inputs=6, outputs=2, kind="static", loss="cross_entropy", shape=(6,))
    model = ThresholdNetwork(spec, widths=(5, 4))
    inputs = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))
    parameters = {name: value.detach().requires_grad_() for name, value in model.named_parameters()}
    outputs = torch.func.functional_call(model, parameters, (inputs,))
    gradients = torch.autograd.grad(outputs.square().sum(), list(parameters.values()))
    model(inputs).square().sum().backward()
    for gradient, parameter in zip(gradients, model.parameters(), strict=True):
        assert torch.equal(gradient, parameter.grad) and gradient.abs().sum() > 0
