import itertools
from fractions import Fraction

import numpy as np
import pytest

from mechlab.distill.threshold_unit import (
    VALUES,
    boolean_formula,
    canonical_bias,
    implicants,
    reachable,
    signs_of,
    smallest,
)


def table(weights, bias, kinds):
    """The unit's sign on every input, one input at a time."""
    inputs = itertools.product(*[VALUES[kind] for kind in kinds])
    sums = [sum(Fraction(w) * v for w, v in zip(weights, values, strict=True)) + Fraction(bias) for values in inputs]
    return [(value > 0) - (value < 0) for value in sums]


def least_by_enumeration(signs, kinds, most):
    """The least sum |w| of integer weights at most `most` with these signs, by trying them all."""
    inputs = np.array(list(itertools.product(*[VALUES[kind] for kind in kinds])))
    weights = np.array(list(itertools.product(range(-most, most + 1), repeat=len(kinds))))
    doubled = np.arange(-2 * most * len(kinds) - 1, 2 * most * len(kinds) + 2)  # biases
    tables = np.sign(2 * inputs @ weights.T[:, :, None].transpose(2, 0, 1) + doubled[:, None, None])
    equal = (tables == np.array(signs)[:, None]).all(1).any(0)
    return np.abs(weights[equal]).sum(1).min()


@pytest.mark.parametrize("kind", ["bits", "signs", "ternary"])
def test_the_smallest_unit_has_the_same_table_and_the_least_weights(kind):
    rng = np.random.default_rng(0)
    for trial in range(6):
        kinds = (kind,) * 3
        given = [int(weight) for weight in rng.integers(-2, 3, 3)]
        bias = Fraction(int(rng.integers(-4, 5)), 2)
        unit = smallest([float(w) for w in given], float(bias), kinds)
        signs = table(given, bias, kinds)
        assert table(unit.weights, unit.bias, kinds) == signs
        assert sum(map(abs, unit.weights)) == least_by_enumeration(signs, kinds, 2), trial


def test_noise_that_changes_no_sign_changes_nothing():
    rng = np.random.default_rng(1)
    exact = smallest([1, 1, 1, -1, -1], 0, "signs")
    assert exact.weights == (1, 1, 1, -1, -1) and exact.bias == 0 and exact.equal_biases is not None
    for _ in range(20):
        noisy = rng.uniform(0.93, 1.07, 5) * [1, 1, 1, -1, -1]
        assert smallest(noisy * 17.3, 2.1, "signs") == exact


def test_the_smallest_unit_follows_permutations():
    rng = np.random.default_rng(2)
    weights = rng.normal(size=7)
    unit = smallest(weights, 0.2, "bits")
    order = rng.permutation(7)
    moved = smallest(weights[order], 0.2, "bits")
    assert moved.weights == tuple(np.array(unit.weights)[order]) and moved.bias == unit.bias


def test_an_input_without_influence_has_weight_zero():
    unit = smallest([1.0, 1.0, 0.1], -1.5, "bits")
    assert unit.weights == (1, 1, 0) and unit.equal_biases == (-2, -1)


def test_zeros_stay_zeros_and_more_than_ten_inputs_are_refused():
    unit = smallest([0.2, -0.2], 0.0, "signs")
    assert unit.weights == (1, -1) and unit.bias == 0 and unit.equal_biases is None
    assert smallest(np.ones(11), -5.5, "bits") is None
    assert smallest(np.append(np.ones(10), 0), -5.5, "bits").weights == (1,) * 10 + (0,)


def test_reachable_sums_are_those_of_an_enumeration():
    rng = np.random.default_rng(3)
    for kinds in (("bits",) * 5, ("signs",) * 4, ("ternary", "bits", "signs", "ternary")):
        weights = rng.integers(-9, 10, len(kinds))
        inputs = itertools.product(*[VALUES[kind] for kind in kinds])
        expected = sorted({int(np.dot(weights, values)) for values in inputs})
        assert reachable(weights, kinds).tolist() == expected


def test_the_bias_is_exact_at_ties_and_in_the_middle_otherwise():
    assert canonical_bias([1, 1, 1], -2.0001, "bits", error=0.001) == (-2, None)
    assert canonical_bias([1, 1, 1], -2.2, "bits", error=0.001) == (Fraction(-5, 2), (-3, -2))
    assert canonical_bias([3, 5], -4.2, "bits", error=0.3) == (-4, (-5, -3))  # 4 is no sum of 3 and 5
    for bias in (-7.0, 5.0):  # never reached
        value, _ = canonical_bias([1, 1, 1], bias, "bits")
        assert (signs_of([1, 1, 1], value, "bits") == signs_of([1, 1, 1], bias, "bits")).all()


@pytest.mark.parametrize("kind", ["bits", "signs"])
def test_formulas_have_the_units_truth_table_and_no_shorter_implicant(kind):
    rng = np.random.default_rng(4)
    low, high = VALUES[kind]
    for _ in range(30):
        weights, names = rng.integers(-3, 4, 5), "abcde"
        bias = Fraction(int(rng.integers(-9, 10)) * 2 + 1, 2)
        formula = boolean_formula(weights, bias, names, kind, most_terms=100)
        for values in itertools.product((low, high), repeat=5):
            truth = {name: value == high for name, value in zip(names, values, strict=True)}
            assert eval(formula, {}, truth) == (np.dot(weights, values) + bias > 0)
        for product in implicants(weights, bias, kind):
            for k in np.flatnonzero(product):  # without one of its literals it does not imply the unit
                rest = [value if m != k else 0 for m, value in enumerate(product)]
                worst = [
                    high if v > 0 else low if v < 0 else low if w > 0 else high
                    for v, w in zip(rest, weights, strict=True)
                ]
                assert np.dot(weights, worst) + bias <= 0


def test_known_formulas():
    names = ("left", "self", "right")
    formula = boolean_formula((1, -2, 1), Fraction(-1, 2), names)
    assert formula == "left and not self or not self and right"
    assert boolean_formula((1, 1, 1), Fraction(1), names) == "True"
    assert boolean_formula((1, 1, 1), Fraction(-4), names) == "False"
    assert boolean_formula((), Fraction(1), ()) == "True"
    assert boolean_formula((1, 1, 0), Fraction(0), names, "signs") is None  # has ties
    assert boolean_formula((1, 1, 1), Fraction(-3, 2), names, most_terms=2) is None


def test_a_unit_on_which_the_presolver_of_milp_fails():
    """It ended the process, or proved that there is no solution where there is this one."""
    unit = smallest([-4, -4, 2, 4, 1, 7, -3, -1], 2.5, "ternary")
    assert unit.weights == (-4, -4, 2, 4, 1, 7, -3, -1) and unit.bias == Fraction(5, 2)
