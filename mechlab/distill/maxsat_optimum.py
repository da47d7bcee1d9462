"""The optimum of MAX-SAT."""

from __future__ import annotations

import importlib.util

import numpy as np

from mechlab.core.errors import ConfigError
from mechlab.distill.cnf import CNF

EXHAUSTIVE = 16  # variables
CHUNK = 4096  # assignments


def optimum(cnf: CNF) -> np.ndarray:
    """Return an assignment that satisfies as many clauses as any, bool (variables,): of formulas with at most 16
    variables the first in the order FALSE...FALSE, FALSE...TRUE, ..., TRUE...TRUE; else one by RC2 of python-sat.

    Raises:
        ConfigError: there are more variables, and python-sat is not installed.

    Source: Ignatiev, Morgado and Marques-Silva, "RC2: an efficient MaxSAT solver", JSAT 11 (2019).
    """
    check_solver(cnf.variables)
    return _exhaustive(cnf) if cnf.variables <= EXHAUSTIVE else _rc2(cnf)


def _exhaustive(cnf: CNF) -> np.ndarray:
    literals = cnf.literals().T.astype(np.float32)  # (2 variables, clauses)
    places = np.arange(cnf.variables)[::-1]
    best, most = np.zeros(cnf.variables, bool), -1
    for first in range(0, 2**cnf.variables, CHUNK):
        numbers = np.arange(first, min(first + CHUNK, 2**cnf.variables))
        values = (numbers[:, None] >> places & 1).astype(bool)
        true = np.stack([values, ~values], axis=2).reshape(len(values), -1).astype(np.float32)
        counts = (true @ literals > 0).sum(1)
        if counts.max() > most:
            best, most = values[counts.argmax()], counts.max()
    return best


def check_solver(variables: int, key: str | None = None) -> None:
    """Raise ConfigError if the optimum of so many variables needs python-sat, which is not installed."""
    if variables > EXHAUSTIVE and importlib.util.find_spec("pysat") is None:
        must = f"the optimum of a formula with more than {EXHAUSTIVE} variables needs python-sat"
        raise ConfigError(must, got=f"{variables} variables", key=key, fix="pip install 'mechlab[maxsat]'")


def _rc2(cnf: CNF) -> np.ndarray:
    from pysat.examples.rc2 import RC2
    from pysat.formula import WCNF

    formula = WCNF()
    for clause in filter(None, cnf.clauses):
        formula.append(list(clause), weight=1)
    with RC2(formula) as solver:
        true = set(solver.compute() or ())
    return np.array([variable in true for variable in range(1, cnf.variables + 1)])
