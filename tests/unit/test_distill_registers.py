"""Integer and Boolean codes of hidden states, and the programs whose registers they are, against planted ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mechlab.automata.mips_rules import RULES
from mechlab.distill.recurrent.assembling import register_values
from mechlab.distill.recurrent.booleans import boolean_code
from mechlab.distill.recurrent.encoding import encoding, origin_of, word_numbers
from mechlab.distill.recurrent.expressions import Expression, Name, Table, operation
from mechlab.distill.recurrent.lattices import lattice_code
from mechlab.distill.recurrent.linear import markov_parameters, realization
from mechlab.distill.recurrent.observed import Observed, Reading
from mechlab.distill.recurrent.program import RecurrentProgram, Register
from mechlab.distill.recurrent.registers import (
    boolean_programs,
    encodings,
    lattice_programs,
    linear_program,
    register_programs,
)

NOISE = 1e-3
SEEDS = range(20)


def rotated(codes: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return noisy states (..., H) of codes (..., m) in a random basis of a rotated space, the basis and the offset."""
    count = codes.shape[-1]
    size = count + int(rng.integers(4))
    turn = np.linalg.qr(rng.normal(size=(size, size)))[0]
    basis = (rng.normal(size=(count, count)) / 2 + 2 * np.eye(count)) @ turn[:count]
    offset = rng.normal(size=size)
    states = codes @ basis + offset
    return states + NOISE * rng.normal(size=states.shape), basis, offset


def observed_of(
    program: RecurrentProgram, inputs: np.ndarray, rng: np.random.Generator, low: int, high: int
) -> Observed:
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
        assert not program.registers or origin(program, observed) == ("states", "affine")
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
        assert not program.registers or origin(program, observed) == ("states", "affine")
        for length, count in ((10, 1000), (100, 100), (1000, 10)):
            fresh = rng.integers(0, 2, (count, length, 1))
            assert (program(fresh) == planted(fresh)).all(), (seed, length)


def delayed(x: np.ndarray, lag: int) -> np.ndarray:
    past = np.zeros_like(x)
    past[:, lag:] = x[:, : x.shape[1] - lag]
    return past


def scanned(entry: np.ndarray, step) -> np.ndarray:
    values, last = np.zeros_like(entry), np.zeros(len(entry), entry.dtype)
    for t in range(entry.shape[1]):
        last = step(last, entry[:, t])
        values[:, t] = last
    return values


def memory(name: str, x: np.ndarray) -> list[np.ndarray]:
    """Return what a network that solves a task of the benchmark has in its hidden states."""
    outputs = RULES[name].targets(x).astype(np.int64)
    last = [outputs[..., k] for k in range(outputs.shape[2])]
    c = x[..., 0]
    delays = {"parity_last2": 1, "parity_last3": 2, "parity_last4": 3, "alternating_last3": 2, "alternating_last4": 3}
    delays |= {"unique2": 1, "abs_value_of_diff": 1, "diff_last2": 1, "bit_shift_right": 1, "bit_palindromes": 10}
    delays |= {f"prev{k}": k for k in range(1, 6)} | {f"sum_last{k}": k - 1 for k in range(2, 8)}
    if name in delays:
        return [delayed(c, lag) for lag in range(delays[name])] + last
    if name.endswith("addition"):
        base = RULES[name].high + 1
        total = scanned(x.sum(-1), lambda v, e: e + v // base)
        return [total % base, total // base]
    if name.startswith("div_"):
        return [scanned(c, lambda r, bit: (2 * r + bit) % int(name[4:])), *last]
    if name.startswith("majority"):
        counts = [np.cumsum(c == value, 1) for value in range(RULES[name].high + 1)]
        return [count - counts[0] for count in counts[1:]]
    if name == "balanced_parenthesis":
        depth = np.cumsum(1 - 2 * c, 1)
        return [depth, np.minimum(np.minimum.accumulate(depth, 1), 0)]
    if name.startswith("newton_"):
        return [part for place in last for part in (place, place - delayed(place, 1))]
    extra = {"dithering": np.cumsum(c, 1) % 15, "diff_of_abs_value": np.abs(c)}
    return [*([extra[name]] if name in extra else []), *last]


NOT_PLANTED = {"alternating_last4"}  # the shortest program counts letters that alternate, and `memory` has no counter


def solved(name: str, rng: np.random.Generator) -> Observed:
    """Return a network that solves a task: its memory in a random basis, with noise, and the task's outputs."""
    rule = RULES[name]
    inputs = rule.integers(2000, rule.length, rng)
    codes = np.stack(memory(name, inputs), -1)
    states, _, offset = rotated(codes, rng)
    outputs = rule.targets(inputs).astype(np.int64)
    return Observed(
        inputs, states, outputs, outputs + 0.0, offset, rule.low, rule.high, lambda x: Reading(states, outputs)
    )


def origin(program: RecurrentProgram, observed: Observed) -> tuple:
    return origin_of(register_values(program, observed.inputs), observed.states, observed.words)


def check_solved(name: str) -> None:
    """The program is exact; the planted states determine its registers, and noise in place of them does not."""
    rule, rng = RULES[name], np.random.default_rng(0)
    observed = solved(name, rng)
    programs = list(register_programs(observed))
    assert programs, name
    program = min(programs, key=lambda candidate: candidate.size)
    of_states = program.registers and name not in NOT_PLANTED
    assert origin(program, observed)[0] == ("states" if of_states else "outputs")
    noise = replace(observed, states=rng.normal(size=observed.states.shape))
    assert all(origin(candidate, noise) == ("outputs", None) for candidate in programs)
    for length, count in ((10, 10_000), (100, 500), (1000, 50)):
        inputs = rule.integers(count, length, rng)
        assert (program(inputs) == rule.targets(inputs)).all(), (name, length)


@pytest.mark.parametrize("name", ["abs_value", "newton_spring", "prev3", "perfect_square_detector", "min"])
def test_program_of_a_solved_task_is_exact_at_length_1000(name: str) -> None:
    check_solved(name)


@pytest.mark.parametrize("name", ["unique2", "newton_freebody", "majority0_1", "base_4_addition"])
def test_registers_of_a_program_are_encoded_in_the_states(name: str) -> None:
    observed = solved(name, np.random.default_rng(1))
    program = next(register_programs(observed))
    codes = encodings(program, observed)
    assert {code.name for code in codes} == {register.name for register in program.registers}
    assert all(code.affine for code in codes)
    assert origin(program, observed) == ("states", "affine")


@pytest.mark.ci
@pytest.mark.parametrize("name", [name for name in RULES if name != "bit_palindromes"])
def test_programs_of_61_solved_tasks_are_exact_at_length_1000(name: str) -> None:
    check_solved(name)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in ("sum", "parity", "abs_value") else pytest.mark.ci) for name in RULES],
)
def test_programs_of_states_that_are_noise_come_from_the_outputs(name: str) -> None:
    rng = np.random.default_rng(2)
    observed = solved(name, rng)
    noise = replace(observed, states=rng.normal(size=observed.states.shape))
    assert all(origin(program, noise) == ("outputs", None) for program in register_programs(noise))


@pytest.mark.ci
def test_palindromes_have_no_program_with_a_few_registers() -> None:
    assert not list(register_programs(solved("bit_palindromes", np.random.default_rng(0))))


@pytest.mark.ci
def test_outputs_of_other_sequences_have_no_program() -> None:
    rng = np.random.default_rng(0)
    observed = solved("base_3_addition", rng)
    shuffled = observed.outputs[rng.permutation(len(observed.outputs))]
    assert not list(register_programs(replace(observed, outputs=shuffled, values=shuffled + 0.0)))


@pytest.mark.ci
def test_random_recurrent_network_has_no_program() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 5, (2000, 10, 1))
    inner, outer, readout = rng.normal(size=(4, 4)), rng.normal(size=(1, 4)), rng.normal(size=(4, 1))
    states, hidden = [], np.zeros((2000, 4))
    for t in range(10):
        hidden = np.tanh(hidden @ inner + inputs[:, t] @ outer)
        states.append(hidden)
    values = 5 * np.stack(states, 1) @ readout
    outputs = np.rint(values).astype(np.int64)
    query = lambda x: Reading(np.stack(states, 1), values)  # noqa: E731
    observed = Observed(inputs, np.stack(states, 1), outputs, values, np.zeros(4), 0, 4, query)
    assert len(np.unique(outputs)) > 3
    assert not list(register_programs(observed))


@pytest.mark.ci
def test_two_wrong_sequences_of_two_thousand_do_not_prevent_a_program() -> None:
    rng = np.random.default_rng(0)
    observed = solved("unique2", rng)
    outputs = observed.outputs.copy()
    outputs[[5, 900], 3] += 1
    program = next(register_programs(replace(observed, outputs=outputs)))
    fresh = rng.integers(0, 8, (500, 100, 1))
    assert (program(fresh) == RULES["unique2"].targets(fresh)).all()


def test_equal_words_have_equal_numbers() -> None:
    inputs = np.random.default_rng(0).integers(0, 2, (200, 5, 2))
    numbers: dict[tuple, int] = {}
    for row, line in zip(inputs.tolist(), word_numbers(inputs).tolist(), strict=True):
        for t in range(5):
            word = tuple(map(tuple, row[: t + 1]))
            assert numbers.setdefault(word, line[t]) == line[t]
    assert len(set(numbers.values())) == len(numbers)


def test_states_that_are_recognised_words_encode_nothing() -> None:
    """Each word has a random state of its own, so that a repeated word would have the register's value."""
    rng = np.random.default_rng(0)
    inputs = rng.integers(0, 2, (2000, 6, 1))
    words, total = word_numbers(inputs), np.cumsum(inputs[..., 0], 1)
    states = rng.normal(size=(words.max() + 1, 4))[words]
    assert encoding(states, total, nearest=True).read_out == "nearest"
    result = encoding(states, total, words=words, nearest=True)
    assert result.held == 63 and result.read_out is None
    assert origin_of({"s": total}, states, words) == ("outputs", None)
    assert origin_of({"s": total}, total[..., None] + 0.0, words) == ("states", "affine")
    assert origin_of({}, states, words) == ("outputs", None)
    assert origin_of({"s": total}, np.full_like(states, np.nan), words) == ("outputs", None)


def test_a_register_that_hardly_changes_is_not_encoded_by_a_constant() -> None:
    rng = np.random.default_rng(0)
    rare = np.zeros((1000, 10), int)
    rare.reshape(-1)[rng.choice(10_000, 30, replace=False)] = 1
    result = encoding(rng.normal(size=(1000, 10, 3)), rare, nearest=True)
    assert result.exact > 0.995 and result.floor > 0.995
    assert result.read_out is None
    assert encoding(rare[..., None] + 0.0, rare).affine
    constant = encoding(rng.normal(size=(1000, 10, 3)), np.zeros((1000, 10), int), nearest=True)
    assert (constant.r2, constant.floor, constant.read_out) == (0.0, 1.0, None)
    assert encoding(rng.normal(size=(1, 20, 1)), rng.integers(0, 2, (1, 20)), nearest=True).read_out is None


def test_read_outs_of_affine_codes_and_others() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (1000, 10, 2))
    states = bits @ rng.normal(size=(2, 3)) + NOISE * rng.normal(size=(1000, 10, 3))
    total, exclusive = encoding(states, bits.sum(-1)), encoding(states, bits[..., 0] ^ bits[..., 1], nearest=True)
    other = encoding(states, rng.integers(0, 2, (1000, 10)), nearest=True)
    assert total.affine and total.r2 > 0.999
    assert not exclusive.affine and exclusive.r2 < 0.1 and exclusive.nearest == 1
    assert not other.affine and other.nearest is not None and other.nearest < 0.6
    assert (total.read_out, exclusive.read_out, other.read_out) == ("affine", "nearest", None)
    words = np.arange(10_000).reshape(1000, 10)
    assert origin_of({"s": bits.sum(-1), "t": bits[..., 0] ^ bits[..., 1]}, states, words) == ("states", "nearest")


def simulate(transition: np.ndarray, entry: np.ndarray, readout: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Return the outputs (B, T, k) of an integer state space, with Python integers."""
    state = [[0] * len(transition) for _ in inputs]
    result = []
    for t in range(inputs.shape[1]):
        given = [[*map(int, letter[t]), 1] for letter in inputs]
        state = [
            [
                sum(int(a) * z for a, z in zip(row, old, strict=True))
                + sum(int(b) * u for b, u in zip(add, new, strict=True))
                for row, add in zip(transition, entry, strict=True)
            ]
            for old, new in zip(state, given, strict=True)
        ]
        result.append([[sum(int(c) * z for c, z in zip(row, z, strict=True)) for row in readout] for z in state])
    return np.array(result, object).transpose(1, 0, 2)


@pytest.mark.parametrize("seed", range(10))
def test_linear_rules_have_minimal_realizations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    order, channels, outputs = int(rng.integers(1, 4)), int(rng.integers(1, 3)), int(rng.integers(1, 3))
    transition = np.tril(rng.integers(-1, 2, (order, order)))
    entry, readout = rng.integers(-1, 3, (order, channels + 1)), rng.integers(-1, 2, (outputs, order))
    inputs = rng.integers(-5, 6, (200, 12, channels))
    targets = simulate(transition, entry, readout, inputs).astype(np.int64)
    markov = markov_parameters(inputs, targets)
    assert markov is not None
    system = realization(markov)
    assert system is not None and len(system.transition) <= order
    names = ("x",) if channels == 1 else ("a", "b")
    fresh = rng.integers(-5, 6, (3, 200, channels))
    expected = simulate(transition, entry, readout, fresh)
    assert (linear_program(system, names)(fresh) == expected).all()


def test_rules_that_are_not_linear_have_no_markov_parameters() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.integers(-5, 6, (300, 10, 1))
    assert markov_parameters(inputs, np.abs(inputs)) is None
    assert markov_parameters(inputs, np.cumsum(inputs, 1) // 2) is None
    assert markov_parameters(inputs[:8], inputs[:8]) is None  # too few sequences
    assert realization(rng.integers(-9, 10, (10, 1, 2))) is None  # no short recurrence


@pytest.mark.parametrize("size", [10**6 + 1, 2**40, 2**63 - 1, 2**63, 10**30])
def test_rules_with_large_entries_have_no_realization(size: int) -> None:
    assert realization(np.full((10, 1, 2), size, object)) is None
    assert realization(np.array([[[size**k, 0]] for k in range(10)], object)) is None
    assert realization(np.full((10, 1, 2), 10**6, object)) is not None


def test_outputs_that_are_no_integers_have_no_markov_parameters() -> None:
    inputs = np.random.default_rng(0).integers(-5, 6, (300, 10, 1))
    assert markov_parameters(inputs, np.full_like(inputs, np.iinfo(np.int64).min)) is None
    assert markov_parameters(inputs, inputs + 10**7) is None
