"""The spectrum of a companion matrix in closed form, against numpy and the published compositions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from mechlab.binding.companion import CompanionMatrix, cycle_roots

few = settings(max_examples=30)


def signed_selection(d: int, s: int, rng: np.random.Generator) -> np.ndarray:
    F = np.zeros((s * d, d))
    F[rng.integers(s * d, size=d), np.arange(d)] = rng.choice([-1.0, 1.0], d)
    return F


def published(a: int, b: int, c: int, d: int = 8, s: int = 8) -> np.ndarray:
    """The composition with the published id (a, b, c), by the published rule."""
    cells = [bit for bit in range(s * d) if a >> bit & 1]
    for i in range(d):
        b, g = divmod(b, d)
        cells[i], cells[i + g] = cells[i + g], cells[i]
    F = np.zeros((s * d, d))
    for i in range(d):
        F[cells[i], i] = -1 if c >> i & 1 else 1
    return F


def distance(a: np.ndarray, b: np.ndarray) -> float:
    cost = np.abs(a[:, None] - b[None])
    return cost[linear_sum_assignment(cost)].max()


def test_matrix_moves_the_window() -> None:
    rng = np.random.default_rng(0)
    F = rng.standard_normal((12, 3))
    window = rng.standard_normal((4, 3))
    system = CompanionMatrix(F)
    assert (system.d, system.s) == (3, 4)
    moved = np.vstack([window[1:], F.T @ window.reshape(-1)])
    np.testing.assert_allclose(system.matrix @ window.reshape(-1), moved.reshape(-1))


@few
@given(d=st.integers(1, 4), s=st.integers(1, 4), seed=st.integers(0, 10**6))
def test_cycle_rule_has_the_characteristic_polynomial(d: int, s: int, seed: int) -> None:
    system = CompanionMatrix(signed_selection(d, s, np.random.default_rng(seed)))
    # nilpotent parts make numerical eigenvalues useless; traces of powers are integers and exact
    values, power = system.eigenvalues(), np.eye(s * d)
    for exponent in range(1, s * d + 1):
        power = power @ system.matrix
        assert abs((values**exponent).sum() - np.trace(power)) < 1e-9
    assert system.rank == np.linalg.matrix_rank(power)
    assert len(values) == s * d


@pytest.mark.parametrize("seed", range(5))
def test_cycle_rule_agrees_with_numpy_on_signed_permutations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    F = np.zeros((12, 4))
    F[rng.permutation(4), np.arange(4)] = rng.choice([-1, 1], 4)  # all of the oldest block: no cell is lost
    system = CompanionMatrix(F)
    assert system.rank == 12
    assert distance(system.eigenvalues(), np.linalg.eigvals(system.matrix)) < 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_dense_systems_agree_with_numpy(seed: int) -> None:
    system = CompanionMatrix(np.random.default_rng(seed).standard_normal((6, 2)))
    assert distance(system.eigenvalues(), np.linalg.eigvals(system.matrix)) < 1e-9


@pytest.mark.parametrize(
    ("name", "cycles"),
    [
        ((255, 0, 0), [(8, 1)] * 8),
        ((9241421688590303745, 0, 0), [(length, 1) for length in range(1, 9)]),
        ((9241421688590303745, 262676, 189), [(3, -1), (3, -1), (6, -1), (24, -1)]),
        ((9241421688590303745, 38637, 145), [(1, -1), (35, 1)]),
    ],
)
def test_published_tasks_have_their_cycles(name: tuple[int, int, int], cycles: list[tuple[int, int]]) -> None:
    system = CompanionMatrix(published(*name))
    theory = np.concatenate([cycle_roots(length, sign) for length, sign in cycles])
    assert system.rank == len(theory)
    assert distance(system.spectrum, theory) < 1e-12


def test_repeat_copy_repeats() -> None:
    system = CompanionMatrix.repeat_copy(d=3, s=5)
    assert system.kind == "companion matrix"
    np.testing.assert_array_equal(np.linalg.matrix_power(system.matrix, 5), np.eye(15))
    np.testing.assert_allclose(system.spectrum**5, np.ones(15), atol=1e-12)


def test_a_forgetful_system_has_rank_zero() -> None:
    assert CompanionMatrix(np.zeros((6, 2))).rank == 0


@pytest.mark.parametrize("F", [np.zeros(3), np.zeros((3, 2)), np.zeros((0, 2))])
def test_refuses_other_shapes(F: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"F must have shape \(s\*d, d\)"):
        CompanionMatrix(F)
