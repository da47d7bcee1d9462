"""State-space models, Hopfield networks, fast weights and the transformer, against their equations in plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mechlab.core.errors import ConfigError
from mechlab.core.model import SequenceModel
from mechlab.core.task import TaskSpec
from mechlab.models.causal_transformer import CausalTransformer
from mechlab.models.deltanet import DeltaNet
from mechlab.models.linear_attention import LinearAttention
from mechlab.models.lru import LRU
from mechlab.models.poly_hopfield import PolyHopfield
from mechlab.models.poly_hopfield_delay import PolyHopfieldDelay
from mechlab.models.s4 import S4, hippo
from mechlab.models.s4d import S4D
from mechlab.models.state_space import convolve, scan
from mechlab.models.wrnn import WRNN

SPEC = TaskSpec(inputs=3, outputs=2, kind="sequence", loss="mse", length=9)


def built(model, **options):
    torch.manual_seed(0)
    return model(SPEC, **options).double()


def values(tensor):
    array = tensor.detach().numpy()
    return array[..., 0] + 1j * array[..., 1] if array.shape[-1:] == (2,) and array.ndim > 1 else array


def inputs(T=9, B=4):
    return torch.from_numpy(np.random.default_rng(1).standard_normal((B, T, 3)))


def close(tensor, expected):
    np.testing.assert_allclose(tensor.detach().numpy(), expected, rtol=1e-9, atol=1e-12)


def linear(layer, x):
    bias = 0 if layer.bias is None else layer.bias.detach().numpy()
    return x @ layer.weight.detach().numpy().T + bias


@pytest.mark.parametrize("T", [1, 2, 7, 8, 9])
def test_scan_and_convolution_are_loops(T):
    decay, driven = torch.rand(3).double(), torch.randn(2, T, 3).double()
    h, states = torch.zeros(2, 3).double(), []
    for t in range(T):
        h = decay * h + driven[:, t]
        states.append(h)
    close(scan(decay, driven), torch.stack(states, 1).numpy())
    kernel = torch.randn(3, T).double()
    expected = [sum(kernel[:, k] * driven[:, t - k] for k in range(t + 1)) for t in range(T)]
    close(convolve(kernel, driven), torch.stack(expected, 1).numpy())


def test_lru_follows_its_equation_and_starts_on_the_ring():
    model = built(LRU, hidden=40)
    lam = np.exp(-np.exp(values(model.nu_log)) + 1j * np.exp(values(model.theta_log)))
    assert (np.abs(lam) >= 0.9 - 1e-9).all() and (np.abs(lam) <= 0.999 + 1e-9).all()
    gamma = np.exp(values(model.gamma_log))
    np.testing.assert_allclose(gamma, np.sqrt(1 - np.abs(lam) ** 2), rtol=1e-5)
    x, h = inputs().numpy(), np.zeros((4, 40), complex)
    for t in range(9):
        h = lam * h + gamma * (x[:, t] @ values(model.B).T)
        expected = (h @ values(model.C).T).real + x[:, t] @ values(model.D).T
        close(model(inputs()).outputs[:, t], expected)
    jacobian = model.jacobian(torch.zeros(3).double(), torch.zeros(80).double())
    found = np.sort_complex(np.linalg.eigvals(jacobian.numpy()))
    np.testing.assert_allclose(found, np.sort_complex(np.concatenate([lam, lam.conj()])), atol=1e-9)
    with pytest.raises(ConfigError, match="in order"):
        LRU(SPEC, least=0.9, most=0.8)


def test_the_hippo_matrix_comes_back():
    n = np.arange(1, 9)
    A = np.array([[-np.sqrt((2 * i + 1) * (2 * j + 1)) * (i > j) - (i + 1) * (i == j) for j in n] for i in n])
    lam, p, q = hippo(8)
    assert np.abs(lam.real + 0.5).max() < 1e-12  # -1/2 for every state
    low_rank = np.diag(lam) - np.outer(p, q.conj())
    for power in range(1, 9):  # the same characteristic polynomial
        traces = [np.trace(np.linalg.matrix_power(matrix, power)) for matrix in (A, low_rank)]
        assert abs(traces[0] - traces[1]) < 1e-9 * abs(traces[0])


def test_s4_is_the_bilinear_rule_on_dense_matrices():
    model = built(S4, states=6)
    lam, p, q, B, C = (values(part) for part in (model.lam, model.p, model.q, model.B, model.C))
    A, x = np.diag(lam) - np.outer(p, q.conj()), inputs().numpy()
    v = np.zeros((4, 9, 3))
    for c in range(3):
        half = np.exp(values(model.delta_log)[c, 0]) / 2 * np.eye(6)
        inverse = np.linalg.inv(np.eye(6) - half @ A)
        step, entry = inverse @ (np.eye(6) + half @ A), inverse @ (2 * half) @ B[c]
        for b in range(4):
            h = np.zeros(6, complex)
            for t in range(9):
                h = step @ h + entry * x[b, t, c]
                v[b, t, c] = (C[c] @ h).real + values(model.D)[c] * x[b, t, c]
    close(model(inputs()).outputs, linear(model.readout, v))


def test_s4d_is_a_zero_order_hold():
    model = built(S4D, hidden=4, states=5)
    A = -np.exp(values(model.decay_log)) + 1j * values(model.frequency)
    decay = np.exp(np.exp(values(model.delta_log)) * A)
    u, h = linear(model.encoder, inputs().numpy()), np.zeros((4, 4, 5), complex)
    for t in range(9):
        h = decay * h + (decay - 1) / A * u[:, t, :, None]
        v = 2 * (values(model.C) * h).sum(-1).real + values(model.D) * u[:, t]
        gelu = torch.nn.functional.gelu(torch.from_numpy(v)).numpy()
        close(model(inputs()).outputs[:, t], linear(model.readout, gelu))
    with pytest.raises(ConfigError, match="time step"):
        S4D(SPEC, least=1.0, most=0.1)


def test_hopfield_networks_follow_their_equations():
    plain, delayed = (
        built(PolyHopfield, hidden=5, memories=7, power=2),
        built(PolyHopfieldDelay, hidden=5, memories=7, power=3),
    )
    assert not delayed.gate.weight.any()
    with torch.no_grad():
        delayed.gate.weight.normal_()
    h = g = c = np.full((4, 5), 1e-3)

    def output(model, state):
        first, _, second = model.readout
        return linear(second, np.maximum(linear(first, state), 0))

    for t in range(9):
        x = inputs()[:, t].numpy()
        h = linear(plain.transition, np.clip(linear(plain.recall, np.tanh(h)) + linear(plain.entry, x), 0, 1) ** 2)
        close(plain(inputs()).outputs[:, t], output(plain, h))
        z = 1 / (1 + np.exp(-linear(delayed.gate_entry, x) - linear(delayed.gate, np.tanh(g))))
        c = (1 - z) * np.tanh(g) + z * c
        sums = linear(delayed.recall, np.tanh(g)) + linear(delayed.entry, x) + linear(delayed.delayed, c)
        g = linear(delayed.transition, sums**3)
        close(delayed(inputs()).outputs[:, t], output(delayed, g))


def test_fast_weights_follow_their_equations():
    sums, delta = built(LinearAttention, keys=4, values=5), built(DeltaNet, keys=4, values=5, updates=2)
    S, D = np.zeros((4, 5, 4)), np.zeros((4, 5, 4))

    def positive(x):
        return np.where(x > 0, x + 1, np.exp(x))

    def unit(x):
        return x / np.linalg.norm(x, axis=-1, keepdims=True)

    for t in range(9):
        x = inputs()[:, t].numpy()
        k, q = positive(linear(sums.key, x)), positive(linear(sums.query, x))
        S = S + np.einsum("bv,bk->bvk", linear(sums.value, x), k)
        close(sums(inputs()).outputs[:, t], linear(sums.readout, np.einsum("bvk,bk->bv", S, q)))
        keys, values_ = unit(linear(delta.key, x).reshape(4, 2, 4)), linear(delta.value, x).reshape(4, 2, 5)
        strengths = 2 / (1 + np.exp(-linear(delta.strength, x)))
        for i in range(2):
            for b in range(4):
                k, beta = keys[b, i], strengths[b, i]
                D[b] = D[b] @ (np.eye(4) - beta * np.outer(k, k)) + beta * np.outer(values_[b, i], k)
        q = unit(linear(delta.query, x))
        close(delta(inputs()).outputs[:, t], linear(delta.readout, np.einsum("bvk,bk->bv", D, q)))


def test_eigenvalues_of_deltanet_are_negative_only_where_that_is_wanted():
    least = []
    for negative in (True, False):
        model = built(DeltaNet, keys=3, values=2, negative=negative)
        jacobian = model.jacobian(inputs()[0], torch.zeros(9, 6).double())
        least.append(float(torch.linalg.eigvals(jacobian).real.min()))
    assert -1 <= least[0] < -0.05 and least[1] >= -1e-9


def test_two_updates_compose_a_rotation():
    """A quarter turn, whose eigenvalues are +-i, is a product of two reflections."""
    model = built(DeltaNet, keys=2, values=1, updates=2)
    with torch.no_grad():
        for layer in (model.key, model.strength):
            layer.weight.zero_()
        model.key.bias.copy_(torch.tensor([1.0, 0.0, 1.0, 1.0]))
        model.strength.bias.fill_(50.0)
    jacobian = model.jacobian(inputs()[0, 0], torch.zeros(2).double())
    assert np.allclose(np.sort_complex(np.linalg.eigvals(jacobian.numpy())), [-1j, 1j])


@pytest.mark.parametrize("updates", [1, 3, 40])
def test_deltanet_makes_many_updates_at_once(updates):
    model = built(DeltaNet, keys=4, values=3, updates=updates, heads=2)
    one_by_one = SequenceModel.resume(model, inputs(T=37), model.initial_state(4))
    close(model(inputs(T=37), last=30).outputs, one_by_one.outputs[:, 7:].detach().numpy())
    close(model(inputs(T=37)).states, one_by_one.states.detach().numpy())
    x = inputs(T=37)
    x[:, 20:] = 0  # from here on the transition is the same
    for read in (x, x[:, 20:]):
        expected = SequenceModel.resume(model, read, model.initial_state(4)).outputs
        close(model(read, last=9).outputs, expected[:, -9:].detach().numpy())
    gradients = []
    for read in (x, x.clone().requires_grad_()):
        gradients.append(torch.autograd.grad(model(read).outputs.square().sum(), list(model.parameters())))
    for fast, slow in zip(*gradients, strict=True):
        np.testing.assert_allclose(fast.numpy(), slow.numpy(), rtol=1e-8, atol=1e-10)


def test_heads_of_deltanet_are_matrices_side_by_side():
    model = built(DeltaNet, keys=5, values=2, updates=2, heads=3, strength=0.98)
    jacobian = model.jacobian(torch.zeros(3).double(), torch.zeros(30).double())
    for head in range(3):
        one = built(DeltaNet, keys=5, values=2, updates=2)
        with torch.no_grad():
            for name in ("key", "value", "strength", "query"):
                whole, part = getattr(model, name), getattr(one, name)
                part.weight.copy_(whole.weight.chunk(3)[head])
                part.bias.copy_(whole.bias.chunk(3)[head])
        own = slice(10 * head, 10 * (head + 1))
        transition = one.jacobian(torch.zeros(3).double(), torch.zeros(10).double())
        close(jacobian[own, own], transition.numpy())
        jacobian[own, own] = 0
        moduli = np.sort(np.abs(np.linalg.eigvals(transition.numpy())))
        np.testing.assert_allclose(moduli[-6:], 1, atol=1e-9)  # 5 keys less 2 updates, for each of 2 values
        assert (moduli[:4] > 0.9).all()  # two reflections, nearly
    assert not jacobian.any()


def test_an_input_travels_along_the_rings_of_the_wave_network():
    model = built(WRNN, hidden=12, channels=3)
    x = torch.zeros(1, 5, 3).double()
    x[:, 0] = 1.0
    states = model(x).states[0, 1:].detach()  # (T, 12)
    assert states[0].any()
    for t in range(4):
        close(states[t + 1], states[t].reshape(3, 4).roll(1, 1).flatten().numpy())
    assert not states[0].reshape(3, 4)[:, 1:].any()
    with pytest.raises(ConfigError, match="divide"):
        WRNN(SPEC, hidden=10, channels=3)


def test_the_transformer_is_causal_and_has_a_context():
    model, x = built(CausalTransformer, width=16), inputs()
    before, other = model(x).outputs, x.clone()
    other[:, 5:] = 7.0
    close(model(other).outputs[:, :5], before[:, :5].detach().numpy())
    assert (model(other).outputs[:, 5:] != before[:, 5:]).any()
    assert not hasattr(model, "jacobian")
    with pytest.raises(ConfigError, match=r"at most model\.context = 9 steps"):
        model(inputs(T=10))
    with pytest.raises(ConfigError, match="divide"):
        CausalTransformer(SPEC, width=12, heads=4)
