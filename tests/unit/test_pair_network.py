"""Networks of pairs as analyses read them: the same outputs as the model's, a few rows at a time."""

import numpy as np
import pytest
import torch
from planted_groups import network_of, planted_model, planted_weights, random_weights

from mechlab.core.errors import ConfigError
from mechlab.core.model import StaticModel
from mechlab.groups import group
from mechlab.groups.network import PairNetwork
from mechlab.models.group_mlp import GroupMLP
from mechlab.models.mlp import MLP
from mechlab.tasks.group import GroupProduct

TASK = GroupProduct("C7", 0.5, seed=1)
PAIRS = torch.cartesian_prod(torch.arange(7), torch.arange(7))


class Table(StaticModel):
    """A network of which nothing is known but its outputs."""

    def __init__(self, spec):
        super().__init__(spec)
        self.rows = torch.nn.Parameter(torch.randn(spec.inputs**2, spec.outputs))

    def forward(self, inputs):
        return self.rows[inputs[:, 0] * self.spec.inputs + inputs[:, 1]]


MODELS = {
    **{variant: lambda spec, v=variant: GroupMLP(spec, 12, 10, v) for variant in ("relu", "post_bias", "bilinear")},
    "mlp": lambda spec: MLP(spec, 12, 1, 8),
    "mlp of two layers without biases": lambda spec: MLP(spec, 12, 2, 8, bias=False),
    "outputs only": Table,
}


@pytest.mark.parametrize("name", MODELS)
def test_blocks_of_rows_have_the_outputs_of_the_model(name):
    torch.manual_seed(0)
    model = MODELS[name](TASK.spec)
    for parameter in model.parameters():  # so that biases are not 0
        torch.nn.init.normal_(parameter)
    network = PairNetwork.of_model(model, TASK.of)
    expected = model.double()(PAIRS).detach().view(7, 7, 7)
    blocks = list(network.blocks(2 * 7 * 12))
    assert [len(rows) for rows in blocks] == [3, 3, 1]
    torch.testing.assert_close(torch.cat([network.logits(rows) for rows in blocks]), expected, rtol=1e-12, atol=1e-12)
    assert network.squared_weights == pytest.approx(sum(float(p.detach().square().sum()) for p in model.parameters()))
    if network.hidden is not None:
        hidden = network.hidden(torch.arange(7))
        torch.testing.assert_close(hidden.flatten(0, 1), model.hidden(PAIRS).detach())
        pre = network.preactivations(torch.tensor([3]))
        torch.testing.assert_close(pre[0], model.preactivations(PAIRS[21:28]).detach())


def test_the_model_keeps_its_precision():
    model = GroupMLP(TASK.spec, 12, 10)
    PairNetwork.of_model(model, TASK.of)
    assert model.W_U.dtype == torch.float32


def test_weights_activations_and_functions_of_rows_are_the_same_network():
    rng = np.random.default_rng(0)
    of = group("C7")
    a, b, u = random_weights(of, 6, rng)
    bias, rows = rng.standard_normal(7), torch.tensor([1, 5])
    activations = np.maximum(a[:, None] + b[None], 0)
    expected = activations[[1, 5]] @ u + bias
    forms = [(a, b), activations, activations.reshape(49, 6), lambda rows: activations[rows]]
    skips = [bias, np.broadcast_to(bias, (7, 7, 7)), lambda rows: np.broadcast_to(bias, (len(rows), 7, 7)), bias]
    for hidden, skip in zip(forms, skips, strict=True):
        network = PairNetwork.of_weights(hidden, u, of, skip=skip)
        np.testing.assert_allclose(network.logits(rows), expected, rtol=1e-12)


def test_weights_of_another_group_are_refused():
    a, b, u = random_weights(group("C7"), 6, np.random.default_rng(0))
    with pytest.raises(ConfigError, match=r"embeddings must have the shape \(8, 6\)"):
        PairNetwork.of_weights((a, b), u, group("C8"))
    with pytest.raises(ConfigError, match="column for each of the 8 elements"):
        PairNetwork.of_weights(np.zeros((8, 8, 6)), u, group("C8"))
    with pytest.raises(ConfigError, match=r"embeddings must have the shape \(7, 6\)"):
        PairNetwork.of_weights((a[:3], b[:3]), u, group("C7"))
    with pytest.raises(ConfigError, match=r"hidden must have the shape \(7, 7, 6\)"):
        PairNetwork.of_weights(np.zeros((7, 6, 7)), u, group("C7"))


def test_a_planted_circuit_multiplies():
    of = group("C7")
    weights = planted_weights(of, {"freq_1": 10.0, "freq_3": 8.0})
    logits = network_of(of, weights).logits(torch.arange(7))
    assert (logits.argmax(-1).numpy() == of.table).all()
    by_product = [logits[a, of.table[of.inverses[a]].tolist()] for a in range(7)]  # (n, n), at b = a^-1 p
    torch.testing.assert_close(by_product[0], by_product[4])
    same = PairNetwork.of_model(planted_model(TASK, {"freq_1": 10.0, "freq_3": 8.0}), of)
    torch.testing.assert_close(same.logits(torch.arange(7)), logits)
