"""Short integer expressions that are regressed from columns, against planted ones on fresh rows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mechlab.distill.recurrent.bases import primitive, separate_registers, small_steps
from mechlab.distill.recurrent.expressions import Name, Number, evaluate
from mechlab.distill.recurrent.formulas import minimal_products, sum_of_products
from mechlab.distill.recurrent.one_variable import function_of
from mechlab.distill.recurrent.regression import explain
from mechlab.distill.recurrent.sums import integer_fit, weighted

PLANTED = {
    "sum": lambda a, b, c: 3 * a - 2 * b + 7,
    "constant": lambda a, b, c: 0 * a + 4,
    "absolute value": lambda a, b, c: np.abs(a - b),
    "shifted absolute value": lambda a, b, c: np.abs(a + 2 * b + 3) - 1,
    "two absolute values": lambda a, b, c: np.abs(a) - np.abs(b),
    "larger": lambda a, b, c: np.maximum(a, b + 1),
    "smaller": lambda a, b, c: np.minimum(a + c, b),
    "remainder": lambda a, b, c: (a + 2 * c) % 7,
    "quotient": lambda a, b, c: (a + b + 1) // 5,
    "quotient in a sum": lambda a, b, c: a + c // 3,
    "comparison": lambda a, b, c: (a + b > 4).astype(int),
    "equality": lambda a, b, c: (a == b).astype(int),
    "table of a column": lambda a, b, c: a + np.array([3, -1, 4, 1, -5, 9])[c],
    "choice": lambda a, b, c: np.where(a + b < 0, -1, a - c),
}


def columns(seed: int, count: int = 4000) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(-20, 21, count), rng.integers(-20, 21, count), rng.integers(0, 6, count)]


@pytest.mark.parametrize("name", PLANTED)
def test_planted_functions_are_found(name: str) -> None:
    given, fresh = columns(0), columns(1)
    found = explain(PLANTED[name](*given), given, ["a", "b", "c"])
    assert found is not None
    assert (evaluate(found, dict(zip("abc", fresh, strict=True))) == PLANTED[name](*fresh)).all(), str(found)


@pytest.mark.parametrize("seed", range(6))
def test_position_of_the_largest_of_columns_and_zero_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = rng.permutation(3)
    given, fresh = rng.integers(-9, 10, (2, 3000, 2))

    def rule(table: np.ndarray) -> np.ndarray:
        return np.column_stack([np.zeros(len(table), int), table])[:, order].argmax(1)

    found = explain(rule(given), list(given.T), ["a", "b"])
    assert found is not None
    assert (evaluate(found, dict(zip("ab", fresh.T, strict=True))) == rule(fresh)).all()


def test_random_targets_have_no_expression() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(-1000, 1001, (2, 2000))
    assert explain(rng.integers(0, 5, 2000), [a, b], ["a", "b"]) is None


def test_equal_rows_with_different_targets_have_no_expression() -> None:
    assert explain(np.array([0, 1]), [np.array([3, 3])], ["a"]) is None


def test_tables_are_made_of_bounded_columns_only() -> None:
    rng = np.random.default_rng(0)
    walk = rng.integers(0, 6, 500)
    target = np.array([3, 1, 4, 1, 5, 9])[walk]
    assert explain(target, [walk], ["s"]) is not None
    found = explain(target, [walk], ["s"], [False])
    assert found is None or "[" not in str(found)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_products_equal_every_boolean_function(size: int) -> None:
    names = "abc"[:size]
    points = np.array(list(itertools.product((0, 1), repeat=size)))[:, ::-1]
    for table in itertools.product((0, 1), repeat=2**size):
        products = minimal_products({k for k, value in enumerate(table) if value}, set(), size)
        formula = sum_of_products(products, names)
        values = evaluate(formula, dict(zip(names, points.T, strict=True)))
        assert (values.astype(bool) == np.array(table, bool)).all()
        for fixed, bits in products:  # no literal can be left out
            for k in range(size):
                if fixed >> k & 1:
                    wider = fixed & ~(1 << k)
                    assert any(not table[p] for p in range(2**size) if p & wider == bits & wider)


def test_free_points_shorten_products() -> None:
    assert minimal_products({3}, {1, 2}, 2) in ([(1, 1)], [(2, 2)])
    assert minimal_products({0, 1, 2, 3}, set(), 2) == [(0, 0)]


@pytest.mark.parametrize("rows", [50, 500])
def test_dependent_columns_have_an_integer_fit(rows: int) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(-9, 10, (2, rows))
    fitted = integer_fit(np.stack([a, 2 * a, b, a + b], 1), 4 * a - b + 2)
    assert fitted is not None
    weights, constant = fitted
    assert constant == 2 and (np.stack([a, 2 * a, b, a + b], 1) @ weights == 4 * a - b).all()
    assert integer_fit(np.stack([2 * a, b], 1), a) is None  # a factor of one half


def test_text_of_a_weighted_sum() -> None:
    assert str(weighted([1, -2, 0, -1], "abcd", 3)) == "a - 2 * b - d + 3"
    assert weighted([0, 0], "ab", 5) == Number(5)


def test_a_table_needs_two_rows_for_each_value() -> None:
    values, results = np.arange(6), np.array([3, 1, 4, 1, 5, 9])
    assert function_of(values, results, np.full(6, 2), Name("x")) is not None
    assert function_of(values, results, np.array([2, 2, 1, 2, 2, 2]), Name("x")) is None


def test_registers_with_updates_of_their_own_are_separated() -> None:
    rng = np.random.default_rng(0)
    letters = rng.integers(0, 5, (80, 10, 1))
    total, largest = np.cumsum(letters[..., 0], 1), np.maximum.accumulate(letters[..., 0], 1)
    mixed = np.stack([total + largest, 2 * total + largest], -1)  # a unimodular change of both
    change = separate_registers(mixed, letters)
    assert change is not None and round(abs(np.linalg.det(change))) == 1
    registers = sorted(map(tuple, np.abs((mixed @ change.T).reshape(-1, 2)).T.tolist()))
    assert registers == sorted([tuple(total.reshape(-1).tolist()), tuple(largest.reshape(-1).tolist())])
    steps = small_steps(mixed)
    assert round(abs(np.linalg.det(steps))) == 1


def test_rows_of_a_basis() -> None:
    assert primitive([np.array([2, 3])])
    assert not primitive([np.array([2, 4])])
    assert primitive([np.array([1, 1, 0]), np.array([0, 1, 1])])
    assert not primitive([np.array([1, 1]), np.array([1, -1])])
