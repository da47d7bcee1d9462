"""Grouping units with equal descriptions into blocks with indices, so that the program is short."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from mechlab.distill.arranging import Arrangement, Place, arrange
from mechlab.distill.boxes import boxes, fewest_boxes
from mechlab.distill.describing import Candidate, Label, Source, patch_points
from mechlab.distill.polynomial import Polynomial
from mechlab.distill.program import WHOLE, Along, Term

Key = tuple[Fraction, tuple[Label, ...]]
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


def group(
    descriptions: Sequence[set[Candidate]],
    sources: Sequence[Source],
    given: Sequence[int],
    positions: np.ndarray | None = None,
) -> list[Group]:
    """Return groups that share out all units: again and again the one with the least cost for each new unit.

    Args:
        descriptions: of each unit.
        sources: that labels refer to.
        given: 1 or -1 for units of the network with the sign of their description, or opposite to it; 0 for equally
            many of both.
        positions: (U, axes), of units whose order matters: an index of a block follows each of them where it can.
    """
    families = _families(descriptions)
    left = set(range(len(descriptions)))
    offers: dict[Key, list[Group]] = {}
    heap = [(_least(key) / _units(members), False, -_units(members), key) for key, members in families.items()]
    heapq.heapify(heap)
    chosen: list[Group] = []
    while left:
        _, evaluated, negative, key = heapq.heappop(heap)
        members = [member for member in families[key] if member[0] in left]
        count = _units(members)
        if evaluated and count == -negative:
            chosen.extend(offers[key])
            left.difference_update(unit for made in offers[key] for unit in made.units)
        elif count:
            offers[key] = _cheapest(key, members, sources, given, positions)
            against = sum(given[unit] * sign < 0 for unit, _, sign in members) / len(members)
            cost = sum(made.cost for made in offers[key]) / count + 1e-6 * against
            heapq.heappush(heap, (cost, True, -count, key))
    return chosen


def least_cost(descriptions: Sequence[set[Candidate]]) -> float:
    """Return a lower bound on the cost of all groups of units with these descriptions."""
    each = {key: _least(key) / _units(members) for key, members in _families(descriptions).items()}
    return sum(min(each[candidate.key] for candidate in described) for described in descriptions)


def _families(descriptions: Sequence[set[Candidate]]) -> dict[Key, list[Member]]:
    """Return the units of each key."""
    families: dict[Key, list[Member]] = {}
    for u, described in enumerate(descriptions):
        for candidate in described:
            families.setdefault(candidate.key, []).append((u, candidate.places, candidate.sign))
    return families


def _least(key: Key) -> float:
    """Return a lower bound on the cost of a block."""
    return 3 + sum(fewest_boxes(*patch_points(label)) for label in key[1])


def _units(members: list[Member]) -> int:
    """Return the number of units of a family; a unit and its negative may both be its members."""
    return len({unit for unit, _, _ in members})


def _cheapest(
    key: Key,
    members: list[Member],
    sources: Sequence[Source],
    given: Sequence[int],
    positions: np.ndarray | None,
) -> list[Group]:
    """Return the cheapest groups of a family."""
    bias, labels = key
    ways: list[list[Group]] = []
    for chosen in _orientations(members, labels, sources, given):
        units = [unit for unit, _, _ in chosen]
        table = np.array([places for _, places, _ in chosen], int).reshape(len(chosen), -1)
        moduli = _moduli(labels, sources)
        front = 0
        if positions is not None:
            front = positions.shape[1]
            table, moduli = np.hstack([positions[units], table]), [0] * front + moduli
        for way in arrange(table, moduli):
            ways.append(
                [
                    _made(bias, labels, sources, arrangement, front, chosen, symmetric=len(members) > len(chosen))
                    for arrangement in way
                ]
            )
    return min(ways, key=lambda way: sum(made.cost for made in way))


def _orientations(
    members: list[Member], labels: tuple[Label, ...], sources: Sequence[Source], given: Sequence[int]
) -> list[list[Member]]:
    """Return choices of one member for each unit; a unit whose negative has the same labels has two."""
    by_unit: dict[int, list[Member]] = {}
    for member in members:
        by_unit.setdefault(member[0], []).append(member)
    options = [sorted(found, key=lambda member: member[1:]) for found in by_unit.values()]
    if all(len(option) == 1 for option in options):
        return [[option[0] for option in options]]
    moduli = np.array(_moduli(labels, sources))

    def turn(member: Member) -> tuple[int, ...]:
        places = np.array(member[1])
        steps = np.diff(places)
        return tuple(np.where(moduli[1:] > 0, steps % np.maximum(moduli[1:], 1), steps))

    ways = [
        [option[0] for option in options],
        [min(option, key=lambda member: (-member[2] * given[member[0]], member[1])) for option in options],
    ]
    if moduli.any():
        ways.append([min(option, key=lambda member: (turn(member), member[1])) for option in options])
    return ways


def _moduli(labels: tuple[Label, ...], sources: Sequence[Source]) -> list[int]:
    """Return the length of the axis of each place that is periodic, and 0 for others."""
    return [
        length if periodic else 0
        for k, whole, periodic, *_ in labels
        for length, summed in zip(sources[k].sizes, whole, strict=True)
        if not summed
    ]


def _made(
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
        0
        if along.whole
        else 0.25 + 0.02 * along.periodic + 0.02 * (along.sign < 0) + 0.5 * len(along.places) + 2 * _wide(along, length)
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
    moduli = iter(_moduli(labels, sources))
    return [[next(moduli) for summed in label[1] if not summed] for label in labels]
