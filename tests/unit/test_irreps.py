"""Irreducible representations against their definition, evaluated by loops, and against textbook characters."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import sympy

from mechlab.core.errors import ConfigError
from mechlab.groups import Group, group, irreps
from mechlab.groups.irrep import Irrep
from mechlab.groups.verification import verify
from mechlab.groups.young import adjacent_transpositions

NAMES = ["C1", "C2", "C7", "C12", "D1", "D2", "D3", "D4", "D7", "D8", "S1", "S2", "S3", "S4", "S5"]
NAMES += ["A1", "A2", "A3", "A4", "A5", "Q8", "Dic3", "Dic5", "Dic6"]


def assert_complete(some_group: Group) -> None:
    """The definition, for all pairs of elements: homomorphisms to orthogonal matrices that span all functions."""
    representations = irreps(some_group)
    n = some_group.order
    functions = []
    for rho in representations:
        for a in range(n):
            assert np.abs(rho.matrices[a] @ rho.matrices - rho.matrices[some_group.table[a]]).max() < 1e-9, rho.name
        assert np.abs(rho.matrices @ rho.matrices.transpose(0, 2, 1) - np.eye(rho.dimension)).max() < 1e-9, rho.name
        coefficients = rho.matrices.reshape(n, -1)
        assert np.linalg.matrix_rank(coefficients, tol=1e-6) == rho.size, rho.name
        functions.append(coefficients)
    assert representations[0].name == "trivial" and np.all(representations[0].matrices == 1)
    assert sum(rho.size for rho in representations) == n
    for first, second in itertools.combinations(functions, 2):
        assert np.abs(first.T @ second).max() < 1e-8 * n
    assert len({rho.name for rho in representations}) == len(representations)


@pytest.mark.parametrize("name", NAMES)
def test_irreps_are_homomorphisms_that_span_all_functions(name):
    assert_complete(group(name))


@pytest.mark.parametrize("name", ["C12", "D8", "S4"])
def test_weight_times_convolution_with_the_character_projects(name):
    some_group = group(name)
    values = np.random.default_rng(0).normal(size=some_group.order)
    total = np.zeros_like(values)
    for rho in irreps(some_group):
        basis = np.linalg.svd(rho.matrices.reshape(some_group.order, -1))[0][:, : rho.size]
        projection = basis @ (basis.T @ values)
        quotients = some_group.table[:, some_group.inverses]  # x y^-1
        np.testing.assert_allclose(rho.weight * rho.character[quotients] @ values, projection, atol=1e-12)
        transform = np.einsum("x,xij->ij", values, rho.matrices)
        np.testing.assert_allclose(rho.weight * (transform**2).sum(), (projection**2).sum(), atol=1e-12)
        total += projection
    np.testing.assert_allclose(total, values, atol=1e-12)


def names(name: str) -> list[str]:
    return [rho.name for rho in irreps(group(name))]


def test_names_and_order_are_those_of_the_published_networks():
    assert names("C7") == ["trivial", "freq_1", "freq_2", "freq_3"]
    assert names("C6") == ["trivial", "sign", "freq_1", "freq_2"]
    assert names("D5") == ["trivial", "sign", "freq_1", "freq_2"]
    assert names("D6") == ["trivial", "sign", "parity", "parity_sign", "freq_1", "freq_2"]
    assert names("Q8") == ["trivial", "sign", "parity", "parity_sign", "freq_1"]
    assert names("Dic5") == ["trivial", "sign", "freq_1", "freq_2", "freq_3", "freq_4", "freq_5"]
    assert [rho.kind[0] for rho in irreps(group("Dic5"))] == list("rrqrqrc")
    assert names("S3") == ["trivial", "sign", "standard"]
    assert names("S4") == ["trivial", "sign", "standard", "standard_sign", "2d"]
    labels = {rho.name: rho.label for rho in irreps(group("S5"))}
    assert list(labels) == ["trivial", "sign", "standard", "standard_sign", "5d_a", "5d_b", "6d"]
    assert (labels["5d_a"], labels["5d_b"], labels["6d"]) == ("(2, 2, 1)", "(3, 2)", "(3, 1, 1)")


def test_symmetric_characters_count_fixed_points_and_inversions():
    some_group = group("S5")
    by_name = {rho.name: rho for rho in irreps(some_group)}
    fixed = np.array([sum(image == point for point, image in enumerate(x)) for x in some_group.elements])
    inversions = np.array([sum(a > b for a, b in itertools.combinations(x, 2)) for x in some_group.elements])
    sign = (-1.0) ** inversions
    np.testing.assert_allclose(by_name["sign"].character, sign, atol=1e-12)
    np.testing.assert_allclose(by_name["standard"].character, fixed - 1, atol=1e-12)
    np.testing.assert_allclose(by_name["standard_sign"].character, sign * (fixed - 1), atol=1e-12)
    np.testing.assert_allclose(by_name["5d_a"].character, sign * by_name["5d_b"].character, atol=1e-12)
    # functions on the 10 unordered pairs are trivial + standard + (3, 2)
    pairs = list(itertools.combinations(range(5), 2))
    fixed_pairs = np.array([sum({x[a], x[b]} == {a, b} for a, b in pairs) for x in some_group.elements])
    np.testing.assert_allclose(by_name["5d_b"].character, fixed_pairs - fixed, atol=1e-12)


def test_alternating_names_and_characters_are_those_of_the_textbook():
    assert names("A4") == ["trivial", "standard", "2d"]
    by_name = {rho.name: rho for rho in irreps(group("A5"))}
    assert list(by_name) == ["trivial", "standard", "5d_a", "3d_a", "3d_b"]
    golden = (1 + np.sqrt(5)) / 2
    examples = {  # identity, (0 1)(2 3), (0 1 2), (0 1 2 3 4), its square
        "standard": [4, 0, 1, -1, -1],
        "5d_a": [5, 1, -1, 0, 0],
        "3d_a": [3, -1, 0, golden, 1 - golden],  # (0 1 2 3 4) turns the icosahedron by 72 degrees
        "3d_b": [3, -1, 0, 1 - golden, golden],
    }
    elements = [(0, 1, 2, 3, 4), (1, 0, 3, 2, 4), (1, 2, 0, 3, 4), (1, 2, 3, 4, 0), (2, 3, 4, 0, 1)]
    for name, characters in examples.items():
        rows = [group("A5").index(element) for element in elements]
        np.testing.assert_allclose(by_name[name].character[rows], characters, atol=1e-12)


def test_3d_b_of_a5_is_3d_a_after_conjugation_with_a_transposition():
    some_group = group("A5")
    by_name = {rho.name: rho for rho in irreps(some_group)}
    exchange = (1, 0, 2, 3, 4)
    twisted = [some_group.index(tuple(exchange[x[exchange[i]]] for i in range(5))) for x in some_group.elements]
    np.testing.assert_allclose(by_name["3d_a"].character[twisted], by_name["3d_b"].character, atol=1e-12)
    assert np.allclose(np.linalg.det(by_name["3d_a"].matrices), 1)


@pytest.mark.parametrize("name", ["A4", "A5"])
def test_alternating_irreps_are_restrictions(name):
    whole = group(name.replace("A", "S"))
    places = [whole.index(element) for element in group(name).elements]
    mine = {rho.label: rho for rho in irreps(group(name)) if rho.label[-1] not in "+-"}
    restricted = {rho.label: rho for rho in irreps(whole)}
    for label, rho in mine.items():
        np.testing.assert_allclose(rho.matrices, restricted[label].matrices[places], atol=1e-12)


@pytest.mark.parametrize("partition", [(3, 1), (2, 2), (3, 2), (3, 1, 1), (2, 2, 1)])
def test_young_form_satisfies_the_coxeter_relations_exactly(partition):
    numbers = adjacent_transpositions(partition)
    d = numbers.shape[1]
    exact = [sympy.Matrix(d, d, [_root(value) for value in matrix.ravel()]) for matrix in numbers]
    for i, first in enumerate(exact):
        assert np.abs(np.array(first.evalf(), dtype=float) - numbers[i]).max() < 1e-15
        assert first == first.T and (first**2).applyfunc(sympy.simplify) == sympy.eye(d)
        for second in exact[i + 1 :]:
            times = 3 if second is exact[i + 1] else 2
            assert ((first * second) ** times).applyfunc(sympy.simplify) == sympy.eye(d)


def _root(value: float):
    """The signed square root of a fraction that a number is."""
    return sympy.sign(value) * sympy.sqrt(sympy.Rational(Fraction(value**2).limit_denominator(1000)))


def test_dihedral_matrices_are_those_of_the_published_networks():
    rho = irreps(group("D7"))[3]
    for r in range(7):
        c, s = np.cos(2 * np.pi * 2 * r / 7), np.sin(2 * np.pi * 2 * r / 7)
        np.testing.assert_allclose(rho.matrices[r], [[c, -s], [s, c]], atol=1e-12)
        np.testing.assert_allclose(rho.matrices[r + 7], [[c, s], [s, -c]], atol=1e-12)


@pytest.mark.parametrize("name", ["C7", "D7", "S4"])
def test_results_are_cached_and_read_only(name):
    first, second = irreps(group(name)), irreps(group(name))
    assert first is not second and all(a is b for a, b in zip(first, second, strict=True))
    with pytest.raises(ValueError, match="read-only"):
        first[-1].matrices[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        first[-1].character[0] = 0


def damaged(name: str, **changes) -> tuple[Group, list[Irrep]]:
    result = irreps(group(name))
    last = result[-1]
    given = {"name": last.name, "matrices": last.matrices, "kind": last.kind} | changes
    return group(name), [*result[:-1], Irrep(**given)]


@pytest.mark.parametrize(
    ("case", "must"),
    [
        (lambda: damaged("D5", matrices=irreps(group("D5"))[-1].matrices.transpose(0, 2, 1)), "multiply as the group"),
        (lambda: damaged("S4", matrices=irreps(group("S4"))[-1].matrices @ np.diag([1.0, 1 + 1e-8])), "multiply as"),
        (lambda: damaged("D5", kind="complex"), "complex type"),
        (lambda: damaged("C5", kind="real"), "real type"),
        (lambda: damaged("D5", matrices=irreps(group("D5"))[-2].matrices), "characters must be orthogonal"),
        (lambda: (group("S4"), irreps(group("S4"))[:-1]), "add up to 24"),
    ],
)
def test_each_check_refuses_what_it_is_for(case, must):
    some_group, wrong = case()
    with pytest.raises(ConfigError, match=must):
        verify(some_group, wrong)


def test_skewed_matrices_are_refused():
    some_group, basis = group("D5"), np.array([[1.0, 0.5], [0.0, 1.0]])
    rho = irreps(some_group)[-1]
    skewed = np.linalg.inv(basis) @ rho.matrices @ basis
    with pytest.raises(ConfigError, match="must be orthogonal"):
        verify(some_group, [*irreps(some_group)[:-1], Irrep(rho.name, skewed)])


@pytest.mark.ci
@pytest.mark.parametrize("name", ["S6", "S7", "A6", "A7"])
def test_larger_groups_pass_their_checks(name):
    representations = irreps(group(name))
    assert sum(rho.size for rho in representations) == group(name).order
    complex_ones = [rho.label for rho in representations if rho.kind != "real"]
    assert complex_ones == (["(4, 1, 1, 1)"] if name == "A7" else [])


def test_names_of_s6():
    labels = {rho.name: rho.label for rho in irreps(group("S6"))}
    assert list(labels)[:6] == ["trivial", "sign", "standard", "standard_sign", "5d_a", "5d_b"]
    assert (labels["5d_a"], labels["5d_b"]) == ("(3, 3)", "(2, 2, 2)")
    assert (labels["9d_a"], labels["9d_b"]) == ("(4, 2)", "(2, 2, 1, 1)")
    assert (labels["10d_a"], labels["10d_b"], labels["16d"]) == ("(4, 1, 1)", "(3, 1, 1, 1)", "(3, 2, 1)")
