"""Blocks of few inputs of two values as Boolean formulas."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction

from mechlab.distill.indexing import positions
from mechlab.distill.polynomial import Polynomial
from mechlab.distill.program import ZERO, Block, Term
from mechlab.distill.threshold_unit import MOST_INPUTS, Kind, boolean_formula

MOST_TERMS = 4


def boolean_text(block: Block, lengths: Mapping[str, tuple[Polynomial, ...]], kinds: Mapping[str, Kind]) -> str | None:
    """Return when the units of a block are positive, such as "x[i] or x[(i + 1) % N]"; an input is true if it is 1, a
    unit if it is positive.

    Args:
        block: with constant weights.
        lengths: of the axes of its sources.
        kinds: of the sources with two values.

    Returns:
        The minimal sum of products; None if it has more than 4 of them or more than 10 inputs, if a sum can be zero, or
        if sources have more than two values.
    """
    if block.bias.degree or not all(term.source in kinds and _constant(term) for term in block.terms):
        return None
    weights: Counter[str] = Counter()
    bias = block.bias()
    for term in block.terms:
        weight = term.coefficient()
        for single in _positions(term):
            places, _ = positions(single, lengths[term.source], block.sizes)
            name = f"{term.source}[{', '.join(places)}]" if places else term.source
            # A sign is 2 b - 1 for a bit b.
            weights[name] += weight * 2 if kinds[term.source] == "signs" else weight
            bias -= weight if kinds[term.source] == "signs" else 0
            if len(weights) > MOST_INPUTS:
                return None
    if not weights or any(weight.denominator > 1 for weight in map(Fraction, weights.values())):
        return None
    return boolean_formula([int(weight) for weight in weights.values()], bias, list(weights), "bits", MOST_TERMS)


def never_zero(block: Block) -> bool:
    """Return True if the bias alone, an odd number of halves beside integer sums, shows that no unit is 0."""
    whole = all(value.denominator == 1 for term in block.terms for value in term.coefficient.coefficients)
    halves = [value.denominator for value in block.bias.coefficients]
    return block.activation == "sign" and whole and halves[:1] == [2] and set(halves[1:]) <= {1}


def _constant(term: Term) -> bool:
    """Return whether the weight and the number of positions of a term are the same at all sizes."""
    windows = [(along.last or ZERO) - (along.first or ZERO) for along in term.along]
    return not (term.coefficient.degree or any(along.whole for along in term.along) or any(w.degree for w in windows))


def _positions(term: Term) -> Iterator[Term]:
    """Yield a term for each position."""
    ranges = []
    for along in term.along:
        if along.first is None or along.last is None:
            ranges.append([along])
        else:
            ends = [along.first + step for step in range(int((along.last - along.first)()) + 1)]
            ranges.append([replace(along, first=end, last=end) for end in ends])
    for parts in itertools.product(*ranges):
        yield replace(term, along=parts)
