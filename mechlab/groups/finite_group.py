"""A finite group, given by its multiplication table."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np

from mechlab.core.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Group:
    """A finite group of n elements, numbered 0 to n - 1.

    Args:
        name: such as S5.
        table: (n, n) int32, the product of row a and column b; read-only.
        elements: what each number stands for: an integer, or a tuple such as the images of a permutation.
        generators: numbers of elements that generate the group; some small set of them by default.
        checked: the caller vouches that the table is associative (a table of permutations is).

    Raises:
        ConfigError: the table is not that of a group.
    """

    name: str
    table: np.ndarray
    elements: tuple[Hashable, ...]
    generators: tuple[int, ...] = ()
    checked: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        table = np.ascontiguousarray(self.table, dtype=np.int32)
        self._require(table.ndim == 2 and len(table) == table.shape[1] > 0, "must be square", f"shape {table.shape}")
        n = len(table)
        self._require(len(self.elements) == n, "must have a row for each element", f"{len(self.elements)} elements")
        self._require(table.min() >= 0 and table.max() < n, f"must hold numbers from 0 to {n - 1}", "others")
        table.setflags(write=False)
        object.__setattr__(self, "table", table)
        neutral = np.flatnonzero((table == np.arange(n)).all(1))
        self._require(len(neutral) == 1, "must have one identity", f"{len(neutral)} rows that leave all as it is")
        object.__setattr__(self, "identity", int(neutral[0]))
        self._require(bool((table[:, neutral[0]] == np.arange(n)).all()), "must have a two-sided identity", "one side")
        rows, columns = np.nonzero(table == self.identity)
        self._require(np.array_equal(rows, np.arange(n)), "must have one inverse for each element", "none, or several")
        object.__setattr__(self, "inverses", _read_only(columns))
        if not self.generators:
            object.__setattr__(self, "generators", generating_set(table, self.identity))
        if not self.checked:
            for g in self.generators:  # Light's test: these suffice
                left, right = table[table[:, g]], table[:, table[g]]
                self._require(np.array_equal(left, right), "must be associative", f"(x {g}) y other than x ({g} y)")

    # set in __post_init__
    identity: int = field(init=False)
    inverses: np.ndarray = field(init=False, repr=False)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def order(self) -> int:
        """The number of elements n."""
        return len(self.table)

    @functools.cached_property
    def labels(self) -> tuple[str, ...]:
        """A word for each element, all different: permutations of at most ten points as their images, such as 10234."""
        return tuple(_label(element) for element in self.elements)

    @functools.cached_property
    def digest(self) -> str:
        """The SHA-256 of the table, by which what is computed from it is cached."""
        return hashlib.sha256(str(self.order).encode() + self.table.tobytes()).hexdigest()

    @functools.cached_property
    def class_of(self) -> np.ndarray:
        """The number of each element's conjugacy class (n,); classes are numbered by their smallest element."""
        n = self.order
        labels = np.full(n, -1)
        count = 0
        for x in range(n):
            if labels[x] < 0:
                labels[self.table[self.table[self.inverses, x], np.arange(n)]] = count
                count += 1
        return _read_only(labels)

    @functools.cached_property
    def conjugacy_classes(self) -> tuple[np.ndarray, ...]:
        """The elements of each conjugacy class, in the order of `class_of`."""
        by_class = np.argsort(self.class_of, kind="stable")
        return tuple(np.split(by_class, np.cumsum(np.bincount(self.class_of))[:-1]))

    @functools.cached_property
    def element_orders(self) -> np.ndarray:
        """The order of each element (n,): the smallest k > 0 with x^k the identity."""
        orders, power = np.zeros(self.order, dtype=np.int64), np.arange(self.order)
        k = 1
        while not orders.all():
            orders[(orders == 0) & (power == self.identity)] = k
            power, k = self.table[power, np.arange(self.order)], k + 1
        return _read_only(orders)

    @property
    def abelian(self) -> bool:
        """Whether all elements commute."""
        return np.array_equal(self.table, self.table.T)

    def subgroup(self, elements: Sequence[int]) -> np.ndarray:
        """Return the sorted elements of the subgroup that some elements generate."""
        return np.flatnonzero(closure(self.table, self.identity, elements))

    def index(self, element: Hashable) -> int:
        """Return the number of an element."""
        return self._numbers[element]

    @functools.cached_property
    def _numbers(self) -> dict[Hashable, int]:
        return {element: number for number, element in enumerate(self.elements)}

    def _require(self, right: bool, must: str, got: str) -> None:
        if not right:
            must = f"the multiplication table of {self.name} {must}"
            raise ConfigError(must, got=got, key="task.group", fix="give the table of a group")


def closure(table: np.ndarray, identity: int, generators: Sequence[int]) -> np.ndarray:
    """Return which elements (n,) bool a set of elements generates, by breadth-first search."""
    inside = np.zeros(len(table), dtype=bool)
    inside[identity] = True
    border = np.array([identity])
    generators = np.asarray(generators, dtype=np.int64)
    while len(border) and len(generators):
        reached = np.unique(table[np.ix_(border, generators)])
        border = reached[~inside[reached]]
        inside[border] = True
    return inside


def generating_set(table: np.ndarray, identity: int) -> tuple[int, ...]:
    """Return elements that generate the group, each the first outside of what those before it generate."""
    chosen: list[int] = []
    inside = closure(table, identity, chosen)
    while not inside.all():
        chosen.append(int(np.flatnonzero(~inside)[0]))
        inside = closure(table, identity, chosen)
    return tuple(chosen)


def _label(element: Hashable) -> str:
    if isinstance(element, tuple):
        parts = [_label(part) for part in element]
        single = all(isinstance(part, int) and 0 <= part < 10 for part in element)
        return "".join(parts) if single else "(" + ",".join(parts) + ")"
    return str(element)


def _read_only(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array
