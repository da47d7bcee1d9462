"""Comparison of MAX-SAT algorithms on the same formulas."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mechlab.distill.cnf import CNF
from mechlab.distill.maxsat import Algorithm, Rng, assignments, satisfied
from mechlab.distill.maxsat_scorer import Scorer
from mechlab.distill.program import Program

REFERENCE = "johnson"


@dataclass(frozen=True)
class Comparison:
    """The mean score of an algorithm on some formulas, and its mean difference from Johnson's algorithm.

    Args:
        algorithm: its name.
        formulas: number of formulas.
        score: mean share of satisfied clauses.
        error: standard error of the score over formulas.
        difference: mean over formulas of the score minus that of Johnson's algorithm on the same formula.
        difference_error: standard error of the difference over formulas, from the paired differences.
    """

    algorithm: str
    formulas: int
    score: float
    error: float
    difference: float
    difference_error: float


def scores(cnfs: Sequence[CNF], algorithm: Algorithm | Program | Scorer, rng: Rng = 0, trials: int = 1) -> np.ndarray:
    """Return the mean share of satisfied clauses (F,) of each formula over the trials of an algorithm.

    Args:
        cnfs: F formulas, of any sizes.
        algorithm, rng, trials: as in `mechlab.distill.maxsat.assignments`.
    """
    rng, result = np.random.default_rng(rng), np.zeros(len(cnfs))
    for count in sorted({cnf.variables for cnf in cnfs}):
        rows = [k for k, cnf in enumerate(cnfs) if cnf.variables == count]
        together = [cnfs[k] for k in rows]
        result[rows] = satisfied(together, assignments(together, algorithm, rng, trials)).mean(1)
    return result


def compared(values: Mapping[str, np.ndarray]) -> list[Comparison]:
    """Return a row for each algorithm.

    Args:
        values: scores (F,) of the same formulas by the name of the algorithm, those of "johnson" among them.
    """
    rows = []
    for name, own in values.items():
        pairs = own - values[REFERENCE]
        rows.append(Comparison(name, len(own), own.mean(), standard_error(own), pairs.mean(), standard_error(pairs)))
    return rows


def standard_error(values: np.ndarray) -> float:
    """Return the standard error of the mean of values (F,); NaN for fewer than two."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan
