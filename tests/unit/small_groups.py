"""Groups given by a table alone."""

import numpy as np

from mechlab.groups import Group


def relabelled(group: Group, permutation: np.ndarray | None = None) -> Group:
    """The same group with element i as number permutation[i], and no other trace of what it is."""
    permutation = np.arange(group.order) if permutation is None else permutation
    table = np.empty_like(group.table)
    table[np.ix_(permutation, permutation)] = permutation[group.table]
    return Group("given", table, tuple(range(group.order)))
