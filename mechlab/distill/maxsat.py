"""Algorithms for MAX-SAT: satisfy as many clauses of a formula as possible.

All but the optimum assign the variables in the order of their numbers. Before each assignment they look at the clauses
that no earlier assignment has satisfied, and at how many of a clause's literals are still unassigned (its length). They
are defined in `mechlab.distill.maxsat_rules`:

    random          a fair coin
    greedy          the value that satisfies more clauses; a fair coin on a tie
    three_quarters  the randomised 3/4-approximation
    johnson         the value that satisfies more weight, where a clause of length r weighs 2^-r; TRUE on a tie
    distilled       what the published distilled program computes: a random majority of literals with two weights
    optimum         an assignment of greatest score: by exhaustion, or by python-sat past 16 variables

A scorer, a function or a Program, reads the literal matrix of a whole formula and scores the two values of its first
variable; `mechlab.distill.maxsat_scorer` describes how it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from mechlab.core.errors import ConfigError, did_you_mean
from mechlab.core.memory import check_memory
from mechlab.distill.cnf import CNF
from mechlab.distill.maxsat_optimum import optimum
from mechlab.distill.maxsat_rules import RULES, Rule, Step
from mechlab.distill.maxsat_scorer import Scorer, rule_of
from mechlab.distill.program import Program

Algorithm = Literal["random", "greedy", "three_quarters", "johnson", "distilled", "optimum"]
Rng = int | np.random.Generator


def solve(
    cnf: CNF | Sequence[Sequence[int]], algorithm: Algorithm | Program | Scorer = "johnson", rng: Rng = 0
) -> np.ndarray:
    """Return an assignment of a formula's variables, bool (variables,).

    Args:
        cnf: the formula, or its clauses, each a sequence of literals v and -v; variables are then 1 to the largest v.
        algorithm: a name, or a scorer.
        rng: seed or generator of coins, for algorithms that toss some.

    Raises:
        ConfigError: there is no such algorithm, the formula has more clauses or variables than a scorer reads, or the
            optimum of more than 16 variables is wanted where python-sat is not installed.

    Example:
        >>> solve([[1], [-1, -2], [2, 1]], "johnson").tolist()
        [True, False]
    """
    return assignments([cnf if isinstance(cnf, CNF) else CNF.of(cnf)], algorithm, rng)[0, 0]


def assignments(
    cnfs: Sequence[CNF], algorithm: Algorithm | Program | Scorer, rng: Rng = 0, trials: int = 1
) -> np.ndarray:
    """Return assignments of F formulas with equally many variables, bool (F, trials, variables); each trial has coins
    of its own.

    Args:
        cnfs: the formulas.
        algorithm, rng: as in `solve`.
        trials: number of assignments of each formula.

    Raises:
        ConfigError: as in `solve`; or the formulas have different numbers of variables, or do not fit into memory.
    """
    numbers = {cnf.variables for cnf in cnfs}
    if len(numbers) != 1:
        must = "formulas that are solved together must have equally many variables"
        raise ConfigError(must, got=", ".join(map(str, sorted(numbers))) or "no formula", key="cnfs")
    if not isinstance(algorithm, str):
        return _sequential(cnfs, rule_of(algorithm, cnfs), rng, trials)
    if algorithm == "optimum":
        return np.repeat(np.stack([optimum(cnf) for cnf in cnfs])[:, None], trials, axis=1)
    if algorithm not in RULES:
        names = get_args(Algorithm)
        must = f"algorithm must be a scorer, or one of {', '.join(names)}"
        raise ConfigError(must, got=algorithm, key="algorithm", fix=did_you_mean(algorithm, names) or None)
    return _sequential(cnfs, RULES[algorithm], rng, trials)


def satisfied(cnfs: Sequence[CNF], values: np.ndarray) -> np.ndarray:
    """Return the share of each formula's clauses that assignments (F, trials, variables) satisfy, (F, trials); 1 for a
    formula without clauses."""
    shares = []
    for cnf, rows in zip(cnfs, values, strict=True):
        true = np.stack([rows, ~rows], axis=2).reshape(len(rows), -1)  # literals
        falsified = true.astype(np.float32) @ cnf.literals().T.astype(np.float32) == 0
        shares.append(1 - falsified.sum(1) / max(len(cnf.clauses), 1))
    return np.array(shares)


def _sequential(cnfs: Sequence[CNF], rule: Rule, rng: Rng, trials: int) -> np.ndarray:
    """Assign one variable after the other, for all formulas and trials at once."""
    rng = np.random.default_rng(rng)
    count, slots = cnfs[0].variables, max(len(cnf.clauses) for cnf in cnfs)
    needed = 4 * len(cnfs) * count * slots + 30 * len(cnfs) * trials * slots
    check_memory(needed, f"{len(cnfs)} formulas of this size", "cnfs", "solve fewer formulas or trials together")
    literals = np.zeros((len(cnfs), 2 * count, slots), bool)
    remaining = np.zeros((len(cnfs), trials, slots), bool)
    for k, cnf in enumerate(cnfs):
        literals[k, :, : len(cnf.clauses)] = cnf.literals().T
        remaining[k, :, : len(cnf.clauses)] = True
    lengths = literals.sum(1)
    values = np.zeros((len(cnfs), trials, count), bool)
    for v in range(count):
        step = Step(v, literals, remaining, lengths)
        value = rng.random((len(cnfs), trials)) < rule(step)
        values[..., v] = value
        remaining &= ~np.where(value[..., None], step.positive, step.negative)
        lengths = lengths - literals[:, 2 * v] - literals[:, 2 * v + 1]
    return values
