"""Subgroups of a finite group up to conjugacy, and their cosets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mechlab.core.errors import ConfigError
from mechlab.groups.caching import cached_by_digest
from mechlab.groups.finite_group import Group, closure
from mechlab.groups.structure import lettered, primes, structure

MOST_CLASSES = 2000


@dataclass(frozen=True, eq=False)
class SubgroupClass:
    """A class of conjugate subgroups, given by one of them.

    Args:
        name: the isomorphism type of the subgroups, such as S3, or order_16 for a type without a name (see
            `mechlab.groups.structure`); several classes of one name have the suffixes _a, _b, ...
        elements: the sorted numbers (k,) of the elements of the representative: of all conjugates, the first one in
            lexicographic order. Read-only.
        generators: numbers of elements that generate it.
        index: the number of its cosets, n / k.
        conjugates: the number of subgroups in the class.
    """

    name: str
    elements: np.ndarray
    generators: tuple[int, ...]
    index: int
    conjugates: int

    @property
    def order(self) -> int:
        """The number of elements k of each subgroup."""
        return len(self.elements)

    @property
    def normal(self) -> bool:
        """Whether the subgroup is its only conjugate."""
        return self.conjugates == 1


@cached_by_digest
def subgroup_classes(group: Group) -> tuple[SubgroupClass, ...]:
    """Return all subgroups of a group up to conjugacy, sorted by order; the trivial one first, the group itself last.

    Every subgroup arises from the trivial one by joining elements of prime-power order one after another. A class is
    extended through one representative, by one such element from each orbit of its normaliser.

    Raises:
        ConfigError: there are more than 2000 classes.
    """
    known: dict[bytes, int] = {}  # every subgroup of the classes that were met, as packed bits
    classes: list[tuple[np.ndarray, int]] = []  # a subgroup (n,) bool of each class, and the number of its conjugates
    start = closure(group.table, group.identity, ())
    queue = [(start, ())]
    for mask, generators in queue:
        if np.packbits(mask).tobytes() in known:
            continue
        normaliser = _normaliser(group, mask, generators)
        conjugates = _conjugates(group, mask, normaliser)
        packed = [row.tobytes() for row in np.packbits(conjugates, axis=1)]
        known.update(dict.fromkeys(packed, len(classes)))
        classes.append((conjugates[packed.index(max(packed))], len(conjugates)))
        if len(classes) > MOST_CLASSES:
            must = f"the group must have at most {MOST_CLASSES} classes of conjugate subgroups"
            raise ConfigError(must, got=f"more in {group.name}", key="task.group", fix="choose a smaller group")
        for g in _extensions(group, mask, normaliser):
            larger = _join(group, mask, generators, g)
            if np.packbits(larger).tobytes() not in known:
                queue.append((larger, (*generators, g)))
    return _described(group, classes)


def left_cosets(group: Group, subgroup: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return the number (n,) of the left coset x H of each element x; cosets are numbered by their smallest element.

    Args:
        group: of n elements.
        subgroup: the elements of the subgroup H.
    """
    return np.unique(group.table[:, np.asarray(subgroup)].min(1), return_inverse=True)[1]


def right_cosets(group: Group, subgroup: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return the number (n,) of the right coset H x of each element x; see `left_cosets`."""
    return np.unique(group.table[np.asarray(subgroup)].min(0), return_inverse=True)[1]


def _normaliser(group: Group, mask: np.ndarray, generators: Sequence[int]) -> np.ndarray:
    """Return the elements x with x^-1 H x = H, for the subgroup H that generators generate."""
    if not generators:
        return np.arange(group.order)
    return np.flatnonzero(mask[_conjugated(group, np.asarray(generators), np.arange(group.order))].all(1))


def _conjugates(group: Group, mask: np.ndarray, normaliser: np.ndarray) -> np.ndarray:
    """Return all conjugates (m, n) bool of a subgroup, one for each right coset of its normaliser."""
    by = np.unique(right_cosets(group, normaliser), return_index=True)[1]
    conjugates = np.zeros((len(by), group.order), dtype=bool)
    np.put_along_axis(conjugates, _conjugated(group, np.flatnonzero(mask), by), True, 1)
    return conjugates


def _conjugated(group: Group, elements: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Return x^-1 h x (len(by), len(elements)) for x in `by` and h in `elements`."""
    return group.table[group.table[np.ix_(group.inverses[by], elements)], by[:, None]]


def _extensions(group: Group, mask: np.ndarray, normaliser: np.ndarray) -> Iterator[int]:
    """Yield an element outside of a subgroup from each orbit of its normaliser on the cyclic groups of prime-power
    order."""
    left = ~mask & _prime_powers(group.element_orders)
    while left.any():
        g = int(np.argmax(left))
        yield g
        order, powers = int(group.element_orders[g]), [g]
        while len(powers) < order:
            powers.append(int(group.table[powers[-1], g]))
        same = [power for power in powers if group.element_orders[power] == order]  # they generate the same group
        left[_conjugated(group, np.array(same), normaliser)] = False


def _join(group: Group, mask: np.ndarray, generators: Sequence[int], g: int) -> np.ndarray:
    """Return the subgroup (n,) bool that a subgroup H and an element generate, coset by coset H r (Dimino)."""
    subgroup, joined = np.flatnonzero(mask), mask.copy()
    representatives = [group.identity]
    for r in representatives:
        for p in group.table[r, [*generators, g]].tolist():
            if not joined[p]:
                joined[group.table[subgroup, p]] = True
                representatives.append(p)
        if 2 * len(representatives) * len(subgroup) > group.order:  # Lagrange
            return np.ones(group.order, dtype=bool)
    return joined


def _prime_powers(orders: np.ndarray) -> np.ndarray:
    """Return which orders are powers of one prime, 1 excluded."""
    return np.array([len(primes(order)) == 1 for order in range(orders.max() + 1)])[orders]


def _described(group: Group, classes: list[tuple[np.ndarray, int]]) -> tuple[SubgroupClass, ...]:
    def place(item: tuple[np.ndarray, int]) -> tuple:
        mask, conjugates = item
        return mask.sum(), conjugates, sorted(group.element_orders[mask].tolist()), np.flatnonzero(mask).tolist()

    found = [(np.flatnonzero(mask), conjugates) for mask, conjugates in sorted(classes, key=place)]
    subgroups = [restricted(group, elements) for elements, _ in found]
    types = [structure(subgroup) or f"order_{subgroup.order}" for subgroup in subgroups]
    described = []
    for name, subgroup, (elements, conjugates) in zip(lettered(types), subgroups, found, strict=True):
        elements.setflags(write=False)
        generators = tuple(elements[list(subgroup.generators)].tolist())
        described.append(SubgroupClass(name, elements, generators, group.order // len(elements), conjugates))
    return tuple(described)


def restricted(group: Group, elements: np.ndarray) -> Group:
    """Return a subgroup as a group of its own; element i is element `elements[i]` of the group."""
    number = np.zeros(group.order, dtype=np.int32)
    number[elements] = np.arange(len(elements))
    table = number[group.table[np.ix_(elements, elements)]]
    labels = tuple(group.elements[element] for element in elements)
    return Group(f"a subgroup of {group.name}", table, labels, checked=True)
