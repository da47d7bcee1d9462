"""Algorithms for MAX-SAT against textbook versions that follow one formula clause by clause."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from mechlab.core.errors import ConfigError
from mechlab.distill import maxsat_optimum
from mechlab.distill.cnf import CNF, binomial_formula, random_k_sat
from mechlab.distill.maxsat import assignments, satisfied, solve
from mechlab.distill.maxsat_optimum import optimum
from mechlab.distill.polynomial import Polynomial
from mechlab.distill.program import WHOLE, Along, Block, Input, Program, Term

NAMES = ["random", "greedy", "three_quarters", "johnson", "distilled"]
# Mean shares of satisfied clauses by numbers of variables and clauses, in the order of NAMES.
RECORDED = {
    (5, 20): (0.873, 0.971, 0.953, 0.977, 0.980),
    (5, 50): (0.877, 0.943, 0.923, 0.947, 0.947),
    (10, 40): (0.875, 0.970, 0.951, 0.983, 0.978),
    (10, 100): (0.875, 0.945, 0.919, 0.948, 0.946),
    (50, 200): (0.876, 0.967, 0.953, 0.977, 0.977),
    (100, 1000): (0.874, 0.943, 0.918, 0.948, 0.947),
    (300, 3000): (0.876, 0.941, 0.918, 0.948, 0.946),
    "binomial": (0.819, 0.884, 0.869, 0.903, 0.899),
}
OPTIMUM = {(5, 20): 0.993, (5, 50): 0.961, (10, 40): 0.996, (10, 100): 0.967}


def share(cnf: CNF, values: np.ndarray) -> float:
    """Return the share of satisfied clauses, clause by clause."""
    return np.mean([any(values[abs(v) - 1] == (v > 0) for v in clause) for clause in cnf.clauses])


def probability(algorithm: str, cnf: CNF, before: list[bool]) -> float:
    """Return the probability with which an algorithm sets the next variable, from its definition."""
    x = len(before) + 1

    def state(values):
        """Return the numbers of satisfied and of falsified clauses, and the unassigned literals of the others."""
        true = {v if value else -v for v, value in enumerate(values, 1)}
        left = [[v for v in clause if abs(v) > len(values)] for clause in cnf.clauses if not true.intersection(clause)]
        return len(cnf.clauses) - len(left), sum(not clause for clause in left), left

    left = state(before)[2]
    with_x, with_not = [c for c in left if x in c], [c for c in left if -x in c]
    if algorithm == "random":
        return 0.5
    if algorithm == "greedy":
        return 0.5 + 0.5 * np.sign(len(with_x) - len(with_not))
    if algorithm == "johnson":
        return float(sum(0.5 ** len(c) for c in with_x) >= sum(0.5 ** len(c) for c in with_not))
    if algorithm == "distilled":
        units = sum(len(c) == 1 for c in with_x) - sum(len(c) == 1 for c in with_not)
        longer = sum(len(c) > 1 for c in with_x) - sum(len(c) > 1 for c in with_not)
        return 1 / (1 + math.exp(-2 * (10 * units + 2.298 * longer)))

    def bound(values):
        true, false, _ = state(values)
        return (true + len(cnf.clauses) - false) / 2

    t, f = (bound([*before, value]) - bound(before) for value in (True, False))
    return 1.0 if f <= 0 else 0.0 if t <= 0 else t / (t + f)


class Recorder(np.random.Generator):
    """A generator that a textbook run shares with the vectorised one: the same coins in the same order."""

    def __init__(self, coins: list[float]):
        super().__init__(np.random.PCG64(0))
        self.coins = coins

    def random(self, shape):
        return np.full(shape, self.coins.pop(0))


@pytest.mark.parametrize("algorithm", NAMES)
def test_each_choice_follows_the_definition(algorithm):
    """One formula and one trial at a time, with given coins: the same assignment as a textbook loop."""
    rng = np.random.default_rng(1)
    formulas = [random_k_sat(5, 12, 3, rng) for _ in range(15)] + [binomial_formula(5, 9, 2, rng) for _ in range(15)]
    formulas += [CNF(3, ((1,), (-1,), (), (2, -2), (-3, 1), (3, 2)))]
    for cnf in formulas:
        coins, expected = rng.random(cnf.variables).tolist(), []
        for coin in coins:
            expected.append(coin < probability(algorithm, cnf, expected))
        assert solve(cnf, algorithm, Recorder(list(coins))).tolist() == expected


def test_formulas_and_trials_are_solved_together_as_one_by_one():
    rng = np.random.default_rng(2)
    formulas = [random_k_sat(6, clauses, 3, rng) for clauses in (5, 30, 12)] + [CNF(6, ())]
    together = assignments(formulas, "johnson", trials=2)
    assert together.shape == (4, 2, 6)
    for cnf, rows in zip(formulas, together, strict=True):
        assert (rows == solve(cnf, "johnson")).all()
    shares = satisfied(formulas, together)
    assert np.allclose(shares[:3, 0], [share(cnf, rows[0]) for cnf, rows in zip(formulas[:3], together, strict=False)])
    assert (shares[3] == 1).all()


def test_the_optimum_is_that_of_all_assignments(monkeypatch):
    rng = np.random.default_rng(3)
    monkeypatch.setattr(maxsat_optimum, "CHUNK", 10)
    for cnf in [random_k_sat(5, 30, 3, rng) for _ in range(10)] + [CNF(2, ((), (1,), (-1,), (-1, 2)))]:
        best = max(share(cnf, np.array(values)) for values in itertools.product([False, True], repeat=cnf.variables))
        assert share(cnf, optimum(cnf)) == pytest.approx(best)


def test_the_solver_agrees_with_exhaustion():
    pytest.importorskip("pysat", reason="python-sat is not installed")
    rng = np.random.default_rng(4)
    for cnf in [random_k_sat(8, 60, 3, rng) for _ in range(5)] + [CNF(3, ((), (1,), (-1,), (2, -2)))]:
        assert share(cnf, maxsat_optimum._rc2(cnf)) == pytest.approx(share(cnf, optimum(cnf)))
    assert solve(random_k_sat(20, 60, 3, rng), "optimum").shape == (20,)


def test_no_solver_is_refused_with_the_extra(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="python-sat") as error:
        optimum(CNF(17, ((1,),)))
    assert "mechlab[maxsat]" in error.value.fix


def test_an_unknown_algorithm_and_unequal_formulas_are_refused():
    with pytest.raises(ConfigError, match="algorithm must be") as error:
        solve(CNF(1, ()), "jonson")
    assert "johnson" in error.value.fix
    with pytest.raises(ConfigError, match="equally many"):
        assignments([CNF(1, ()), CNF(2, ())], "greedy")
    with pytest.raises(ConfigError, match="memory"):
        assignments([CNF(3, ((1,),))], "greedy", trials=10**15)


def majority(slots: int | Polynomial, columns: int | Polynomial) -> Program:
    """Return a program that counts clauses with the first variable minus those with its negation."""
    first, second = (Along(*[Polynomial.of(k)] * 2) for k in (0, 1))
    terms = Term(Polynomial.of(1), "x", (WHOLE, first)), Term(Polynomial.of(-1), "x", (WHOLE, second))
    other = tuple(Term(-term.coefficient, "x", term.along) for term in terms)
    shape = Polynomial.of(slots), Polynomial.of(columns)
    blocks = (Block("true", (), terms, activation="linear"), Block("false", (), other, activation="linear"))
    return Program((Input("x", shape),), blocks, ("true", "false"))


@pytest.mark.parametrize(
    "program", [majority(60, 20), majority(Polynomial((0, 10)), Polynomial((0, 2)))], ids=["one size", "many sizes"]
)
def test_a_scorer_is_used_for_one_variable_after_the_other(program):
    """Counting literals is greedy, with the same coins."""
    rng = np.random.default_rng(5)
    formulas = [random_k_sat(7, clauses, 3, rng) for clauses in (10, 40)]
    for scorer in (program, lambda x: np.stack([x[:, :, 0].sum(1), x[:, :, 1].sum(1)], axis=1)):
        assert (assignments(formulas, scorer, 6, trials=5) == assignments(formulas, "greedy", 6, trials=5)).all()


def test_a_formula_that_is_too_large_for_a_scorer_is_refused():
    with pytest.raises(ConfigError, match="at most 60 clauses and 10 variables"):
        solve(random_k_sat(11, 20, 3, np.random.default_rng(0)), majority(60, 20))
    with pytest.raises(ConfigError, match="one input"):
        solve(CNF(1, ()), Program((Input("x", (Polynomial.of(2),)),), (), ()))


@pytest.mark.ci
@pytest.mark.parametrize("size", RECORDED, ids=str)
def test_recorded_means_are_reproduced(size):
    """Within .005 or two standard errors of means over 15 other formulas and over these."""
    rng, count = np.random.default_rng(7), 15 if size in [(100, 1000), (300, 3000)] else 60
    if size == "binomial":
        formulas = [binomial_formula(50, 500, 3, rng) for _ in range(count)]
    else:
        formulas = [random_k_sat(*size, 3, rng) for _ in range(count)]
    values = {
        **dict(zip(NAMES, RECORDED[size], strict=True)),
        **({"optimum": OPTIMUM[size]} if size in OPTIMUM else {}),
    }
    for algorithm, recorded in values.items():
        shares = satisfied(formulas, assignments(formulas, algorithm, rng, trials=5)).mean(1)
        error = shares.std(ddof=1) * math.sqrt(1 / 15 + 1 / count)
        assert abs(shares.mean() - recorded) <= max(0.005, 2 * error), (algorithm, shares.mean(), recorded)
