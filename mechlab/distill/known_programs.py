"""Programs on images, rings, tori and formulas, of which networks with known weights are compiled."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

from mechlab.distill.polynomial import Number, Polynomial
from mechlab.distill.program import ONE, WHOLE, Along, Block, Input, Program, Term

N = Polynomial((0, 1))


def at(first: Number, last: Number | None = None, axis: int | None = None, periodic: bool = False) -> Along:
    """Return the positions from `first` to `last`, or `first` alone, relative to an index where an axis is given."""
    return Along(Polynomial.of(first), Polynomial.of(first if last is None else last), axis, 1, (), periodic)


def term(coefficient: Number, source: str, *along: Along) -> Term:
    """Return a term with the positions along each axis of its source."""
    return Term(Polynomial.of(coefficient), source, along)


def block(
    name: str, sizes: Sequence[Number], terms: Sequence[Term], bias: Number = 0, *, output: bool = False
) -> Block:
    """Return a block of threshold units, or of linear outputs."""
    shape = tuple(map(Polynomial.of, sizes))
    return Block(name, shape, tuple(terms), Polynomial.of(bias), "linear" if output else "sign")


def orientation(size: Number = N) -> Program:
    """Return the program that decides whether an image (N, N) has more of a full column (0) or of a full row (1).

    Each column is compared with each row. A column's unit is positive where it wins far more of its comparisons than
    columns do in the mean; so is a row's.
    """
    n = Polynomial.of(size)
    columns, rows = term(1, "columns", WHOLE), term(1, "rows", WHOLE)
    return Program(
        (Input("x", (n, n)),),
        (
            block("d", (n, n), [term(1, "x", WHOLE, at(0, axis=0)), term(-1, "x", at(0, axis=1), WHOLE)]),
            block("columns", (n,), [term(n, "d", at(0, axis=0), WHOLE), term(ONE - n, "d", WHOLE, WHOLE)], n - n * n),
            block("rows", (n,), [term(-n, "d", WHOLE, at(0, axis=0)), term(n - ONE, "d", WHOLE, WHOLE)], n - n * n),
            block("column", (), [columns, _negative(rows)], output=True),
            block("row", (), [rows, _negative(columns)], output=True),
        ),
        ("column", "row"),
    )


def votes_of_clauses(slots: Number, literals: Number, unit: int = 13, longer: int = 3) -> Program:
    """Return the program that scores TRUE and FALSE for the first variable of a formula, a matrix (slots, literals).

    The literals 0 and 1 are the variable and its negation. Each clause has six comparisons and four conjunctions of two
    of them. Clauses of one literal have the weight `unit`, others `longer`.
    """
    c, size = at(0, axis=0), Polynomial.of(literals)
    rest = term(1, "x", c, at(2, size - ONE))
    true, false = term(size, "x", c, at(0)), term(size, "x", c, at(1))
    half = Polynomial((Fraction(1, 2),))
    tests = [
        block("empty", (slots,), [_negative(rest)], half),
        block("longer", (slots,), [rest], -half),
        block("true", (slots,), [true, _negative(false), rest], -half),
        block("false", (slots,), [false, _negative(true), rest], -half),
        block("true_first", (slots,), [term(2, "x", c, at(0)), term(-1, "x", at(0), at(1))], -half),
        block("false_first", (slots,), [term(2, "x", c, at(1)), term(-1, "x", at(0), at(0))], -half),
    ]
    pairs = (("empty", "true_first"), ("empty", "false_first"), ("longer", "true"), ("longer", "false"))
    both = [block(f"s{k}", (slots,), [term(1, a, c), term(1, b, c)], -1) for k, (a, b) in enumerate(pairs)]
    weights = [term(weight, f"s{k}", WHOLE) for k, weight in enumerate((unit, -unit, longer, -longer))]
    scores = [block("for", (), weights, output=True), block("against", (), list(map(_negative, weights)), output=True)]
    x = Input("x", (Polynomial.of(slots), size))
    return Program((x,), (*tests, *both, *scores), ("for", "against"))


def elementary_rule(rule: int, size: Number = N) -> Program:
    """Return one step of an elementary cellular automaton on a ring of N cells: one unit for each neighbourhood that
    gives 1, then their disjunction.

    Args:
        rule: Wolfram's number, from 0 to 255.
        size: of the ring, at least 3.
    """
    n, blocks = Polynomial.of(size), []
    for cells in itertools.product((0, 1), repeat=3):
        if rule >> (4 * cells[0] + 2 * cells[1] + cells[2]) & 1:
            terms = [term(2 * cell - 1, "x", at(k - 1, axis=0, periodic=True)) for k, cell in enumerate(cells)]
            blocks.append(block(f"s{len(blocks)}", (n,), terms, Fraction(1, 2) - sum(cells)))
    terms = [term(1, made.name, at(0, axis=0)) for made in blocks]
    output = block("y", (n,), terms, len(blocks) - 1, output=True)
    return Program((Input("x", (n,)),), (*blocks, output), ("y",), "bits")


def life(size: Number = N) -> Program:
    """Return one step of Life on a torus of (N, N) cells: twice the living neighbours plus the cell is from 5 to 7."""
    n = Polynomial.of(size)
    cell = [term(2, "x", *(at(-1, 1, k, True) for k in (0, 1))), term(-1, "x", at(0, axis=0), at(0, axis=1))]
    here = at(0, axis=0), at(0, axis=1)
    return Program(
        (Input("x", (n, n)),),
        (
            block("some", (n, n), cell, Fraction(-9, 2)),
            block("many", (n, n), cell, Fraction(-15, 2)),
            block("y", (n, n), [term(1, "some", *here), term(-1, "many", *here)], -1, output=True),
        ),
        ("y",),
        "bits",
    )


def _negative(made: Term) -> Term:
    return Term(-made.coefficient, made.source, made.along)
