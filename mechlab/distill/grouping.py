"""Grouping units with equal descriptions into blocks with indices, so that the program is short."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np

from mechlab.distill.arranging import arrange
from mechlab.distill.boxes import fewest_boxes
from mechlab.distill.describing import Candidate, Label, Source, patch_points
from mechlab.distill.forming import Group, Member, form, moduli

Key = tuple[Fraction, tuple[Label, ...]]


def group(
    descriptions: Sequence[set[Candidate]],
    sources: Sequence[Source],
    given: Sequence[int],
    positions: np.ndarray | None = None,
) -> list[Group]:
    """Return groups of units with equal descriptions; each unit is in one of them.

    The group with the least cost for each unit that is in none yet is chosen repeatedly. Then a whole family of equal
    descriptions takes the place of several groups where this is shorter.

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
    for key in sorted(families, key=lambda key: (-_units(families[key]), key)):
        chosen = _with(
            key, families[key], chosen, lambda key, members: _cheapest(key, members, sources, given, positions)
        )
    return chosen


def _with(
    key: Key, members: list[Member], chosen: list[Group], cheapest: Callable[[Key, list[Member]], list[Group]]
) -> list[Group]:
    """Return chosen groups with a whole family in place of those that share out its units, if this is shorter."""
    units = {unit for unit, _, _ in members}
    if len(units) < 2:
        return chosen
    inside = [made for made in chosen if made.units[0] in units]
    cost = sum(made.cost for made in inside)
    if len(inside) < 2 or sum(len(made.units) for made in inside) != len(units) or _least(key) >= cost:
        return chosen
    if not all(units.issuperset(made.units) for made in inside):
        return chosen
    groups = cheapest(key, members)
    if sum(made.cost for made in groups) > cost - 1e-3:
        return chosen
    return [made for made in chosen if made.units[0] not in units] + groups


def least_cost(descriptions: Sequence[set[Candidate]]) -> float:
    """Return a lower bound on the cost of all groups of units with these descriptions."""
    each = {key: _least(key) / _units(members) for key, members in _families(descriptions).items()}
    return sum(min(each[candidate.key] for candidate in described) for described in descriptions)


def kinds_of_units(weights: np.ndarray, biases: list[Fraction], signed: bool) -> int:
    """Return the number of different sets of weights, with bias: no program has fewer blocks in this layer."""
    up, down = np.sort(weights, axis=0).T, np.sort(-weights, axis=0).T
    keys = {(row.tobytes(), bias) for row, bias in zip(up, biases, strict=True)}
    if signed:
        return len(keys)
    pairs = zip(up, down, biases, strict=True)
    return len({min((row.tobytes(), bias), (negative.tobytes(), -bias)) for row, negative, bias in pairs})


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
        lengths = moduli(labels, sources)
        front = 0
        if positions is not None:
            front = positions.shape[1]
            table, lengths = np.hstack([positions[units], table]), [0] * front + lengths
        for way in arrange(table, lengths):
            ways.append(
                [
                    form(bias, labels, sources, arrangement, front, chosen, symmetric=len(members) > len(chosen))
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
    lengths = np.array(moduli(labels, sources))

    def turn(member: Member) -> tuple[int, ...]:
        places = np.array(member[1])
        steps = np.diff(places)
        return tuple(np.where(lengths[1:] > 0, steps % np.maximum(lengths[1:], 1), steps))

    ways = [
        [option[0] for option in options],
        [min(option, key=lambda member: (-member[2] * given[member[0]], member[1])) for option in options],
    ]
    if lengths.any():
        ways.append([min(option, key=lambda member: (turn(member), member[1])) for option in options])
    return ways
