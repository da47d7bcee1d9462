"""Elementary rules and Life: learned from random rings and tori, distilled, and run at sizes never seen."""

from __future__ import annotations

import numpy as np
import pytest

from mechlab.distill import distill, distill_sizes
from mechlab.distill.bitwise import bitwise_network, shared_inputs, windows
from mechlab.distill.essence import merged_network

KINDS = (0, 30, 110, 170)  # constant, chaotic, universal, a shift


def after_step(cells: np.ndarray, rule: int) -> np.ndarray:
    numbers = 4 * np.roll(cells, 1, -1) + 2 * cells + np.roll(cells, -1, -1)
    return rule >> numbers.astype(int) & 1


def after_generation(grids: np.ndarray) -> np.ndarray:
    around = sum(np.roll(grids, (i, j), (-2, -1)) for i in (-1, 0, 1) for j in (-1, 0, 1)) - grids
    return ((around == 3) | ((around == 2) & (grids == 1))).astype(int)


def learned(rule: int, size: int) -> list[np.ndarray]:
    """The network of a rule, of fifty random rings whose cells share examples."""
    cells = np.random.default_rng(size).integers(0, 2, (50, size)).astype(float)
    bits = after_step(cells, rule)
    return bitwise_network(cells, bits, shared_inputs(cells, bits, 3), merged_network)


@pytest.mark.parametrize(
    "rules", [KINDS, *(pytest.param(range(k, k + 32), marks=pytest.mark.ci) for k in range(0, 256, 32))]
)
def test_rules_of_200_rings_are_programs_for_rings_of_any_size(rules):
    cells = np.random.default_rng(0).integers(0, 2, (5, 2000))
    for rule in rules:
        networks = {size: learned(rule, size) for size in (7, 8, 9, 11)}
        program = distill_sizes(networks, input_shape=lambda size: (size,), values="bits", returns="bits")
        assert program.lines <= 10 and program.status == "lossless", rule
        np.testing.assert_array_equal(program(cells), after_step(cells, rule))


def learned_life(size: int) -> list[np.ndarray]:
    grids = np.random.default_rng(size).integers(0, 2, (200, size, size)).astype(float)
    points, bits = grids.reshape(200, -1), after_generation(grids).reshape(200, -1)
    return bitwise_network(points, bits, windows((size, size), 3), merged_network)


def test_life_is_a_program_of_few_lines():
    program = distill(learned_life(8), (8, 8), values="bits", returns="bits")
    assert program.lines <= 10 and program.status == "proved"
    grids = np.random.default_rng(0).random((50, 8, 8)) < np.linspace(0.05, 0.95, 50)[:, None, None]
    np.testing.assert_array_equal(program(grids).reshape(grids.shape), after_generation(grids.astype(float)))


@pytest.mark.ci
def test_life_of_small_tori_is_a_program_for_tori_of_any_size():
    networks = {size: learned_life(size) for size in (5, 6, 7, 8)}
    program = distill_sizes(networks, input_shape=lambda size: (size, size), values="bits", returns="bits")
    assert program.lines <= 10 and program.status == "proved"
    grid = np.random.default_rng(0).integers(0, 2, (256, 256))
    np.testing.assert_array_equal(program(grid).reshape(grid.shape), after_generation(grid))
