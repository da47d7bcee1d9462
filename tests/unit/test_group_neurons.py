"""Neurons of networks that multiply in a group: planted circuits, slow references, and networks without circuits."""

from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from planted_groups import network_of, planted_weights, random_weights

from mechlab.groups import group, irreps
from mechlab.groups.activations import activations, functions
from mechlab.groups.cluster_ablations import ablated
from mechlab.groups.clusters import activation_energies, recover
from mechlab.groups.irrep import DIVISOR
from mechlab.groups.lines import Lines
from mechlab.groups.network import PairNetwork
from mechlab.groups.neurons import transform_neurons
from mechlab.models.group_mlp import GroupMLP
from mechlab.models.mlp import MLP
from mechlab.tasks.group import GroupProduct

GROUPS = ("S4", "D7", "C12", "A4", "Q8", "SL2_3")  # with irreps of all three kinds, also of rank above one


def circuits(irrep, count, rng):
    """Return `count` neurons with random vectors: functions of both factors (n, k), and of the answer (k, n)."""
    a, b, c = rng.standard_normal((3, count, irrep.dimension))
    left = np.einsum("ki,xij,kj->xk", a, irrep.matrices, b)
    right = np.einsum("ki,xij,kj->xk", b, irrep.matrices, c)
    return left, right, np.einsum("ki,xij,kj->kx", a, irrep.matrices, c)


@pytest.mark.parametrize("name", GROUPS)
def test_neurons_of_planted_circuits_are_pure_aligned_and_of_rank_one(name):
    every, rng = irreps(group(name)), np.random.default_rng(0)
    for number, irrep in enumerate(every[1:], start=1):
        a, b, u = circuits(irrep, 5, rng)
        neurons = transform_neurons(a + 3, b - 1, u + 0.5, every)  # a mean is no part of a circuit
        assert (neurons.irrep == number).all()
        for measure in (neurons.purity, neurons.rank_one, neurons.cosines, neurons.circuit):
            np.testing.assert_allclose(measure, 1, atol=1e-9)
        np.testing.assert_allclose(transform_neurons(a, b, -u, every).circuit, -1, atol=1e-9)


@pytest.mark.parametrize("name", GROUPS)
def test_what_is_no_circuit_is_measured_so(name):
    """A sum of two circuits is of higher rank, other vectors are not aligned, and random neurons are not pure."""
    every, rng = irreps(group(name)), np.random.default_rng(1)
    for irrep in every[1:]:
        if irrep.dimension == DIVISOR[irrep.kind]:
            continue  # all transforms are of rank one, and all vectors on one line
        one, other = (circuits(irrep, 40, rng) for _ in range(2))
        neurons = transform_neurons(*(x + y for x, y in zip(one, other, strict=True)), every)
        assert np.median(neurons.rank_one) < 0.999 and np.median(neurons.circuit) < 0.95
        assert np.median(transform_neurons(one[0], other[1], one[2], every).cosines[1]) < 0.95
    neurons = transform_neurons(*random_weights(group(name), 40, rng), every)
    assert np.median(neurons.mean_purity) < 0.9 and abs(np.median(neurons.circuit)) < 0.6


def test_energies_add_up_and_dead_neurons_have_no_irrep():
    every = irreps(group("S4"))
    a, b, u = random_weights(group("S4"), 6, np.random.default_rng(2))
    b[:, 1] = 4.0  # constant
    neurons = transform_neurons(a, b, u, every, np.arange(6) == 3)
    np.testing.assert_allclose(neurons.energy.sum(2), 1, rtol=1e-12)
    np.testing.assert_allclose(neurons.energy[0, :, 0], a.mean(0) ** 2 * 24 / (a**2).sum(0))
    assert np.flatnonzero(neurons.dead).tolist() == [1, 3] and np.isnan(neurons.mean_purity[[1, 3]]).all()


def test_the_phase_of_a_rotation_must_be_the_sum_of_the_phases():
    """For cos(k x + p), cos(k y + q) and cos(k z + r) the cosine with the circuit is cos(p + q - r)."""
    k, x = 3, np.arange(13)
    p, q, r = np.random.default_rng(3).uniform(0, 2 * np.pi, (3, 20))
    a, b, u = (np.cos(2 * np.pi * k * x[:, None] / 13 + phase) for phase in (p, q, r))
    neurons = transform_neurons(a, b, u.T, irreps(group("C13")))
    np.testing.assert_allclose(neurons.circuit, np.cos(p + q - r), atol=1e-9)


def test_lines_of_the_standard_representation_of_s4():
    """The vectors that point stabilisers fix are four lines that the group permutes; two of them are not closed."""
    four = group("S4")
    standard = next(irrep for irrep in irreps(four) if irrep.name == "standard")
    vectors = []
    for point in range(4):
        fixing = [number for number, element in enumerate(four.elements) if element[point] == point]
        vectors.append(np.linalg.svd(standard.matrices[fixing].mean(0))[0][:, 0])
    vectors = np.array([vectors[i] * scale for i, scale in ((0, 1), (1, 2), (2, 1), (3, 1), (0, -3))])
    lines = Lines(standard, (vectors / np.linalg.norm(vectors, axis=1, keepdims=True))[:, :, None])
    np.testing.assert_allclose(lines.cosines(lines)[0], [1, 1 / 3, 1 / 3, 1 / 3, 1], atol=1e-9)
    distinct = lines.distinct(0.99)
    assert len(distinct) == 4 and distinct.closure().min() > 1 - 1e-9
    assert distinct.orbit_sizes(four.table, 0.99).tolist() == [4, 4, 4, 4]
    assert lines[np.array([0, 1])].closure().min() < 0.5


def test_an_orbit_that_is_finer_than_the_resolution_has_no_size():
    """The lines that rotations by multiples of 2 pi / 61 make of one are 3 degrees apart."""
    irrep = next(irrep for irrep in irreps(group("D61")) if irrep.dimension == 2)
    line = Lines(irrep, np.array([[[1.0], [0.0]]]))
    assert np.isnan(line.orbit_sizes(group("D61").table, 0.99)).all()
    assert line.orbit_sizes(group("D61").table, 1 - 1e-6)[0] in (61, 122)


@pytest.fixture(scope="module")
def small():
    """Return a group, its irreps, weights with a circuit and noise, and the activations (n, n, h) of all pairs."""
    five, rng = group("D5"), np.random.default_rng(4)
    parts = [planted_weights(five, {"sign": 6.0, "freq_1": 8.0}), random_weights(five, 9, rng)]
    a, b, u = (np.concatenate([x, y], axis) for axis, (x, y) in zip((1, 1, 0), zip(*parts, strict=True), strict=True))
    u = u + 0.05 * rng.standard_normal(u.shape)
    return five, irreps(five), (a, b, u), np.maximum(a[:, None] + b[None], 0)


def basis_of(irrep, five, factor):
    """Return an orthonormal basis of the functions on pairs (n^2, K) that are matrix elements of a factor."""
    n = five.order
    values = {"a": np.repeat(np.arange(n), n), "b": np.tile(np.arange(n), n), "ab": five.table.ravel()}[factor]
    left, sizes, _ = np.linalg.svd(irrep.matrices.reshape(n, -1)[values], full_matrices=False)
    return left[:, sizes > 1e-9 * sizes[0]]


def test_activation_energies_are_those_of_dense_projections(small):
    five, every, weights, hidden = small
    energies = activation_energies(activations(network_of(five, weights)), every)
    flat = hidden.reshape(five.order**2, -1)
    for (row, factor), number in product(enumerate(("a", "b", "ab")), range(1, len(every))):
        expected = ((basis_of(every[number], five, factor).T @ flat) ** 2).sum(0)
        np.testing.assert_allclose(energies[row, :, number], expected, rtol=1e-9, atol=1e-9)


def test_recovery_is_that_of_least_squares_on_all_pairs(small):
    """So are the logits by way of rho(a b), and the multiple of the character that is nearest to them."""
    five, every, weights, hidden = small
    n, u = five.order, weights[2]
    sums = activations(network_of(five, weights))
    flat = hidden.reshape(n * n, -1)
    for number, members in ((1, np.arange(0, len(u), 3)), (2, np.arange(5, len(u), 7))):
        irrep = every[number]
        result = recover(sums, u, irrep, members)
        matrices = irrep.matrices.reshape(n, -1)[five.table.ravel()]
        features = np.column_stack([flat[:, members], np.ones(n * n)])
        fitted = features @ np.linalg.lstsq(features, matrices, rcond=1e-9)[0]
        assert result.error == pytest.approx(((matrices - fitted) ** 2).mean(), abs=1e-9)
        assert result.explained == pytest.approx(1 - irrep.dimension * result.error)
        basis = basis_of(irrep, five, "ab")
        within = (basis @ (basis.T @ flat[:, members])) @ u[members]  # (n^2, n) logits
        span = np.linalg.qr(irrep.matrices.reshape(n, -1))[0][:, : irrep.size]
        within = within @ (span @ span.T)  # and in the irrep's space as functions of c
        formed = np.einsum("pij,ijkl,ckl->pc", irrep.matrices, result.unembedding, irrep.matrices[five.inverses])
        np.testing.assert_allclose(formed[five.table.ravel()], within, atol=1e-9)
        character = irrep.character[five.table[:, five.inverses]][five.table.ravel()]  # (n^2, n): of a b c^-1
        factor = (within * character).sum() / (character**2).sum()
        rest = ((within - factor * character) ** 2).sum() / (within**2).sum()
        assert result.map_error == pytest.approx(rest, abs=1e-9)


@pytest.mark.parametrize("name", ("C7", "SL2_3"))
def test_predicted_unembedding_is_the_character_for_every_kind(name):
    """A circuit whose answer is the character exactly has no error, though matrix elements are linearly dependent."""
    some = group(name)
    irrep = next(irrep for irrep in irreps(some) if irrep.kind != "real")
    values = irrep.matrices.reshape(some.order, -1)  # units that hold rho(a b) and write rho(c)
    network = PairNetwork.of_weights(values[some.table], values.T, some)
    result = recover(activations(network), values.T, irrep, np.arange(values.shape[1]))
    assert result.explained == pytest.approx(1) and result.map_error < 1e-12 and result.row_error < 1e-12


def test_losses_without_parts_are_those_of_dense_networks(small):
    five, every, (a, b, u), hidden = small
    n, network = five.order, network_of(five, (a, b, u))
    clusters = {1: np.arange(0, len(u), 4), 2: np.arange(1, len(u), 3)}
    rows = np.array([0, 3, 4])
    changed = ablated(network, activations(network), clusters, every, rows)
    flat, targets = hidden.reshape(n * n, -1), torch.from_numpy(five.table.astype(np.int64)).flatten()
    chosen = (rows[:, None] * n + np.arange(n)).ravel()

    def check(key, activation, unembedding):
        logits = torch.from_numpy(activation @ unembedding)[chosen]
        assert changed[key].loss == pytest.approx(float(F.cross_entropy(logits, targets[chosen])), rel=1e-9)
        assert changed[key].accuracy == pytest.approx(float((logits.argmax(1) == targets[chosen]).double().mean()))

    check((-1, "none"), flat, u)
    spans = [np.linalg.qr(every[number].matrices.reshape(n, -1))[0][:, : every[number].size] for number in clusters]
    check((-1, "restricted"), flat, u @ sum(span @ span.T for span in spans))
    for number, members in clusters.items():
        for factor in ("a", "b", "ab"):
            basis, without = basis_of(every[number], five, factor), flat.copy()
            without[:, members] -= basis @ (basis.T @ flat[:, members])
            check((number, factor), without, u)
        without = flat.copy()
        without[:, members] = flat[:, members].mean(0)
        check((number, "all"), without, u)


def test_functions_of_the_factors():
    """A perceptron's are its effective embeddings, a bilinear network's too, and those of a deeper network the additive
    part of what its last layer reads."""
    task = GroupProduct("D5", seed=1)
    torch.manual_seed(0)
    models = {variant: GroupMLP(task.spec, 12, 12, variant) for variant in ("relu", "post_bias", "bilinear")}
    for model in models.values():
        read = functions(PairNetwork.of_model(model, task.of))
        for found, table in zip((read.a, read.b), model.double().effective_embeddings(), strict=True):
            np.testing.assert_allclose(found, table.detach().numpy(), atol=1e-12)
        assert (read.additive == 1).all()
    shallow, deep = (PairNetwork.of_model(MLP(task.spec, 12, layers, 8), task.of) for layers in (1, 2))
    read, rows = functions(shallow), torch.arange(task.of.order)
    given = shallow.preactivations(rows).numpy()
    np.testing.assert_allclose(read.a[:, None] + read.b[None], given, atol=1e-9)
    np.testing.assert_allclose(read.additive, 1)
    read, given = functions(deep), deep.preactivations(rows).numpy()
    np.testing.assert_allclose(read.a, given.mean(1), atol=1e-9)
    rest = given - read.a[:, None] - read.b[None]
    np.testing.assert_allclose(read.additive, 1 - rest.var((0, 1)) / given.var((0, 1)))
    assert (read.additive < 1 - 1e-6).any()
