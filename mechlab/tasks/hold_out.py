"""Pairs of group elements in whole cosets of a subgroup, to be held out of training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from mechlab.core.errors import ConfigError, did_you_mean
from mechlab.groups.finite_group import Group
from mechlab.groups.subgroups import left_cosets, right_cosets, subgroup_classes

Which = Literal["first", "second", "product", "both"]
Side = Literal["left", "right"]


def held_out_pairs(group: Group, which: Which, subgroup: str | None, side: Side, cosets: Sequence[int]) -> np.ndarray:
    """Return the pairs (n, n) bool, by first and second factor, that are held out.

    Args:
        group: of n elements.
        which: the first factor, the second factor or the product is in one of the cosets, or both factors are.
        subgroup: its name in `mechlab.groups.subgroups.subgroup_classes`.
        side: left cosets x H or right ones H x.
        cosets: their numbers, in the order of their smallest elements.

    Raises:
        ConfigError: there is no such subgroup or coset, or all cosets are held out.
    """
    known = {each.name: each for each in subgroup_classes(group)}
    if subgroup not in known:
        must = f"task.hold_out_subgroup must be the name of a subgroup of {group.name}"
        fix = did_you_mean(subgroup or "", known)
        raise ConfigError(must, got=subgroup, key="task.hold_out_subgroup", fix=fix)
    index = known[subgroup].index
    if max(cosets) >= index or len(set(cosets)) == index:
        must = f"held-out cosets must be some, but not all, of the {index} cosets of {subgroup} in {group.name}"
        fix = "choose a smaller subgroup" if index == 1 else f"choose from 0 to {index - 1}"
        raise ConfigError(must, got=list(cosets), key="task.hold_out_cosets", fix=fix)
    numbers = (left_cosets if side == "left" else right_cosets)(group, known[subgroup].elements)
    inside, shape = np.isin(numbers, cosets), group.table.shape
    if which == "product":
        return inside[group.table]
    if which == "both":
        return inside[:, None] & inside
    return np.broadcast_to(inside[:, None] if which == "first" else inside, shape)
