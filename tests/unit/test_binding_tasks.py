"""The tasks of variable binding, each against a loop over its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mechlab.core.errors import ConfigError
from mechlab.tasks.arithmetic import Arithmetic
from mechlab.tasks.clock_automaton import ClockAutomaton
from mechlab.tasks.coded import draw_codes
from mechlab.tasks.compose_copy import ComposeCopy
from mechlab.tasks.copying_memory import CopyingMemory
from mechlab.tasks.dynamical_system import DynamicalSystem
from mechlab.tasks.fibonacci import Fibonacci
from mechlab.tasks.game_of_life import GameOfLife
from mechlab.tasks.game_of_life_scanning import GameOfLifeScanning
from mechlab.tasks.integer_fibonacci import IntegerFibonacci
from mechlab.tasks.linear_binding import LinearBinding
from mechlab.tasks.logic import Logic
from mechlab.tasks.phases import Phases
from mechlab.tasks.repeat_copy import RepeatCopy


def drawn(task, n=20, seed=0):
    return task.generate(n, "train", torch.Generator().manual_seed(seed))


def rolled_out(batch, s, rule):
    """The targets by a loop over examples, steps and components: rule(states so far, t, j) -> z_t[j]."""
    expected = np.zeros(batch.targets.shape)
    for row, inputs in enumerate(batch.inputs.double().numpy()):
        states = [list(vector) for vector in inputs[:s]]
        for t in range(s, len(inputs)):
            states.append([rule(states, t, j) for j in range(inputs.shape[1])])
            expected[row, t] = states[t]
    return expected


@settings(max_examples=25)
@given(d=st.integers(2, 8), s=st.integers(2, 8), seed=st.integers(0, 10**6))
def test_linear_binding_iterates_the_companion_matrix_to_the_bit(d, s, seed):
    rng = np.random.default_rng(seed)
    cells, signs = rng.choice(s * d, d, replace=False).tolist(), rng.choice([-1, 1], d).tolist()
    task = LinearBinding(d, s, horizon=30, cells=cells, signs=signs)
    batch = drawn(task, seed=seed)
    phi = torch.from_numpy(task.ground_truth().matrix)
    window = batch.inputs[:, :s].double().flatten(1)
    for t in range(s, s + 30):
        window = window @ phi.T
        assert torch.equal(window[:, -d:].float(), batch.targets[:, t])
    assert not batch.targets[:, :s].any() and batch.mask[0].tolist() == [False] * s + [True] * 30


def test_t1_is_repeat_copy_and_any_horizon_can_be_had():
    task = LinearBinding(id="T1", horizon=32)
    batch = drawn(task)
    assert torch.equal(RepeatCopy(8, 8, 4).targets(batch.inputs)[0], batch.targets)
    assert task.at_length(200).spec.length == 208
    assert LinearBinding(id=(255, 0, 0)).choice == task.choice


def test_the_linear_compositions_have_a_spectrum_and_the_others_a_rule():
    assert ComposeCopy("diagonal").ground_truth().rank == 36 == LinearBinding(id="T2").ground_truth().rank
    assert ComposeCopy("one", 8, 5).ground_truth().kind == "companion matrix"
    assert ComposeCopy("two", 8, 5).ground_truth().kind == Phases().ground_truth().kind == "dynamical system"
    batch = drawn(ComposeCopy("diagonal"))
    assert torch.equal(batch.targets, LinearBinding(id="T2").targets(batch.inputs)[0])


def test_compositions_follow_their_definitions():
    s, d = 5, 8
    one = drawn(ComposeCopy("one", d, s, 20))
    expected = rolled_out(one, s, lambda z, t, j: z[t - s][j] if j < d // 2 else -z[t - s + 1][j])
    assert np.array_equal(one.targets, expected)

    def two(z, t, j, published):
        q, a, b = d // 3, z[t - s], z[t - s + 1]
        if (t - s) % 2:
            return a[d // 2 + j] if j < d // 2 else b[j - d // 2]
        return -a[q + j] if j < q else b[d - q + j - q] if j < 2 * q else 0 if published else a[j]

    for compat in ("none", "published"):
        batch = drawn(ComposeCopy("two", d, s, 20, compat))
        expected = rolled_out(batch, s, lambda *place, published=compat == "published": two(*place, published))
        assert np.array_equal(batch.targets, expected)


def test_the_published_mix_dies_out_and_ours_does_not():
    published, own = (ComposeCopy("two", 8, 7, 100, compat) for compat in ("published", "none"))
    targets = drawn(published).targets[:, 7:]
    share = float((targets != 0).double().mean())
    assert share == pytest.approx(0.07, abs=0.005) and not targets[:, -20:].any()  # as published
    assert published.chance() == pytest.approx(share / 2, abs=0.01)
    batch = drawn(published)
    best = published.score(batch.targets, batch)["accuracy"].mean()
    assert float(best) == pytest.approx(share, abs=1e-6)
    assert (drawn(own).targets[:, 7:].abs() == 1).all()


def test_phases_and_fibonacci_follow_their_definitions():
    d = 6
    batch = drawn(Phases(d, 20))
    expected = rolled_out(batch, d, lambda z, t, j: (-1 if (t - d) % 6 <= 2 else 1) * z[t - d + j][j])
    assert np.array_equal(batch.targets, expected)
    batch = drawn(Fibonacci(5, 3, 20))
    expected = rolled_out(batch, 3, lambda z, t, j: 2 * (sum(z[t - k][j] > 0 for k in (1, 2, 3)) % 2) - 1)
    assert np.array_equal(batch.targets, expected)


def test_any_rule_can_be_given_and_a_wrong_one_is_named():
    task = DynamicalSystem(lambda window, step: -window[:, -1], d=3, s=2, horizon=4, ones=1.0)
    assert drawn(task).targets[0, :, 0].tolist() == [0, 0, -1, 1, -1, 1]
    with pytest.raises(ConfigError, match="rule must return states of shape"):
        drawn(DynamicalSystem(lambda window, step: window, d=3, s=2, horizon=4))


def neighbours(grid, i, j, outside=None):
    n = len(grid)
    total = 0
    for a in (-1, 0, 1):
        for b in (-1, 0, 1):
            corner = i + a in (-1, n) and j + b in (-1, n)
            if (a, b) != (0, 0) and not (corner and outside == "dead"):
                total += grid[(i + a) % n][(j + b) % n] > 0
    return total


def lives(grid, i, j, outside=None):
    count = neighbours(grid, i, j, outside)
    return 1 if count == 3 or (count == 2 and grid[i][j] > 0) else -1


def test_game_of_life_on_a_torus():
    n = 5
    batch = drawn(GameOfLife(n, 4))
    expected = rolled_out(batch, 1, lambda z, t, c: lives(np.reshape(z[-1], (n, n)), c // n, c % n))
    assert np.array_equal(batch.targets, expected)


@pytest.mark.parametrize("compat", ["none", "published"])
def test_scanning_life_updates_the_oldest_row(compat):
    d = 5
    batch = drawn(GameOfLifeScanning(d, 12, compat=compat))
    outside = "dead" if compat == "published" else None
    expected = rolled_out(batch, d, lambda z, t, j: lives([z[t - d + i] for i in range(d)], 0, j, outside))
    assert np.array_equal(batch.targets, expected)


def test_integer_fibonacci_counts():
    task = IntegerFibonacci(d=5, horizon=10)
    batch = drawn(task)
    powers = 2 ** np.arange(5)
    for row in range(len(batch)):
        a, b = ((batch.inputs[row, t] > 0).numpy() @ powers for t in (0, 1))
        numbers = []
        while len(numbers) < 10:
            numbers += [a, b, (a + b) % 32]
            a, b = b, (a + b) % 32
        assert (batch.targets[row, 2:].numpy() @ powers).tolist() == numbers[:10]


def test_arithmetic_and_logic_give_the_result():
    batch = drawn(Arithmetic(d=6, repeats=2), n=60)
    assert batch.inputs.shape == (60, 11, 6)
    for inputs, targets in zip(batch.inputs.numpy(), batch.targets.numpy(), strict=True):
        a, b, operator = inputs[:3]
        both, either = a[2:] * b[2:], np.maximum(a[2:], b[2:])
        rows = [a, b, operator, np.concatenate([[0, 0], both if operator[0] else either])]
        assert operator[:2].sum() == 1 and np.array_equal(targets[3:], np.array(rows * 2))
    s = 4
    batch = drawn(Logic(s), n=60)
    for inputs, targets in zip(batch.inputs.numpy(), batch.targets.numpy(), strict=True):
        assert inputs[:s, 1].all() and inputs[s : 2 * s, 2].all() and inputs[2 * s, 3:5].sum() == 1
        assert inputs[2 * s + 1].tolist() == [0, 0, 0, 0, 0, 1, 0] and not inputs[2 * s + 2 :].any()
        a, b = inputs[:s, 0], inputs[s : 2 * s, 0]
        result = a * b if inputs[2 * s, 3] else np.maximum(a, b)
        assert np.array_equal(targets[2 * s + 2 : 4 * s + 3], inputs[: 2 * s + 1])
        assert np.array_equal(targets[4 * s + 3 : 5 * s + 3, 0], result) and not targets[4 * s + 3 : -1, 1:].any()
        assert targets[-1].tolist() == [0] * 6 + [1] and not targets[: 2 * s + 2].any()
    with pytest.raises(ConfigError, match="5 s"):
        Logic().check_inputs(torch.zeros(1, 10, 7))


def test_copying_memory_waits():
    task = CopyingMemory(symbols=4, s=3, delay=5)
    batch = drawn(task)
    letters = batch.inputs.argmax(-1)
    assert letters.shape == (20, 11) and (letters[:, :3] < 4).all()
    assert letters[0, 3:].tolist() == [4, 4, 4, 4, 5, 4, 4, 4]
    assert torch.equal(batch.targets[:, -3:], letters[:, :3]) and (batch.targets[:, :-3] == 4).all()
    with pytest.raises(ConfigError, match="steps"):
        task.targets(batch.inputs[:, :6])


def test_the_clock_changes_the_automaton():
    batch = drawn(ClockAutomaton(40))
    for letters, states in zip(batch.inputs.argmax(-1).tolist(), batch.targets.tolist(), strict=True):
        state = 0
        for t, letter in enumerate(letters):
            if letter:
                state = letter - 1 if t % 6 < 3 else {1: 0, 2: 2, 3: 1}[letter]
            assert states[t] == state
    shares = batch.inputs.mean((0, 1))
    assert shares.tolist() == pytest.approx([0.1, 0.3, 0.3, 0.3], abs=0.06)


@pytest.mark.parametrize("count", [10, 19, 27, 1000])
def test_codes_of_the_splits_are_disjoint_and_complete(count):
    seen = {
        split: set(draw_codes(20 * count, count, split, torch.Generator().manual_seed(0)).tolist())
        for split in ("train", "val", "test")
    }
    assert set.union(*seen.values()) == set(range(count)) and sum(map(len, seen.values())) == count
    with pytest.raises(ValueError, match="at least 10"):
        draw_codes(1, 9, "val", torch.Generator())


@pytest.mark.parametrize(
    "options, message",
    [
        ({}, "exactly one"),
        ({"id": "T1", "cycles": [3]}, "exactly one"),
        ({"id": "T1", "d": 4}, "d = s = 8"),
        ({"id": (3, 0, 0)}, "ones"),
        ({"cells": [0, 1]}, "one for each"),
        ({"id": "T1", "signs": [1]}, "must come with task.cells"),
        ({"cycles": [100]}, "fit"),
    ],
)
def test_wrong_rules_are_refused_with_their_key(options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        LinearBinding(**options)
    assert caught.value.key.startswith("task.")
