"""Models near the origin: as their own weights have it, in closed form, and by finite steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mechlab.binding.linearisation import linearise
from mechlab.core.errors import ConfigError
from mechlab.core.task import TaskSpec
from mechlab.models.causal_transformer import CausalTransformer
from mechlab.models.deltanet import DeltaNet
from mechlab.models.gru import GRU
from mechlab.models.linear_attention import LinearAttention
from mechlab.models.lru import LRU
from mechlab.models.lstm import LSTM
from mechlab.models.poly_hopfield import PolyHopfield
from mechlab.models.poly_hopfield_delay import PolyHopfieldDelay
from mechlab.models.rnn import RNN
from mechlab.models.s4 import S4
from mechlab.models.s4d import S4D
from mechlab.models.wrnn import WRNN

SPEC = TaskSpec(inputs=3, outputs=2, kind="sequence", loss="mse", length=9)


def built(model, **options):
    torch.manual_seed(0)
    return model(SPEC, **options).double()


def test_an_elman_network_is_its_weights():
    model = built(RNN, hidden=7)
    layer, found = model.layers[0], linearise(model)
    for matrix, weight in zip(found, (layer.weight_ih_l0, layer.weight_hh_l0, model.readout.weight), strict=True):
        np.testing.assert_array_equal(matrix, weight.detach().numpy())


def test_an_lstm_without_biases_has_the_closed_form():
    """With all gates at 1/2: h' = c' / 2 and c' = c / 2 + g / 2, g the candidate."""
    model = built(LSTM, hidden=5, bias=False)
    layer = model.layers[0]
    W_g, U_g = layer.weight_hh_l0[10:15].detach().numpy(), layer.weight_ih_l0[10:15].detach().numpy()
    eye, zero = np.eye(5), np.zeros((2, 5))
    found = linearise(model)
    np.testing.assert_allclose(found.recurrent, np.block([[W_g / 4, eye / 4], [W_g / 2, eye / 2]]), atol=1e-12)
    np.testing.assert_allclose(found.input, np.concatenate([U_g / 4, U_g / 2]), atol=1e-12)
    np.testing.assert_array_equal(found.readout, np.concatenate([model.readout.weight.detach().numpy(), zero], 1))


@pytest.mark.parametrize(
    "model, options",
    [
        (RNN, {"hidden": 6, "layers": 2, "bias": True}),
        (GRU, {"hidden": 6}),
        (LSTM, {"hidden": 4, "layers": 2}),
        (WRNN, {"hidden": 6, "channels": 2, "activation": "tanh"}),
        (LRU, {"hidden": 5}),
        (S4, {"states": 4}),
        (S4D, {"hidden": 3, "states": 4}),
        (LinearAttention, {"keys": 4, "values": 5}),
        (DeltaNet, {"keys": 4, "values": 5, "updates": 2}),
        (PolyHopfield, {"hidden": 6, "memories": 8}),
        (PolyHopfieldDelay, {"hidden": 6, "memories": 8}),
    ],
)
def test_small_steps_agree(model, options):
    """Outputs and next states beside the origin, against central differences of `step` itself."""
    network = built(model, **options)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.01)  # off the kinks that some have at 0
    found = linearise(network)
    origin, x = network.initial_state(1) * 0, torch.zeros(1, 3).double()
    rng, size = np.random.default_rng(0), 1e-5
    for _ in range(3):
        dh, dx = rng.standard_normal(origin.shape[1]), rng.standard_normal(3)
        with torch.no_grad():
            ends = [
                network.step(x + sign * size * torch.from_numpy(dx), origin + sign * size * torch.from_numpy(dh))[1]
                for sign in (1, -1)
            ]
            moved = found.recurrent @ dh + found.input @ dx
            np.testing.assert_allclose(((ends[0] - ends[1]) / (2 * size))[0].numpy(), moved, atol=1e-7)
            after = network.step(x, origin)[1]
            outputs = [network.read_out(sign * size * torch.from_numpy(moved)[None]) for sign in (1, -1)]
        np.testing.assert_allclose(
            ((outputs[0] - outputs[1]) / (2 * size))[0].numpy(), found.readout @ moved, atol=1e-7
        )
        output = network.step(x, origin)[0]
        torch.testing.assert_close(network.read_out(after), output)  # at input 0, the output is read off the state


def test_a_cache_has_no_linearisation():
    with pytest.raises(ConfigError, match="cache"):
        linearise(built(CausalTransformer, width=16))
