"""All distinct integer functions of a few names on given points, in the order of their shortest expressions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from mechlab.distill.recurrent.expressions import OPERATORS, Expression, Name, Number, Operation, bits

LARGEST = 2**14  # absolute value of a function, in int16
SYMBOL = 4  # bits of an operator
AT_ONCE = 2**22  # numbers in memory for one operator
BOTH = ("+", "*", "min", "max", "==", "xor", "and", "or", "!=")  # operators that commute
ORDERED = ("-", "<", "<=")
LOGICAL = ("xor", "and", "or", "not")  # of bits only
COMPARISONS = ("==", "!=", "<", "<=")  # not of comparisons, for the reader's sake
DIVISIONS = ("%", "//")
MIRRORED = {"<": ">", "<=": ">="}


class Bank:
    """The functions of a few names, each with a shortest expression; functions that agree on all points are one.

    Args:
        points: the value of each name at the P points, (P,) integers below 2^14 in absolute value.
        constants: numbers that expressions may contain.
        most: maximal number of functions.
        work: maximal number of values computed.
        longest: maximal description length, in bits.

    Attributes:
        values: (N, P) int16, the functions in order of description length.
        costs: (N,) int64, description lengths in bits.
    """

    def __init__(
        self,
        points: Mapping[str, np.ndarray],
        constants: Sequence[int],
        most: int = 30_000,
        work: int = 400_000_000,
        longest: int = 60,
    ):
        self._leaves: list[Expression] = [Name(name) for name in points]
        self._leaves += [Number(value) for value in sorted(set(constants))]
        columns = [np.asarray(value) for value in points.values()]
        size = len(columns[0])
        columns += [np.full(size, leaf.value) for leaf in self._leaves[len(points) :] if isinstance(leaf, Number)]
        self._columns = np.array(columns, np.int32)
        self._weights = np.random.default_rng(0).integers(1, 2**63, size, dtype=np.uint64) | np.uint64(1)
        self._known: np.ndarray = np.zeros(0, np.uint64)
        self._made: list[tuple[str, int, int, int]] = []  # operator and operands; "" and a leaf
        self._levels: dict[int, slice] = {}
        self._most, self._work = min(most, 2**26 // max(size, 1)), work
        self._store = np.empty((self._most, size), np.int16)
        self._logical, self._compared = np.empty((2, self._most), bool)
        self._fill(longest)
        self.values = self._store[: len(self._made)]
        self.costs = np.empty(len(self.values), np.int64)
        for cost, rows in self._levels.items():
            self.costs[rows] = cost

    def expression(self, row: int) -> Expression:
        """Return the expression of a function."""
        operator, *operands = self._made[row]
        if not operator:
            return self._leaves[operands[0]]
        parts = [self.expression(operand) for operand in operands if operand >= 0]
        if operator in MIRRORED and isinstance(parts[0], Number):
            return Operation(MIRRORED[operator], (parts[1], parts[0]))
        if operator in BOTH and isinstance(parts[1 if operator == "*" else 0], Number):  # 2 * x, but x + 2
            parts.reverse()
        return Operation(operator, tuple(parts))

    def find(self, targets: np.ndarray, places: np.ndarray | None = None) -> int | None:
        """Return the row of the first function with given values (P,), at some of the points if `places` are given;
        None if there is none."""
        values = self.values if places is None else self.values[:, places]
        rows = np.arange(len(values))
        for point in range(values.shape[1]):
            rows = rows[values[rows, point] == targets[point]]
            if not len(rows):
                return None
        return int(rows[0])

    def _fill(self, longest: int) -> None:
        for cost in range(3, longest + 1):
            start = len(self._made)
            for made, values in self._level(cost):
                self._work -= values.size
                self._add(made, values)
                if len(self._made) >= self._most or self._work < 0:
                    break
            if len(self._made) > start:
                self._levels[cost] = slice(start, len(self._made))
            if len(self._made) >= self._most or self._work < 0:
                break

    def _level(self, cost: int) -> Iterator[tuple[Callable[[int], tuple[str, int, int, int]], np.ndarray]]:
        """Yield functions of one description length in blocks: how each row is made, and their values."""
        leaves = [k for k, leaf in enumerate(self._leaves) if bits(leaf) == cost]
        if leaves:
            yield (lambda row: ("", leaves[row], -1, -1)), self._columns[leaves]
        rest = cost - SYMBOL
        for operator in ("not", "abs"):
            if rest in self._levels:
                rows = self._rows(rest, operator)
                values = self._at(rows)
                rows = rows[(values < 0).any(1)] if operator == "abs" else rows
                yield _made(operator, rows), OPERATORS[operator].values(self._at(rows)).astype(np.int32)
        for first in list(self._levels):
            second = rest - first
            if second not in self._levels:
                continue
            for operator in (*BOTH, *ORDERED, *DIVISIONS):
                if operator in BOTH and first > second:
                    continue
                left = self._rows(first, operator)
                right = self._divisor_rows(second) if operator in DIVISIONS else self._rows(second, operator)
                yield from self._pairs(operator, left, right)
        yield from self._choices(rest)

    def _pairs(self, operator: str, left: np.ndarray, right: np.ndarray) -> Iterator:
        values = OPERATORS[operator].values
        columns = self._columns.shape[1]
        chunk = max(1, AT_ONCE // max(1, len(right) * columns))
        for start in range(0, len(left) if len(right) else 0, chunk):
            part = left[start : start + chunk]
            result = np.asarray(values(self._at(part)[:, None], self._at(right)[None]))
            yield _made(operator, part, right), result.reshape(-1, columns).astype(np.int32)

    def _choices(self, rest: int) -> Iterator:
        """Yield conditional expressions whose three parts have `rest` bits."""
        for first in list(self._levels):
            conditions = self._rows(first, "and")
            for second in list(self._levels):
                third = rest - first - second
                if third not in self._levels or not len(conditions):
                    continue
                left, right = self._rows(second, "if"), self._rows(third, "if")
                chunk = max(1, AT_ONCE // (max(1, len(left)) * len(right) * self._columns.shape[1]))
                for start in range(0, len(conditions), chunk):
                    part = conditions[start : start + chunk]
                    chosen = self._at(part)[:, None, None] != 0
                    result = np.where(chosen, self._at(left)[:, None], self._at(right)[None])
                    yield _made("if", part, left, right), result.reshape(-1, self._columns.shape[1])

    def _add(self, made: Callable[[int], tuple[str, int, int, int]], values: np.ndarray) -> None:
        """Store the functions that are new."""
        inside = np.flatnonzero((np.abs(values) < LARGEST).all(1))
        hashes = (values[inside].astype(np.uint64) * self._weights).sum(1)
        hashes, rows = np.unique(hashes, return_index=True)
        unknown = ~np.isin(hashes, self._known, assume_unique=True)
        rows = np.sort(inside[rows[unknown]])[: self._most - len(self._made)]
        self._known = np.sort(np.concatenate([self._known, hashes[unknown]]))
        place = slice(len(self._made), len(self._made) + len(rows))
        self._store[place] = values[rows]
        self._logical[place] = ((values[rows] >= 0) & (values[rows] <= 1)).all(1)
        self._made += (new := [made(row) for row in rows.tolist()])
        self._compared[place] = [operator in (*COMPARISONS, "not") for operator, *_ in new]

    def _rows(self, cost: int, operator: str) -> np.ndarray:
        """Return the functions of a description length that may be operands of an operator."""
        part = self._levels[cost]
        rows = np.arange(part.start, part.stop)
        if operator in LOGICAL:
            return rows[self._logical[rows]]
        return rows[~self._compared[rows]] if operator in COMPARISONS else rows

    def _divisor_rows(self, cost: int) -> np.ndarray:
        return np.array([row for row in self._rows(cost, "//").tolist() if self._divides(row)], np.int64)

    def _divides(self, row: int) -> bool:
        operator, leaf, *_ = self._made[row]
        divisor = None if operator else self._leaves[leaf]
        return isinstance(divisor, Number) and divisor.value > 1

    def _at(self, rows: np.ndarray) -> np.ndarray:
        """Return the values (rows, P) int32 of some functions."""
        return self._store[rows].astype(np.int32)


def _made(operator: str, *rows: np.ndarray) -> Callable[[int], tuple[str, int, int, int]]:
    """Return the function from the place of a row in the product of operands to how it is made."""

    def made(place: int) -> tuple[str, int, int, int]:
        operands = [int(part[k]) for part, k in zip(rows, np.unravel_index(place, [len(p) for p in rows]), strict=True)]
        return (operator, *operands, *(-1 for _ in range(3 - len(operands))))

    return made
