"""Scorers of a formula's first variable, used sequentially to assign all variables.

Variable 1 is decided from the formula's literal matrix. The clauses that are now satisfied are deleted, and the two
columns of the variable, so that the next variable comes first; the matrix is filled up with zeros. This is repeated
until every variable has a value.

The scorer that an essence network learns from the formulas of one short clause (task=maxsat) has two kinds of tests of
each clause: which literal of variable 1 it contains, and whether it contains others. With u the number of unit clauses
that contain variable 1 minus that of those which contain its negation, and n the same for longer clauses, its scores
differ by 100 u + n: unit clauses count first, the number of longer clauses decides where they are balanced. The weights
are those of the training targets. Johnson's algorithm, which weighs a clause of r literals by 2^-r, is slightly better:
by .002 to .004 of the clauses on random formulas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from mechlab.core.errors import ConfigError
from mechlab.distill.cnf import CNF
from mechlab.distill.maxsat_rules import Rule, Step, by_sign
from mechlab.distill.program import Program

# Scores of TRUE and FALSE for the first variable (B, 2), of literal matrices (B, clauses, 2 variables) in float64.
Scorer = Callable[[np.ndarray], np.ndarray]
TIE = 1e-6  # largest difference of equal scores, relative to the largest score: weights may be rounded to float32
CHUNK = 2**22  # numbers in the literal matrices that are scored together
LARGEST = 100_000  # size N of a program


def rule_of(scorer: Program | Scorer, cnfs: Sequence[CNF]) -> Rule:
    """Return the rule that chooses the value with the greater score, and tosses a coin on a tie.

    Args:
        scorer: a function; or a program with one input (slots, 2 variables) of bits and two outputs, whose size is at
            least that of the formulas. A program of many sizes N has at each step the least N that holds what remains.
        cnfs: the formulas.

    Raises:
        ConfigError: the formulas have more clauses or variables than the program reads.
    """
    slots, variables = max(len(cnf.clauses) for cnf in cnfs), cnfs[0].variables
    program = scorer if isinstance(scorer, Program) else None
    if program is not None:
        _shape(program, slots, 2 * variables)
        scorer = replace(program, returns="scores", scale=1.0)

    def rule(step: Step) -> np.ndarray:
        shape = (slots, 2 * variables) if program is None else _shape(program, slots, 2 * (variables - step.variable))
        matrices = _matrices(step, *shape)
        size = max(CHUNK // max(shape[0] * shape[1], 1), 1)
        scores = np.concatenate([scorer(matrices[k : k + size]) for k in range(0, len(matrices), size)])
        margin = scores[:, 0] - scores[:, 1]
        margin[np.abs(margin) <= TIE * np.abs(scores).max()] = 0
        return by_sign(margin).reshape(step.remaining.shape[:2])

    return rule


def _matrices(step: Step, slots: int, columns: int) -> np.ndarray:
    """Return the literal matrices of what remains, (F T, slots, columns) in float64."""
    ahead = step.literals[:, 2 * step.variable :].swapaxes(1, 2)  # (F, clauses, columns left)
    matrices = np.zeros((*step.remaining.shape[:2], slots, columns))
    matrices[:, :, : ahead.shape[1], : ahead.shape[2]] = ahead[:, None] & step.remaining[..., None]
    return matrices.reshape(-1, slots, columns)


def _shape(program: Program, slots: int, columns: int) -> tuple[int, int]:
    """Return the shape of a program's input, at the least N that holds the formulas."""
    if len(program.inputs) != 1 or len(program.inputs[0].shape) != 2:
        must = "a program that scores formulas must have one input, (clause slots, 2 variables)"
        shapes = ", ".join(str(tuple(map(str, tensor.shape))) for tensor in program.inputs)
        raise ConfigError(must, got=shapes, key="algorithm")
    lengths = program.inputs[0].shape
    for size in range(1, LARGEST) if program.parametric else (None,):
        shape = int(lengths[0](size)), int(lengths[1](size))
        if shape[0] >= slots and shape[1] >= columns:
            return shape
    must = f"formulas must have at most {shape[0]} clauses and {shape[1] // 2} variables, the size of the program"
    got = f"{slots} clauses, {columns // 2} variables"
    raise ConfigError(must, got=got, key="algorithm", fix="use a program of a greater size, or of many sizes")
