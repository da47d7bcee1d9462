"""Cellular automata, Life, argmax and Boolean functions against loops over cells and bits."""

import itertools

import pytest
import torch

from mechlab.core.errors import ConfigError
from mechlab.core.task import SPLITS
from mechlab.tasks.argmax import Argmax
from mechlab.tasks.boolean import Boolean
from mechlab.tasks.cellular_automaton import CellularAutomaton
from mechlab.tasks.distinct import distinct_bits, first_occurrences
from mechlab.tasks.life_step import LifeStep


def step_by_loops(rule, cells):
    n = len(cells)
    return [rule >> (4 * cells[i - 1] + 2 * cells[i] + cells[(i + 1) % n]) & 1 for i in range(n)]


def life_by_loops(grid):
    n, after = len(grid), []
    for i, j in itertools.product(range(n), repeat=2):
        places = itertools.product((-1, 0, 1), repeat=2)
        living = sum(grid[(i + down) % n][(j + right) % n] for down, right in places if (down, right) != (0, 0))
        after.append(int(living == 3 or (living == 2 and grid[i][j])))
    return after


@pytest.mark.parametrize("rule", [0, 30, 90, 110, 184, 255])
def test_a_step_of_a_rule_agrees_with_a_loop_over_the_cells(rule):
    for size in (3, 7):
        batch = CellularAutomaton(rule, size).examples("train")
        expected = [step_by_loops(rule, row) for row in batch.inputs.int().tolist()]
        assert batch.targets.int().tolist() == expected


def test_rule_110_is_the_published_one():
    """From one living cell the pattern grows to the left: 1, 11, 111, 1101."""
    task, rows = CellularAutomaton(110, 9), []
    cells = torch.zeros(1, 9)
    cells[0, -1] = 1
    for _ in range(4):
        rows.append("".join(str(int(cell)) for cell in cells[0]))
        cells = task.targets(cells)[0]
    assert rows == ["000000001", "000000011", "000000111", "000001101"]


def test_all_rules_at_once_read_the_rule_from_the_input():
    task = CellularAutomaton("all", 5, examples=500)
    assert task.input_parts == {"rule": (8,), "cells": (5,)} and task.spec.shape == (13,)
    batch, rules = task.examples("train"), set()
    for row, after in zip(batch.inputs.int().tolist(), batch.targets.int().tolist(), strict=True):
        rule = sum(bit << k for k, bit in enumerate(row[:8]))
        rules.add(rule)
        assert after == step_by_loops(rule, row[8:])
    assert len(rules) > 150


def test_the_ground_truth_holds_for_rings_and_tori_of_any_size():
    rng = torch.Generator().manual_seed(0)
    ring = torch.randint(2, (1, 2000), generator=rng).float()
    after, defined = CellularAutomaton(30, 7).ground_truth().targets(ring)
    assert defined.all() and after[0].int().tolist() == step_by_loops(30, ring[0].int().tolist())
    torus = torch.randint(2, (1, 1, 40, 40), generator=rng).float()
    after, defined = LifeStep(8).ground_truth().targets(torus)
    assert defined.all() and after[0].int().tolist() == life_by_loops(torus[0, 0].int().tolist())


def test_life_agrees_with_a_loop_over_the_cells():
    for size in (3, 6):
        batch = LifeStep(size, examples=20).examples("train")
        expected = [life_by_loops(grid) for grid in batch.inputs[:, 0].int().tolist()]
        assert batch.targets.int().tolist() == expected


def neighbourhoods(task):
    tori = task.examples("train").inputs.long()
    shifts = itertools.product((-1, 0, 1), repeat=2)
    return sum(tori.roll(shift, (2, 3)) << k for k, shift in enumerate(shifts)).unique()


def test_all_neighbourhoods_of_life_are_trained_on():
    assert len(neighbourhoods(LifeStep())) == 512
    assert len(neighbourhoods(LifeStep(examples=10))) < 512


@pytest.mark.parametrize(
    ("task", "sizes"),
    [
        (CellularAutomaton(110, 7), (96, 16, 16)),
        (CellularAutomaton(110, 9), (200, 156, 156)),
        (CellularAutomaton(110, 100, held_out=50), (200, 50, 50)),
        (LifeStep(3), (200, 156, 156)),
        (Boolean(3), (6, 1, 1)),
        (Argmax(4, examples=30, held_out=20), (30, 20, 20)),
        (Argmax(4, held_out=20), (4, 20, 20)),
    ],
)
def test_splits_have_the_declared_sizes(task, sizes):
    assert tuple(len(task.examples(split)) for split in SPLITS) == sizes


def test_argmax_is_learned_from_the_unit_vectors_and_tested_on_random_ones():
    task = Argmax(5, held_out=50)
    train, test = task.examples("train"), task.examples("test")
    assert torch.equal(train.inputs, torch.eye(5)) and train.targets.tolist() == list(range(5))
    assert test.targets.tolist() == [row.index(max(row)) for row in test.inputs.tolist()]
    targets, defined = task.ground_truth().targets(torch.tensor([[1.0, 1, 0, 0, 0], [0, 0, 2, 1, 0]]))
    assert defined.tolist() == [False, True] and targets[1] == 2


FORMULAS = {
    "x0 & ~x1 | x2": lambda a, b, c: (a and not b) or c,
    "not (x0 or x1) and x2": lambda a, b, c: not (a or b) and c,
    "x0 ^ x1 ^ x2": lambda a, b, c: (a + b + c) % 2 == 1,
    "~x0 & x1 ^ 1": lambda a, b, c: (not a and b) != 1,
    "1": lambda a, b, c: True,
}


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_formula_has_the_values_of_python(formula):
    inputs = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3)))
    expected = [[float(bool(FORMULAS[formula](*map(int, row))))] for row in inputs.tolist()]
    assert Boolean(3, formula).targets(inputs)[0].tolist() == expected


REFUSED = ["x3", "x0 + x1", "x0 if x1 else x2", "f(x0)", "x0.real", "2", "True", "", "x00", "y", "x0 &", "x0 < x1"]
REFUSED += ["-x0", "(" * 5000, "~" * 1000 + "x0", "__import__('os')", "x0\0"]


@pytest.mark.parametrize("formula", REFUSED, ids=range(len(REFUSED)))
def test_what_is_no_formula_is_refused(formula):
    with pytest.raises(ConfigError, match=r"made of x0 to x2(.|\n)*task\.formula"):
        Boolean(3, formula)


def test_a_truth_table_lists_the_lowest_bit_first():
    task = Boolean(2, table=(0, 1, 0, 0))
    assert task.targets(torch.tensor([[1.0, 0], [0, 1.0], [1, 1]]))[0].tolist() == [[1], [0], [0]]


@pytest.mark.parametrize("table", [(0, 1), (0,) * 8])
def test_a_truth_table_of_another_length_is_refused(table):
    with pytest.raises(ConfigError, match=r"4 values(.|\n)*task\.table"):
        Boolean(2, table=table)


def test_a_formula_and_a_table_are_refused():
    with pytest.raises(ConfigError, match="both"):
        Boolean(2, "x0", (0, 1, 0, 1))


def test_the_random_unit_is_a_threshold_function_of_its_seed():
    """No input has a sum that another of the same weights contradicts, and the seed of the examples does not matter."""
    task, same, other = Boolean(8), Boolean(8, seed=3), Boolean(8, unit_seed=1)
    inputs = torch.tensor(list(itertools.product([0.0, 1.0], repeat=8)))
    values = task.targets(inputs)[0]
    assert torch.equal(values, same.targets(inputs)[0]) and not torch.equal(values, other.targets(inputs)[0])
    sums = [sum(w * (2 * x - 1) for w, x in zip(task.weight.tolist(), row, strict=True)) for row in inputs.tolist()]
    firing = [total for total, value in zip(sums, values[:, 0].tolist(), strict=True) if value]
    silent = [total for total, value in zip(sums, values[:, 0].tolist(), strict=True) if not value]
    assert max(silent) < min(firing)


def test_inputs_that_are_no_bits_are_refused():
    with pytest.raises(ConfigError, match="must be bits"):
        CellularAutomaton().check_inputs(torch.full((1, 9), 0.5))


def test_distinct_bits_are_distinct_and_complete():
    rng = torch.Generator().manual_seed(0)
    assert len({tuple(row) for row in distinct_bits(16, 4, rng).tolist()}) == 16
    assert len({tuple(row) for row in distinct_bits(500, 40, rng).tolist()}) == 500
    with pytest.raises(ValueError, match="at most 8"):
        distinct_bits(9, 3, rng)
    rows = torch.tensor([[1, 2], [3, 4], [1, 2], [0, 1]])
    assert first_occurrences(rows).tolist() == [0, 1, 3]
