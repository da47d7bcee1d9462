"""Functions on a group that are constant on the cosets of a subgroup, and permutations of the group's elements by which
such functions do not change, or do.

The share of the variance of a function F that the left cosets x K of a subgroup K explain, R^2, is the mean over k in K
of the autocorrelation <F(x k), F(x)> / <F, F> of F about its mean; for right cosets K x it is that of <F(k x), F(x)>.
So one autocorrelation, a function of n elements, gives R^2 for all subgroups, and the stabiliser of F, the elements at
which it is 1, is the largest subgroup on whose cosets F is constant. In an irrep, <a, rho(x) b> is constant on the left
cosets of the stabiliser of the vector b, and on the right cosets of that of a.

Source: Stander et al., "Grokking group multiplication with cosets", arXiv 2312.06581.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mechlab.core.errors import ConfigError
from mechlab.groups.caching import cached_by_digest
from mechlab.groups.finite_group import Group
from mechlab.groups.subgroups import SubgroupClass, left_cosets, right_cosets, subgroup_classes

MOST_SUBGROUPS = 20_000
SIDES = ("left", "right")


@dataclass(frozen=True, eq=False)
class Subgroups:
    """All subgroups of a group of n elements.

    Args:
        classes: up to conjugacy, by rising order.
        masks: (S, n) bool, which elements belong to each subgroup; conjugates follow one another.
        class_of: (S,) the number of each one's class.
    """

    classes: tuple[SubgroupClass, ...]
    masks: np.ndarray
    class_of: np.ndarray

    @property
    def orders(self) -> np.ndarray:
        """The number (S,) of elements of each subgroup."""
        return self.masks.sum(1)


@cached_by_digest
def all_subgroups(group: Group) -> Subgroups:
    """Return all subgroups of a group.

    Raises:
        ConfigError: there are more than 20,000.
    """
    classes = subgroup_classes(group)
    count = sum(which.conjugates for which in classes)
    if count > MOST_SUBGROUPS:
        must = f"the group must have at most {MOST_SUBGROUPS} subgroups"
        raise ConfigError(must, got=f"{count} in {group.name}", key="task.group", fix="choose a smaller group")
    masks = []
    for which in classes:
        by, inverses = np.arange(group.order), group.inverses
        images = group.table[group.table[np.ix_(by, which.elements)], inverses[:, None]]  # g h g^-1
        members = np.zeros((group.order, group.order), dtype=bool)
        np.put_along_axis(members, images, True, 1)
        masks.append(np.unique(members, axis=0)[::-1])
    numbers = np.repeat(np.arange(len(classes)), [len(part) for part in masks])
    return Subgroups(classes, np.concatenate(masks), numbers)


def autocorrelations(group: Group, values: np.ndarray) -> dict[str, np.ndarray]:
    """Return the autocorrelations (n, K) of K functions about their means, the columns of values (n, K): at k,
    <F(x k), F(x)> / <F, F> as "left", for left cosets, and <F(k x), F(x)> / <F, F> as "right". NaN for constants.
    """
    centred = values - values.mean(0)
    norms = np.square(centred).sum(0)
    norms = np.where(norms > 1e-20 * np.square(values).sum(0), norms, np.nan)
    result = {side: np.empty(values.shape) for side in SIDES}
    for k in range(group.order):
        result["left"][k] = np.einsum("xl,xl->l", centred[group.table[:, k]], centred) / norms
        result["right"][k] = np.einsum("xl,xl->l", centred[group.table[k]], centred) / norms
    return result


def membership(subgroups: Subgroups, values: np.ndarray, group: Group) -> dict[str, np.ndarray]:
    """Return R^2 (S, K) of the cosets of every subgroup for K functions, the columns of values (n, K), by side."""
    weights = subgroups.masks / subgroups.orders[:, None]
    return {side: np.clip(weights @ part, 0, 1) for side, part in autocorrelations(group, values).items()}


def adjusted(r2: np.ndarray, order: np.ndarray, n: int) -> np.ndarray:
    """Return R^2 less what random partitions of n elements into blocks of the same size explain on average,
    (n / order - 1) / (n - 1), as a share of the rest: 0 on average for these, and 1 where R^2 is 1. The trivial
    subgroup, whose cosets explain everything, has 0."""
    expected = (n / order - 1) / (n - 1)
    return np.where(expected < 1, (r2 - expected) / np.where(expected < 1, 1 - expected, 1), 0.0)


def random_partitions(values: np.ndarray, order: int, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Return R^2 (draws, K) of random partitions of the n elements into blocks of one size for K functions, the columns
    of values (n, K)."""
    n = len(values)
    centred = values - values.mean(0)
    total = np.square(centred).sum(0)
    total = np.where(total > 1e-20 * np.square(values).sum(0), total, np.nan)
    result = np.empty((draws, values.shape[1]))
    for draw in range(draws):
        blocks = centred[rng.permutation(n)].reshape(n // order, order, -1).mean(1)
        result[draw] = order * np.square(blocks).sum(0) / total
    return result


@dataclass(frozen=True, eq=False)
class Best:
    """For each of K functions the largest subgroup on whose cosets it is about constant.

    Args:
        subgroup: (K,) its number, -1 where there is none.
        side: (K,) 0 for left cosets, 1 for right ones.
        r2, adjusted: (K,) the share of the variance that its cosets explain; NaN where there is none.
        null: (K,) the largest share that random partitions into blocks of the same size explain; NaN where there is no
            subgroup.
    """

    subgroup: np.ndarray
    side: np.ndarray
    r2: np.ndarray
    adjusted: np.ndarray
    null: np.ndarray


def best_subgroups(subgroups: Subgroups, r2: dict[str, np.ndarray], nulls: dict[int, np.ndarray], level: float) -> Best:
    """Return the largest proper subgroups on whose cosets functions are about constant.

    A subgroup counts if its adjusted R^2 is at least `level` and its R^2 above that of every random partition of its
    block size. Since cosets of subgroups of K explain at least what those of K do, the largest one is taken, and among
    equally large ones that with the largest R^2.

    Args:
        subgroups: of a group of n elements.
        r2: (S, K) by side, see `membership`.
        nulls: (draws, K) by order of the subgroup, see `random_partitions`.
        level: the least adjusted R^2.
    """
    both = np.stack([r2[side] for side in SIDES])  # (2, S, K)
    orders, n = subgroups.orders, subgroups.masks.shape[1]
    fit = adjusted(both, orders[:, None], n)
    ceiling = np.stack([nulls[order].max(0) if order in nulls else np.full(both.shape[2], np.inf) for order in orders])
    passes = (fit >= level) & (both > ceiling) & (orders < n)[:, None]
    score = np.where(passes, orders[:, None] + np.clip(np.nan_to_num(both), 0, 1) / 2, -1).reshape(-1, both.shape[2])
    place, columns = score.argmax(0), np.arange(both.shape[2])
    some = score[place, columns] > 0
    side, subgroup = np.divmod(place, len(orders))

    def chosen(values: np.ndarray) -> np.ndarray:
        return np.where(some, values, np.nan)

    return Best(
        np.where(some, subgroup, -1),
        side,
        chosen(both[side, subgroup, columns]),
        chosen(fit[side, subgroup, columns]),
        chosen(ceiling[subgroup, columns]),
    )


def coset_labels(group: Group, subgroup: np.ndarray, side: int) -> np.ndarray:
    """Return the number (n,) of the left (side 0) or right (side 1) coset of each element."""
    return (left_cosets, right_cosets)[side](group, np.flatnonzero(subgroup))


def within_blocks(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a random permutation (n,) of elements that moves each one inside its block; labels (n,) number these."""
    order, shuffled = np.argsort(labels, kind="stable"), np.lexsort((rng.random(len(labels)), labels))
    result = np.empty(len(labels), dtype=np.int64)
    result[order] = shuffled
    return result


def exchange_blocks(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a random permutation (n,) of elements that moves each block of a partition into equal ones as a whole onto
    another one."""
    blocks = np.argsort(labels, kind="stable").reshape(labels.max() + 1, -1)  # (m, block)
    cycle = rng.permutation(len(blocks))
    result = np.empty(len(labels), dtype=np.int64)
    result[blocks[cycle]] = rng.permuted(blocks[np.roll(cycle, 1)], axis=1)
    return result


def random_blocks(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return labels (n,) of a random partition with the same block sizes."""
    return labels[rng.permutation(len(labels))]
