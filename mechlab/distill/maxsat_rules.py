"""Rules by which algorithms for MAX-SAT choose the value of the next variable.

Each returns the probability (F, T) with which the variable becomes TRUE, for F formulas with T trials each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Step:
    """F formulas, with T trials each, of which the variables before one are assigned.

    Args:
        variable: the next variable, from 0.
        literals: bool (F, 2 variables, clauses), the transposed literal matrices, filled up with empty clauses.
        remaining: bool (F, T, clauses), the clauses that are not satisfied yet.
        lengths: (F, clauses), the numbers of unassigned literals.
    """

    variable: int
    literals: np.ndarray
    remaining: np.ndarray
    lengths: np.ndarray

    @property
    def positive(self) -> np.ndarray:
        """The remaining clauses that contain the variable, (F, T, clauses)."""
        return self.remaining & self.literals[:, None, 2 * self.variable]

    @property
    def negative(self) -> np.ndarray:
        """The remaining clauses that contain its negation, (F, T, clauses)."""
        return self.remaining & self.literals[:, None, 2 * self.variable + 1]

    def difference(self, weights: np.ndarray) -> np.ndarray:
        """Return the weight of the clauses that TRUE satisfies minus that of those which FALSE satisfies, (F, T).

        Args:
            weights: of each clause, (F, clauses).
        """
        return self.total(self.positive, weights) - self.total(self.negative, weights)

    def total(self, clauses: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the weight of some clauses (F, T, clauses), (F, T)."""
        return (clauses @ weights[:, :, None].astype(float))[..., 0]


Rule = Callable[[Step], np.ndarray]  # the probability of TRUE, (F, T)


def by_sign(margin: np.ndarray) -> np.ndarray:
    """Return 1 for positive margins, 0 for negative ones, 1/2 for 0."""
    return (1 + np.sign(margin)) / 2


def random(step: Step) -> np.ndarray:
    """Return 1/2: a fair coin."""
    return np.full(step.remaining.shape[:2], 0.5)


def greedy(step: Step) -> np.ndarray:
    """Choose the value that satisfies more clauses; a fair coin on a tie."""
    return by_sign(step.difference(np.ones_like(step.lengths)))


def three_quarters(step: Step) -> np.ndarray:
    """Apply the randomised 3/4-approximation.

    With SAT satisfied clauses and UNSAT clauses whose literals are all false, let B = (SAT + clauses - UNSAT) / 2, and
    let t and f be what TRUE and FALSE add to B: half of the number of clauses that the value satisfies minus the number
    of unit clauses that it falsifies. TRUE if f <= 0; else FALSE if t <= 0; else TRUE with probability t / (t + f).

    Source: Poloczek and Schnitger, "Randomized variants of Johnson's algorithm for MAX SAT", SODA 2011; van Zuylen,
    "Simpler 3/4-approximation algorithms for MAX SAT", WAOA 2011.
    """
    positive, negative, ones = step.positive, step.negative, np.ones_like(step.lengths)
    units = step.lengths == 1
    t = step.total(positive, ones) - step.total(negative, units)  # twice t, and below twice f
    f = step.total(negative, ones) - step.total(positive, units)
    share = t / np.where(t + f == 0, 1, t + f)
    return np.where(f <= 0, 1.0, np.where(t <= 0, 0.0, share))


def johnson(step: Step) -> np.ndarray:
    """Choose the value that satisfies more weight; a clause with r unassigned literals weighs 2^-r. TRUE on a tie.

    Source: Johnson, "Approximation algorithms for combinatorial problems", J. Comput. System Sci. 9 (1974).
    """
    return (step.difference(0.5**step.lengths) >= 0).astype(float)


def distilled(step: Step) -> np.ndarray:
    """Choose TRUE with probability sigmoid(20 u + 4.596 n), as the published distilled program does.

    u is the number of unit clauses that contain the variable minus that of those which contain its negation, n the same
    for longer clauses.

    Source: the published weights of Blazek, Venkatesh and Lin (2024), 5 for unit clauses and 1.1488 for longer ones.
    """
    logit = 4 * step.difference(np.where(step.lengths == 1, 5, 1.149))
    return 1 / (1 + np.exp(-logit))


RULES: Mapping[str, Rule] = {rule.__name__: rule for rule in (random, greedy, three_quarters, johnson, distilled)}
