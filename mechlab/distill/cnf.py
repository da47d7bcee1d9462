"""Formulas in conjunctive normal form: random ones, DIMACS files, and the literal matrix that a network reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mechlab.core.errors import ConfigError


@dataclass(frozen=True)
class CNF:
    """A conjunction of clauses.

    Args:
        variables: number of variables; they are 1, 2, ... in clauses.
        clauses: each a tuple of literals, v for a variable and -v for its negation. A clause may be empty, which no
            assignment satisfies, and may hold both literals of a variable.

    Raises:
        ConfigError: a literal is 0 or names no variable.

    Example:
        >>> CNF(2, ((1,), (-1, 2))).literals().astype(int).tolist()
        [[1, 0, 0, 0], [0, 1, 1, 0]]
    """

    variables: int
    clauses: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        clauses = tuple(tuple(dict.fromkeys(int(literal) for literal in clause)) for clause in self.clauses)
        for literal in (literal for clause in clauses for literal in clause):
            if not 1 <= abs(literal) <= self.variables:
                must = f"literals must be -{self.variables}..-1 or 1..{self.variables}"
                raise ConfigError(must, got=literal, key="clauses")
        object.__setattr__(self, "clauses", clauses)

    @classmethod
    def of(cls, clauses: Iterable[Iterable[int]]) -> CNF:
        """Return the formula of these clauses, with the variables 1 to the largest that occurs."""
        given = tuple(tuple(clause) for clause in clauses)
        return cls(max((abs(literal) for clause in given for literal in clause), default=0), given)

    def literals(self) -> np.ndarray:
        """Return the literal matrix, bool (clauses, 2 variables): column 2(v - 1) is true where a clause contains
        variable v, column 2(v - 1) + 1 where it contains its negation."""
        matrix = np.zeros((len(self.clauses), 2 * self.variables), bool)
        rows = np.repeat(np.arange(len(self.clauses)), [len(clause) for clause in self.clauses])
        literals = np.array([literal for clause in self.clauses for literal in clause], int)
        matrix[rows, 2 * np.abs(literals) - 2 + (literals < 0)] = True
        return matrix


def random_k_sat(variables: int, clauses: int, length: int, rng: np.random.Generator) -> CNF:
    """Return a random formula: each clause has `length` distinct variables, each negated with probability 1/2.

    Raises:
        ConfigError: there are not as many variables as a clause has literals.
    """
    if length > variables:
        raise ConfigError("clauses must not be longer than there are variables", got=f"{length} > {variables}")
    chosen = np.argsort(rng.random((clauses, variables)), axis=1)[:, :length] + 1
    signs = rng.choice([-1, 1], (clauses, length))
    return CNF(variables, tuple(map(tuple, (chosen * signs).tolist())))


def binomial_formula(variables: int, clauses: int, mean_length: float, rng: np.random.Generator) -> CNF:
    """Return a random formula whose clauses contain each variable with probability mean_length / variables, negated
    with probability 1/2; empty clauses are drawn again.

    Raises:
        ConfigError: the mean length is not above 0, or above the number of variables.
    """
    if not 0 < mean_length <= variables:
        must = "the mean length of clauses must be above 0 and at most the number of variables"
        raise ConfigError(must, got=f"{mean_length:g} of {variables}")
    contained = rng.random((clauses, variables)) < mean_length / variables
    while (empty := ~contained.any(1)).any():
        contained[empty] = rng.random((int(empty.sum()), variables)) < mean_length / variables
    literals = rng.choice([-1, 1], (clauses, variables)) * np.arange(1, variables + 1)
    rows = zip(literals, contained, strict=True)
    return CNF(variables, tuple(tuple(row[inside].tolist()) for row, inside in rows))


def read_dimacs(path: str | Path) -> CNF:
    """Return the formula of a DIMACS file; see `parse_dimacs`.

    Raises:
        ConfigError: as there; or the file cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("a formula must be a text file in the DIMACS format", got=error, key=str(path)) from None
    return parse_dimacs(text, str(path))


def parse_dimacs(text: str, name: str = "formula") -> CNF:
    """Return the formula of a text in the DIMACS format: comments (lines c ...), a header `p cnf VARIABLES CLAUSES`,
    and clauses of whole numbers that end in 0 each, on any number of lines. A line that starts with % ends the formula.

    Args:
        text: the text.
        name: its name in messages.

    Raises:
        ConfigError: the text has weights, or is not of this form; the message names the line.

    Source: DIMACS, "Satisfiability: suggested format" (1993).
    """
    header, numbers = None, []
    for k, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("c"):
            continue
        if words[0].startswith("%"):
            break
        place = f"{name}, line {k}"
        if header is None:
            header = _header(words, place)
        else:
            numbers += [_literal(word, header[0], place) for word in words]
    if header is None:
        raise ConfigError(
            "a formula in DIMACS format must have a header `p cnf VARIABLES CLAUSES`", got="none", key=name
        )
    return CNF(header[0], _clauses(numbers, header[1], name))


def _header(words: list[str], place: str) -> tuple[int, int]:
    """Return the numbers of variables and clauses."""
    if words[:2] == ["p", "wcnf"] or words[0] == "h":
        fix = "weights of clauses are not supported; give a file with the header `p cnf`"
        raise ConfigError("a formula must have no weights", got=" ".join(words), key=place, fix=fix)
    if words[:2] != ["p", "cnf"] or len(words) != 4 or not all(word.isdecimal() for word in words[2:]):
        must = "the first line that is no comment must be `p cnf VARIABLES CLAUSES`"
        raise ConfigError(must, got=" ".join(words), key=place)
    return int(words[2]), int(words[3])


def _literal(word: str, variables: int, place: str) -> int:
    if not word.removeprefix("-").isdecimal() or abs(int(word)) > variables:
        must = f"clauses must hold whole numbers from -{variables} to {variables}, as the header says, and end in 0"
        raise ConfigError(must, got=word, key=place)
    return int(word)


def _clauses(numbers: list[int], count: int, place: str) -> tuple[tuple[int, ...], ...]:
    """Return the clauses of numbers in which each clause ends in 0."""
    if numbers and numbers[-1] != 0:
        raise ConfigError("the last clause must end in 0", got=numbers[-1], key=place)
    ends = [k for k, number in enumerate(numbers) if number == 0]
    if len(ends) != count:
        must = f"there must be {count} clauses, as the header says"
        raise ConfigError(must, got=f"{len(ends)} clauses that end in 0", key=place)
    starts = [0, *(end + 1 for end in ends)]
    return tuple(tuple(numbers[start:end]) for start, end in zip(starts, ends, strict=False))
