"""Homomorphisms and isomorphisms between small groups."""

from __future__ import annotations

import numpy as np

from mechlab.core.errors import ConfigError
from mechlab.groups.finite_group import Group, closure

MOST_NUMBERS = 30_000_000  # entries of one array of maps


def isomorphism(group: Group, other: Group) -> np.ndarray | None:
    """Return an isomorphism (n,) from a group to another one, or None where there is none.

    Raises:
        ConfigError: there are too many maps to search among.
    """
    if group.order != other.order:
        return None
    maps = isomorphisms(group, other, short_generating_set(group))
    return maps[0] if len(maps) else None


def extended(group: Group, other: Group, generators: list[int], images: np.ndarray) -> np.ndarray:
    """Return the homomorphisms (m, n) from a group to another one that take generators (k,) to images (c, k).

    Images that no homomorphism extends are left out.
    """
    maps = np.empty((len(images), group.order), dtype=np.int32)
    maps[:, group.identity] = other.identity
    reached = [group.identity]
    inside = np.zeros(group.order, dtype=bool)
    inside[group.identity] = True
    for x in reached:
        for column, product in enumerate(group.table[x, generators].tolist()):
            value = other.table[maps[:, x], images[:, column]]
            if inside[product]:
                right = maps[:, product] == value
                maps, images = maps[right], images[right]
            else:
                inside[product] = True
                maps[:, product] = value
                reached.append(product)
    return maps


def isomorphisms(group: Group, other: Group, generators: list[int]) -> np.ndarray:
    """Return isomorphisms (m, n) from a group to another one of its order: all, up to conjugation in the other one."""
    ours, theirs = _signatures(group, other)
    if not np.array_equal(np.sort(ours), np.sort(theirs)):
        return np.empty((0, group.order), dtype=np.int32)
    images = np.empty((1, 0), dtype=np.int64)
    for number, g in enumerate(generators):
        candidates = np.flatnonzero(theirs == ours[g])
        if number == 0:
            candidates = np.unique(other.class_of[candidates], return_index=True)[1]
            candidates = np.flatnonzero(theirs == ours[g])[candidates]
        check_size(group, len(images) * len(candidates))
        images = np.column_stack([np.repeat(images, len(candidates), 0), np.tile(candidates, len(images))])
        for before, earlier in enumerate(generators[:number]):  # products must look alike
            for left, right in ((before, number), (number, before)):
                product = group.table[generators[left], generators[right]]
                same = theirs[other.table[images[:, left], images[:, right]]] == ours[product]
                images = images[same]
            quotient = group.table[earlier, group.inverses[g]]
            images = images[theirs[other.table[images[:, before], other.inverses[images[:, number]]]] == ours[quotient]]
    rows = max(1, MOST_NUMBERS // group.order)
    starts = range(0, max(len(images), 1), rows)
    maps = np.concatenate([extended(group, other, generators, images[i : i + rows]) for i in starts])
    return maps[(maps == other.identity).sum(1) == 1]


def _signatures(group: Group, other: Group) -> tuple[np.ndarray, np.ndarray]:
    """Return a number (n,) for each element of two groups that isomorphisms leave unchanged: it stands for the order,
    the size of the conjugacy class, and the numbers of square and cube roots."""
    rows = []
    for each in (group, other):
        x = np.arange(each.order)
        square = each.table[x, x]
        roots = [np.bincount(power, minlength=each.order) for power in (square, each.table[square, x])]
        rows.append(np.column_stack([each.element_orders, np.bincount(each.class_of)[each.class_of], *roots]))
    numbers = np.unique(np.concatenate(rows), axis=0, return_inverse=True)[1].ravel()
    return numbers[: group.order], numbers[group.order :]


def short_generating_set(group: Group, tries: int = 8) -> list[int]:
    """Return a small set of generators: one after another, the element that enlarges the subgroup most, among some of
    each kind; of these, one of the rarest kind."""
    kinds = _signatures(group, group)[0]
    rarity = np.bincount(kinds)
    chosen: list[int] = []
    inside = closure(group.table, group.identity, ())
    while not inside.all():
        outside = np.flatnonzero(~inside)
        sample = np.concatenate([outside[kinds[outside] == kind][:tries] for kind in np.unique(kinds[outside])])
        joined = [closure(group.table, group.identity, [*chosen, x]) for x in sample]
        best = max(range(len(sample)), key=lambda i: (joined[i].sum(), -rarity[kinds[sample[i]]]))
        chosen.append(int(sample[best]))
        inside = joined[best]
    return chosen


def check_size(group: Group, numbers: int) -> None:
    if numbers > MOST_NUMBERS:
        must = f"automorphisms must be among few enough maps, at most {MOST_NUMBERS:,} numbers in all"
        raise ConfigError(must, got=f"{numbers:,} for {group.name}", key="task.group", fix="choose a smaller group")
