"""Results that depend on a group's multiplication table alone, computed once for each table."""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from mechlab.groups.finite_group import Group

Result = TypeVar("Result")


def cached_by_digest(function: Callable[[Group], Result], size: int = 8) -> Callable[[Group], Result]:
    """Return a function of a group that computes its result once for each multiplication table.

    The results of the `size` tables that were used last are held. They are shared, and must not be changed.
    """
    results: OrderedDict[str, Result] = OrderedDict()

    @functools.wraps(function)
    def cached(group: Group) -> Result:
        if group.digest not in results:
            results[group.digest] = function(group)
        results.move_to_end(group.digest)
        while len(results) > size:
            results.popitem(last=False)
        return results[group.digest]

    return cached
