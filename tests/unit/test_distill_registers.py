"""Integer and Boolean codes of hidden states, and the programs whose registers they are, against planted ones."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mechlab.distill.recurrent.booleans import boolean_code
from mechlab.distill.recurrent.encoding import encoding
from mechlab.distill.recurrent.expressions import Expression, Name, evaluate, operation
from mechlab.distill.recurrent.lattices import lattice_code
from mechlab.distill.recurrent.linear import Realization, markov_parameters, realization
from mechlab.distill.recurrent.observed import Observed, Reading
from mechlab.distill.recurrent.program import RecurrentProgram, Register
from mechlab.distill.recurrent.registers import (
    boolean_programs,
    encodings,
    lattice_programs,
    linear_program,
    register_programs,
)
from mechlab.tasks.mips_rules import RULES

NOISE = 1e-3
SEEDS = range(20)


def rotated(codes: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return states (..., H) of codes (..., m) in a random basis of a rotated space with noise, the basis and the offset."""
    count = codes.shape[-1]
    size = count + int(rng.integers(4))
    turn = np.linalg.qr(rng.normal(size=(size, size)))[0]
    basis = (rng.normal(size=(count, count)) / 2 + 2 * np.eye(count)) @ turn[:count]
    offset = rng.normal(size=size)
    states = codes @ basis + offset
    return states + NOISE * rng.normal(size=states.shape), basis, offset


def observed_of(program: RecurrentProgram, inputs: np.ndarray, rng: np.random.Generator, low: int, high: int) -> Observed:
    """Return what a network does whose hidden states are a program's registers in a random basis, with noise."""
    registers = tuple(Name(register.name) for register in program.registers)
    codes = RecurrentProgram(program.inputs, program.registers, registers)(inputs)
    states, basis, offset = rotated(codes, rng)
    initial = np.array([register.initial for register in program.registers]) @ basis + offset
    outputs = program(inputs)
    return Observed(inputs, states, outputs, outputs + 0.0, initial, low, high, lambda x: Reading(states, outputs))


def random_lattice_program(rng: np.random.Generator) -> RecurrentProgram:
    """Return a program of one to three integer registers with random updates and random sums as outputs."""
    count = int(rng.integers(1, 4))
    labels, x = "stu"[:count], Name("x")
    updates: list[Expression] = []
    for k, label in enumerate(labels):
        own = Name(label)
        kinds = [own + x, own + 2 * x, operation("max", own, x), (own + x) % int(rng.integers(3, 8)), x + own // 3]
        kinds += [Name(labels[k - 1])] if k else [x]
        updates.append(kinds[int(rng.integers(len(kinds)))])
    outputs = []
    for k in range(count):
        weights = rng.integers(-2, 3, count)
        weights[k] = int(rng.choice([-1, 1, 2]))
        total: Expression = int(weights[0]) * Name(labels[0]) if count else x
        for weight, label in zip(weights[1:], labels[1:], strict=True):
            total = total + int(weight) * Name(label)
        outputs.append(total)
    registers = tuple(Register(label, 0, update) for label, update in zip(labels, updates, strict=True))
    return RecurrentProgram(("x",), registers, tuple(outputs))


def random_bit_program(rng: np.random.Generator) -> RecurrentProgram:
    """Return a program of two or three bits with random Boolean updates that reach all combinations."""
    from mechlab.distill.recurrent.expressions import Table

    while True:
        count = int(rng.integers(2, 4))
        labels = "stu"[:count]
        index = operation("+", Name("x"), 0)
        for k, label in enumerate(labels):
            index = index + 2 ** (k + 1) * Name(label)
        tables = rng.integers(0, 2, (count + 1, 2 ** (count + 1)))
        updates = [Table(tuple(map(int, table)), index) for table in tables]
        registers = tuple(Register(label, 0, update) for label, update in zip(labels, updates, strict=False))
        program = RecurrentProgram(("x",), registers, (updates[-1],))
        places = RecurrentProgram(("x",), registers, tuple(map(Name, labels)))(rng.integers(0, 2, (500, 10, 1)))
        counts = np.unique(places.reshape(-1, count), axis=0, return_counts=True)[1]
        if len(counts) == 2**count and counts.min() > 20:
            return program


def test_planted_lattices_are_recovered_twenty_times_of_twenty() -> None:
    recovered = 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        count = 1 + seed % 3
        if seed % 2:
            codes = rng.integers(-15, 16, (3000, count))
        else:
            codes = np.cumsum(rng.integers(0, 4, (300, 10, count)), 1).reshape(-1, count)
        code = lattice_code(rotated(codes, rng)[0])
        assert code is not None and code.integers.shape == (3000, count)
        design = np.column_stack([codes, np.ones(3000)])
        change = np.linalg.lstsq(design, code.integers.astype(float), rcond=None)[0]
        whole = np.abs(change - np.rint(change)).max() < 1e-6
        recovered += bool(whole and round(abs(np.linalg.det(change[:-1]))) == 1)
    assert recovered == 20


def test_planted_boolean_codes_are_recovered_twenty_times_of_twenty() -> None:
    recovered = 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        bits = rng.integers(0, 2, (3000, 1 + seed % 5))
        states = rotated(bits, rng)[0]
        code = boolean_code(states)
        assert code is not None
        assert (code.read(states) == code.integers).all()
        expected = sorted(map(tuple, (bits ^ bits[:1]).T.tolist()))
        recovered += sorted(map(tuple, code.integers.T.tolist())) == expected
    assert recovered == 20


@pytest.mark.parametrize("size", [1, 2, 3])
def test_states_without_structure_have_no_code(size: int) -> None:
    states = np.random.default_rng(size).normal(size=(2000, size))
    assert lattice_code(states) is None
    assert boolean_code(states) is None


@pytest.mark.parametrize("points", [3, 5, 6, 7])
def test_a_number_of_points_that_is_no_power_of_two_has_no_bits(points: int) -> None:
    rng = np.random.default_rng(points)
    centres = rng.normal(size=(points, 3))
    assert boolean_code(centres[rng.integers(0, points, 1000)]) is None


def test_eight_points_in_general_position_have_no_bits() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(8, 3))
    assert boolean_code(centres[rng.integers(0, 8, 1000)] + NOISE * rng.normal(size=(1000, 3))) is None


@pytest.mark.ci
def test_programs_of_planted_lattices_are_recovered_twenty_times_of_twenty() -> None:
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        planted = random_lattice_program(rng)
        observed = observed_of(planted, rng.integers(0, 5, (1500, 10, 1)), rng, 0, 4)
        program = next(lattice_programs(observed), None)
        assert program is not None, planted
        for length, count in ((10, 1000), (100, 100), (1000, 10)):
            fresh = rng.integers(0, 5, (count, length, 1))
            assert (program(fresh) == planted(fresh)).all(), (seed, length)


@pytest.mark.ci
def test_programs_of_planted_bits_are_recovered_twenty_times_of_twenty() -> None:
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        planted = random_bit_program(rng)
        observed = observed_of(planted, rng.integers(0, 2, (1500, 10, 1)), rng, 0, 1)
        program = next(boolean_programs(observed), None)
        assert program is not None, planted
        for length, count in ((10, 1000), (100, 100), (1000, 10)):
            fresh = rng.integers(0, 2, (count, length, 1))
            assert (program(fresh) == planted(fresh)).all(), (seed, length)
