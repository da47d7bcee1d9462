import itertools
from dataclasses import replace

import numpy as np
import planted_programs as planted
import pytest
from planted_programs import at, disturbed, mutants, term

from mechlab.core.errors import MechlabError
from mechlab.distill.boundary import boundary_inputs, random_inputs
from mechlab.distill.certificate import DistillError
from mechlab.distill.correspondence import match
from mechlab.distill.interpret import evaluate
from mechlab.distill.layers import as_layers
from mechlab.distill.matrices import flat, matrices
from mechlab.distill.polynomial import Polynomial
from mechlab.distill.program import Block, Input, Program
from mechlab.distill.verification import rounded_activations, verify


def test_all_inputs_of_small_networks_are_compared():
    certificate = verify(planted.orientation(3), planted.orientation_layers(3))
    assert (certificate.status, certificate.inputs, certificate.mismatches) == ("lossless", 2**9, 0)
    certificate = verify(planted.ring(9), planted.ring_layers(9))
    assert (certificate.status, certificate.inputs, certificate.units) == ("lossless", 2**9, (18, 18))


def test_larger_networks_are_proved_whatever_the_order_and_scale_of_their_units():
    rng = np.random.default_rng(0)
    for program, layers in (
        (planted.orientation(7), planted.orientation_layers(7)),
        (planted.ring(23), planted.ring_layers(23)),
    ):
        certificate = verify(program, disturbed(layers, rng), rng=5)
        assert certificate.status == "proved" and certificate.units[0] == certificate.units[1]
        assert certificate.inputs >= 3000 and certificate.boundary >= 1000 and certificate.seed == 5


def test_programs_of_many_sizes_are_compared_at_each():
    networks = {n: planted.orientation_layers(n) for n in (3, 5, 6)}
    certificate = verify(planted.orientation(), networks)
    assert certificate.status == "proved" and certificate.sizes == (3, 5, 6)
    assert verify(planted.orientation(), networks[5]).status == "proved"  # the size follows from the inputs
    assert replace(planted.orientation(), network=networks).verify().sizes == (3, 5, 6)


def test_matrices_are_the_interpreters_sums():
    rng = np.random.default_rng(1)
    for program, shape in ((planted.orientation(5), (5, 5)), (planted.ring(7), (7,))):
        table = matrices(program)
        x = rng.integers(0, 2, (50, *shape))
        values = flat(program, evaluate(program, {"x": x}))
        sums = (values @ table.weight + table.bias) / table.factor
        assert np.array_equal(np.where(table.linear, sums, np.sign(sums)), values[:, table.n_inputs :])
        assert (values >= table.box.low).all() and (values <= table.box.high).all()


def wrong(program, layers):
    """The mutants that decide otherwise on one input at least, of all inputs."""
    count = len(layers[0]) - 1
    inputs = np.array(list(itertools.product((0, 1), repeat=count)))
    expected = program(inputs)
    for name, mutant in mutants(program):
        try:
            different = (mutant(inputs) != expected).any()
        except IndexError:  # a position outside the source
            different = True
        yield name, mutant, different


@pytest.mark.parametrize("noise", [0.0, 1e-3])
def test_each_wrong_mutant_is_refused_and_each_equal_one_passes(noise):
    for program, layers in (
        (planted.orientation(3), planted.orientation_layers(3)),
        (planted.ring(9), planted.ring_layers(9)),
    ):
        network = disturbed(layers, np.random.default_rng(2), noise)
        verify(program, network)
        for name, mutant, different in wrong(program, layers):
            if different:
                with pytest.raises(DistillError):
                    verify(mutant, network)
            elif not noise:
                assert verify(mutant, network).status == "lossless", name


@pytest.mark.ci
def test_mutants_are_refused_where_not_all_inputs_can_be_compared():
    program, layers = planted.orientation(8), planted.orientation_layers(8)
    passed = []
    for name, mutant in mutants(program):
        try:
            certificate = verify(mutant, layers)
            passed.append((name, certificate.status))
        except DistillError:
            pass
    # The scores differ by even numbers, so that one more for the first, or one less for the second, changes nothing.
    assert passed == [("c.bias1", "tested"), ("r.bias-1", "tested")]


def template(size, bias):
    """One unit that is positive if the first half of the bits is 1 and the second half is 0, but for a few."""
    half = Polynomial.of(size // 2)
    first, second = at(None, 0, to=half - 1), at(None, half, to=half + half - 1)
    unit = Block("m", (), (term(1, "x", first), term(-1, "x", second)), Polynomial.of(bias))
    output = Block("y", (), (term(1, "m"),), activation="linear")
    return Program((Input("x", (half + half,)),), (unit, output), ("y",), "bits")


def test_inputs_beside_thresholds_detect_what_random_inputs_miss():
    weight = np.concatenate([np.ones(30), -np.ones(30), [-28]])[:, None]
    layers = [weight, np.array([[1.0], [0.0]])]
    right, mutant, rng = template(60, -28), template(60, -27), np.random.default_rng(3)
    random = random_inputs(["bits"] * 60, 3000, rng)
    assert np.array_equal(right(random), mutant(random))
    beside = boundary_inputs(as_layers(layers), ["bits"] * 60, 300, rng, "bits")
    assert (right(beside) != mutant(beside)).any()
    assert verify(right, layers).status == "proved"
    with pytest.raises(DistillError, match="flat input"):
        verify(mutant, layers)


def test_later_units_have_inputs_beside_their_thresholds():
    layers, rng = planted.orientation_layers(8), np.random.default_rng(4)
    inputs = boundary_inputs(as_layers(layers), ["bits"] * 64, 1500, rng)
    d = np.sign(inputs @ layers[0][:-1])
    sums = np.abs(d @ layers[1][:-1] + layers[1][-1])
    random = np.sign(random_inputs(["bits"] * 64, len(inputs), rng) @ layers[0][:-1])
    by_chance = np.abs(random @ layers[1][:-1] + layers[1][-1])
    assert (sums <= 1).any(1).mean() > (by_chance <= 1).any(1).mean()


def test_a_copy_with_noise_is_tested_and_ties_that_noise_breaks_are_counted():
    rng = np.random.default_rng(5)
    program = planted.orientation(8)
    certificate = verify(program, disturbed(planted.orientation_layers(8), rng, 1e-3))
    assert certificate.status == "tested" and 1e-3 < certificate.snapped < 1e-2 and certificate.mismatches > 0
    certificate = verify(planted.ring(23), disturbed(planted.ring_layers(23), rng, 1e-3))
    assert certificate.status == "proved" and 1e-3 < certificate.snapped < 1e-2  # no sum can be zero
    with pytest.raises(DistillError):
        verify(program, disturbed(planted.orientation_layers(8), rng, 0.1))


def test_rounding_to_single_precision_is_noise():
    layers = [np.float32(layer * 0.1).astype(float) for layer in planted.orientation_layers(8)]
    assert 0 < verify(planted.orientation(8), layers).snapped < 1e-6


@pytest.mark.parametrize("values", ["bits", "signs"])
def test_proofs_are_sound(values):
    """Each proved unit of random networks has its counterpart's sign on every input, and many are proved."""
    rng = np.random.default_rng(6)
    inputs = np.array(list(itertools.product((0, 1) if values == "bits" else (-1, 1), repeat=6)), float)
    proved = 0
    for _ in range(60):
        layers = [rng.integers(-3, 4, (7, 5)), rng.integers(-2, 3, (6, 4)), rng.integers(-1, 2, (5, 2))]
        program = planted.written_out(layers, values)
        noise = rng.choice([0, 0.01, 0.1, 0.3])
        network = disturbed(layers, rng, noise)
        if rng.random() < 0.5:
            network[rng.integers(2)][-1] += rng.choice([-1, -0.5, 0.5, 1])
        joined = flat(program, evaluate(program, {"x": inputs}))
        matched = match(as_layers(network), matrices(program), 0.01)
        for part, states in zip(matched, rounded_activations(as_layers(network), inputs)[0], strict=False):
            assert (states == part.expected(joined))[:, part.proved].all()
            proved += part.proved.sum()
    assert proved > 100


def test_units_of_few_different_weights_are_proved_to_be_equal():
    """13 is as good as 20 for an input that outweighs 12 others; 12 is not."""

    def weights(heavy):
        return [np.array([heavy, *[1] * 12, *[0] * 9, -12.5])[:, None], np.array([[1.0], [0.0]])]

    network = disturbed(weights(20), np.random.default_rng(7))
    assert verify(planted.written_out(weights(13), "bits"), network).status == "proved"
    with pytest.raises(DistillError):
        verify(planted.written_out(weights(12), "bits"), network)


def test_unbounded_inputs_take_exact_weights():
    pairs = [(0, 1), (0, 2), (1, 2)]
    layers = [np.zeros((4, 3)), np.array([[1, -1, 0], [1, 0, -1], [0, 1, -1], [0, 0, 0]])]
    for k, (a, b) in enumerate(pairs):
        layers[0][[a, b], k] = 1, -1
    for values in ("integers", "reals"):
        program = planted.written_out(layers, values, "class")
        assert verify(program, [0.3 * layers[0], layers[1]]).status == "proved"
        near = [layers[0] + np.array([1e-9, 0, 0, 0])[:, None], layers[1]]
        assert verify(program, near).status == "tested"


def test_scores_and_probabilities_are_compared_by_value():
    layers = planted.ring_layers(23)
    program = replace(planted.ring(23), returns="scores", scale=0.25)
    network = [layers[0], 0.25 * layers[1]]
    assert verify(program, network).status == "proved"
    assert verify(replace(program, returns="probabilities"), network).status == "proved"
    for returns in ("scores", "probabilities"):
        with pytest.raises(DistillError):
            verify(replace(program, returns=returns, scale=0.26), network)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(DistillError, match="network"):
        verify(planted.ring(5))
    with pytest.raises(DistillError, match="inputs"):
        verify(planted.ring(5), planted.ring_layers(6))
    outside = Block("y", (), (term(1, "x", at(None, 5)),), activation="linear")
    program = Program((Input("x", (Polynomial.of(5),)),), (outside,), ("y",), "bits")
    with pytest.raises(MechlabError, match="inside"):
        verify(program, [np.ones((6, 1))])
