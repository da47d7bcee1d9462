"""Forming a block of arranged units: its terms, its indices and the length of its text."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from mechlab.distill.arranging import Arrangement, Place
from mechlab.distill.boxes import boxes
from mechlab.distill.describing import Label, Source, patch_points
from mechlab.distill.polynomial import Polynomial
from mechlab.distill.program import WHOLE, Along, Term

Member = tuple[int, tuple[int, ...], int]  # unit, places, sign


@dataclass(frozen=True)
class Group:
    """Units that become one block.

    Args:
        bias, terms, sizes, where: of the block.
        units, signs: in row-major order of the indices: the units, and 1 or -1 for those described as they are or
            negated.
        symmetric: True if units and their negatives have the same description.
        cost: length of the block's text, in terms and listed positions.
    """

    bias: Fraction
    terms: tuple[Term, ...]
    sizes: tuple[int, ...]
    where: str
    units: tuple[int, ...]
    signs: tuple[int, ...]
    symmetric: bool
    cost: float

    def negated(self) -> Group:
        """Return the group with all units negated."""
        terms = tuple(replace(term, coefficient=-term.coefficient) for term in self.terms)
        return replace(self, bias=-self.bias, terms=terms, signs=tuple(-sign for sign in self.signs))


def form(
    bias: Fraction,
    labels: tuple[Label, ...],
    sources: Sequence[Source],
    arrangement: Arrangement,
    front: int,
    members: list[Member],
    symmetric: bool,
) -> Group:
    """Return the group of an arrangement, whose first `front` columns are positions of outputs."""
    arrangement = arrangement if front else _centred(arrangement, labels, sources)
    columns = iter(arrangement.columns[front:])
    terms: list[Term] = []
    for label in labels:
        source, whole = sources[label[0]], label[1]
        places = [next(columns) for summed in whole if not summed]
        for value, first, last in boxes(*patch_points(label)):
            alongs = [[WHOLE]] * len(whole)
            kept = [k for k, summed in enumerate(whole) if not summed]
            for k, place, low, high in zip(kept, places, first, last, strict=True):
                alongs[k] = _alongs(place, low, high, source.sizes[k], label[2], arrangement.sizes)
            terms += [Term(Polynomial.of(value), source.name, along) for along in itertools.product(*alongs)]
    chosen = [members[row] for row in arrangement.units]
    units, signs = tuple(member[0] for member in chosen), tuple(member[2] for member in chosen)
    merged = _merged(terms)
    lengths = {source.name: source.sizes for source in sources}
    cost = 3 + sum(_term_cost(term, lengths[term.source]) for term in merged)
    return Group(bias, merged, arrangement.sizes, arrangement.where, units, signs, symmetric, cost)


def moduli(labels: tuple[Label, ...], sources: Sequence[Source]) -> list[int]:
    """Return the length of the axis of each place that is periodic, and 0 for others."""
    return [
        length if periodic else 0
        for k, whole, periodic, *_ in labels
        for length, summed in zip(sources[k].sizes, whole, strict=True)
        if not summed
    ]


def _alongs(place: Place, low: int, high: int, length: int, periodic: bool, sizes: tuple[int, ...]) -> list[Along]:
    """Return the positions low..high of a patch at a place; several, if they follow a list."""
    if high - low + 1 == length and (periodic or place.axis is None):
        return [WHOLE]
    if place.listed:
        return [
            Along(axis=place.axis, places=tuple((p + k) % length if periodic else p + k for p in place.listed))
            for k in range(low, high + 1)
        ]
    first, last = place.start + low, place.start + high
    if place.axis is None:
        turns = first // length
        first, last = first - turns * length, last - turns * length
        return [Along(Polynomial.of(first), Polynomial.of(last), periodic=last >= length)]
    end = place.sign * (sizes[place.axis] - 1)
    outside = first + min(0, end) < 0 or last + max(0, end) >= length
    return [Along(Polynomial.of(first), Polynomial.of(last), place.axis, place.sign, periodic=outside)]


def _merged(terms: list[Term]) -> tuple[Term, ...]:
    """Return terms with the coefficients of equal sums added up."""
    sums: dict[tuple[str, tuple[Along, ...]], Polynomial] = {}
    for term in terms:
        sums[term.source, term.along] = sums.get((term.source, term.along), Polynomial()) + term.coefficient
    return tuple(Term(value, source, along) for (source, along), value in sums.items() if value)


def _term_cost(term: Term, lengths: Sequence[int]) -> float:
    return 1 + sum(
        0 if along.whole else 0.25 + 1e-6 * (along.sign < 0) + 0.5 * len(along.places) + 2 * _wide(along, length)
        for along, length in zip(term.along, lengths, strict=True)
    )


def _wide(along: Along, length: int) -> bool:
    """Whether a window on a ring leaves out less than half of its own length, so that at every size of the ring it is
    the sum over all positions but a few."""
    if not along.periodic or along.first is None or along.last is None:
        return False
    width = int((along.last - along.first)()) + 1
    return 2 * (length - width) < width


def _centred(arrangement: Arrangement, labels: tuple[Label, ...], sources: Sequence[Source]) -> Arrangement:
    """Return the arrangement with indices on whole rings moved into the middle of the positions they stand for."""
    extents = [
        (modulus, extent)
        for label, modulus_of in zip(labels, _by_label(labels, sources), strict=True)
        for modulus, extent in zip(modulus_of, label[3], strict=True)
    ]
    units = np.array(arrangement.units)
    columns = list(arrangement.columns)
    for axis, size in enumerate(arrangement.sizes):
        followers = [k for k, column in enumerate(columns) if column.axis == axis]
        if arrangement.where != "all" or any(
            columns[k].listed or columns[k].sign < 0 or extents[k][0] != size for k in followers
        ):
            continue
        first = min(columns[k].start for k in followers)
        last = max(columns[k].start + extents[k][1] - 1 for k in followers)
        shift = (first + last) // 2
        for k in followers:
            columns[k] = replace(columns[k], start=columns[k].start - shift)
        units = np.roll(units.reshape(arrangement.sizes), shift, axis).ravel()
    return replace(arrangement, units=tuple(map(int, units)), columns=tuple(columns))


def _by_label(labels: tuple[Label, ...], sources: Sequence[Source]) -> list[list[int]]:
    lengths = iter(moduli(labels, sources))
    return [[next(lengths) for summed in label[1] if not summed] for label in labels]
