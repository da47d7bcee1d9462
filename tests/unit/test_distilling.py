"""Networks whose program is known are distilled to it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import planted_layers as planted
import pytest

from mechlab.core.errors import ConfigError
from mechlab.distill import distill
from mechlab.distill.certificate import DistillError
from mechlab.distill.interpret import evaluate
from mechlab.distill.layers import activations, as_layers
from mechlab.distill.program import Program

NETWORKS = {
    "orientation": (planted.orientation(6), (6, 6), "class"),
    "rule 110": (planted.rule_110(9), (9,), "bits"),
    "rule 30": (planted.ring(30, 7), (7,), "bits"),
    "rule 0": (planted.ring(0, 7), (7,), "bits"),
    "argmax": (planted.argmax(5), (5,), "class"),
    "Life on a torus": (planted.life(5), (5, 5), "bits"),
    "Life of a patch": (planted.life_patch(), (3, 3), "bits"),
    "votes of clauses": (planted.maxsat(5, 12), (5, 12), "class"),
    "circuit": (planted.circuit(8, [6, 5, 2], 2, 0), (8,), "bits"),
    "wide circuit": (planted.circuit(10, [20, 10, 3], 3, 1), (10,), "bits"),
}


def without_certificate(program: Program) -> Program:
    return replace(program, certificate=None, scale=1.0)


@pytest.mark.parametrize("name", NETWORKS)
def test_programs_equal_their_networks(name: str) -> None:
    layers, shape, returns = NETWORKS[name]
    program = distill(layers, shape, returns=returns)
    count = int(np.prod(shape))
    rng = np.random.default_rng(0)
    inputs = (rng.random((3000, count)) < rng.random((3000, 1))).astype(int)
    outputs = activations(as_layers(layers), inputs)[-1]
    expected = outputs > 0 if returns == "bits" else outputs.argmax(1)
    np.testing.assert_array_equal(program(inputs), expected)
    assert program.certificate is not None
    assert program.certificate.inputs >= min(3000, 2**count)


@pytest.mark.parametrize("noise", [0.0, 1e-3])
@pytest.mark.parametrize("name", ["orientation", "rule 110", "rule 30", "circuit", "votes of clauses"])
def test_the_program_does_not_depend_on_order_scale_or_small_noise(name: str, noise: float) -> None:
    layers, shape, returns = NETWORKS[name]
    expected = without_certificate(distill(layers, shape, returns=returns))
    for seed in range(3):
        other = planted.disturbed(layers, seed, noise, outputs=returns == "bits")
        assert without_certificate(distill(other, shape, returns=returns)) == expected


def test_orientation_is_a_grid_and_two_rows_of_units() -> None:
    program = distill(planted.orientation(6), (6, 6))
    assert [[int(length()) for length in block.sizes] for block in program.blocks] == [[6, 6], [6], [6], [], []]
    (first, *second), image = program.blocks[:3], np.random.default_rng(0).integers(0, 2, (1, 6, 6))
    values = evaluate(program, {"x": image})
    np.testing.assert_array_equal(
        np.sort(np.abs(values[first.name][0]).ravel()),
        np.sort(np.abs(np.sign(image[0].sum(0)[:, None] - image[0].sum(1))).ravel()),
    )
    assert {abs(term.coefficient()) for block in second for term in block.terms} == {6, 5}
    assert {abs(block.bias()) for block in second} == {30}


@pytest.mark.parametrize("rule", [0, 110, 255])
def test_a_rule_on_a_ring_is_exact_on_all_states(rule: int) -> None:
    layers = planted.rule_110(8) if rule == 110 else planted.ring(rule, 8)
    program = distill(layers, (8,), returns="bits")
    states = np.array(list(itertools.product((0, 1), repeat=8)))
    places = 4 * np.roll(states, 1, 1) + 2 * states + np.roll(states, -1, 1)
    np.testing.assert_array_equal(program(states), rule >> places & 1)
    assert program.status == "lossless"


def test_a_large_ring_is_not_cut_open() -> None:
    program = distill(planted.rule_110(200), (200,), returns="bits")
    assert [int(length()) for block in program.blocks for length in block.sizes] == [200, 200, 200]


def test_comparisons_of_pairs_are_a_triangle() -> None:
    program = distill(planted.argmax(6), (6,))
    pairs, votes = program.blocks
    assert pairs.where == "less" and [int(length()) for length in pairs.sizes] == [6, 6]
    assert len(votes.terms) == 2 and program.order == ()


def test_life_is_windows_on_a_torus() -> None:
    program = distill(planted.life(5), (5, 5), returns="bits")
    assert [len(block.terms) for block in program.blocks] == [1, 2, 2]
    assert all(along.periodic for block in program.blocks[:2] for along in block.terms[0].along)


def test_constants_copies_and_units_without_effect_vanish() -> None:
    first = np.array([[1.0, 0, 1, 0], [0, 2, 1, 0], [-0.5, -1, -1.5, 3]])
    second = np.array([[1.0, -1, 0], [0, 0, 1], [0, 1, 0], [0, 2, 5], [0, 0, 0]])
    program = distill([first, second, np.array([[1.0], [0], [1], [0]])], (2,), returns="bits")
    (output,) = program.blocks
    assert [term.source for term in output.terms] == ["x"]
    np.testing.assert_array_equal(program(np.array([[0, 0], [0, 1], [1, 0], [1, 1]]))[:, 0], [0, 0, 1, 1])


def test_weights_of_arbitrary_ratios_are_refused() -> None:
    rng = np.random.default_rng(0)
    layers = [rng.standard_normal((31, 20)), rng.standard_normal((21, 2))]
    with pytest.raises(DistillError, match="small"):
        distill(layers, (30,))


def test_integers_without_structure_make_a_long_program_or_are_refused() -> None:
    rng = np.random.default_rng(0)
    layers = [rng.integers(-4, 5, (25, 10)), rng.integers(-4, 5, (11, 2))]
    assert distill(layers, (24,)).status is not None
    with pytest.raises(DistillError, match="at most 50"):
        distill(layers, (24,), longest=50)


def test_several_inputs_of_any_values() -> None:
    first = np.zeros((9, 4))
    first[[0, 1, 2, 3], [0, 1, 2, 3]], first[[4, 5, 6, 7], [0, 1, 2, 3]] = 1.7, -1.7
    layers = [first, np.array([[1.0, -1.0]] * 4 + [[0, 0]])]
    rng = np.random.default_rng(0)
    for values, inputs in {
        "bits": rng.integers(0, 2, (2, 50, 4)),
        "signs": 2 * rng.integers(0, 2, (2, 50, 4)) - 1,
        "integers": rng.integers(-9, 9, (2, 50, 4)),
        "reals": rng.standard_normal((2, 50, 4)),
    }.items():
        program = distill(layers, [(4,), (4,)], names=("a", "b"), values=values, returns="scores")
        votes = np.sign(inputs[0] - inputs[1]).sum(1)
        np.testing.assert_allclose(program(*inputs), np.stack([votes, -votes], 1))
        assert [len(block.terms) for block in program.blocks] == [2, 1, 1]


def test_positions_of_pairs_without_one_kind_of_line_join_the_others() -> None:
    program = distill(planted.argmax(4), (4,), returns="scores")
    values = np.random.default_rng(0).integers(0, 2, (20, 4))
    np.testing.assert_allclose(program(values), np.sign(values[:, :, None] - values[:, None]).sum(2))


def test_a_network_of_one_layer() -> None:
    program = distill([np.vstack([np.full((16, 2), 0.3), [0.6, -0.3]])], (4, 4), returns="scores")
    image = np.random.default_rng(0).integers(0, 2, (4, 4))
    np.testing.assert_allclose(program(image), 0.3 * image.sum() + [0.6, -0.3])
    assert all(along.whole for block in program.blocks for term in block.terms for along in term.along)


def test_large_noise_ends_in_a_verified_program_or_a_refusal() -> None:
    for seed in range(5):
        layers = planted.disturbed(planted.rule_110(7), seed, 0.1, outputs=True)
        try:
            program = distill(layers, (7,), returns="bits")
        except DistillError:
            continue
        states = np.array(list(itertools.product((0, 1), repeat=7)))
        np.testing.assert_array_equal(program(states), activations(as_layers(layers), states)[-1] > 0)


def test_layers_may_have_names():
    layers = planted.orientation(5)
    program = distill(layers, (5, 5), names=("image",), layer_names=("differentia", "subconcept", "concept"))
    assert {block.name.rstrip("12") for block in program.blocks} == {"differentia", "subconcept", "concept"}
    assert "differentia = np.sign(image.sum(-2)" in program.source
    for wrong in (("d", "s"), ("d", "s", "N"), ("image", "s", "y"), ("d", "i", "y")):
        with pytest.raises(ConfigError, match="must have a name"):
            distill(layers, (5, 5), names=("image",), layer_names=wrong)


@pytest.mark.parametrize("wrong", [{"values": "others"}, {"returns": "code"}])
def test_unknown_options_are_refused(wrong):
    with pytest.raises(ConfigError, match="must be one of"):
        distill(planted.orientation(4), (4, 4), **wrong)
