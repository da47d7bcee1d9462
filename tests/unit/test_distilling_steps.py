"""Steps of the distiller, each against a slow reference or a planted truth."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from mechlab.distill.arranging import Arrangement, arrange
from mechlab.distill.boxes import boxes, fewest_boxes
from mechlab.distill.decomposing import decompose
from mechlab.distill.integers import small_integers
from mechlab.distill.snapping import Snapping, Sums, snap, snap_outputs


@pytest.mark.parametrize("seed", range(20))
def test_boxes_add_up_to_the_patch(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grid = rng.integers(-1, 3, [(9,), (4, 5), (3, 2, 3)][seed % 3]) * (rng.random() < 0.7)
    points = np.argwhere(grid)
    if not len(points):
        return
    total = np.zeros_like(grid)
    made = boxes(points, grid[tuple(points.T)])
    for value, first, last in made:
        total[tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))] += value
    np.testing.assert_array_equal(total, grid)
    assert fewest_boxes(points, grid[tuple(points.T)]) <= len(made) <= len(points)


def test_a_window_without_its_middle_is_two_boxes() -> None:
    window = np.ones((3, 3), int)
    window[1, 1] = 0
    points = np.argwhere(window)
    assert boxes(points, np.ones(8, int)) == ((1, (0, 0), (2, 2)), (-1, (1, 1), (1, 1)))


@pytest.mark.parametrize("level", ["lines", "completed", "points"])
@pytest.mark.parametrize("where", ["all", "less", "different"])
def test_parts_add_up_to_the_weights(level: str, where: str) -> None:
    rng = np.random.default_rng(0)
    n = 6
    first, second = np.arange(n)[:, None], np.arange(n)
    exists = {"all": np.ones((n, n), bool), "less": first < second, "different": first != second}[where]
    table = np.zeros((30, n, n), int)
    for unit in table:
        unit += rng.integers(-2, 3)
        unit[rng.integers(n)] += rng.integers(-2, 3)
        unit[:, rng.integers(n)] += rng.integers(-2, 3)
        unit[rng.integers(n), rng.integers(n)] += rng.integers(-2, 3)
    table = np.where(exists, table, 0)
    total = np.zeros_like(table)
    for whole, part in decompose(table, exists, level):
        total += part.reshape(len(table), *[1 if summed else n for summed in whole])
    np.testing.assert_array_equal(np.where(exists, total, 0), table)


def test_a_column_minus_a_row_without_the_crossing_is_two_lines() -> None:
    table = np.zeros((1, 5, 5), int)
    table[0, :, 3] += 1
    table[0, 1] -= 1
    parts = dict(decompose(table, None, "lines"))
    assert [np.count_nonzero(parts[whole]) for whole in [(True, False), (False, True), (False, False)]] == [1, 1, 0]


def positions(arrangement: Arrangement, moduli: list[int]) -> list[tuple[int, ...]]:
    """Return the translations of the units in row-major order, by loops."""
    made = []
    for index in itertools.product(*map(range, arrangement.sizes)):
        if arrangement.where == "less" and not index[0] < index[1]:
            continue
        if arrangement.where == "different" and index[0] == index[1]:
            continue
        row = []
        for place, modulus in zip(arrangement.columns, moduli, strict=True):
            value = place.start
            if place.axis is not None:
                k = index[place.axis]
                value = place.listed[k] if place.listed else place.sign * k + place.start
            row.append(value % modulus if modulus else value)
        made.append(tuple(row))
    return made


TABLES = {
    "a grid": ([(a, b, 7 - a) for a in range(2, 5) for b in range(3)], [0, 0, 0], 1, "all"),
    "pairs": ([(a, b) for a in range(4) for b in range(a + 1, 4)], [0, 0], 1, "less"),
    "pairs the other way": ([(b, a) for a in range(4) for b in range(a + 1, 4)], [0, 0], 1, "less"),
    "different": ([(a, b) for a in range(4) for b in range(4) if a != b], [0, 0], 1, "different"),
    "a ring": ([(a, (a + 5) % 6) for a in range(6)], [6, 6], 1, "all"),
    "irregular wires": ([(0, 3), (1, 1), (2, 5), (7, 2)], [0, 0], 1, "all"),
    "one unit": ([(4, 2)], [0, 0], 1, "all"),
}


@pytest.mark.parametrize("name", TABLES)
def test_arrangements_have_the_positions_of_all_units(name: str) -> None:
    rows, moduli, count, where = TABLES[name]
    table = np.array(rows)[np.random.default_rng(0).permutation(len(rows))]
    for way in arrange(table, moduli):
        assert sorted(unit for part in way for unit in part.units) == list(range(len(rows)))
        for part in way:
            assert positions(part, moduli) == [tuple(map(int, table[unit])) for unit in part.units]
    (way, *_) = arrange(table, moduli)
    assert len(way) == count and way[0].where == where


def test_two_separate_ranges_are_two_grids_or_a_list() -> None:
    ways = arrange(np.array([[0], [1], [2], [7], [8]]), [0])
    assert sorted(len(way) for way in ways) == [1, 2]


@pytest.mark.parametrize("noise", [0.0, 1e-3])
def test_integers_are_found_at_any_scale(noise: float) -> None:
    rng = np.random.default_rng(0)
    for planted in ([1, 1, 1, -1, -1], [27] * 30 + [-1] * 60, [2, 3, 3, 3, 2, 2, 2], [13, 13, -3, -3, -3, 13]):
        weights = 0.37 * np.array(planted) * (1 + noise * rng.standard_normal(len(planted)))
        np.testing.assert_array_equal(small_integers(weights, 1e-2 if noise else 1e-9), planted)
    assert small_integers(rng.standard_normal(30), 1e-2) is None


def sums(weights: np.ndarray, bias: np.ndarray) -> Sums:
    return Sums(weights, bias, np.abs(weights), np.abs(bias))


@pytest.mark.parametrize("noise", [0.0, 1e-3])
def test_a_tie_stays_a_tie_and_other_biases_are_in_the_middle(noise: float) -> None:
    rng = np.random.default_rng(0)
    weights = np.ones((20, 40)) * np.exp(rng.uniform(-2, 2, 40))
    bias = -weights[0] * np.where(np.arange(40) < 20, 7, 11.3)
    weights, bias = (part * (1 + noise * rng.standard_normal(part.shape)) for part in (weights, bias))
    made = snap(sums(weights, bias), ["bits"] * 20, Snapping(1e-2, 0.0, 10))
    np.testing.assert_array_equal(made.weights, 1)
    assert made.bias == [Fraction(-7)] * 20 + [Fraction(-23, 2)] * 20
    assert made.equal_biases == [None] * 20 + [(Fraction(-12), Fraction(-11))] * 20


def test_outputs_have_one_scale() -> None:
    weights = 0.2 * np.array([[13.0, -13, 0], [3, -3, 26]])
    made = snap_outputs(sums(weights, np.array([0.0, 0.2, 0])), Snapping(1e-2, 0.0, 10))
    np.testing.assert_array_equal(made.weights, np.rint(weights / 0.2))
    assert made.bias == [0, 1, 0] and made.scale == pytest.approx(0.2)
