"""Programs compiled to networks compute what the interpreter computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import planted_programs as planted
import pytest
from random_programs import random_inputs, random_program

from mechlab.core.errors import ConfigError
from mechlab.distill.circuits import adder, automaton_step, majority, parity, random_circuit
from mechlab.distill.compiling import compile_program
from mechlab.distill.disturbing import disturb
from mechlab.distill.equality import same_program
from mechlab.distill.interpret import evaluate, outputs
from mechlab.distill.known_programs import elementary_rule, life, orientation, votes_of_clauses
from mechlab.distill.layers import activations, as_layers


def scores(program, *inputs):
    """The outputs (B, n_out), times the scale."""
    names = [tensor.name for tensor in program.inputs]
    return program.scale * outputs(program, evaluate(program, dict(zip(names, inputs, strict=True))))


@pytest.mark.parametrize("values", ["bits", "signs"])
@pytest.mark.parametrize("seed", range(60))
def test_random_programs(seed, values):
    rng = np.random.default_rng(seed)
    program = random_program(rng)
    program = replace(program, inputs=tuple(replace(tensor, values=values) for tensor in program.inputs))
    inputs = [
        (array > 0) * (1 if values == "bits" else 2) - (values == "signs") for array in random_inputs(program, 40, rng)
    ]
    layers = compile_program(program)
    flat = np.concatenate([array.reshape(40, -1) for array in inputs], 1)
    np.testing.assert_array_equal(activations(as_layers(layers), flat)[-1], scores(program, *inputs))


@pytest.mark.parametrize("size", [3, 5])
def test_the_weights_of_orientation(size):
    for layer, expected in zip(compile_program(orientation(), size), planted.orientation_layers(size), strict=True):
        np.testing.assert_array_equal(layer, expected)


def test_the_shape_of_a_scorer_of_formulas():
    layers = compile_program(votes_of_clauses(50, 10))
    assert [layer.shape for layer in layers] == [(501, 300), (301, 200), (201, 2)]


def test_values_are_copied_over_the_layers_between():
    """Three carries, one after the other; all six inputs are copied, then those of the first bit no more."""
    layers = compile_program(adder(3))
    assert [layer.shape[1] for layer in layers] == [1 + 6, 2 + 6, 3 + 6, 4]


def test_integers_cannot_be_copied():
    program = replace(adder(2), inputs=tuple(replace(tensor, values="integers") for tensor in adder(2).inputs))
    with pytest.raises(ConfigError, match="must be bits or signs"):
        compile_program(program)


def test_many_sizes_need_one():
    with pytest.raises(ConfigError, match="at one size"):
        compile_program(orientation())


@pytest.mark.parametrize("rule", [0, 30, 90, 110, 255])
def test_elementary_rules(rule):
    states = every(7)
    number = 4 * np.roll(states, 1, 1) + 2 * states + np.roll(states, -1, 1)
    np.testing.assert_array_equal(computed(elementary_rule(rule), states, 7), rule >> number & 1)


def test_life():
    states = np.random.default_rng(0).integers(0, 2, (200, 5, 6))[:, :, :5]
    living = sum(np.roll(states, (a, b), (1, 2)) for a in (-1, 0, 1) for b in (-1, 0, 1)) - states
    expected = (living == 3) | ((living == 2) & (states == 1))
    np.testing.assert_array_equal(computed(life(), states.reshape(200, -1), 5), expected.reshape(200, -1))


@pytest.mark.parametrize("bits", [1, 2, 5])
def test_adders(bits):
    inputs = every(2 * bits)
    powers = 2 ** np.arange(bits)
    total = inputs[:, :bits] @ powers + inputs[:, bits:] @ powers
    np.testing.assert_array_equal(computed(adder(bits), inputs), total[:, None] >> np.arange(bits + 1) & 1)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_parity(depth):
    inputs = every(2**depth)
    np.testing.assert_array_equal(computed(parity(depth), inputs)[:, 0], inputs.sum(1) % 2)


@pytest.mark.parametrize("depth", [1, 2])
def test_majorities(depth):
    inputs = every(3**depth)
    expected = inputs
    while expected.shape[1] > 1:
        expected = (expected.reshape(len(inputs), -1, 3).sum(2) > 1.5).astype(int)
    np.testing.assert_array_equal(computed(majority(depth), inputs), expected)


def test_steps_of_an_automaton():
    transitions = np.random.default_rng(0).integers(0, 4, (5, 3))  # no transition to the last state
    for q, a in np.ndindex(5, 3):
        inputs = np.concatenate([np.eye(5)[q], np.eye(3)[a]])[None]
        np.testing.assert_array_equal(computed(automaton_step(transitions), inputs)[0], np.eye(5)[transitions[q, a]])


@pytest.mark.parametrize("seed", range(10))
def test_random_circuits_are_conjunctions_and_disjunctions(seed):
    program = random_circuit(6, [5, 4, 2], 3, np.random.default_rng(seed))
    inputs = every(6)
    values = {"x": inputs.astype(bool)}
    for gate in program.blocks:
        read = []
        for part in gate.terms:
            value = values["x"][:, int(part.along[0].first())] if part.along else values[part.source]
            read.append(value if part.coefficient() > 0 else ~value)
        both = np.logical_and.reduce(read), np.logical_or.reduce(read)
        positive = evaluate(program, {"x": inputs})[gate.name] > 0
        assert any((positive == value).all() for value in both)
        values[gate.name] = positive
    expected = np.stack([values[name] for name in program.outputs], 1)
    np.testing.assert_array_equal(computed(program, inputs), expected)


@pytest.mark.parametrize("permute", [False, True])
@pytest.mark.parametrize("rescale", [False, True])
def test_disturbed_networks_compute_the_same(permute, rescale):
    layers, inputs = compile_program(adder(3)), every(6)
    other = disturb(layers, np.random.default_rng(0), permute=permute, rescale=rescale)
    expected, got = (activations(as_layers(network), inputs)[-1] for network in (layers, other))
    np.testing.assert_allclose(got, expected)
    same = [np.array_equal(a, b) for a, b in zip(layers, other, strict=True)]
    assert same == [not (permute or rescale)] * 3 + [not permute]


def test_noise_is_relative():
    layers = [np.array([[1.0, -100], [1e3, 0]]), np.ones((3, 20_000))]
    other = disturb(layers, np.random.default_rng(0), 0.1, permute=False, rescale=False)
    assert other[0][1, 1] == 0
    assert (abs(other[0] - layers[0]) <= 0.5 * abs(layers[0])).all()
    assert np.std(other[1]) == pytest.approx(0.1, rel=0.02)


def test_programs_are_the_same_up_to_names_and_order_of_independent_blocks():
    program = votes_of_clauses(4, 6)
    names = {made.name: f"u{k}" for k, made in enumerate(program.blocks)}
    renamed = [
        replace(
            made,
            name=names[made.name],
            terms=tuple(replace(part, source=names.get(part.source, "z")) for part in reversed(made.terms)),
        )
        for made in program.blocks
    ]
    order = [3, 1, 0, 2, 5, 4, 9, 8, 7, 6, 10, 11]
    other = replace(
        program,
        inputs=tuple(replace(tensor, name="z") for tensor in program.inputs),
        blocks=tuple(renamed[k] for k in order),
        outputs=tuple(names[name] for name in program.outputs),
        scale=3.0,
    )
    assert same_program(program, other)
    assert not same_program(program, replace(other, outputs=other.outputs[::-1]))
    assert not same_program(replace(program, returns="scores"), replace(other, returns="scores"))
    assert not same_program(program, replace(other, blocks=(*other.blocks, other.blocks[0])))


def test_changed_programs_are_not_the_same():
    program = orientation(4)
    changed = [other for _, other in planted.mutants(program)]
    assert len(changed) > 20
    assert not any(same_program(program, other) for other in changed)


def every(bits):
    return np.arange(2**bits)[:, None] >> np.arange(bits) & 1


def computed(program, inputs, size=None):
    """The outputs of the program's network, as bits."""
    return activations(as_layers(compile_program(program, size)), inputs)[-1] > 0
